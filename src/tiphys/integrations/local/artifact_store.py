"""Artifacts as plain folders on a local or mounted disk, named by the digest of their content.

Layout below the root::

    objects/a/<64 hex digits>/…       the files of a tree, read-only
    objects/a/<64 hex digits>.json    names and hashes of a tree of several files; its SHA-256 is the tree's digest
    objects/a/<64 hex digits>-<name>  a tree of one file that was given as bytes: making a folder for each scalar would
                                       cost many times what all the rest of storing it does
    staging/<id>…                      what is being written

A tree is complete from the moment it is visible: it is written in `staging` and renamed. Nothing is forced to disk, so
a power failure may lose the newest files or cut them short; a verified read notices, and storing the same tree again
repairs it.

Every step pays for the calls made here, and pathlib costs several times what the system call does: hence `os`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tiphys._util.canonical import canonical_json, tree_digest
from tiphys._util.ids import new_id
from tiphys.errors import ArtifactError, ArtifactMissingError, DigestMismatchError, StackError
from tiphys.ports.artifact_store import ArtifactStore, StoredTree
from tiphys.ports.component import StackComponent
from tiphys.sdk.hashed_files import copy_hashed, file_sha256, remember_sha256

if TYPE_CHECKING:
    from tiphys.integrations.local.config import LocalArtifactStoreConfig

_PREFIX = "sha256:"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}").fullmatch
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]+").fullmatch
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0)
_SMALL = 64 * 1024
_MOST_MANIFESTS = 256
#: Seconds to wait, again and again, for a tree that may be out of sight while it is decided whether it was used again
#: (see `delete`): usually the first look finds it, but whoever decides may be kept from going on by a busy machine.
_ASIDE = (0.01, 0.03, 0.1, 0.3)


class _File(NamedTuple):
    """A file of a tree."""

    #: Below the tree's folder, with '/'.
    name: str
    #: Where its content is (elsewhere in the tree for a link).
    path: str
    size: int
    mode: int
    is_link: bool


class LocalArtifactStore(StackComponent, ArtifactStore):
    """Keeps trees below a folder that any number of processes may use at once.

    Args:
        name: As registered.
        config: Says where; whoever builds the component puts a folder of the home there if the user named none.
    """

    def __init__(self, *, name: str, config: LocalArtifactStoreConfig) -> None:
        super().__init__(name=name, config=config)
        if not config.path:
            raise StackError(
                f"The artifact store '{name}' has no path.", hint="Set `path` in its configuration to a folder."
            )
        self.root = config.path
        root = os.path.abspath(os.path.expanduser(config.path))
        self._objects = os.path.join(root, "objects")
        self._staging = os.path.join(root, "staging")
        self._manifests: dict[str, dict[str, str]] = {}
        #: Names of files that stand without a folder, as met so far.
        self._single_names: dict[str, None] = {"value.json": None}
        os.makedirs(self._objects, exist_ok=True)
        os.makedirs(self._staging, exist_ok=True)

    def staging(self) -> AbstractContextManager[Path]:
        """A fresh folder below the root; `commit` moves it as it is."""
        return self._fresh_folder()

    @contextlib.contextmanager
    def _fresh_folder(self) -> Iterator[Path]:
        folder = self._new_staging_path()
        os.mkdir(folder)
        try:
            yield Path(folder)
        finally:
            if os.path.lexists(folder):
                _remove_tree(folder)

    def commit(self, folder: Path) -> StoredTree:
        """Store what `folder` holds: a folder of `staging` is moved, any other is copied.

        Folders without files are not part of a tree. A link to a file of the same tree is stored as that file.

        Raises:
            ArtifactError: a link leads out of the folder, or something in it is neither a file nor a folder.
        """
        if os.path.dirname(os.path.abspath(folder)) == self._staging:
            return self._commit_own(str(folder))
        if not folder.is_dir():
            raise ArtifactError(f"'{folder}' is not a folder, so it cannot be stored as an artifact's files.")
        with self._fresh_folder() as copy:
            for file in _files_of(str(folder)):
                target = copy / file.name
                target.parent.mkdir(parents=True, exist_ok=True)
                copy_hashed(Path(file.path), target)
            return self._commit_own(str(copy))

    def _commit_own(self, folder: str) -> StoredTree:
        files = list(_files_of(folder, tidy=True))
        for file in files:
            path = os.path.join(folder, file.name)
            if file.is_link:
                os.unlink(path)
                os.link(file.path, path)
            if file.mode & 0o222:
                os.chmod(path, file.mode & 0o555)
        hashes = {file.name: file_sha256(os.path.join(folder, file.name)) for file in files}
        digest = _PREFIX + tree_digest(hashes.items())
        path = self._place(folder, digest, files, hashes)
        return StoredTree(digest, sum(file.size for file in files), path)

    def _place(self, folder: str, digest: str, files: Sequence[_File], hashes: dict[str, str]) -> str:
        target = self._path(digest)
        if len(files) == 1:
            single = f"{target}-{files[0].name}"
            if self._refresh(single, [(single, files[0].size)]):
                return single
            self._discard(single)
        if self._refresh(target, [(f"{target}/{file.name}", file.size) for file in files]):
            return target
        self._make_shard(target)
        if len(files) != 1:
            self._write_manifest(target, hashes)
        if os.path.exists(target):
            self._discard(target)
        self._rename(folder, target)
        if len(files) != 1 and not os.path.exists(f"{target}.json"):
            self._write_manifest(target, hashes)  # a deletion of the earlier tree took it
        return target

    def commit_bytes(self, name: str, data: bytes) -> StoredTree:
        """Store a tree of one file."""
        if "/" in name or name in ("", ".", ".."):
            raise ArtifactError(f"'{name}' is not the name of a single file.")
        content_hash = hashlib.sha256(data).hexdigest()
        digest = _single_digest(name, content_hash)
        target = self._path(digest)
        path = f"{target}-{name}"
        if self._refresh(path, [(path, len(data))]):
            return StoredTree(digest, len(data), path)
        as_folder = self._refresh(target, [(f"{target}/{name}", len(data))])
        if as_folder:
            return StoredTree(digest, len(data), target)
        staged = self._new_staging_path()
        file = os.open(staged, _CREATE, 0o444)
        try:
            written = os.write(file, data)
            while written < len(data):
                written += os.write(file, memoryview(data)[written:])
            if written > _SMALL:
                remember_sha256(os.fstat(file), content_hash)
        except OSError:
            os.unlink(staged)  # the disk is full, perhaps: it is not to be made fuller each time
            raise
        finally:
            os.close(file)
        try:
            os.replace(staged, path)
        except FileNotFoundError:
            self._make_shard(path)
            os.replace(staged, path)
        self._single_names[name] = None
        if as_folder is False:
            self._discard(target)  # the same tree as a folder, damaged
        return StoredTree(digest, len(data), path)

    def exists(self, digest: str) -> bool:
        """Whether the tree is there."""
        path = self._path(digest)
        return os.path.exists(f"{path}-value.json") or os.path.exists(path) or self._single(digest) is not None

    def touch(self, digest: str) -> bool:
        """Have a tree count as used now; False if it is not there."""
        single = self._single(digest)
        path = self._path(digest)
        try:
            os.utime(path if single is None else f"{path}-{single}")
        except FileNotFoundError:
            return False
        return True

    def open_tree(self, digest: str, *, verify: bool = True, part: str | None = None) -> AbstractContextManager[Path]:
        """The stored folder itself; of a file that stands without one, a folder that lasts as long as the context."""
        target = self._path(digest)
        for seconds in _ASIDE:
            if os.path.isdir(target) or self.exists(digest):
                break
            time.sleep(seconds)
        if os.path.isdir(target):
            if verify:
                self._verify(digest, target, part)
            return nullcontext(Path(target))
        single = self._single(digest)
        if single is None:
            raise self._missing(digest)
        if verify and _single_digest(single, file_sha256(f"{target}-{single}")) != digest:
            raise self._mismatch(digest, [single])
        return self._folder_of(target, single)

    @contextlib.contextmanager
    def _folder_of(self, target: str, name: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="tiphys-") as folder:
            shutil.copy2(f"{target}-{name}", f"{folder}/{name}")
            yield Path(folder)

    def _single(self, digest: str) -> str | None:
        """Name of the file of a tree that stands without a folder."""
        target = self._path(digest)
        for name in self._single_names:
            if os.path.exists(f"{target}-{name}"):
                return name
        start = f"{digest[7:]}-"
        with contextlib.suppress(FileNotFoundError), os.scandir(os.path.dirname(target)) as entries:
            for entry in entries:
                if entry.name.startswith(start):
                    name = entry.name[len(start) :]
                    self._single_names[name] = None
                    return name
        return None

    def _verify(self, digest: str, target: str, part: str | None) -> None:
        recorded = self._manifest(digest)
        top = target if part is None else os.path.join(target, part)
        prefix = "" if part is None else f"{part}/"
        try:
            if part is not None and os.path.isfile(top):
                found = {part: file_sha256(top)}
            else:
                found = {prefix + file.name: file_sha256(file.path) for file in _files_of(top)}
        except FileNotFoundError as error:
            raise self._missing(digest) from error
        if recorded is None or part is None:
            if _PREFIX + tree_digest(found.items()) == digest:
                return
        elif found and found == {n: h for n, h in recorded.items() if n == part or n.startswith(prefix)}:
            return
        changed = sorted(name for name, hash_ in found.items() if recorded and recorded.get(name) != hash_)
        raise self._mismatch(digest, changed)

    def read_bytes(self, digest: str, name: str) -> bytes:
        """Content of one file, always verified."""
        target = self._path(digest)
        try:
            file = os.open(f"{target}-{name}", _READ)
        except FileNotFoundError:
            file = self._open_elsewhere(digest, name)
        try:
            data = os.read(file, _SMALL)
            if len(data) == _SMALL:
                with open(file, "rb", closefd=False) as rest:
                    data += rest.read()
        finally:
            os.close(file)
        content_hash = hashlib.sha256(data).hexdigest()
        if _single_digest(name, content_hash) != digest and (self._manifest(digest) or {}).get(name) != content_hash:
            raise self._mismatch(digest, [name])
        return data

    def _open_elsewhere(self, digest: str, name: str) -> int:
        target = self._path(digest)
        for seconds in (*_ASIDE, 0.0):
            for path in (f"{target}/{name}", f"{target}-{name}"):
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    return os.open(path, _READ)
            if self.exists(digest) and self._single(digest) is None:
                break  # it is there, and has no such file
            time.sleep(seconds)
        if self.exists(digest):
            raise ArtifactError(f"There is no file '{name}' in {self.uri(digest)}.")
        raise self._missing(digest)

    def uri(self, digest: str) -> str:
        """The tree's folder, or the file that stands without one."""
        single = self._single(digest)
        return self._path(digest) if single is None else f"{self._path(digest)}-{single}"

    def list_trees(self) -> Iterator[tuple[str, int, float]]:
        """All trees as (digest, bytes, epoch seconds of their last commit)."""
        for shard in os.listdir(self._objects):
            folder = os.path.join(self._objects, shard)
            for name in os.listdir(folder):
                digest, _, single = (_PREFIX + name).partition("-")
                if not _DIGEST(digest):
                    continue
                path = os.path.join(folder, name)
                try:
                    found = os.stat(path)
                    size = found.st_size if single else sum(file.size for file in _files_of(path))
                except FileNotFoundError:  # another process deleted it meanwhile
                    continue
                yield digest, size, found.st_mtime

    def delete(self, digest: str, *, unused_since: float | None = None) -> None:
        """Remove a tree, unless it was committed again after `unused_since`."""
        target = self._path(digest)
        single = self._single(digest)
        if single is not None:
            aside = self._move_aside(f"{target}-{single}", unused_since)
            if aside is not None:
                os.unlink(aside)
        aside = self._move_aside(target, unused_since)
        if aside is None:
            return
        self._manifests.pop(digest, None)
        manifest = self._manifest(digest)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{target}.json")
        if manifest is not None and os.path.exists(target):
            self._write_manifest(target, manifest)  # it was committed after the move: that was its manifest
        else:
            self._manifests.pop(digest, None)
        _remove_tree(aside)

    def _move_aside(self, path: str, unused_since: float | None) -> str | None:
        """Take something out of sight to remove it; None if it is gone or was committed again after `unused_since`."""
        aside = self._new_staging_path()
        try:
            if unused_since is not None and os.stat(path).st_mtime > unused_since:
                return None
            os.rename(path, aside)
        except FileNotFoundError:
            return None
        if unused_since is not None and os.stat(aside).st_mtime > unused_since and self._rename(aside, path):
            return None  # committed between the look and the move
        return aside

    def sweep(self, *, before: float) -> None:
        """Remove from `staging` what nobody has touched since `before` (epoch seconds)."""
        for name in os.listdir(self._staging):
            path = os.path.join(self._staging, name)
            if _last_change(path) < before:
                _remove_tree(path)

    def _path(self, digest: str) -> str:
        if not _DIGEST(digest):
            raise ArtifactError(f"'{digest}' is not the digest of an artifact; those read 'sha256:' and 64 hex digits.")
        return f"{self._objects}/{digest[7]}/{digest[7:]}"

    def _new_staging_path(self) -> str:
        return f"{self._staging}/{new_id()}"

    @staticmethod
    def _make_shard(target: str) -> None:
        os.makedirs(os.path.dirname(target), exist_ok=True)

    def _refresh(self, tree: str, files: Sequence[tuple[str, int]]) -> bool | None:
        """Whether a tree is there, with its files (path, size) whole; its time of use is now.

        Returns:
            False if it is damaged, None if there is none.
        """
        try:
            os.utime(tree)
        except FileNotFoundError:
            return None
        try:
            return all(os.stat(path).st_size == size for path, size in files)
        except FileNotFoundError:
            return False

    def _rename(self, folder: str, target: str) -> bool:
        """Make `folder` visible as `target`; False if another process was quicker."""
        try:
            os.rename(folder, target)
        except FileNotFoundError:
            self._make_shard(target)
            return self._rename(folder, target) if os.path.exists(folder) else False
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            os.utime(target)
            return False
        return True

    def _discard(self, target: str) -> None:
        """Take a damaged tree away."""
        aside = self._new_staging_path()
        with contextlib.suppress(FileNotFoundError):
            os.rename(target, aside)
            _remove_tree(aside)

    def _write_manifest(self, target: str, hashes: dict[str, str]) -> None:
        staged = self._new_staging_path()
        try:
            with open(staged, "w", encoding="utf-8", newline="") as file:
                file.write(canonical_json(sorted(map(list, hashes.items()))))
            os.replace(staged, f"{target}.json")
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(staged)
            raise

    def _manifest(self, digest: str) -> dict[str, str] | None:
        """Names and hashes of a tree's files, if they are recorded and the record is genuine."""
        known = self._manifests.get(digest)
        if known is not None:
            return known
        try:
            with open(f"{self._path(digest)}.json", "rb") as file:
                content = file.read()
        except FileNotFoundError:
            return None
        if _PREFIX + hashlib.sha256(content).hexdigest() != digest:
            return None
        if len(self._manifests) >= _MOST_MANIFESTS:
            self._manifests.clear()
        manifest = self._manifests[digest] = dict(json.loads(content))
        return manifest

    def _missing(self, digest: str) -> ArtifactMissingError:
        return ArtifactMissingError(
            f"The artifact store '{self.name}' no longer has the data {digest} at {self._path(digest)}.",
            hint="Run the step that made it again with enable_cache=False.",
        )

    def _mismatch(self, digest: str, files: Sequence[str]) -> DigestMismatchError:
        which = f" ({', '.join(files)})" if files else ""
        return DigestMismatchError(
            f"The data at {self._path(digest)} was changed after it was stored{which}; it was not loaded.",
            hint="Delete that folder and run the step that made it again.",
        )


