"""Carries out the steps of a run whose workflow a server holds: fetches tasks, runs them here, reports their ends.

One request does for a step: it brings the end of the one before, with what that stored of small data, and gets the
task that follows. While nothing ends, one request waits at the server; a step's end is sent by another, which takes its
place. A server that is restarted in between finds nothing changed: the reports are kept until the run has ended, and
a task that is offered again is not carried out again.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tiphys.client.artifact_store import ServerArtifactStore
from tiphys.client.place import Place, segment
from tiphys.client.sessions import session
from tiphys.engine.events import TaskFinished, TaskProgressed, TaskReady
from tiphys.errors import ConflictError, ServiceError
from tiphys.ports.backend import Observer
from tiphys.ports.lender import Lender
from tiphys.ports.runner import Runner, Task
from tiphys.ports.step_result import StepResult
from tiphys.records.runs import ExecutionStatus, Run
from tiphys.sdk.components import components_of
from tiphys.sdk.logs.files import path_of
from tiphys.sdk.wire import finished_to_text, node_from_json, task_from_json

#: What a store is made of that a server keeps on its own disk.
_ON_ITS_DISK = "tiphys.integrations.local.artifact_store:LocalArtifactStore"
#: Seconds that a request may wait at the server, and while steps run, whose logs it brings.
_WAIT, _WAIT_FOR_LOGS = 5.0, 1.0
#: Seconds that a step may take without a request that waits meanwhile.
_PATIENCE = 0.1
#: Requests at the same time: one that waits, one that reports.
_THREADS = 2
#: Bytes of one step's log that one request brings at most.
_LOG_PART = 256 * 1024
#: Seconds that a cancelled task has to end by itself.
_GRACE = 5.0


class Workshop:
    """Where steps are carried out on this machine.

    Args:
        home: Folder of live logs and kept data.
        lender: The runner that uses the waiting thread.
        runners: Makes the runner of a name: "inline" or "process".
    """

    def __init__(self, home: Path, *, lender: Lender, runners: Mapping[str, Callable[[], Runner]]) -> None:
        self.home = home
        self.lender = lender
        self._makers = runners
        self._made: dict[str, Runner] = {}

    def runner(self, name: str) -> Runner:
        """The runner of a name, made once."""
        found = self._made.get(name)
        if found is None:
            found = self._made.setdefault(name, self._makers[name]())
        return found

    def cancel(self, task_id: str, grace: float) -> None:
        """End a task, whatever runner has it."""
        for runner in self._made.values():
            runner.cancel(task_id, grace)

    def close(self) -> None:
        """End what runs."""
        for runner in self._made.values():
            runner.close()

    def store(self, place: Place, name: str) -> dict[str, Any]:
        """How an artifact store of a server is made here."""
        return {"url": place.connection.url, "workspace": place.workspace, "kept": str(self.home / "kept" / name)}


@dataclass(slots=True)
class _End:
    """The end of a task."""

    #: The report as it travels.
    text: str
    result: object
    #: Small trees that travel with it.
    blobs: list[dict[str, str]] = field(default_factory=list)


class StepWork:
    """The steps of one run.

    Args:
        place: The run's workspace on the server.
        run: The run.
        workshop: Where its steps are carried out.
        observer: Told of what changes.
    """

    def __init__(self, place: Place, run: Run, workshop: Workshop, *, observer: Observer | None = None) -> None:
        self._place = place
        self._path = f"{place.inside}/runs/{segment(run.id)}"
        self._run = run
        self._workshop = workshop
        self._observer = observer
        self._session = ""
        self._changed = threading.Condition()
        self._running: set[str] = set()
        #: Ends to be sent.
        self._outbox: list[_End] = []
        #: All ends of this run, for a server that lost them.
        self._ends: dict[str, _End] = {}
        #: How many requests are on their way.
        self._asking = 0
        self._over = False
        self._error: BaseException | None = None
        self._stores: dict[str, ServerArtifactStore] = {}
        #: Name of the store that logs are in.
        self._log_store = ""
        #: Running task → its live log, and how many bytes of it were sent.
        self._logs: dict[str, tuple[Path, int]] = {}
        #: Components as the server describes them, and as they are reached from here.
        self._described: Mapping[str, Any] = {}
        self._components: Mapping[str, Any] = {}

    def carry_out(self) -> None:
        """Carry the steps out, until the run has ended.

        Raises:
            TiphysError: the server refused, or stayed away for too long.
            KeyboardInterrupt: after the run was asked to end.
        """
        with session(self._workshop.home) as self._session:
            self._carry_out()

    def _carry_out(self) -> None:
        threads = [
            threading.Thread(target=self._converse, name=f"tiphys-client-{number}", daemon=True)
            for number in range(_THREADS)
        ]
        for thread in threads:
            thread.start()
        try:
            self._workshop.lender.work(lambda: self._over)
        except KeyboardInterrupt:
            if self._stop():
                for thread in threads:
                    thread.join(_GRACE)
            raise
        finally:
            self._end()
        if self._error is not None:
            raise self._error

    def _stop(self) -> bool:
        """Have the run end; False if the server cannot be told, whereupon the steps end that run here."""
        connection = self._place.connection
        try:
            with connection.impatient(), suppress(ConflictError):  # it has ended meanwhile
                connection.ask("POST", f"{self._path}/stop", body={"graceful": False})
        except ServiceError:
            with self._changed:
                self._over = True
                running = list(self._running)
            for task_id in running:
                self._workshop.cancel(task_id, _GRACE)
            return False
        return True

    def _converse(self) -> None:
        """Make requests, one after the other, when there is something to tell, or nobody asks."""
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._over or self._outbox or not self._asking)
                    if self._running:  # a step that ends soon saves the request
                        self._changed.wait_for(lambda: self._over or self._outbox, _PATIENCE)
                    if self._over:
                        return
                    if self._asking and not self._outbox:
                        continue
                    finished, self._outbox = self._outbox, []
                    running = sorted(self._running)
                    self._asking += 1
                for end in finished:
                    self._send_data(end)
                self._take(self._exchange(running, finished))
                with self._changed:
                    self._asking -= 1
                    self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001  raised again by the thread that waits
            if not self._over:
                self._error = error
            self._end()

    def _exchange(self, running: list[str], finished: list[_End]) -> Mapping[str, Any]:
        body = {
            "session": self._session,
            "running": running,
            "blobs": [blob for end in finished for blob in end.blobs],
            "logs": self._new_logs(),
            "finished": [json.loads(end.text) for end in finished],
            "wait": _WAIT_FOR_LOGS if running else _WAIT,
            "observe": self._observer is not None,
        }
        answer: Mapping[str, Any] = self._place.connection.ask("POST", f"{self._path}/work", body=body, reads=True)
        return answer

    def _send_data(self, end: _End) -> None:
        """See to it that the server has what a step stored before it is told of the step's end."""
        end.blobs = []
        for name, digest in _stored_by(end.result, self._log_store):
            store = self._stores.get(name)
            if store is None:
                continue
            packed = store.packed(digest)
            if packed is None:
                store.send(digest)
            else:
                end.blobs.append({"store": name, "digest": digest, "data": packed})

    def _new_logs(self) -> list[dict[str, Any]]:
        """What the running steps have logged since it was sent last."""
        with self._changed:
            logs = list(self._logs.items())
        found = []
        for task_id, (path, sent) in logs:
            text = _whole_lines(path, sent)
            if text:
                found.append({"task": task_id, "offset": sent, "text": text.decode("utf-8", "replace")})
                with self._changed:
                    if task_id in self._logs:
                        self._logs[task_id] = path, sent + len(text)
        return found

    def _take(self, answer: Mapping[str, Any]) -> None:
        """Do what the server says."""
        runner = self._workshop.runner(answer["runner"])
        for task_id in answer["cancel"]:
            with self._changed:
                self._running.discard(task_id)
                self._logs.pop(task_id, None)
            runner.cancel(task_id, _GRACE)
        for described in answer["tasks"]:
            self._start(task_from_json(described), runner)
        status = answer["status"]
        if status is not None:
            self._run = replace(self._run, status=ExecutionStatus(status))
        if self._observer is not None and (answer["nodes"] or status is not None):
            self._observer(self._run, [node_from_json(node) for node in answer["nodes"]])
        if answer["ended"]:
            self._end()

    def _start(self, task: Task, runner: Runner) -> None:
        with self._changed:
            if task.id in self._running:
                return
            if task.id in self._ends:
                self._outbox.append(self._ends[task.id])
                self._changed.notify_all()
                return
            self._running.add(task.id)
        localised = self._localised(task)
        path = path_of(localised.context, localised.attempt)
        if path is not None:
            with self._changed:
                self._logs[task.id] = path, 0
        runner.launch(localised, self._report)

    def _report(self, event: TaskFinished | TaskReady | TaskProgressed) -> None:
        if not isinstance(event, TaskFinished):
            return
        text = finished_to_text(event)
        with self._changed:
            if event.task_id not in self._running:
                return  # it was cancelled
            self._running.discard(event.task_id)
            self._logs.pop(event.task_id, None)
            self._ends[event.task_id] = end = _End(text, event.details)
            self._outbox.append(end)
            self._changed.notify_all()

    def _end(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._workshop.lender.wake()

    def _localised(self, task: Task) -> Task:
        """A task as it can be carried out on this machine."""
        described = task.context.get("components") or {}
        with self._changed:
            if described != self._described:
                reachable = [self._reachable(store) for store in described.get("artifact_store", ())]
                self._described, self._components = described, {**described, "artifact_store": reachable}
                for name, store in components_of({"components": self._components}).stores:
                    if isinstance(store, ServerArtifactStore):
                        self._stores[name] = store
                self._log_store = str(described["artifact_store"][0]["name"])
            components = self._components
        here = {"home": str(self._workshop.home), "db_url": "", "components": components, "logs_in_parts": False}
        context = {**task.context, **here}
        return replace(task, context=context)

    def _reachable(self, store: Mapping[str, Any]) -> Mapping[str, Any]:
        if store["implementation"] != _ON_ITS_DISK:
            return store
        return {
            "name": store["name"],
            "implementation": "tiphys.client.artifact_store:ServerArtifactStore",
            "config_class": "",
            "config": {**self._workshop.store(self._place, store["name"]), "later": True},
        }


def _stored_by(result: object, log_store: str) -> Iterator[tuple[str, str]]:
    """(artifact store, digest) of all that a step stored."""
    if not isinstance(result, StepResult):
        return
    if result.log_digest is not None:
        yield log_store, result.log_digest
    for version in (*result.outputs, *result.inputs):
        yield version.store, version.ref.digest
        for picture in version.visualizations.values():
            yield version.store, picture["digest"]


def _whole_lines(path: Path, start: int) -> bytes:
    """What a log has from a byte on, up to the end of a line."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            found = file.read(_LOG_PART)
    except FileNotFoundError:
        return b""
    return found[: found.rfind(b"\n") + 1]
