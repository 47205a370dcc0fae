"""Objects as `resource` templates read and change them: workflows are submitted and steered, all others are stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tiphys.errors import ConflictError
from tiphys.ports.workflows import Manifest, Objects, SubmitOptions, WorkflowFilter, Workflows
from tiphys.records.objects import ObjectKind

_WORKFLOW = "Workflow"


class ResourceActions:
    """Stored objects by kind, namespace and name.

    Args:
        objects: For all kinds but workflows.
        workflows: For workflows.
        runner: What carries out the workflows that are created; None for the default.
    """

    def __init__(self, objects: Objects, workflows: Workflows, *, runner: str | None = None) -> None:
        self._objects = objects
        self._workflows = workflows
        self._runner = runner

    def get(self, kind: str, namespace: str, name: str) -> Manifest:
        """An object; a workflow with its status.

        Raises:
            NotFoundError: there is none of that kind and name.
        """
        if kind == _WORKFLOW:
            return self._workflows.in_namespace(namespace).get(name)
        return self._objects.in_namespace(namespace).get(ObjectKind(kind), name)

    def find(self, kind: str, namespace: str, labels: str) -> list[Manifest]:
        """Objects of a kind that a label selector means.

        Raises:
            ExpressionError: the selector cannot be read.
        """
        if kind == _WORKFLOW:
            workflows = self._workflows.in_namespace(namespace)
            return [workflows.get(found.name) for found in workflows.find(WorkflowFilter(labels=labels)).items]
        return self._objects.in_namespace(namespace).find(ObjectKind(kind), labels=labels)

    def create(self, namespace: str, manifest: Mapping[str, Any]) -> Manifest:
        """Store a new object; a workflow is carried out by this process.

        Raises:
            UsageError: it is not valid.
            NotFoundError: it is a workflow and refers to something that is not stored.
            AlreadyExistsError: there is one of that kind and name.
        """
        if manifest["kind"] == _WORKFLOW:
            options = SubmitOptions(strict=False, runner=self._runner)
            return self._workflows.in_namespace(namespace).submit(manifest, options)
        return self._objects.in_namespace(namespace).create(manifest)

    def update(self, namespace: str, manifest: Mapping[str, Any]) -> Manifest:
        """Replace an object. A workflow can be shut down and suspended in this way.

        Raises:
            UsageError: it is not valid.
            NotFoundError: there is none of that kind and name.
            ConflictError: it was changed meanwhile, or must not be changed like this.
        """
        if manifest["kind"] == _WORKFLOW:
            return _steered(self._workflows.in_namespace(namespace), manifest)
        return self._objects.in_namespace(namespace).update(manifest)

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Remove an object; a workflow that runs is terminated first.

        Raises:
            NotFoundError: there is none of that kind and name.
        """
        if kind == _WORKFLOW:
            self._workflows.in_namespace(namespace).delete(name)
        else:
            self._objects.in_namespace(namespace).delete(ObjectKind(kind), name)


def _steered(workflows: Workflows, manifest: Mapping[str, Any]) -> Manifest:
    """Do to a workflow what its changed specification asks for."""
    name = str(manifest["metadata"]["name"])
    present = workflows.get(name)
    wanted, given = manifest.get("spec") or {}, present.get("spec") or {}
    suspends = bool(wanted.get("suspend")) and not given.get("suspend")
    resumes = bool(given.get("suspend")) and not wanted.get("suspend")
    shutdown = wanted.get("shutdown") if wanted.get("shutdown") != given.get("shutdown") else None
    if resumes or shutdown not in (None, "Stop", "Terminate") or _fixed(manifest) != _fixed(present):
        raise ConflictError(
            f"The workflow {name} was submitted: of its manifest only spec.shutdown (Stop, Terminate) and spec.suspend "
            "(true) can be set.",
            hint="Submit another one with what is to be different.",
        )
    if shutdown is not None:
        return workflows.terminate(name) if shutdown == "Terminate" else workflows.stop(name)
    return workflows.suspend(name) if suspends else present


def _fixed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What nobody changes of a workflow: all but its status and the wishes in its specification."""
    spec = {key: value for key, value in (manifest.get("spec") or {}).items() if key not in ("shutdown", "suspend")}
    metadata = manifest["metadata"]
    return {"spec": spec, "labels": metadata.get("labels") or {}, "annotations": metadata.get("annotations") or {}}
