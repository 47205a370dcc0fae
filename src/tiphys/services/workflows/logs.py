"""Logs of containers and of Python steps, while they are written and afterwards.

A container's lines stand as it wrote them, in a file of their own, and hold no times: a line's time is that of the
first look at the file that saw it (`sdk/pods/log_times.py`), or of the file's last change. Lines of Python steps
(`sdk/logs`) know when they were written.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tiphys._util.times import from_epoch
from tiphys.engine.model import Node, NodeType
from tiphys.errors import NotFoundError, UsageError
from tiphys.lang.selectors import parse_selector
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.ports.store import Store, Transaction
from tiphys.ports.workflows import LogEntry, LogQuery
from tiphys.records.base import Query
from tiphys.records.logs import LogPart
from tiphys.records.runs import Run, StepRun
from tiphys.records.workflows import WorkflowSummary
from tiphys.sdk.pods.log_times import SUFFIX
from tiphys.services.log_reading import LogCursor, LogPlace
from tiphys.services.step_logs import Parts, StepLogs, parts_of
from tiphys.services.workflows.pods import log_of, logs_folder, pod_labels, pod_name

#: Seconds between looks for new lines.
FOLLOW_PAUSE = 0.2
#: Lines of a batch.
_BATCH = 1000
_LOGGED = (NodeType.POD, NodeType.PLUGIN)


@dataclass(frozen=True, slots=True)
class LoggedWorkflow:
    """A workflow whose logs are read."""

    uid: str
    name: str
    #: Its specification, and its templates by name, as JSON.
    spec: Mapping[str, Any]
    templates: Mapping[str, Mapping[str, Any]]


class LogReader:
    """Reads logs of a workflow.

    Args:
        store: The database.
        home: Folder under which logs are kept while they are written.
        artifact_store: Gives the store of a name, or that which keeps the logs of steps that have ended.
        workflow: Whose they are.
        query: Which lines are meant.

    Raises:
        UsageError: the regular expression is none.
    """

    def __init__(
        self,
        store: Store,
        *,
        home: Path,
        artifact_store: Callable[[str | None], ArtifactStore],
        workflow: LoggedWorkflow,
        query: LogQuery,
    ) -> None:
        self._store = store
        self._home = home
        self._artifact_store = artifact_store
        self._workflow = workflow
        self._query = query
        self._labels = parse_selector(query.labels)
        #: By node id.
        self._cursors: dict[str, LogCursor] = {}
        self._step_logs = StepLogs(self._default_store, home, stores=artifact_store)
        self._parts: Parts = {}
        #: Node id → the step run, of Python steps.
        self._steps: dict[str, StepRun] = {}
        try:
            self._grep = re.compile(query.grep)
        except re.error as error:
            raise UsageError(f"'{query.grep}' is not a regular expression: {error}.") from error

    def entries(self) -> Iterator[LogEntry]:
        """The lines. Raises as `batches`."""
        for batch in self.batches():
            yield from batch
            if not batch:
                time.sleep(FOLLOW_PAUSE)

    def batches(self) -> Iterator[list[LogEntry]]:
        """The lines in lists; an empty one after each look that is not the last: whoever looks makes the pauses.

        Raises:
            NotFoundError: the query names a pod that there is not.
        """
        ended, nodes = self._look()
        if self._query.pod and (ended or not self._query.follow) and not any(map(self._is_meant, nodes)):
            known = ", ".join(self._pod(node) for node in nodes if node.type in _LOGGED) or "none"
            raise NotFoundError(
                f"The workflow {self._workflow.name} has no pod '{self._query.pod}'.", hint=f"It has: {known}."
            )
        tail = self._query.tail
        while True:
            for node in nodes:
                if self._is_meant(node):
                    if tail is not None:
                        self._skip(node, tail)
                    yield from self._wanted(self._new_lines(node))
            if ended or not self._query.follow:
                return
            yield []
            tail = None
            ended, nodes = self._look()

    def _wanted(self, found: Iterator[LogEntry]) -> Iterator[list[LogEntry]]:
        """The lines that are meant, not more at a time than a reader should hold."""
        matching = (entry for entry in found if self._grep.search(entry.content))
        while batch := list(islice(matching, _BATCH)):
            yield batch

    def _look(self) -> tuple[bool, list[Node]]:
        """Whether the workflow has ended, and its nodes."""
        with self._store.reader() as reader:
            row = reader.get(WorkflowSummary, self._workflow.uid)
            nodes = reader.load_nodes(self._workflow.uid)
            self._parts = parts_of(reader, self._workflow.uid)
            if any(node.type is NodeType.PLUGIN for node in nodes):
                runs = [run.id for run in reader.find(Query.of(Run, workflow_uid=self._workflow.uid))]
                self._steps = {step.node_id: step for step in reader.find(Query.of(StepRun, run_id=runs, order="id"))}
        return row is None or row.finished_at is not None, nodes

    def _is_meant(self, node: Node) -> bool:
        if node.type not in _LOGGED or (self._query.pod and not self._is_named(node)):
            return False
        workflow = self._workflow
        return self._labels.matches(pod_labels(workflow.name, workflow.spec, node, workflow.templates))

    def _is_named(self, node: Node) -> bool:
        """Whether the query names the node: by its id, or by its pod's name, of which the hash at the end counts."""
        asked = self._query.pod
        return asked == node.id or (
            asked.startswith(self._workflow.name) and asked.rpartition("-")[2] == node.id.rpartition("-")[2]
        )

    def _pod(self, node: Node) -> str:
        return pod_name(self._workflow.name, node.id, node.template)

    def _new_lines(self, node: Node) -> Iterator[LogEntry]:
        """What was written since the last look."""
        step = self._steps.get(node.id)
        found = self._of_container(node) if step is None else self._of_step(node, step)
        since = self._query.since
        return (entry for entry in found if since is None or entry.at >= since)

    def _skip(self, node: Node, left: int) -> None:
        """Pass over all lines but the last ones."""
        step = self._steps.get(node.id)
        if step is None:
            place, cursor = self._container(node)
            cursor.skip(place, self._parts.get(place.name, ()), left)
        else:
            self._step_logs.skip(step, self._parts, left)

    def _of_step(self, node: Node, step: StepRun) -> Iterator[LogEntry]:
        if self._query.container != "main":
            return
        pod = self._pod(node)
        for lines in self._step_logs.batches(step, self._parts):
            for line in lines:
                yield LogEntry(pod, line.text, line.time)

    def _of_container(self, node: Node) -> Iterator[LogEntry]:
        place, cursor = self._container(node)
        pod = self._pod(node)
        for line, at in cursor.lines(place, self._parts.get(place.name, ())):
            yield LogEntry(pod, line.removesuffix(b"\n").decode("utf-8", "replace"), from_epoch(at))

    def _container(self, node: Node) -> tuple[LogPlace, LogCursor]:
        live = log_of(self._home, self._workflow.uid, node.id, self._query.container)
        place = LogPlace(name=live.name, live=live, timed=False, ended=node.phase.fulfilled)
        return place, self._cursors.setdefault(node.id, LogCursor(self._default_store, self._artifact_store))

    def _default_store(self) -> ArtifactStore:
        return self._artifact_store(None)


def remove_parts(transaction: Transaction, uid: str, node_ids: Iterable[str]) -> None:
    """Forget the stored parts of all logs of some attempts' containers."""
    wanted = set(node_ids)
    parts = [part.id for log, found in parts_of(transaction, uid).items() if _is_of(log, wanted) for part in found]
    transaction.delete(LogPart, parts)


def remove_logs(home: Path, uid: str, node_ids: Iterable[str]) -> None:
    """Remove the logs of all containers of some attempts."""
    wanted = set(node_ids)
    for path in logs_folder(home, uid).glob("*"):
        if _is_of(path.name.removesuffix(SUFFIX), wanted):
            path.unlink(missing_ok=True)


def _is_of(log: str, node_ids: Container[str]) -> bool:
    # A container's name has no dot, a workflow's may.
    return log in node_ids or log.rpartition(".")[0] in node_ids
