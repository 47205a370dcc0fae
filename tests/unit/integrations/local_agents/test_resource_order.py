"""What manifests and flags ask for."""

from __future__ import annotations

import json

import pytest
from tests.unit.integrations.local_agents.agency import CONFIG, WORKFLOW

from tiphys.errors import SpecError
from tiphys.integrations.local.agents.resource_order import read_order
from tiphys.spec.template import ResourceTemplate


def order(action, manifest=None, **rest):
    text = manifest if isinstance(manifest, str) else "" if manifest is None else json.dumps(manifest)
    return read_order(ResourceTemplate.from_json({"action": action, **rest}), text, namespace="argo")


@pytest.mark.parametrize(
    ("flags", "kind", "name"),
    [
        (["wf", "w"], "Workflow", "w"),
        (["workflow/w"], "Workflow", "w"),
        (["Workflows.argoproj.io", "w"], "Workflow", "w"),
        (["workflows.v1alpha1.argoproj.io/w"], "Workflow", "w"),
        (["wftmpl", "w"], "WorkflowTemplate", "w"),
        (["clusterworkflowtemplate", "w"], "ClusterWorkflowTemplate", "w"),
        (["cronwf", "w"], "CronWorkflow", "w"),
        (["pvc", "w", "--validate=false"], "PersistentVolumeClaim", "w"),
        (["--namespace", "argo", "secret", "w"], "Secret", "w"),
    ],
)
def test_flags_name_an_object(flags, kind, name) -> None:
    found = order("get", flags=flags)
    assert (found.kind.name, found.namespace, found.name) == (kind, "argo", name)


@pytest.mark.parametrize(
    ("action", "manifest", "rest", "message"),
    [
        ("destroy", CONFIG, {}, "'destroy' is not one of get, create"),
        ("create", "", {}, "neither a manifest nor are there flags"),
        ("create", "kind: ConfigMap\n---\nkind: Secret", {}, "holds 2 objects"),
        ("create", "[1]", {}, "is not an object"),
        ("create", {"metadata": {}}, {}, "has no kind"),
        ("create", {**CONFIG, "metadata": {}}, {}, "needs the name of one object of the kind ConfigMap"),
        ("apply", WORKFLOW, {}, "needs the name of one object"),
        ("get", None, {"flags": ["wf"]}, "needs the name of one object"),
        ("get", None, {"flags": ["wf", "a", "b"]}, "several objects: a b"),
        ("get", None, {"flags": ["wf", "-l", "a=b"]}, "needs the name of one object"),
        ("get", CONFIG, {"flags": ["cm", "other"]}, "names an object, and so do the flags"),
        ("delete", CONFIG, {"flags": ["--all"]}, "is named, and the flags select"),
        ("get", None, {"flags": ["wf", "a", "--chunk-size=5"]}, "'--chunk-size' is not known"),
        ("get", None, {"flags": ["wf", "a", "-n"]}, "'-n' needs a value"),
        ("get", None, {"flags": ["pods", "a"]}, "'pods': a cluster is needed"),
        ("get", None, {"flags": ["workflows.example.com", "a"]}, "'workflows.example.com': a cluster is needed"),
        ("create", {"apiVersion": "batch/v1", "kind": "Job"}, {}, "'Job' of batch/v1: a cluster is needed"),
        ("create", {"apiVersion": "example.com/v1", "kind": "Workflow"}, {}, "'Workflow' of example.com/v1"),
        ("patch", "- op: add", {"mergeStrategy": "json"}, "a json patch needs flags"),
        ("patch", None, {"flags": ["wf", "w"]}, "needs a manifest"),
        ("patch", {"data": {}}, {}, "has no kind"),
        ("create", None, {"flags": ["wf", "w"]}, "'create' needs a manifest"),
        (
            "create",
            {**CONFIG, "metadata": {"name": "a", "namespace": "x"}},
            {"flags": ["-n", "y"]},
            "namespace is x, and that of the flags y",
        ),
    ],
)
def test_what_cannot_be_made_out(action, manifest, rest, message) -> None:
    with pytest.raises(SpecError, match=message):
        order(action, manifest, **rest)


def test_a_kind_that_is_not_kept_here_is_told_with_those_that_are() -> None:
    with pytest.raises(SpecError) as caught:
        order("create", {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}})
    assert "Workflow, WorkflowTemplate, ClusterWorkflowTemplate, CronWorkflow" in str(caught.value.hint)
