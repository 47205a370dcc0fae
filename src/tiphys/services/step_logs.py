"""Logs of steps, read on from where they were read to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tiphys.ports.artifact_store import ArtifactStore
from tiphys.ports.store import Reader
from tiphys.records.base import Query
from tiphys.records.logs import LogPart
from tiphys.records.runs import StepRun
from tiphys.sdk.logs.files import LogLine, live_path, parse_line
from tiphys.services.log_reading import LogCursor, LogPlace

#: Lines and bytes of a batch at most: whoever reads 50 MB holds no more than this of it.
_LINES, _BYTES = 1000, 256 * 1024
#: Log → its parts, in their order.
Parts = Mapping[str, Sequence[LogPart]]


class StepLogs:
    """Reads the logs of a run's steps.

    Args:
        store: Gives the store of the logs of steps that have ended.
        home: Folder of the live ones.
        stores: Gives the store of a name.
    """

    def __init__(
        self, store: Callable[[], ArtifactStore], home: Path, *, stores: Callable[[str], ArtifactStore]
    ) -> None:
        self._store = store
        self._stores = stores
        self._home = home
        #: By step run.
        self._cursors: dict[str, LogCursor] = {}

    def batches(self, step: StepRun, parts: Parts) -> Iterator[list[LogLine]]:
        """What one attempt of a step has written since it was read last: nothing, or lists of lines.

        A live log is what is stored at the end, byte by byte.
        """
        place, cursor = self._find(step)
        batch: list[LogLine] = []
        size = 0
        for line, _ in cursor.lines(place, parts.get(place.name, ())):
            batch.append(parse_line(line.decode("utf-8", "replace")))
            size += len(line)
            if len(batch) >= _LINES or size >= _BYTES:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def skip(self, step: StepRun, parts: Parts, left: int) -> None:
        """Pass over all lines but the last `left`."""
        place, cursor = self._find(step)
        cursor.skip(place, parts.get(place.name, ()), left)

    def _find(self, step: StepRun) -> tuple[LogPlace, LogCursor]:
        live = live_path(self._home, step.run_id, step.name, step.version - 1)
        place = LogPlace(name=name_of(live), live=live, digest=step.log_digest, timed=True, ended=False)
        return place, self._cursors.setdefault(step.id, LogCursor(self._store, self._stores))


def name_of(live: Path) -> str:
    """What parts of a step's log are kept under; no container's log is called so."""
    return f"steps/{live.name}"


def parts_of(reader: Reader, uid: str) -> Parts:
    """The parts of a workflow's logs that are stored."""
    found: dict[str, list[LogPart]] = {}
    for part in reader.find(Query.of(LogPart, workflow_uid=uid, order="id")):
        found.setdefault(part.log, []).append(part)
    return found
