"""Stores logs in parts while they are written: a machine that dies in the middle of a task takes the last part with it.

A thread beside the engine looks at the live logs of the workflows that this process carries out. It stores what has
grown to a part's size, and what has waited for a while: longer the longer the log has been written, so that one which
takes a day has hundreds of parts, not thousands. Steps and containers are not held up by it. Logs that never grow long
are left as they are: a step stores its own, and a container's stays in the home, unless the database is shared with
machines that have another one.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tiphys._util.ids import new_id
from tiphys._util.outages import Outage
from tiphys._util.times import utc_now
from tiphys.errors import TiphysError
from tiphys.plugins.loading import load
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.ports.component import StackComponent
from tiphys.ports.store import Store
from tiphys.records.base import Query
from tiphys.records.logs import LogPart
from tiphys.records.runs import ExecutionStatus, Run, StepRun
from tiphys.records.stacks import ComponentType
from tiphys.records.workflows import WorkflowSummary
from tiphys.sdk.logs.files import FILE, PART, logs_of_run
from tiphys.services.artifacts import as_artifact_store
from tiphys.services.log_reading import origin_of
from tiphys.services.stacks import StackService
from tiphys.services.step_logs import name_of, parts_of
from tiphys.services.workflows.pods import logs_folder

_log = logging.getLogger(__name__)

#: Ending of the files with the times of containers' logs (`sdk/pods/log_times.py`, which pipelines have no use for).
_TIMES = "~times"
#: Seconds between looks.
LOOK = 2.0
#: What is younger is not stored before it makes a part: seconds, and a share of the log's own age.
AGE, SHARE = 10.0, 0.05
#: Seconds in which nothing was written to the log of a step that was stopped, before it is taken as whole.
SETTLED = 6.0
#: Statuses of steps that told of their end, and so write nothing more.
_OVER = (ExecutionStatus.COMPLETED, ExecutionStatus.RETRIED)
#: Seconds that the thread has to end in.
_PATIENCE = 10.0


@dataclass(slots=True)
class _Live:
    """A log that is written."""

    path: Path
    name: str
    timed: bool
    origin: str = ""
    #: Bytes that are stored.
    stored: int = 0
    #: Monotonic seconds: when it was first seen, and since when something is not stored.
    seen: float = 0.0
    waits: float | None = None


@dataclass(frozen=True, slots=True)
class _Owner:
    """A workflow whose logs are looked at."""

    row: WorkflowSummary
    run: Run | None


class LogKeeper:
    """Stores what workflows log, as they do.

    Args:
        store: The database.
        home: Folder of the live logs.
        stacks: Gives the artifact stores.
        clock: Monotonic seconds.
    """

    def __init__(
        self, store: Store, *, home: Path, stacks: StackService, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._home = home
        self._stacks = stacks
        self._clock = clock
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._going: frozenset[str] = frozenset()
        self._ended: set[str] = set()
        self._live: dict[str, dict[Path, _Live]] = {}
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._outage = Outage(_log, "storing logs")

    def tend(self, uids: Collection[str], ended: Collection[str] = ()) -> None:
        """Look after the logs of these workflows from now on, and for a last time after those that have ended."""
        with self._lock:
            self._going = frozenset(uids)
            self._ended.update(ended)
            if (self._going or self._ended) and self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._run, name="tiphys-log-keeper", daemon=True)
                self._thread.start()

    def forget(self, uid: str, run_id: str | None) -> None:
        """A workflow has ended here; the logs of a run whose steps were done in no time need no look."""
        if run_id is None or uid in self._live or logs_of_run(self._home, run_id).exists():
            with self._lock:
                going = self._going - {uid}
            self.tend(going, [uid])

    def close(self) -> None:
        """Store what is left of workflows that have ended."""
        self._closing.set()
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(_PATIENCE)
            self._look_safely()

    def _run(self) -> None:
        while not self._closing.wait(LOOK):
            self._look_safely()
            with self._lock:
                if not self._going and not self._ended:
                    self._thread = None
                    return

    def _look_safely(self) -> None:
        try:
            self.look()
            self._outage.over()
        except (TiphysError, OSError) as error:
            self._outage.failed(str(error))

    def look(self) -> None:
        """Store what is due."""
        with self._looking:
            with self._lock:
                going, ended = self._going, set(self._ended)
            with self._store.reader() as reader:
                rows = reader.get_many(WorkflowSummary, going | ended)
                runs = {run.workflow_uid: run for run in reader.find(Query.of(Run, workflow_uid=list(rows)))}
            for uid in [uid for uid in self._live if uid not in rows]:
                del self._live[uid]
            unfinished = set()
            for uid, row in rows.items():
                owner = _Owner(row, runs.get(uid))
                if row.finished_at is None:
                    self._store_due(owner)
                elif not self._finish(owner):
                    unfinished.add(uid)
            with self._lock:
                self._ended -= ended - unfinished

    def _store_due(self, owner: _Owner) -> None:
        for live in self._logs(owner):
            size = live.path.stat().st_size if live.path.exists() else 0
            if size <= live.stored:
                live.waits = None
                continue
            now = self._clock()
            live.waits = now if live.waits is None else live.waits
            patience = max(AGE, (now - live.seen) * SHARE)
            if size - live.stored >= PART or now - live.waits >= patience:
                self._store_parts(owner, live, everything=now - live.waits >= patience)
                live.waits = None

    def _finish(self, owner: _Owner) -> bool:
        """A workflow has ended: its long logs are to be whole in the store, and there alone.

        Returns:
            Whether that is so; a step that was stopped may write its last words yet.
        """
        steps = self._steps(owner)
        done = True
        for live in list(self._logs(owner)):
            if live.path.exists():
                done = self._finish_log(owner, live, steps.get(live.path.name)) and done
        if done:
            self._forget_doubles(owner, steps)
            self._live.pop(owner.row.id, None)
        return done

    def _finish_log(self, owner: _Owner, live: _Live, step: StepRun | None) -> bool:
        found = live.path.stat()
        if step is not None and step.log_digest is not None:
            live.path.unlink(missing_ok=True)
            return True
        if not live.timed and not self._store.shared and found.st_size < PART and not live.stored:
            return True
        is_over = not live.timed or (step is not None and step.status in _OVER)
        is_over = is_over or time.time() - found.st_mtime > SETTLED
        if found.st_size > live.stored:
            self._store_parts(owner, live, everything=True, last=is_over)
        if is_over and (live.timed or found.st_size >= PART):
            live.path.unlink(missing_ok=True)
            Path(f"{live.path}{_TIMES}").unlink(missing_ok=True)
        return is_over

    def _forget_doubles(self, owner: _Owner, steps: dict[str, StepRun]) -> None:
        """A step that stored its log as a whole does not need the parts that were stored of the same file."""
        whole = {name_of(Path(name)) for name, step in steps.items() if step.log_digest is not None}
        origins = {live.origin for live in self._live[owner.row.id].values() if live.name in whole and live.origin}
        if not origins:
            return
        with self._store.transaction() as transaction:
            stored = parts_of(transaction, owner.row.id)
            parts = [part.id for log in whole for part in stored.get(log, ()) if part.origin in origins]
            transaction.delete(LogPart, parts)

    def _steps(self, owner: _Owner) -> dict[str, StepRun]:
        """The run's steps by the names of their live logs."""
        if owner.run is None or owner.run.pipeline_id is None:
            return {}
        with self._store.reader() as reader:
            steps = reader.find(Query.of(StepRun, run_id=owner.run.id))
        return {f"{step.name}.{step.version - 1}.log": step for step in steps}

    def _logs(self, owner: _Owner) -> Iterator[_Live]:
        """The workflow's live logs, those that are gone too if they were seen."""
        known = self._live.setdefault(owner.row.id, {})
        for path, timed in self._files(owner):
            if path not in known:
                name = name_of(path) if timed else path.name
                known[path] = _Live(path, name, timed, seen=self._clock())
        yield from known.values()

    def _files(self, owner: _Owner) -> Iterator[tuple[Path, bool]]:
        folders = [(logs_folder(self._home, owner.row.id), False)]
        if owner.run is not None:
            folders.append((logs_of_run(self._home, owner.run.id), True))
        for folder, timed in folders:
            if folder.is_dir():
                with os.scandir(folder) as entries:
                    names = [entry.name for entry in entries]
                yield from ((folder / name, timed) for name in names if not name.endswith(_TIMES))

    def _store_parts(self, owner: _Owner, live: _Live, *, everything: bool, last: bool = False) -> None:
        """Store what of a log is not stored, up to the end of a line.

        Args:
            owner: The workflow.
            live: The log.
            everything: Whether a rest that makes no part is stored, too.
            last: Whether nothing more is written, so that a line without an end is one.
        """
        stack = None if owner.run is None or owner.run.pipeline_id is None else owner.run.stack
        component = self._stacks.component(ComponentType.ARTIFACT_STORE, stack=stack)
        with live.path.open("rb") as file:
            self._recognise(owner, live, file)
            file.seek(live.stored)
            while data := file.read(PART):
                full = len(data) == PART
                if not full and not everything:
                    return
                if not last or full:
                    data = data[: data.rfind(b"\n") + 1] or (data if full else b"")
                if not data:
                    return
                self._store_part(owner, live, component, data)
                file.seek(live.stored)

    def _recognise(self, owner: _Owner, live: _Live, file: BinaryIO) -> None:
        """Find out what is stored of a file already, by a process before this one."""
        origin = origin_of(file, timed=live.timed)
        if origin != live.origin:
            with self._store.reader() as reader:
                parts = parts_of(reader, owner.row.id).get(live.name, ())
            live.origin = origin
            live.stored = max((part.start + part.size for part in parts if part.origin == origin), default=0)

    def _store_part(self, owner: _Owner, live: _Live, component: StackComponent, data: bytes) -> None:
        tree = _commit(as_artifact_store(component), data)
        times = {}
        if not live.timed:
            known = load("tiphys.sdk.pods.log_times:LogTimes")(str(live.path))
            times = known.between(live.stored, live.stored + len(data))
        part = LogPart(
            id=new_id(),
            workspace=owner.row.workspace,
            workflow_uid=owner.row.id,
            log=live.name,
            origin=live.origin,
            start=live.stored,
            size=len(data),
            store=component.name,
            digest=tree,
            times=times,
            created_at=utc_now(),
        )
        with self._store.transaction() as transaction:
            transaction.add(part)
        live.stored += len(data)


def _commit(store: ArtifactStore, data: bytes) -> str:
    with store.staging() as folder:
        (folder / FILE).write_bytes(data)
        return store.commit(folder).digest
