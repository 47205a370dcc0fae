"""Lines of logs from a server, each once, however often the server goes away.

A line's time is that of the look that first saw it, so it says too little about where to go on. But the lines of a pod
only grow, so after an interruption those are passed over that stand where they were told before. A container that was
begun anew meanwhile is told from where it writes something else. Where the query leaves lines out at the beginning
(`tail`, `since`), all there are so far are read first, and chosen from here.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from tiphys.client.connection import Connection
from tiphys.client.streams import StreamLostError, await_server, frames
from tiphys.errors import NotFoundError
from tiphys.ports.workflows import LogEntry, LogQuery

#: Pod → what tells its lines apart, of all that were told.
_Told = defaultdict[str, "array[int]"]


def log_batches(connection: Connection, path: str, query: LogQuery) -> Iterator[list[LogEntry]]:
    """The lines that a query means, as they come; a list may be empty."""
    told: _Told = defaultdict(lambda: array("q"))
    if query.tail is not None or query.since is not None:
        yield _so_far(connection, path, query, told)
        if not query.follow:
            return
        query = replace(query, tail=None, since=None)
    while True:
        passed: Counter[str] = Counter()
        try:
            for frame in frames(connection, path, _parameters(query)):
                entry = _entry(frame)
                if entry is None:
                    yield []
                    continue
                position, known, mark = passed[entry.pod], told[entry.pod], hash(entry.content)
                passed[entry.pod] += 1
                if position == len(known) or known[position] != mark:
                    del known[position:]
                    known.append(mark)
                    yield [entry]
        except StreamLostError:
            await_server(connection)
        else:
            return


def _so_far(connection: Connection, path: str, query: LogQuery, told: _Told) -> list[LogEntry]:
    """The lines there are, of which `since` and `tail` leave some out; all are counted."""
    if not query.follow:
        return _all(connection, path, query)
    whole = replace(query, tail=None, since=None, follow=False)
    kept: dict[str, deque[LogEntry]] = defaultdict(lambda: deque(maxlen=query.tail))
    try:
        for entry in _all(connection, path, whole):
            told[entry.pod].append(hash(entry.content))
            if query.since is None or entry.at >= query.since:
                kept[entry.pod].append(entry)
    except NotFoundError:
        # The pod may come yet; that there is no such workflow is found out by whoever follows it.
        return []
    return [entry for entries in kept.values() for entry in entries]


def _all(connection: Connection, path: str, query: LogQuery) -> list[LogEntry]:
    while True:
        try:
            entries = [_entry(frame) for frame in frames(connection, path, _parameters(query))]
        except StreamLostError:
            await_server(connection)
        else:
            return [entry for entry in entries if entry is not None]


def _parameters(query: LogQuery) -> dict[str, str]:
    given = {
        "podName": query.pod,
        "grep": query.grep,
        "selector": query.labels,
        "logOptions.container": query.container,
        "logOptions.follow": "true" if query.follow else "",
        "logOptions.timestamps": "true",
        "logOptions.tailLines": "" if query.tail is None else str(query.tail),
        "logOptions.sinceTime": query.since.isoformat() if query.since else "",
    }
    return {key: value for key, value in given.items() if value}


def _entry(frame: dict[str, str] | None) -> LogEntry | None:
    if frame is None:
        return None
    stamp, _, content = frame.get("content", "").partition(" ")
    try:
        at = datetime.fromisoformat(stamp)
    except ValueError:
        # A server that puts no times before its own remarks.
        return LogEntry(frame.get("podName", ""), frame.get("content", ""), datetime.fromtimestamp(0, UTC))
    return LogEntry(frame.get("podName", ""), content, at)
