"""Removes what workflows leave behind when they say so: themselves, claims, output artifacts, files and logs of pods.

What is to go is decided by pure functions; `Cleaner` removes it. All of it may be done twice, by several processes.

Semantics: argo-workflows 4.1, workflow/gccontroller/gc_controller.go (ttlStrategy), workflow/controller/pod/cleanup.go
(podGC).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tiphys._util.times import from_epoch, to_epoch, utc_now
from tiphys.engine.model import Node, NodeType, Phase
from tiphys.errors import ArtifactError, NotFoundError, SpecError, TiphysError
from tiphys.integrations.local.pods.folder import PodFolder
from tiphys.lang.duration import parse_duration
from tiphys.lang.selectors import Requirement, Selector
from tiphys.ports.clock import Clock
from tiphys.ports.store import StoredWorkflow
from tiphys.ports.workflows import Manifest
from tiphys.records.base import Query, Where
from tiphys.records.workflows import WorkflowRemoval, WorkflowRow, WorkflowSummary
from tiphys.services.backend import LocalBackend
from tiphys.services.workflows.artifacts import drivers_of
from tiphys.services.workflows.garbage import ON_COMPLETION, Garbage, claims_to_delete
from tiphys.services.workflows.logs import remove_parts
from tiphys.services.workflows.pods import log_of, pod_labels
from tiphys.services.workflows.submission import whole_spec

_log = logging.getLogger(__name__)

#: Seconds that a pod is kept where podGC.deleteDelayDuration does not say it (Argo's podGCDeleteDelayDuration).
POD_DELAY = 5.0
#: Words without which a manifest asks for no cleaning.
_WORDS = ("ttlStrategy", "artifactGC", "podGC", "persistentVolumeClaims")
#: How long before a look workflows may have ended that the look before did not see.
_LATELY = timedelta(minutes=1)
#: How long it is known which workflows were removed.
_TOLD = timedelta(hours=1)
_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}


# Decisions ------------------------------------------------------------------------------------------------------------


def expiry(spec: Mapping[str, Any], phase: str, finished_at: float) -> float | None:
    """When an ended workflow is to be deleted, as epoch seconds; None for never.

    Args:
        spec: The specification that was carried out, as JSON.
        phase: How it ended. One that ended with Error did not fail in Argo's sense: only `secondsAfterCompletion` is
            for it.
        finished_at: When, as epoch seconds.
    """
    ttl = spec.get("ttlStrategy") or {}
    own = {Phase.FAILED: "secondsAfterFailure", Phase.SUCCEEDED: "secondsAfterSuccess"}.get(Phase(phase))
    seconds = ttl.get(own) if own else None
    if seconds is None:
        seconds = ttl.get("secondsAfterCompletion")
    return None if seconds is None else finished_at + int(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodOwner:
    """The workflow of pods, as far as it tells whether they are to go."""

    name: str
    phase: str
    #: Epoch seconds.
    finished_at: float | None
    #: The specification that is carried out, as JSON.
    spec: Mapping[str, Any]
    #: Templates by name, for the pods' labels.
    templates: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def pods_to_delete(workflow: PodOwner, nodes: Iterable[Node], now: float) -> list[Node]:
    """Nodes whose pods are to go, by the workflow's podGC and once its delay has passed.

    Args:
        workflow: The workflow; it may still run.
        nodes: Its nodes.
        now: Epoch seconds.

    Raises:
        ExpressionError: the delay is not a duration.
        SpecError: the label selector has an unknown operator.
    """
    gc = workflow.spec.get("podGC") or {}
    strategy, wait = gc.get("strategy") or "", pod_delay(workflow.spec)
    selector = _selector(gc.get("labelSelector") or {})
    found = []
    for node in nodes:
        if node.type is not NodeType.POD or not node.phase.fulfilled or node.daemoned:
            continue
        since = _gone_since(strategy, workflow, node)
        if since is not None and since + wait <= now:
            labels = pod_labels(workflow.name, workflow.spec, node, workflow.templates)
            if selector.matches(labels):
                found.append(node)
    return found


def pod_delay(spec: Mapping[str, Any]) -> float:
    """Seconds that a pod is kept when it is not needed any more.

    Raises:
        ExpressionError: it is not a duration.
    """
    delay = (spec.get("podGC") or {}).get("deleteDelayDuration")
    return parse_duration(delay) if delay else POD_DELAY


def _gone_since(strategy: str, workflow: PodOwner, node: Node) -> float | None:
    """Since when a pod is not needed any more."""
    if strategy == "OnPodCompletion" or (strategy == "OnPodSuccess" and node.phase is Phase.SUCCEEDED):
        return node.finished_at
    if strategy == ON_COMPLETION or (strategy == "OnWorkflowSuccess" and workflow.phase == Phase.SUCCEEDED):
        return workflow.finished_at
    return None


def _selector(data: Mapping[str, Any]) -> Selector:
    """Kubernetes' LabelSelector."""
    equal = [Requirement(key, "=", (str(value),)) for key, value in (data.get("matchLabels") or {}).items()]
    others = [
        Requirement(str(one.get("key")), _operator(one), tuple(map(str, one.get("values") or ())))
        for one in data.get("matchExpressions") or ()
    ]
    return Selector((*equal, *others))


