"""Deletes what was made for a workflow and is not to outlive it: volume claims, and output artifacts.

What is to go is decided by pure functions; `Garbage` removes it. All of it may be done twice, by several processes.

Semantics: argo-workflows 4.1, workflow/controller/operator.go `deletePVCs`, workflow/controller/artifact_gc.go.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any

from tiphys.engine.model import ArtifactValue, Node, NodeType, Phase
from tiphys.errors import NotFoundError, TiphysError
from tiphys.plugins.artifact_drivers import ArtifactDrivers
from tiphys.ports.store import Store, StoredWorkflow, WorkflowBatch
from tiphys.ports.workflows import Manifest, Objects
from tiphys.records.objects import ObjectKind
from tiphys.records.workflows import WorkflowRow
from tiphys.services.workflows.submission import whole_spec

ON_COMPLETION, ON_DELETION = "OnWorkflowCompletion", "OnWorkflowDeletion"
#: Condition of a workflow whose artifacts could not be deleted.
ARTIFACT_GC_ERROR = "ArtifactGCError"


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


class Garbage:
    """Deletes volume claims and artifacts of workflows of one namespace.

    Args:
        store: The database.
        objects: The namespace's objects: its volume claims.
        drivers: Reach the places where artifacts are.
    """

    def __init__(self, store: Store, objects: Objects, drivers: ArtifactDrivers) -> None:
        self._store = store
        self._objects = objects
        self._drivers = drivers

    def delete_claims(self, uid: str, names: Sequence[str]) -> list[str]:
        """Delete volume claims of a workflow; those that were still there are told."""
        found = []
        for name in names:
            try:
                self._objects.delete(ObjectKind.PERSISTENT_VOLUME_CLAIM, name)
                found.append(name)
            except NotFoundError:  # it is gone already
                continue
        if names:
            self._change(uid, lambda manifest: without_claims(manifest, set(names)))
        return found

    def delete_artifacts(self, stored: StoredWorkflow, strategies: AbstractSet[str]) -> tuple[int, list[str]]:
        """Delete artifacts, and note that in the workflow.

        Returns:
            How many were deleted, and why others could not be.
        """
        row = stored.row
        deleted: dict[str, set[str]] = {}
        problems = []
        for artifact in artifacts_to_delete(whole_spec(json.loads(row.manifest)), stored.nodes, strategies):
            try:
                self._delete_artifact(artifact)
                deleted.setdefault(artifact.node_id, set()).add(artifact.name)
            except TiphysError as error:
                problems.append(f"{artifact.node_id}: {error.message}")
        if deleted or problems:
            self._change(row.id, lambda manifest: noted(manifest, strategies, problems), deleted)
        return sum(map(len, deleted.values())), problems

    def _delete_artifact(self, artifact: OutputArtifact) -> None:
        """Delete an artifact where it is; our own store's are collected when nothing refers to them any more."""
        if "digest" not in artifact.value:
            self._drivers.delete({**artifact.value, "name": artifact.name})

    def _change(
        self, uid: str, change: Callable[[Manifest], Manifest], deleted: Mapping[str, AbstractSet[str]] | None = None
    ) -> None:
        """Change a workflow's manifest and mark artifacts of its nodes, as they stand now, as deleted."""
        with self._store.transaction() as transaction:
            present = transaction.load_workflow(uid)
            if present is None:
                return
            names = deleted or {}
            nodes = [without_artifacts(node, names[node.id]) for node in present.nodes if node.id in names]
            transaction.save(WorkflowBatch(uid, nodes))
            transaction.update(WorkflowRow, uid, manifest=json.dumps(change(json.loads(present.row.manifest))))
