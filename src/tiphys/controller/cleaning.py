"""Removes what workflows leave behind, as they say: themselves, volume claims, output artifacts, pods' files and logs.

What is to go is decided by pure functions; `Cleaner` removes it. All of it may be done twice, by several processes.

Semantics: argo-workflows 4.1, workflow/gccontroller/gc_controller.go (ttlStrategy), workflow/controller/operator.go
`deletePVCs`, workflow/controller/artifact_gc.go, workflow/controller/pod/cleanup.go (podGC).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from tiphys._util.times import to_epoch
from tiphys.engine.model import ArtifactValue, Node, NodeType, Phase
from tiphys.errors import NotFoundError, SpecError, TiphysError
from tiphys.integrations.local.pods.folder import PodFolder
from tiphys.lang.duration import parse_duration
from tiphys.lang.selectors import Requirement, Selector
from tiphys.plugins.artifact_drivers import driver_of
from tiphys.ports.clock import Clock
from tiphys.ports.store import StoredWorkflow, WorkflowBatch
from tiphys.ports.workflows import Manifest
from tiphys.records.base import Query
from tiphys.records.objects import ObjectKind
from tiphys.records.workflows import WorkflowRow, WorkflowSummary
from tiphys.services.backend import LocalBackend
from tiphys.services.workflows.pods import log_of, pod_labels
from tiphys.services.workflows.submission import whole_spec
from tiphys.spec.artifacts import Artifact
from tiphys.spec.kubernetes import SecretKeySelector

_log = logging.getLogger(__name__)

ON_COMPLETION, ON_DELETION = "OnWorkflowCompletion", "OnWorkflowDeletion"
#: Condition of a workflow whose artifacts could not be deleted.
ARTIFACT_GC_ERROR = "ArtifactGCError"
#: Seconds that a pod is kept where podGC.deleteDelayDuration does not say it (Argo's podGCDeleteDelayDuration).
POD_DELAY = 5.0
#: Words without which a manifest asks for no cleaning.
_WORDS = ("ttlStrategy", "artifactGC", "podGC", "persistentVolumeClaims")
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


def claims_to_delete(manifest: Manifest, phase: str) -> list[str]:
    """Names of volume claims that an ended workflow does not need any more: of those that were made for it.

    After a failure they are kept by default, for a retry.

    Args:
        manifest: The workflow; its `status.persistentVolumeClaims` lists the claims.
        phase: How it ended.
    """
    strategy = (whole_spec(manifest).get("volumeClaimGC") or {}).get("strategy") or "OnWorkflowSuccess"
    return claims_of(manifest) if strategy == ON_COMPLETION or phase == Phase.SUCCEEDED else []


def claims_of(manifest: Manifest) -> list[str]:
    """Names of the volume claims that were made for a workflow."""
    volumes = (manifest.get("status") or {}).get("persistentVolumeClaims") or ()
    claims = (volume.get("persistentVolumeClaim") or {} for volume in volumes)
    return [str(claim["claimName"]) for claim in claims if claim.get("claimName")]


@dataclass(frozen=True, slots=True)
class OutputArtifact:
    """An output artifact of a node."""

    node_id: str
    name: str
    #: As the node has it: with a location, or with the digest of a tree in our own store.
    value: Mapping[str, Any]


def artifacts_to_delete(
    spec: Mapping[str, Any], nodes: Iterable[Node], strategies: AbstractSet[str]
) -> list[OutputArtifact]:
    """Output artifacts whose artifactGC strategy, or if they have none the workflow's, is one of these.

    Args:
        spec: The specification that was carried out, as JSON.
        nodes: The workflow's nodes; only pods' outputs are meant, as others pass them on.
        strategies: Those whose time has come.
    """
    general = (spec.get("artifactGC") or {}).get("strategy")
    found = []
    for node in nodes:
        if node.type is not NodeType.POD or node.outputs is None:
            continue
        for name, value in node.outputs.artifacts.items():
            if not isinstance(value, Mapping) or value.get("deleted"):
                continue
            if ((value.get("artifactGC") or {}).get("strategy") or general) in strategies:
                found.append(OutputArtifact(node.id, name, value))
    return found


def without_artifacts(node: Node, names: AbstractSet[str]) -> Node:
    """A node whose artifacts are marked as deleted; what is kept in our own store is not referred to any more."""
    if node.outputs is None:
        return node
    changed: dict[str, ArtifactValue] = {}
    for name, value in node.outputs.artifacts.items():
        changed[name] = value
        if name in names and isinstance(value, Mapping):
            changed[name] = {**{key: part for key, part in value.items() if key != "digest"}, "deleted": True}
    return replace(node, outputs=replace(node.outputs, artifacts=changed))


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


def noted(manifest: Manifest, strategies: Iterable[str], problems: Sequence[str]) -> Manifest:
    """A workflow whose status tells that the artifacts of these strategies were to be deleted, and what went wrong."""
    status = dict(manifest.get("status") or {})
    gc = dict(status.get("artifactGCStatus") or {})
    gc["strategiesProcessed"] = {**(gc.get("strategiesProcessed") or {}), **dict.fromkeys(sorted(strategies), True)}
    conditions = [one for one in status.get("conditions") or () if one.get("type") != ARTIFACT_GC_ERROR]
    if problems:
        conditions.append({"type": ARTIFACT_GC_ERROR, "status": "True", "message": "; ".join(problems)})
    return {**manifest, "status": {**status, "artifactGCStatus": gc, "conditions": conditions}}


def without_claims(manifest: Manifest, names: AbstractSet[str]) -> Manifest:
    """A workflow whose status does not list these volume claims."""
    status = dict(manifest.get("status") or {})
    volumes = status.pop("persistentVolumeClaims", None) or ()
    left = [one for one in volumes if (one.get("persistentVolumeClaim") or {}).get("claimName") not in names]
    return {**manifest, "status": {**status, "persistentVolumeClaims": left} if left else status}


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
        #: Workflows whose artifacts could not be deleted, and when they had ended.
        self._stuck: dict[str, datetime | None] = {}

    def clean(self) -> None:
        """Remove what is due; what fails is logged."""
        rows = self._backend.find(Query.of(WorkflowSummary, archived=False))
        present = {row.id for row in rows}
        self._known = {uid: memory for uid, memory in self._known.items() if uid in present}
        self._stuck = {uid: ended for uid, ended in self._stuck.items() if uid in present}
        for row in rows:
            try:
                self._clean(row)
            except TiphysError as error:
                _log.error("workflow %s/%s: cannot be cleaned up: %s", row.workspace, row.name, error)

    def delete(self, row: WorkflowSummary) -> bool:
        """Delete an ended workflow with its volume claims and the artifacts that are to go with it.

        Returns:
            False if an artifact cannot be deleted: the workflow is kept, and tells why in a condition. That is tried
            once by each process.
        """
        if row.id in self._stuck and self._stuck[row.id] == row.finished_at:
            return False
        with self._backend.store.reader() as reader:
            stored = reader.load_workflow(row.id)
        if stored is None:
            return True
        manifest = json.loads(stored.row.manifest)
        forced = (whole_spec(manifest).get("artifactGC") or {}).get("forceFinalizerRemoval")
        if not self._delete_artifacts(stored, {ON_COMPLETION, ON_DELETION}) and not forced:
            self._stuck[row.id] = row.finished_at
            return False
        self._delete_claims(row, claims_of(manifest))
        try:
            self._backend.workflows.in_namespace(row.workspace).delete(row.name, uid=row.id)
        except NotFoundError:
            return True
        self._tell(row, "deleted")
        return True

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
        self._delete_claims(row, claims_to_delete(manifest, row.phase))
        processed = ((manifest.get("status") or {}).get("artifactGCStatus") or {}).get("strategiesProcessed") or {}
        if not processed.get(ON_COMPLETION):
            self._delete_artifacts(stored, {ON_COMPLETION})

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
        if any(found):
            self._tell(row, f"removed the files of {sum(found)} pod(s), as podGC is {strategy}")
        memory.pods_gone = ended is not None and ended + pod_delay(memory.spec) <= now

    def _remove_pod(self, uid: str, node: Node) -> bool:
        """Remove the logs and the folder of a pod; False if there was no log of it."""
        PodFolder(str(self._backend.home), f"{uid}/{node.id}/{node.attempt}").remove()
        log = log_of(self._backend.home, uid, node.id)
        logs = [path for path in (log, *log.parent.glob(f"{node.id}.*")) if path.exists()]
        for path in logs:
            path.unlink(missing_ok=True)
        return bool(logs)

    def _delete_claims(self, row: WorkflowSummary, names: Sequence[str]) -> None:
        service = self._backend.objects.in_namespace(row.workspace)
        for name in names:
            try:
                service.delete(ObjectKind.PERSISTENT_VOLUME_CLAIM, name)
                self._tell(row, f"deleted the volume claim {name}")
            except NotFoundError:  # it is gone already
                continue
        if names:
            self._change(row.id, lambda manifest: without_claims(manifest, set(names)))

    def _delete_artifacts(self, stored: StoredWorkflow, strategies: AbstractSet[str]) -> bool:
        """Delete artifacts, and note that in the workflow; False if some of them are left."""
        row = stored.row
        spec = whole_spec(json.loads(row.manifest))
        deleted: dict[str, set[str]] = {}
        problems = []
        for artifact in artifacts_to_delete(spec, stored.nodes, strategies):
            try:
                self._delete_artifact(artifact, row.workspace)
                deleted.setdefault(artifact.node_id, set()).add(artifact.name)
            except TiphysError as error:
                problems.append(f"{artifact.node_id}: {error.message}")
                _log.error("workflow %s/%s: %s", row.workspace, row.name, error)
        if deleted or problems:
            self._change(row.id, lambda manifest: noted(manifest, strategies, problems), deleted)
        if deleted:
            self._tell(row, f"deleted {sum(map(len, deleted.values()))} artifacts")
        return not problems

    def _delete_artifact(self, artifact: OutputArtifact, namespace: str) -> None:
        """Delete an artifact where it is; our own store's are collected when nothing refers to them any more."""
        if "digest" in artifact.value:
            return

        def secret(selector: SecretKeySelector) -> str | None:
            values = self._backend.objects.secret(namespace, selector.name or "") or {}
            value = values.get(selector.key or "")
            return None if value is None else value.decode()

        located = Artifact.from_json({**artifact.value, "name": artifact.name})
        driver_of(located, secret).delete(located)

    def _change(
        self, uid: str, change: Callable[[Manifest], Manifest], deleted: Mapping[str, AbstractSet[str]] | None = None
    ) -> None:
        """Change a workflow's manifest and mark artifacts of its nodes, as they stand now, as deleted."""
        with self._backend.store.transaction() as transaction:
            present = transaction.load_workflow(uid)
            if present is None:
                return
            names = deleted or {}
            nodes = [without_artifacts(node, names[node.id]) for node in present.nodes if node.id in names]
            transaction.save(WorkflowBatch(uid, nodes))
            transaction.update(WorkflowRow, uid, manifest=json.dumps(change(json.loads(present.row.manifest))))

    def _tell(self, row: WorkflowSummary, what: str) -> None:
        _log.info("workflow %s/%s: %s", row.workspace, row.name, what)


def _templates(manifest: Manifest) -> dict[str, Mapping[str, Any]]:
    """Templates by name, the workflow's own before those it refers to."""
    stored = (manifest.get("status") or {}).get("storedTemplates") or {}
    own = whole_spec(manifest).get("templates") or ()
    return {str(template.get("name")): template for template in (*stored.values(), *own)}
