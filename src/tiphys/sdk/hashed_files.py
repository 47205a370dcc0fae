"""SHA-256 of files: computed while a file is written where that is possible, and remembered while it is unchanged.

Large data would otherwise be read once more after it was written, and again by each reader in the same process.
"""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_Identity = tuple[int, int, int, int, int]

#: Hashing less than this costs no more than looking it up.
_WORTH_REMEMBERING = 256 * 1024
#: From here on a second thread hashes while the first one writes.
_WORTH_A_THREAD = 4 * 1024 * 1024
_BLOCK = 1024 * 1024
_MOST_REMEMBERED = 4096

_known: dict[_Identity, str] = {}
_lock = Lock()


def _identity(stat: os.stat_result) -> _Identity:
    # The time of change is part of it, because unlike that of modification nobody can set it back.
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def known_sha256(stat: os.stat_result) -> str | None:
    """The hash of a file with this `stat`, if this process wrote or hashed it and nobody touched it since."""
    return _known.get(_identity(stat)) if stat.st_size >= _WORTH_REMEMBERING else None


def remember_sha256(stat: os.stat_result, digest: str) -> None:
    """Keep the hash of a large file for `known_sha256`."""
    if stat.st_size < _WORTH_REMEMBERING:
        return
    with _lock:
        _known[_identity(stat)] = digest
        if len(_known) > _MOST_REMEMBERED:
            del _known[next(iter(_known))]


def file_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's content as 64 hexadecimal digits."""
    with io.FileIO(path, "r") as file:
        before = os.fstat(file.fileno())
        known = known_sha256(before)
        if known is not None:
            return known
        digest = hashlib.sha256()
        block = bytearray(min(_BLOCK, before.st_size + 1))
        view = memoryview(block)
        while count := file.readinto(block):
            digest.update(view[:count])
        result = digest.hexdigest()
        if _identity(os.fstat(file.fileno())) == _identity(before):
            remember_sha256(before, result)
        return result


class _HashingFile(io.RawIOBase):
    """A new, read-only file that hashes what is written to it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__()
        self._digest = hashlib.sha256()
        self._size = 0
        # 0o444 from the start: a later chmod would change the file's identity.
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o444)

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, data: ReadableBuffer, /) -> int:
        view = memoryview(data).cast("B")
        if view.nbytes < _WORTH_A_THREAD:
            self._digest.update(view)
            self._write_all(view)
        else:
            hasher = Thread(target=self._digest.update, args=(view,), name="tiphys-sha256")
            hasher.start()
            try:
                self._write_all(view)
            finally:
                hasher.join()
        self._size += view.nbytes
        return view.nbytes

    def _write_all(self, view: memoryview) -> None:
        while view.nbytes:
            view = view[os.write(self._file, view) :]

    def close(self) -> None:
        if not self.closed:
            try:
                super().close()
                remember_sha256(os.fstat(self._file), self._digest.hexdigest())
            finally:
                os.close(self._file)


def create_hashed(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a new file for writing (append only: no seek) whose hash is known when it is closed."""
    return cast(BinaryIO, io.BufferedWriter(_HashingFile(path), _BLOCK))


def copy_hashed(source: Path, target: Path) -> None:
    """Copy a file's content and whether it is executable, hashing it meanwhile."""
    with io.FileIO(source, "r") as reader, create_hashed(target) as writer:
        while block := reader.read(_BLOCK):
            writer.write(block)
    mode = source.stat().st_mode & 0o111
    if mode:
        target.chmod(0o444 | mode)