def _single_digest(name: str, content_hash: str) -> str:
    """`tree_digest` of one file; the usual names need no JSON encoder."""
    if _PLAIN_NAME(name):
        return _PREFIX + hashlib.sha256(f'[["{name}","{content_hash}"]]'.encode()).hexdigest()
    return _PREFIX + tree_digest([(name, content_hash)])


def _files_of(folder: str, *, tidy: bool = False) -> Iterator[_File]:
    """All files below a folder; with `tidy` folders without any are removed."""
    real_root = ""

    def walk(path: str, prefix: str) -> Iterator[_File]:
        nonlocal real_root
        with os.scandir(path) as entries:
            for entry in entries:
                name = prefix + entry.name
                if entry.is_symlink():
                    real_root = real_root or os.path.realpath(folder)
                    yield _link_target(entry.path, name, real_root)
                elif entry.is_file(follow_symlinks=False):
                    stat = entry.stat(follow_symlinks=False)
                    yield _File(name, entry.path, stat.st_size, stat.st_mode, False)
                elif entry.is_dir(follow_symlinks=False):
                    empty = True
                    for file in walk(entry.path, name + "/"):
                        empty = False
                        yield file
                    if empty and tidy:
                        os.rmdir(entry.path)
                else:
                    raise ArtifactError(f"'{entry.path}' is neither a file nor a folder, so it cannot be stored.")

    return walk(folder, "")


def _link_target(path: str, name: str, real_root: str) -> _File:
    target = os.path.realpath(path)
    if not target.startswith(real_root + os.sep):
        raise ArtifactError(
            f"The link '{path}' leads out of the folder that is to be stored, to '{target}'.",
            hint="Copy what it points to into the folder.",
        )
    if not os.path.isfile(target):
        raise ArtifactError(f"The link '{path}' does not lead to a file, so it cannot be stored.")
    stat = os.stat(target)
    return _File(name, target, stat.st_size, stat.st_mode, True)


def _last_change(path: str) -> float:
    """Newest time of change of a file or of anything in a folder (0 if it is gone)."""
    try:
        newest = os.lstat(path).st_mtime
        if os.path.isdir(path) and not os.path.islink(path):
            newest = max([newest, *(_last_change(os.path.join(path, name)) for name in os.listdir(path))])
    except FileNotFoundError:
        return 0.0
    return newest


def _remove_tree(path: str) -> None:
    """Remove a folder or file that another process may be removing too."""
    while os.path.lexists(path):
        with contextlib.suppress(FileNotFoundError):
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
