"""Who keeps the objects of a template, and what is told where there is nobody."""

from __future__ import annotations

import pytest
from tests.unit.integrations.local_agents.agency import FakeCluster, no_cluster

from tiphys.errors import NotFoundError, SpecError
from tiphys.integrations.local.agents.keepers import Keepers
from tiphys.integrations.local.agents.kinds import own_kind
from tiphys.integrations.local.agents.stored import StoredObjects
from tiphys.ports.object_keeper import Kind
from tiphys.spec.template import Template

TEMPLATE = Template.from_json({"name": "start-job"})
ON_CLUSTER = Template.from_json({"name": "t", "metadata": {"annotations": {"tiphys.dev/cluster": "true"}}})


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (Kind("wf"), "Workflow"),
        (Kind("workflow"), "Workflow"),
        (Kind("Workflows.argoproj.io"), "Workflow"),
        (Kind("workflows.v1alpha1.argoproj.io"), "Workflow"),
        (Kind("Workflow", "argoproj.io/v1alpha1"), "Workflow"),
        (Kind("Workflow", ""), "Workflow"),
        (Kind("wftmpl"), "WorkflowTemplate"),
        (Kind("clusterworkflowtemplate"), "ClusterWorkflowTemplate"),
        (Kind("cronwf"), "CronWorkflow"),
        (Kind("pvc"), "PersistentVolumeClaim"),
        (Kind("secret"), "Secret"),
        (Kind("ConfigMap", "v1"), "ConfigMap"),
        (Kind("configmap", "v1"), None),
        (Kind("Workflow", "example.com/v1"), None),
        (Kind("workflows.example.com"), None),
        (Kind("pods"), None),
        (Kind("Job", "batch/v1"), None),
    ],
)
def test_our_own_kinds(named: Kind, expected: str | None) -> None:
    found = own_kind(named)
    assert (found and found.name) == expected


def test_our_own_kinds_are_here_unless_the_template_says_otherwise() -> None:
    own, cluster = StoredObjects(FakeCluster()), StoredObjects(FakeCluster())
    connected = []

    def connect() -> StoredObjects:
        connected.append(1)
        return cluster

    keepers = Keepers(own, connect)
    assert keepers.of(Kind("cm"), TEMPLATE) is own
    assert connected == []
    assert keepers.of(Kind("cm"), ON_CLUSTER) is cluster
    assert keepers.of(Kind("Job", "batch/v1"), TEMPLATE) is cluster
    assert connected == [1]


def test_where_there_is_no_cluster_template_and_kind_are_named_and_what_to_do() -> None:
    keepers = Keepers(StoredObjects(FakeCluster()), no_cluster)
    with pytest.raises(SpecError) as caught:
        keepers.of(Kind("Job", "batch/v1"), TEMPLATE)
    assert caught.value.message == (
        "The template 'start-job' is about an object of the kind 'Job' of batch/v1, for which a cluster is needed: "
        "there is no kubeconfig."
    )
    hint = str(caught.value.hint)
    assert hint.startswith("Set KUBECONFIG.")
    assert "Workflow, WorkflowTemplate, ClusterWorkflowTemplate, CronWorkflow" in hint


def test_what_is_kept_here_knows_its_own_kinds_only() -> None:
    with pytest.raises(NotFoundError, match="'po' are not kept here"):
        StoredObjects(FakeCluster()).kind(Kind("po"))
