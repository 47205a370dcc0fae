"""Port: where artifacts' files are kept, by the digest of their content."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StoredTree:
    """Files that were stored together."""

    #: `sha256:<hex>` over names and contents (`_util.canonical.tree_digest`).
    digest: str
    #: Bytes of all files.
    size: int
    #: Where the tree is, as an absolute path or URL; derived from the digest and the store's root.
    uri: str


class ArtifactStore(ABC):
    """Content-addressed: a tree of files is written once under its digest and never changed."""

    #: Root as a path or URL, as a user gave it.
    root: str

    @abstractmethod
    def staging(self) -> AbstractContextManager[Path]:
        """A fresh local folder to write files into, removed at the end unless `commit` took its files."""

    @abstractmethod
    def commit(self, folder: Path) -> StoredTree:
        """Store what `folder` holds (files are hashed, and moved where that is possible); equal trees are kept once."""

    @abstractmethod
    def commit_bytes(self, name: str, data: bytes) -> StoredTree:
        """Store a tree of one small file without a staging folder: the quick way for scalars."""

    @abstractmethod
    def exists(self, digest: str) -> bool:
        """Whether the tree is there."""

    @abstractmethod
    def open_tree(self, digest: str, *, verify: bool = True, part: str | None = None) -> AbstractContextManager[Path]:
        """A local folder (or, for a local store, the stored one itself) with a tree's files, not to be changed.

        Args:
            digest: Of the tree.
            verify: Whether to hash the files and compare them with what was recorded.
            part: A file or subfolder of the tree, if only that is to be fetched and verified; the folder is still the
                tree's.

        Raises:
            ArtifactMissingError: the tree is not there.
            DigestMismatchError: the files are not those that were stored.
        """

    @abstractmethod
    def read_bytes(self, digest: str, name: str) -> bytes:
        """Content of one file of a tree, verified where the tree has just this file."""

    @abstractmethod
    def uri(self, digest: str) -> str:
        """Where a tree is or would be."""

    @abstractmethod
    def list_trees(self) -> Iterator[tuple[str, int, float]]:
        """All trees as (digest, bytes, epoch seconds of their last use as a commit's result)."""

    @abstractmethod
    def delete(self, digest: str, *, unused_since: float | None = None) -> None:
        """Remove a tree, unless it was committed again after `unused_since` (epoch seconds); ignored if missing."""

    @abstractmethod
    def sweep(self, *, before: float) -> None:
        """Remove what interrupted writers left behind, where nobody has touched it since `before` (epoch seconds)."""
