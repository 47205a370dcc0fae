"""Port: artifacts as objects of a bucket: the same for S3, Google Cloud Storage, Azure and what speaks like them.

A file is one object; a folder is all objects whose keys begin with the artifact's key and a slash. Empty folders are
not kept, as in Argo's `workflow/artifacts/s3/s3.go`.
"""

from __future__ import annotations

import os
import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from tiphys.errors import ArtifactError, ArtifactMissingError, SpecError
from tiphys.ports.artifact_driver import ArtifactDriver, Located, arriving, files_of, is_plain, named

#: Files of a folder that are carried at the same time.
_AT_ONCE = 8
#: Large objects are sent in parts: the least bytes of a part, and the most parts that all stores allow.
_LEAST_PART, _MOST_PARTS = 8 * 1024 * 1024, 10_000
#: Credentials in a URL, which an error's text may show.
_SIGNATURES = re.compile(r"(?i)\b(sig|x-amz-signature|x-goog-signature)=[^&\s)\"]+")

#: The process that opens buckets. Libraries for object stores have threads, which a forked child lacks: it would wait
#: for ever, and is refused instead.
_opened_by: set[int] = set()


class Objects(Protocol):
    """A bucket in use: this much of an obstore store. Keys have no slash at either end."""

    def get(self, path: str, /) -> Any:
        """An object, whose `stream()` iterates over its bytes; FileNotFoundError if it is not there."""

    def head(self, path: str, /) -> Any:
        """Facts about an object; FileNotFoundError if it is not there."""

    def put(self, path: str, file: Path, /, *, chunk_size: int) -> Any:
        """Store a file, in parts if it is larger than `chunk_size` bytes."""

    def list(self, prefix: str | None, /, *, chunk_size: int) -> Any:
        """Iterates over lists of {path, size} of the objects beneath a prefix (a whole segment)."""

    def delete(self, paths: Sequence[str], /) -> Any:
        """Remove objects; FileNotFoundError from some stores if one is not there."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an artifact is."""

    objects: Objects
    #: As the artifact has it; a slash at the end says that it is a folder.
    key: str
    #: For messages.
    url: str

    @property
    def path(self) -> str:
        """The key without slashes at its ends: they do not count."""
        return self.key.strip("/")