def _operator(expression: Mapping[str, Any]) -> str:
    name = str(expression.get("operator"))
    if name not in _OPERATORS:
        raise SpecError(
            f"podGC.labelSelector.matchExpressions: there is no operator '{name}'.",
            hint=f"Use one of {', '.join(_OPERATORS)}.",
        )
    return _OPERATORS[name]


# Carrying it out ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Memory:
    """What this process remembers of a workflow that asks for cleaning."""

    #: When it ended, as far as that is known: a retry makes it run again.
    finished_at: datetime | None
    spec: Mapping[str, Any]
    #: Ids of nodes whose pods are gone.
    removed: set[str] = field(default_factory=set)
    #: Whether its claims and artifacts were seen to, and its pods.
    tidied: bool = False
    pods_gone: bool = False


class Cleaner:
    """Cleans up after the workflows of all namespaces.

    Args:
        backend: Where they stand.
        clock: Time.
    """

    def __init__(self, backend: LocalBackend, *, clock: Clock) -> None:
        self._backend = backend
        self._clock = clock
        #: None for those that ask for nothing.
        self._known: dict[str, _Memory | None] = {}
        #: The newest workflow of the last look; None before the first.
        self._newest: str | None = None
        #: Workflows whose artifacts could not be deleted, and when they had ended.
        self._stuck: dict[str, datetime | None] = {}

    def clean(self) -> None:
        """Remove what is due; what fails is logged."""
        rows = self._candidates()
        self._known = {uid: memory for uid, memory in self._known.items() if uid in rows}
        self._stuck = {uid: ended for uid, ended in self._stuck.items() if uid in rows}
        self._forget_removals()
        for row in rows.values():
            try:
                self._clean(row)
            except TiphysError as error:
                _log.error("workflow %s/%s: cannot be cleaned up: %s", row.workspace, row.name, error)

    def delete(self, row: WorkflowSummary) -> bool:
        """Delete an ended workflow with all that is to go with it.

        Returns:
            False if an artifact cannot be deleted: the workflow is kept, and tells why in a condition. That is tried
            once by each process.
        """
        if row.id in self._stuck and self._stuck[row.id] == row.finished_at:
            return False
        try:
            self._backend.workflows.in_namespace(row.workspace).delete(row.name, uid=row.id)
        except NotFoundError:
            return True
        except ArtifactError as error:
            self._stuck[row.id] = row.finished_at
            _log.error("workflow %s/%s: %s", row.workspace, row.name, error.message)
            return False
        self._tell(row, "deleted")
        return True

    def _candidates(self) -> dict[str, WorkflowSummary]:
        """Workflows that may ask for something: at the first look all that do, later those that changed or do."""
        with self._backend.store.reader() as reader:
            rows = reader.find(Query.of(WorkflowSummary, finished_at=None))
            if self._newest is None:
                for word in _WORDS:
                    rows += reader.find(Query(WorkflowRow, (Where("manifest", f'"{word}"', "contains"),)))
            else:
                asking = {uid for uid, memory in self._known.items() if memory is not None} | set(self._stuck)
                rows += reader.get_many(WorkflowSummary, asking).values()
                rows += reader.find(Query(WorkflowSummary, (Where("id", self._newest, "gt"),)))
                lately = from_epoch(self._clock.now()) - _LATELY
                rows += reader.find(Query(WorkflowSummary, (Where("finished_at", lately, "ge"),)))
            newest = reader.find(Query.of(WorkflowSummary, limit=1))
        self._newest = newest[0].id if newest else ""
        return {row.id: row for row in rows if not row.archived}

    def _forget_removals(self) -> None:
        """Whoever watches workflows was told of them long ago."""
        before = Where("removed_at", utc_now() - _TOLD, "lt")
        if self._backend.count(Query(WorkflowRemoval, (before,))):
            with self._backend.store.transaction() as transaction:
                transaction.delete_found(Query(WorkflowRemoval, (before,)))

    def _clean(self, row: WorkflowSummary) -> None:
        memory = self._memory(row)
        if memory is None:
            return
        self._remove_pods(row, memory)
        if row.finished_at is None:
            return
        if not memory.tidied:
            self._tidy(row)
            memory.tidied = True
        until = expiry(memory.spec, row.phase, to_epoch(row.finished_at))
        if until is not None and until <= self._clock.now():
            self.delete(row)

    def _memory(self, row: WorkflowSummary) -> _Memory | None:
        """What the workflow asks for, read once."""
        if row.id not in self._known:
            with self._backend.store.reader() as reader:
                whole = reader.get(WorkflowRow, row.id)
            text = whole.manifest if whole is not None else ""
            asks = any(f'"{word}"' in text for word in _WORDS)
            self._known[row.id] = _Memory(row.finished_at, whole_spec(json.loads(text))) if asks else None
        memory = self._known[row.id]
        if memory is not None and memory.finished_at != row.finished_at:
            memory.finished_at = row.finished_at
            memory.tidied = memory.pods_gone = False
        return memory

    def _tidy(self, row: WorkflowSummary) -> None:
        """What is to be done at a workflow's end."""
        with self._backend.store.reader() as reader:
            stored = reader.load_workflow(row.id)
        if stored is None or stored.row.finished_at is None:
            return
        manifest = json.loads(stored.row.manifest)
        objects = self._backend.objects.in_namespace(row.workspace)
        drivers = drivers_of(objects, row.workspace, self._backend.home)
        garbage = Garbage(self._backend.store, objects, drivers)
        for claim in garbage.delete_claims(row.id, claims_to_delete(manifest, row.phase)):
            self._tell(row, f"deleted the volume claim {claim}")
        processed = ((manifest.get("status") or {}).get("artifactGCStatus") or {}).get("strategiesProcessed") or {}
        if not processed.get(ON_COMPLETION):
            self._delete_artifacts(garbage, stored)

    def _delete_artifacts(self, garbage: Garbage, stored: StoredWorkflow) -> None:
        count, problems = garbage.delete_artifacts(stored, {ON_COMPLETION})
        for problem in problems:
            _log.error("workflow %s/%s: %s", stored.row.workspace, stored.row.name, problem)
        if count:
            self._tell(stored.row, f"deleted {count} artifacts")

    def _remove_pods(self, row: WorkflowSummary, memory: _Memory) -> None:
        strategy = (memory.spec.get("podGC") or {}).get("strategy") or ""
        if not strategy or memory.pods_gone or (row.finished_at is None and strategy.startswith("OnWorkflow")):
            return
        now = self._clock.now()
        ended = None if row.finished_at is None else to_epoch(row.finished_at)
        with self._backend.store.reader() as reader:
            stored = reader.load_workflow(row.id)
        if stored is None:
            return
        templates = _templates(json.loads(stored.row.manifest))
        owner = PodOwner(name=row.name, phase=row.phase, finished_at=ended, spec=memory.spec, templates=templates)
        gone = [node for node in pods_to_delete(owner, stored.nodes, now) if node.id not in memory.removed]
        found = [self._remove_pod(row.id, node) for node in gone]
        memory.removed.update(node.id for node in gone)
        if gone:
            with self._backend.store.transaction() as transaction:
                remove_parts(transaction, row.id, memory.removed)
        if any(found):
            self._tell(row, f"removed the files of {sum(found)} pod(s), as podGC is {strategy}")
        memory.pods_gone = ended is not None and ended + pod_delay(memory.spec) <= now

    def _remove_pod(self, uid: str, node: Node) -> bool:
        """Remove the logs and the folder of a pod; False if there was no log of it."""
        PodFolder(str(self._backend.home), f"{uid}/{node.id}/{node.attempt}").remove()
        log = log_of(self._backend.home, uid, node.id)
        logs = [path for path in (log, *log.parent.glob(f"{node.id}[.~]*")) if path.exists()]
        for path in logs:
            path.unlink(missing_ok=True)
        return bool(logs)

    def _tell(self, row: WorkflowSummary, what: str) -> None:
        _log.info("workflow %s/%s: %s", row.workspace, row.name, what)


def _templates(manifest: Manifest) -> dict[str, Mapping[str, Any]]:
    """Templates by name, the workflow's own before those it refers to."""
    stored = (manifest.get("status") or {}).get("storedTemplates") or {}
    own = whole_spec(manifest).get("templates") or ()
    return {str(template.get("name")): template for template in (*stored.values(), *own)}
