"""Logs of steps, read on from where they were read to: stored when the step has ended, in a live file until then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tiphys.ports.artifact_store import ArtifactStore
from tiphys.records.runs import StepRun
from tiphys.sdk.logs import FILE, LogLine, live_path, parse_line

#: Lines and bytes of a batch at most: whoever reads 50 MB holds no more than this of it.
_LINES, _BYTES = 1000, 256 * 1024


class StepLogs:
    """Reads the logs of a run's steps.

    Args:
        store: Keeps the logs of steps that have ended.
        home: Folder of the live ones.
    """

    def __init__(self, store: ArtifactStore, home: Path) -> None:
        self._store = store
        self._home = home
        #: Step run → bytes that were read.
        self._read: dict[str, int] = {}
        #: Step runs whose log was read to its end.
        self._done: set[str] = set()

    def batches(self, step: StepRun) -> Iterator[list[LogLine]]:
        """What one attempt of a step has written since it was read last: nothing, or lists of lines.

        A live log is what is stored at the end, byte by byte.
        """
        if step.id in self._done:
            return
        with ExitStack() as opened:
            if step.log_digest is not None:
                path = opened.enter_context(self._store.open_tree(step.log_digest)) / FILE
            else:
                path = live_path(self._home, step.run_id, step.name, step.version - 1)
            try:
                file = opened.enter_context(path.open("rb"))
            except FileNotFoundError:
                return
            file.seek(self._read.get(step.id, 0))
            batch: list[LogLine] = []
            size = 0
            for line in file:
                if not line.endswith(b"\n") and step.log_digest is None:
                    break  # it is still being written
                batch.append(parse_line(line.decode("utf-8", "replace")))
                size += len(line)
                if len(batch) >= _LINES or size >= _BYTES:
                    self._advance(step, size)
                    yield batch
                    batch, size = [], 0
            if batch:
                self._advance(step, size)
                yield batch
        if step.log_digest is not None:
            self._done.add(step.id)

    def _advance(self, step: StepRun, size: int) -> None:
        self._read[step.id] = self._read.get(step.id, 0) + size