class ObjectDriver(ArtifactDriver):
    """What a driver of an object store inherits: it says how to open the bucket."""

    #: What the bucket's methods raise if something fails, other than FileNotFoundError and ValueError.
    failures: ClassVar[tuple[type[Exception], ...]]
    #: The field that holds the key.
    key_field: ClassVar[str] = "key"

    @abstractmethod
    def place(self, artifact: Located) -> Place:
        """Open the bucket of an artifact.

        Raises:
            SpecError, NotFoundError: as for `load`.
        """

    def load(self, artifact: Located, into: Path) -> None:
        """As the port says. A key that is both an object and a folder is the object, unless it ends with a slash."""
        place = self._keyed(artifact)
        with self._telling(artifact, "load", place), arriving(into) as staged:
            if place.key.endswith("/") or not _get(place.objects, place.path, staged):
                self._load_folder(artifact, place, staged)

    def save(self, path: Path, artifact: Located) -> None:
        """As the port says. Of a folder nothing is removed that was stored there before."""
        place = self._keyed(artifact)
        if not path.exists():
            raise ArtifactError(f"There is nothing at '{path}' to save as {place.url}.")
        with self._telling(artifact, "save", place):
            if path.is_dir():
                _in_parallel(
                    lambda name: _put(place.objects, f"{place.path}/{name}", path / name),
                    files_of(path),
                )
            else:
                _put(place.objects, place.path, path)

    def delete(self, artifact: Located) -> None:
        """As the port says; beneath a key that is an object itself nothing is removed."""
        place = self._keyed(artifact)
        with self._telling(artifact, "delete", place):
            if not place.key.endswith("/") and _is_object(place.objects, place.path):
                paths = [place.path]
            else:
                paths = [path for path, _ in _beneath(place)]
            try:
                if paths:
                    place.objects.delete(paths)
            except FileNotFoundError:  # some are gone by themselves (or are marks of folders)
                _in_parallel(lambda path: _delete(place.objects, path), paths)

    def list_keys(self, artifact: Located) -> list[str]:
        """As the port says. Without a key: all of the bucket."""
        place = self._checked(artifact)
        with self._telling(artifact, "list", place):
            keys = _keys_of_files(place)
            if not keys and place.path and not place.key.endswith("/") and _is_object(place.objects, place.path):
                keys = [place.path]
        if not keys and place.path:
            raise _missing(artifact, place)
        return keys

    def is_folder(self, artifact: Located) -> bool:
        """As the port says. Without a key: the bucket, which is one."""
        place = self._checked(artifact)
        with self._telling(artifact, "list", place):
            return not place.path or any(True for _ in _beneath(place, chunk_size=1))

    def _load_folder(self, artifact: Located, place: Place, staged: Path) -> None:
        keys = _keys_of_files(place)
        if not keys:
            raise _missing(artifact, place)
        names = [key[len(place.path) + 1 :] for key in keys]
        for name in names:
            if not is_plain(name):
                raise ArtifactError(f"{place.url} holds the object '{name}', whose name would lead out of the folder.")
        folders = {folder for name in names for folder in _folders_above(name)}
        for both in folders.intersection(names):
            raise ArtifactError(f"{place.url} cannot be laid out as files: '{both}' is both an object and a folder.")
        for parent in {(staged / name).parent for name in names}:
            parent.mkdir(parents=True, exist_ok=True)

        def get(name: str) -> None:
            if not _get(place.objects, f"{place.path}/{name}", staged / name):
                raise ArtifactMissingError(f"The object '{name}' of {place.url} is gone; it was there a moment ago.")

        _in_parallel(get, names)

    def _keyed(self, artifact: Located) -> Place:
        place = self._checked(artifact)
        self.required(artifact, self.key_field, place.path)
        return place

    def _checked(self, artifact: Located) -> Place:
        _opened_by.add(os.getpid())
        if len(_opened_by) > 1:
            raise ArtifactError(
                f"Cannot open the location of {named(artifact, within=True)}: "
                "the process that this one was forked from has used object stores.",
                hint="Start a fresh process instead, or use a thread.",
            )
        try:
            place = self.place(artifact)
        except self.failures as error:  # a key that is none, say
            raise SpecError(
                f"{named(artifact)}: its location of type '{self.location}' cannot be opened: {_told(error)}"
            ) from error
        if place.path and not is_plain(place.path):
            raise self.error(artifact, self.key_field, f"('{place.key}') has a part that is empty, '.' or '..'")
        return place

    @contextmanager
    def _telling(self, artifact: Located, doing: str, place: Place) -> Iterator[None]:
        """Turn what the store raises into our errors."""
        # FileNotFoundError that nobody expected: there is no such bucket.
        failures: tuple[type[Exception], ...] = (*self.failures, ValueError, FileNotFoundError)
        try:
            yield
        except failures as error:
            raise ArtifactError(
                f"Cannot {doing} {named(artifact, within=True)} at {place.url}: {_told(error)}"
            ) from error


def _told(error: Exception) -> str:
    """An error's message on one line, without the library's own state and what signs a URL."""
    return " ".join(_SIGNATURES.sub(r"\1=…", str(error).partition("\n\nDebug source")[0]).split())


def _missing(artifact: Located, place: Place) -> ArtifactMissingError:
    return ArtifactMissingError(f"{named(artifact)} is not there: {place.url} is neither an object nor a folder.")


def _get(objects: Objects, path: str, into: Path) -> bool:
    try:
        stream = objects.get(path).stream()
    except FileNotFoundError:
        return False
    with into.open("wb") as file:
        for part in stream:
            file.write(part)
    return True


def _put(objects: Objects, path: str, file: Path) -> None:
    objects.put(path, file, chunk_size=max(_LEAST_PART, -(-file.stat().st_size // _MOST_PARTS)))


def _delete(objects: Objects, path: str) -> None:
    try:
        objects.delete([path])
    except FileNotFoundError:
        return


def _is_object(objects: Objects, path: str) -> bool:
    try:
        objects.head(path)
    except FileNotFoundError:
        return False
    return True


def _beneath(place: Place, *, chunk_size: int = 1000) -> Iterator[tuple[str, int]]:
    """(path, bytes) of all objects beneath a place."""
    for chunk in place.objects.list(place.path or None, chunk_size=chunk_size):
        for found in chunk:
            # The mark of the folder itself, an empty object whose key ends with a slash, comes without that slash.
            if found["path"] != place.path:
                yield found["path"], found["size"]


def _keys_of_files(place: Place) -> list[str]:
    """Keys of the objects beneath a place without the marks of folders."""
    found = dict(_beneath(place))
    folders = {folder for path in found for folder in _folders_above(path)}
    return sorted(
        path for path, size in found.items() if size or (path not in folders and _is_object(place.objects, path))
    )


def _folders_above(path: str) -> Iterator[str]:
    return (path[:at] for at, letter in enumerate(path) if letter == "/")


def _in_parallel(do: Any, names: Sequence[str]) -> None:
    if len(names) < 2:
        for name in names:
            do(name)
        return
    with ThreadPoolExecutor(min(_AT_ONCE, len(names))) as pool:
        list(pool.map(do, names))
