"""When the lines of a log were written: beside the log stands to which size it had grown when somebody looked.

Containers write their logs themselves, without times, and looking at every line would cost each of them a pipe.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left, bisect_right
from pathlib import Path

from tiphys.sdk.pods.files import append_line

#: Of the file with the times; no container's name ends so.
SUFFIX = "~times"


class LogTimes:
    """The times of one log, as far as they are known.

    Args:
        log: Path of the log.
    """

    def __init__(self, log: str) -> None:
        self._sizes: list[int] = []
        self._times: list[float] = []
        try:
            lines = Path(times_of(log)).read_text().split("\n")[:-1]
        except FileNotFoundError:
            return
        for line in lines:
            size, _, at = line.partition(" ")
            self._sizes.append(int(size))
            self._times.append(float(at))

    def at(self, end: int) -> float | None:
        """Epoch seconds of the first look that saw so many bytes; None if none did."""
        index = bisect_left(self._sizes, end)
        return self._times[index] if index < len(self._times) else None

    def between(self, start: int, end: int) -> dict[str, list[float]]:
        """What is known of the bytes from `start` to `end`, as parts of stored logs keep it."""
        first, last = bisect_right(self._sizes, start), bisect_left(self._sizes, end)
        return {"sizes": [*self._sizes[first : last + 1]], "times": self._times[first : last + 1]}


def times_of(log: str) -> str:
    """Where a log's times are."""
    return f"{log}{SUFFIX}"


def note_size(log: str, known: int) -> int:
    """Note how large a log is now, if it has grown beyond `known`; returns its size.

    Raises:
        OSError: it cannot be written; nothing of it is there.
    """
    try:
        size = Path(log).stat().st_size
    except FileNotFoundError:
        return known
    if size > known:
        append_line(times_of(log), f"{size} {time.time():.3f}\n".encode(), os.O_CREAT)
    return size
