"""Trees of files on their way between machines: as a tar, made and read without holding a file in memory."""

from __future__ import annotations

import errno
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tiphys.errors import UsageError

#: Bytes that are read at once.
CHUNK = 1 << 20
#: Bytes of a file that may be held in memory.
SMALL = 64 * 1024
#: Characters of a name by which a file may stand alone in a store, beside its digest.
LONGEST = 100


@dataclass(frozen=True, slots=True)
class PackedTree:
    """The tar of all files in a folder, in the order of their names, without times and owners; piece by piece.

    It may be gone through again, as a request that is made again does.
    """

    folder: Path

    def __iter__(self) -> Iterator[bytes]:
        """The pieces."""
        for path in sorted(path for path in self.folder.rglob("*") if path.is_file()):
            entry = tarfile.TarInfo(path.relative_to(self.folder).as_posix())
            with path.open("rb") as file:
                entry.size = path.stat().st_size
                yield entry.tobuf(tarfile.PAX_FORMAT)
                left = entry.size
                while left and (chunk := file.read(min(CHUNK, left))):
                    left -= len(chunk)
                    yield chunk
            yield bytes(left + -entry.size % tarfile.BLOCKSIZE)
        yield bytes(2 * tarfile.BLOCKSIZE)


class _Measured:
    """A tar of which nobody reads more at once than there is to be in memory.

    `tarfile` reads a header of an entry as long as it says that it is.
    """

    def __init__(self, packed: IO[bytes]) -> None:
        self._packed = packed
        self.seek, self.tell = packed.seek, packed.tell

    def read(self, size: int) -> bytes:
        """At most so much."""
        if size > CHUNK:
            raise tarfile.ReadError("a header is too long")
        return self._packed.read(size)


@contextmanager
def _opened(packed: IO[bytes]) -> Iterator[tarfile.TarFile]:
    measured: Any = _Measured(packed)
    try:
        with tarfile.open(fileobj=measured, mode="r:") as archive:
            yield archive
    except RecursionError:  # of headers, one for the other
        raise tarfile.ReadError("there are too many headers") from None


def unpack(packed: IO[bytes], folder: Path) -> None:
    """Write the files of a tar into a folder.

    Raises:
        UsageError: it is no tar, is cut off, or holds something else than files, or a path that leads elsewhere.
    """
    try:
        with _opened(packed) as archive:
            while (entry := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # it holds all that it has read
                # What is sparse is larger than what was sent, without an end.
                if not entry.isreg() or entry.issparse():
                    raise UsageError(f"{entry.name[:200]!a} in a packed tree is no file.")
                archive.extract(entry, folder, filter="data")
    except (tarfile.TarError, ValueError, FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise UsageError(f"This is no packed tree: {error}.") from error
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise UsageError("A name in a packed tree is too long.") from error


def only_file(packed: IO[bytes]) -> tuple[str, bytes] | None:
    """Name and content of the one small file that a tar holds; None if it holds something else."""
    try:
        with _opened(packed) as archive:
            entry = archive.next()
            if entry is None or not entry.isreg() or entry.issparse() or "/" in entry.name:
                return None
            if entry.size > SMALL or len(entry.name) > LONGEST or archive.next():
                return None
            file = archive.extractfile(entry)
            return None if file is None else (entry.name, file.read())
    except (tarfile.TarError, ValueError):
        return None
