"""From a manifest to a stored workflow: options, references, name, labels, validation; all in one transaction."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tiphys._util.ids import new_id
from tiphys._util.times import rfc3339
from tiphys._util.tracing import TRACE_ANNOTATION, current_parent
from tiphys.errors import AlreadyExistsError, SpecError, UsageError
from tiphys.ports.store import Reader, Transaction
from tiphys.ports.workflows import Manifest, SubmitOptions
from tiphys.records.base import Query
from tiphys.records.objects import CLUSTER, ObjectKind
from tiphys.records.runs import Run
from tiphys.records.workflows import WorkflowRow, WorkflowSummary
from tiphys.services.objects import found_object, shown
from tiphys.services.stored_templates import StoredTemplates
from tiphys.services.workflows.claims import claimed_volumes
from tiphys.services.workflows.conditions import warn_of_ignored
from tiphys.services.workflows.metadata import with_own_metadata
from tiphys.services.workflows.options import apply_options
from tiphys.services.workflows.parameters import fill_parameters
from tiphys.services.workflows.references import resolve_references
from tiphys.services.workflows.runnable import expect_runnable
from tiphys.spec.problems import Severity
from tiphys.spec.reading import read_document
from tiphys.spec.validate.lint import validate
from tiphys.spec.workflow import Workflow

#: What carries a workflow's leaves out where nothing else is said.
DEFAULT_RUNNER = "sandbox"
#: What Kubernetes makes suffixes of: no vowels and no look-alikes (k8s.io/apimachinery util/rand).
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
#: Longest beginning of a generated name, as in Kubernetes: 63 characters in all.
_MAX_PREFIX = 58

_PREFIX = "workflows.argoproj.io/"
LABEL_TEMPLATE = f"{_PREFIX}workflow-template"
LABEL_CLUSTER_TEMPLATE = f"{_PREFIX}cluster-workflow-template"
LABEL_CRON = f"{_PREFIX}cron-workflow"
LABEL_RESUBMITTED = f"{_PREFIX}resubmitted-from-workflow"
LABEL_PHASE = f"{_PREFIX}phase"
LABEL_COMPLETED = f"{_PREFIX}completed"
ANNOTATION_SCHEDULED = f"{_PREFIX}scheduled-time"

_KINDS = {
    ObjectKind.CRON_WORKFLOW: ("CronWorkflow", "cronworkflow", "cronworkflows", "cwf", "cronwf"),
    ObjectKind.WORKFLOW_TEMPLATE: ("WorkflowTemplate", "workflowtemplate", "workflowtemplates", "wftmpl"),
    ObjectKind.CLUSTER_WORKFLOW_TEMPLATE: (
        "ClusterWorkflowTemplate",
        "clusterworkflowtemplate",
        "clusterworkflowtemplates",
        "cwft",
        "cwftmpl",
    ),
}


def kind_named(name: str) -> ObjectKind:
    """The kind that can be submitted from, by any of the names Argo knows it by.

    Raises:
        UsageError: it is none of them.
    """
    for kind, names in _KINDS.items():
        if name in names:
            return kind
    raise UsageError(
        f"Resource kind '{name}' is not supported for submitting.", hint="Use wftmpl/NAME, cwft/NAME or cronwf/NAME."
    )


def workflow_from(
    reader: Reader,
    kind: ObjectKind,
    namespace: str,
    name: str,
    now: datetime,
    *,
    artifacts: Collection[str] = (),
) -> Manifest:
    """The workflow that submitting a stored object makes (as Argo 4.1, workflow/common/convert.go).

    Args:
        reader: The database.
        kind: Kind of the object.
        namespace: Where it is.
        name: Its name.
        now: The present.
        artifacts: Arguments that the submission changes: they stand in the workflow, not in the template alone.

    Raises:
        NotFoundError: there is no such object.
    """
    stored = found_object(reader, kind, CLUSTER if kind.is_cluster_scoped else namespace, name)
    if kind is ObjectKind.CRON_WORKFLOW:
        return workflow_from_cron(shown(stored), generate_name=f"{name}-", scheduled=now)
    reference: dict[str, Any] = {"name": name}
    if kind.is_cluster_scoped:
        reference["clusterScope"] = True
    label = LABEL_CLUSTER_TEMPLATE if kind.is_cluster_scoped else LABEL_TEMPLATE
    spec: dict[str, Any] = {"workflowTemplateRef": reference}
    if artifacts:
        arguments = ((stored.manifest.get("spec") or {}).get("arguments") or {}).get("artifacts") or ()
        spec["arguments"] = {"artifacts": [one for one in arguments if one.get("name") in artifacts]}
    return {"metadata": {"generateName": f"{name}-", "labels": {label: name}}, "spec": spec}


def workflow_from_cron(
    cron: Mapping[str, Any], *, scheduled: datetime, name: str = "", generate_name: str = ""
) -> Manifest:
    """The workflow of one run of a schedule."""
    holder, spec = cron["metadata"], cron.get("spec") or {}
    more = spec.get("workflowMetadata") or {}
    metadata: dict[str, Any] = {
        "labels": {LABEL_CRON: holder["name"], **(more.get("labels") or {})},
        "annotations": {ANNOTATION_SCHEDULED: rfc3339(scheduled), **(more.get("annotations") or {})},
        "ownerReferences": [
            {
                "apiVersion": cron.get("apiVersion", "argoproj.io/v1alpha1"),
                "kind": "CronWorkflow",
                "name": holder["name"],
                "uid": holder.get("uid", ""),
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    metadata |= {"name": name} if name else {"generateName": generate_name}
    return {"metadata": metadata, "spec": spec.get("workflowSpec") or {}}


@dataclass(frozen=True, slots=True)
class Submitted:
    """What is to be stored."""

    row: WorkflowRow
    run: Run
    manifest: Manifest


def prepare(
    transaction: Transaction,
    manifest: Mapping[str, Any],
    options: SubmitOptions,
    *,
    namespace: str,
    now: datetime,
    keep: bool = False,
) -> Submitted:
    """All that is stored of a new workflow; the caller stores it.

    Args:
        transaction: Where names and references are looked up.
        manifest: The workflow as submitted.
        options: What the submission changes.
        namespace: Where it belongs if it does not say so.
        now: The present.
        keep: Whether it keeps the templates that stand in its status, instead of looking them up.

    Raises:
        SpecError: it is not valid, or its runner cannot carry it out.
        NotFoundError: it refers to something that is not stored.
        AlreadyExistsError: its name is taken.
    """
    _expect_workflow(manifest)
    workflow = apply_options(manifest, options)
    namespace = str(workflow["metadata"].get("namespace") or namespace)
    if not keep:
        workflow.pop("status", None)
        library = StoredTemplates(transaction, namespace)
        _validate(workflow, library, strict=options.strict)
        workflow = resolve_references(workflow, library)
    workflow = fill_parameters(workflow, transaction, namespace)
    uid = new_id()
    workflow["metadata"] = _metadata(transaction, workflow, namespace, uid, now)
    volumes = claimed_volumes(workflow["metadata"]["name"], whole_spec(workflow))
    if volumes:
        workflow["status"] = {**(workflow.get("status") or {}), "persistentVolumeClaims": volumes}
    runner = options.runner or DEFAULT_RUNNER
    warn_of_ignored(workflow, runner)
    read = Workflow.from_json({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", **workflow})
    expect_runnable(read, runner)
    workflow = read.to_json()
    name = workflow["metadata"]["name"]
    row = WorkflowRow(
        id=uid,
        name=name,
        workspace=namespace,
        labels=workflow["metadata"].get("labels") or {},
        priority=whole_spec(workflow).get("priority") or 0,
        suspended=bool((workflow.get("spec") or {}).get("suspend")),
        manifest=read.to_json_text(),
        runner=runner,
        created_at=now,
    )
    run = Run(
        id=new_id(),
        name=_run_name(transaction, namespace, name, uid),
        workspace=namespace,
        workflow_uid=uid,
        parameters=_arguments(workflow),
        created_at=now,
    )
    return Submitted(row, run, workflow)


def generate_name(transaction: Reader, namespace: str, prefix: str) -> str:
    """A name that no workflow of the namespace has: the prefix and five random characters, as Kubernetes makes them."""
    while True:
        name = prefix[:_MAX_PREFIX] + "".join(secrets.choice(_LETTERS) for _ in range(5))
        if not is_taken(transaction, namespace, name):
            return name


def _expect_workflow(manifest: Mapping[str, Any]) -> None:
    kind = manifest.get("kind", "Workflow")
    if kind != "Workflow":
        raise SpecError(f"A Workflow can be submitted, not a {kind}.", hint="Store it, and submit --from KIND/NAME.")


def _validate(workflow: Mapping[str, Any], library: StoredTemplates, *, strict: bool) -> None:
    problems = validate(
        read_document({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", **workflow}),
        library=library,
        strict=strict,
        submit=True,
    )
    errors = [str(problem) for problem in problems if problem.severity is Severity.ERROR]
    if errors:
        raise SpecError(
            f"The workflow is not valid: {'; '.join(errors)}", hint="See each with its line: tiphys argo lint FILE"
        )


def _metadata(
    transaction: Transaction, workflow: Mapping[str, Any], namespace: str, uid: str, now: datetime
) -> dict[str, Any]:
    """The object's metadata: name, labels and all that is given by the server."""
    metadata = dict(workflow["metadata"])
    spec = whole_spec(workflow)
    name = str(metadata.get("name") or "")
    if not name:
        name = generate_name(transaction, namespace, str(metadata.get("generateName") or "workflow-"))
    else:
        # Two that are submitted under one name do not both find it free.
        transaction.serialize(f"workflow {namespace}/{name}")
    if metadata.get("name") and is_taken(transaction, namespace, name):
        raise AlreadyExistsError(
            f"There is a workflow '{name}' already.", hint="Use generateName, or another name with --name."
        )
    metadata |= {"name": name, "namespace": namespace, "uid": uid, "creationTimestamp": rfc3339(now)}
    parent = current_parent()
    if parent:
        metadata["annotations"] = {**(metadata.get("annotations") or {}), TRACE_ANNOTATION: parent}
    metadata = with_own_metadata(metadata, spec, now)
    reference = (workflow.get("spec") or {}).get("workflowTemplateRef")
    if reference:
        label = LABEL_CLUSTER_TEMPLATE if reference.get("clusterScope") else LABEL_TEMPLATE
        metadata["labels"] = {**(metadata.get("labels") or {}), label: reference["name"]}
    return metadata


def is_taken(reader: Reader, namespace: str, name: str) -> bool:
    """Whether a workflow that the list has bears a name."""
    return bool(reader.count(Query.of(WorkflowSummary, workspace=namespace, name=name, archived=False)))


def _run_name(reader: Reader, namespace: str, name: str, uid: str) -> str:
    """The workflow's name, or if a run has it (an archived workflow's, say) with the end of its uid."""
    taken = reader.count(Query.of(Run, workspace=namespace, name=name))
    return f"{name}-{uid[-6:]}" if taken else name


def whole_spec(workflow: Mapping[str, Any]) -> Mapping[str, Any]:
    """The specification that is carried out: merged with that of the template it refers to."""
    stored: Mapping[str, Any] | None = (workflow.get("status") or {}).get("storedWorkflowTemplateSpec")
    return stored or workflow.get("spec") or {}


def _arguments(workflow: Mapping[str, Any]) -> dict[str, Any]:
    parameters = (whole_spec(workflow).get("arguments") or {}).get("parameters") or ()
    return {str(one.get("name")): one.get("value") for one in parameters if one.get("value") is not None}
