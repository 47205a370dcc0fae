"""What is deleted with a workflow, and what becomes of a workflow that cannot be tidied up."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tiphys.engine.model import Node, NodeType, Phase, Values, WorkflowState
from tiphys.errors import ArtifactError
from tiphys.ports.store import WorkflowBatch
from tiphys.records.base import Query
from tiphys.records.objects import ObjectKind
from tiphys.records.workflows import WorkflowRow
from tiphys.services.workflows.garbage import (
    OutputArtifact,
    artifacts_to_delete,
    claims_to_delete,
    noted,
    without_artifacts,
    without_claims,
)

BEGAN = 1_750_000_000.0
MAIN = {"name": "main", "container": {"image": "busybox", "command": ["true"]}}


def pod(name="w", **changes):
    values = {
        "id": name,
        "name": name,
        "display_name": name,
        "type": NodeType.POD,
        "phase": Phase.SUCCEEDED,
        "template": "main",
        "started_at": BEGAN,
        "finished_at": BEGAN + 1,
    }
    return Node(**{**values, **changes})


# Volume claims


def with_claims(*names, strategy=None):
    return {
        "spec": {"volumeClaimGC": {"strategy": strategy}} if strategy else {},
        "status": {"persistentVolumeClaims": [{"name": n, "persistentVolumeClaim": {"claimName": n}} for n in names]},
    }


@pytest.mark.parametrize(
    ("strategy", "phase", "expected"),
    [
        (None, "Succeeded", ["a", "b"]),
        (None, "Failed", []),
        ("OnWorkflowSuccess", "Error", []),
        ("OnWorkflowCompletion", "Failed", ["a", "b"]),
        ("OnWorkflowCompletion", "Succeeded", ["a", "b"]),
    ],
)
def test_claims_to_delete(strategy, phase, expected):
    assert claims_to_delete(with_claims("a", "b", strategy=strategy), phase) == expected
    assert claims_to_delete({"spec": {}}, phase) == []


def test_deleted_claims_are_not_listed():
    assert without_claims(with_claims("a", "b"), {"a"})["status"] == with_claims("b")["status"]


# Artifacts


def artifact(strategy=None, **more):
    return {"digest": "sha256:1", **({"artifactGC": {"strategy": strategy}} if strategy else {}), **more}


BOTH = {"OnWorkflowCompletion", "OnWorkflowDeletion"}


@pytest.mark.parametrize(
    ("own", "general", "strategies", "expected"),
    [
        (None, None, BOTH, False),
        (None, "OnWorkflowCompletion", {"OnWorkflowCompletion"}, True),
        (None, "OnWorkflowDeletion", {"OnWorkflowCompletion"}, False),
        ("Never", "OnWorkflowCompletion", BOTH, False),
        ("OnWorkflowDeletion", "OnWorkflowCompletion", {"OnWorkflowCompletion"}, False),
        ("OnWorkflowDeletion", "Never", BOTH, True),
    ],
)
def test_an_artifacts_own_strategy_goes_first(own, general, strategies, expected):
    spec = {"artifactGC": {"strategy": general}} if general else {}
    value = artifact(own)
    nodes = [pod(outputs=Values(artifacts={"out": value})), pod("other")]
    assert artifacts_to_delete(spec, nodes, strategies) == ([OutputArtifact("w", "out", value)] if expected else [])


def test_only_pods_own_artifacts_are_deleted_and_only_once():
    spec = {"artifactGC": {"strategy": "OnWorkflowCompletion"}}
    outputs = Values(artifacts={"out": artifact(), "list": [artifact()], "kept": artifact("Never")})
    node = pod(outputs=outputs)
    assert artifacts_to_delete(spec, [replace(node, type=NodeType.DAG)], BOTH) == []
    assert [one.name for one in artifacts_to_delete(spec, [node], BOTH)] == ["out"]
    after = without_artifacts(node, {"out"})
    assert after.outputs.artifacts == {**outputs.artifacts, "out": {"deleted": True}}
    assert artifacts_to_delete(spec, [after], BOTH) == []
    assert without_artifacts(pod(), {"out"}) == pod()


def test_what_became_of_artifacts_is_noted():
    first = noted({"spec": {}}, {"OnWorkflowCompletion"}, ["no", "neither"])
    condition = {"type": "ArtifactGCError", "status": "True", "message": "no; neither"}
    assert first["status"]["conditions"] == [condition]
    second = noted(first, {"OnWorkflowDeletion"}, [])["status"]
    assert second["conditions"] == []
    assert second["artifactGCStatus"]["strategiesProcessed"] == dict.fromkeys(BOTH, True)


# Deleting a workflow


@pytest.fixture
def ended(backend):
    """A workflow that has ended, with a file in the default repository as its output."""

    def call(strategy="OnWorkflowDeletion", *, key="made/out.txt", name="w", **gc):
        spec = {"entrypoint": "main", "templates": [MAIN], "artifactGC": {"strategy": strategy, **gc}}
        uid = backend.workflows.submit({"metadata": {"name": name}, "spec": spec})["metadata"]["uid"]
        out = {"path": "/x", "archive": {"none": {}}, **({"s3": {"key": key}} if key else {"raw": {"data": "fixed"}})}
        state = WorkflowState(uid, name, Phase.SUCCEEDED, "", BEGAN, BEGAN + 1)
        with backend.store.transaction() as transaction:
            transaction.save(WorkflowBatch(uid, [pod(name, outputs=Values(artifacts={"out": out}))], state))
            manifest = json.loads(transaction.get(WorkflowRow, uid).manifest)
            status = with_claims(f"{name}-work")["status"]
            transaction.update(WorkflowRow, uid, manifest=json.dumps({**manifest, "status": status}))
        claim = {"kind": "PersistentVolumeClaim", "metadata": {"name": f"{name}-work"}, "spec": {}}
        backend.objects.create(claim)
        file = backend.home / "repository" / "made" / "out.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
        return file

    return call


def left(backend):
    claims = backend.objects.find(ObjectKind.PERSISTENT_VOLUME_CLAIM)
    return [row.name for row in backend.find(Query.of(WorkflowRow))], [one["metadata"]["name"] for one in claims]


@pytest.mark.parametrize(
    ("strategy", "there"), [("OnWorkflowDeletion", False), ("OnWorkflowCompletion", False), ("Never", True)]
)
def test_a_deleted_workflow_takes_its_artifacts_and_claims_along(backend, ended, strategy, there):
    file = ended(strategy)
    backend.workflows.delete("w")
    assert file.exists() is there
    assert left(backend) == ([], [])


def test_a_workflow_is_kept_if_its_artifacts_cannot_be_deleted(backend, ended):
    ended(key="")
    with pytest.raises(ArtifactError, match=r"w is kept, .* cannot be deleted: w: .*cannot be deleted from") as caught:
        backend.workflows.delete("w")
    assert caught.value.hint.endswith("tiphys argo delete --force w")
    assert left(backend) == (["w"], ["w-work"])
    (condition,) = [
        one for one in backend.workflows.get("w")["status"]["conditions"] if one["type"] == "ArtifactGCError"
    ]
    assert condition["status"] == "True"
    assert "cannot be deleted from" in condition["message"]


def test_its_specification_may_say_that_it_goes_all_the_same(backend, ended):
    ended(key="", forceFinalizerRemoval=True)
    backend.workflows.delete("w")
    assert left(backend) == ([], [])


def test_by_force_the_artifacts_stay(backend, ended):
    file = ended()
    backend.workflows.delete("w", force=True)
    assert file.exists()
    assert left(backend) == ([], [])
