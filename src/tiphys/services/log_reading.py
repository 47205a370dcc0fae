"""A log, read on from where it was read to: what stands in an artifact store, whole or in parts, and the live file.

However long it is, a reader holds one line of it, and a part that has to be fetched lies on the disk meanwhile.
"""

from __future__ import annotations

import hashlib
import os
import platform
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

from tiphys._util.times import to_epoch
from tiphys.plugins.loading import load
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.records.logs import LogPart
from tiphys.sdk.logs.files import FILE

#: Bytes of a log that are looked at together for where its last lines begin.
_BLOCK = 64 * 1024
#: What pipelines have no use for.
_TIMES = "tiphys.sdk.pods.log_times:LogTimes"
#: Bytes of the time that a step's log begins with.
_STAMP = 27


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPlace:
    """Where a log is."""

    #: As in `LogPart.log`.
    name: str
    live: Path
    #: Of the tree that has all of it, if there is one.
    digest: str | None = None
    #: Whether each line begins with its time.
    timed: bool
    #: Whether nothing more will be written.
    ended: bool


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some of a log's bytes, in a file."""

    origin: str
    #: Number of the first byte.
    start: int
    open: Callable[[ExitStack], BinaryIO]
    #: The moment at which the log had grown to a size, or was written last; epoch seconds.
    at: Callable[[int], float] = field(default=lambda _: 0.0)
    #: Whether its last line may lack its end.
    whole: bool = True


class LogCursor:
    """Reads one log.

    Args:
        whole: Gives the store that keeps whole logs.
        stores: Gives the store of a name.
    """

    def __init__(self, whole: Callable[[], ArtifactStore], stores: Callable[[str], ArtifactStore]) -> None:
        self._whole = whole
        self._stores = stores
        #: Origin → bytes that were read.
        self._read: dict[str, int] = {}
        self._done = False

    def lines(self, place: LogPlace, parts: Sequence[LogPart]) -> Iterator[tuple[bytes, float]]:
        """What was written since it was read last: lines, each with the epoch seconds of its time if it tells none.

        Args:
            place: Where the log is.
            parts: Those of its parts that are stored, in their order.
        """
        if self._done:
            return
        with ExitStack() as opened:
            for piece in self._pieces(place, parts, opened):
                end = max(self._read.get(piece.origin, 0), piece.start)
                with ExitStack() as inner:
                    file = piece.open(inner)
                    file.seek(end - piece.start)
                    for line in file:
                        if not piece.whole and not line.endswith(b"\n"):
                            break  # it is still being written
                        end += len(line)
                        self._read[piece.origin] = end
                        yield line, piece.at(end)
        self._done = place.digest is not None

    def skip(self, place: LogPlace, parts: Sequence[LogPart], left: int) -> None:
        """Pass over all lines but the last `left`."""
        with ExitStack() as opened:
            for piece in reversed(list(self._pieces(place, parts, opened))):
                with ExitStack() as inner:
                    file = piece.open(inner)
                    begin, found = last_lines(file, left, whole=piece.whole)
                self._read[piece.origin] = max(self._read.get(piece.origin, 0), piece.start + begin)
                left -= found

    def _pieces(self, place: LogPlace, parts: Sequence[LogPart], opened: ExitStack) -> Iterator[_Piece]:
        last = self._last_piece(place, opened)
        for part in parts:
            if (last is None or part.origin != last.origin) and self._read.get(part.origin, 0) < part.start + part.size:
                yield _Piece(part.origin, part.start, partial(self._open_part, part), partial(_time_of_part, part))
        if last is not None:
            yield last

    def _last_piece(self, place: LogPlace, opened: ExitStack) -> _Piece | None:
        """The whole log, or the live file."""
        path = place.live
        if place.digest is not None:
            path = opened.enter_context(self._whole().open_tree(place.digest)) / FILE
        try:
            file = opened.enter_context(path.open("rb"))
        except FileNotFoundError:
            return None
        whole = place.ended or place.digest is not None
        origin = origin_of(file, timed=place.timed)
        if place.timed:
            return _Piece(origin, 0, lambda _: file, whole=whole)
        changed, times = os.fstat(file.fileno()).st_mtime, load(_TIMES)(str(path))
        return _Piece(origin, 0, lambda _: file, lambda end: times.at(end) or changed, whole=whole)

    def _open_part(self, part: LogPart, opened: ExitStack) -> BinaryIO:
        folder = opened.enter_context(self._stores(part.store).open_tree(part.digest))
        return opened.enter_context((folder / FILE).open("rb"))


def origin_of(file: BinaryIO, *, timed: bool) -> str:
    """What tells this file from others of its name; it grows, but stays the same.

    Args:
        file: Its content.
        timed: Whether each line begins with its time.
    """
    if timed:
        file.seek(0)
        return hashlib.sha256(file.read(_STAMP)).hexdigest()[:16]
    found = os.fstat(file.fileno())
    return hashlib.sha256(f"{platform.node()} {found.st_dev} {found.st_ino}".encode()).hexdigest()[:16]


def last_lines(file: BinaryIO, count: int, *, whole: bool) -> tuple[int, int]:
    """Where the last lines of a file begin, and how many there are.

    Args:
        file: The file.
        count: Lines at most.
        whole: Whether a last line without an end is one.
    """
    end = file.seek(0, os.SEEK_END)
    if not whole:
        end = _end_of_lines(file, end)
    if not count or not end:
        return end, 0
    position, found = end - 1, 0
    while position:
        size = min(_BLOCK, position)
        file.seek(position - size)
        block = file.read(size)
        here = block.count(b"\n")
        if found + here >= count:
            index = size
            for _ in range(count - found):
                index = block.rfind(b"\n", 0, index)
            return position - size + index + 1, count
        found += here
        position -= size
    return 0, found + 1


def _end_of_lines(file: BinaryIO, end: int) -> int:
    while end:
        size = min(_BLOCK, end)
        file.seek(end - size)
        index = file.read(size).rfind(b"\n")
        if index >= 0:
            return end - size + index + 1
        end -= size
    return 0


def _time_of_part(part: LogPart, end: int) -> float:
    sizes: list[int] = part.times.get("sizes", [])
    index = bisect_left(sizes, end)
    return float(part.times["times"][index]) if index < len(sizes) else to_epoch(part.created_at)
