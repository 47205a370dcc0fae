"""What is removed of a workflow, when, and what stays.

The table of podGC is that of argo-workflows, workflow/controller/pod/cleanup_test.go.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import pytest

from tiphys._util.times import from_epoch
from tiphys.controller.cleaning import (
    Cleaner,
    PodOwner,
    expiry,
    pods_to_delete,
)
from tiphys.db.store import open_store
from tiphys.engine.model import Node, NodeType, Phase, Values, WorkflowState
from tiphys.errors import ArtifactError, NotFoundError, SpecError
from tiphys.integrations.local.pods.folder import PodFolder
from tiphys.plugins import artifact_drivers
from tiphys.ports.clock import Clock
from tiphys.ports.store import WorkflowBatch
from tiphys.ports.workflows import SubmitOptions
from tiphys.records.base import Query
from tiphys.records.objects import ObjectKind
from tiphys.records.workflows import WorkflowRow, WorkflowSummary
from tiphys.services.backend import LocalBackend
from tiphys.services.workflows.pods import log_of
from tiphys.testing.playing import IdleHost

BEGAN = 1_750_000_000.0
ENDED = BEGAN + 60
MAIN = {"name": "main", "container": {"image": "busybox", "command": ["true"]}}


def pod(name="w", phase=Phase.SUCCEEDED, **changes):
    values = {
        "id": name,
        "name": name,
        "display_name": name,
        "type": NodeType.POD,
        "phase": phase,
        "template": "main",
        "started_at": BEGAN,
        "finished_at": ENDED if phase.fulfilled else None,
    }
    return Node(**{**values, **changes})


# Time to live


@pytest.mark.parametrize(
    ("ttl", "phase", "seconds"),
    [
        (None, "Succeeded", None),
        ({}, "Succeeded", None),
        ({"secondsAfterCompletion": 5}, "Succeeded", 5),
        ({"secondsAfterCompletion": 5}, "Failed", 5),
        ({"secondsAfterCompletion": 5}, "Error", 5),
        ({"secondsAfterCompletion": 5, "secondsAfterSuccess": 2, "secondsAfterFailure": 3}, "Succeeded", 2),
        ({"secondsAfterCompletion": 5, "secondsAfterSuccess": 2, "secondsAfterFailure": 3}, "Failed", 3),
        ({"secondsAfterCompletion": 5, "secondsAfterSuccess": 2, "secondsAfterFailure": 3}, "Error", 5),
        ({"secondsAfterSuccess": 0}, "Succeeded", 0),
        ({"secondsAfterSuccess": 2}, "Failed", None),
        ({"secondsAfterFailure": 3}, "Error", None),
        ({"secondsAfterCompletion": 10**15}, "Error", 10**15),
    ],
)
def test_time_to_live(ttl, phase, seconds):
    found = expiry({"ttlStrategy": ttl}, phase, ENDED)
    assert found == (None if seconds is None else ENDED + seconds)


# Pods


def owner(strategy, phase="Running", **gc):
    finished = ENDED if phase != "Running" else None
    spec = {"podGC": {"strategy": strategy, **gc}, "podMetadata": {"labels": {"team": "x"}}}
    templates = {"main": {"metadata": {"labels": {"app": "a"}}}}
    return PodOwner(name="w", phase=phase, finished_at=finished, spec=spec, templates=templates)


@pytest.mark.parametrize(
    ("strategy", "workflow", "phase", "expected"),
    [
        ("", "Running", Phase.SUCCEEDED, False),
        ("", "Succeeded", Phase.FAILED, False),
        ("OnWorkflowSuccess", "Running", Phase.SUCCEEDED, False),
        ("OnWorkflowSuccess", "Running", Phase.FAILED, False),
        ("OnWorkflowSuccess", "Succeeded", Phase.SUCCEEDED, True),
        ("OnWorkflowSuccess", "Succeeded", Phase.FAILED, True),
        ("OnWorkflowSuccess", "Failed", Phase.SUCCEEDED, False),
        ("OnWorkflowSuccess", "Failed", Phase.FAILED, False),
        ("OnWorkflowCompletion", "Running", Phase.SUCCEEDED, False),
        ("OnWorkflowCompletion", "Running", Phase.FAILED, False),
        ("OnWorkflowCompletion", "Succeeded", Phase.SUCCEEDED, True),
        ("OnWorkflowCompletion", "Succeeded", Phase.FAILED, True),
        ("OnWorkflowCompletion", "Failed", Phase.SUCCEEDED, True),
        ("OnWorkflowCompletion", "Failed", Phase.FAILED, True),
        ("OnPodSuccess", "Running", Phase.SUCCEEDED, True),
        ("OnPodSuccess", "Running", Phase.FAILED, False),
        ("OnPodSuccess", "Failed", Phase.SUCCEEDED, True),
        ("OnPodSuccess", "Failed", Phase.FAILED, False),
        ("OnPodCompletion", "Running", Phase.SUCCEEDED, True),
        ("OnPodCompletion", "Running", Phase.FAILED, True),
        ("OnPodCompletion", "Running", Phase.RUNNING, False),
        ("OnPodCompletion", "Succeeded", Phase.FAILED, True),
    ],
)
def test_pods_to_delete(strategy, workflow, phase, expected):
    found = pods_to_delete(owner(strategy, workflow), [pod(phase=phase)], ENDED + 5)
    assert [node.id for node in found] == ["w"] * expected


def test_a_pod_is_kept_for_a_while():
    assert pods_to_delete(owner("OnPodCompletion"), [pod()], ENDED + 4.9) == []
    assert len(pods_to_delete(owner("OnPodCompletion", deleteDelayDuration="0s"), [pod()], ENDED)) == 1
    assert pods_to_delete(owner("OnPodCompletion", deleteDelayDuration="1m"), [pod()], ENDED + 59) == []
    assert pods_to_delete(owner("OnPodCompletion"), [pod(daemoned=True), pod(type=NodeType.DAG)], ENDED + 9) == []


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({"matchLabels": {"app": "a", "team": "x", "workflows.argoproj.io/workflow": "w"}}, True),
        ({"matchLabels": {"app": "b"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "b"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["a"]}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_a_label_selector_chooses_pods(selector, expected):
    found = pods_to_delete(owner("OnPodCompletion", labelSelector=selector), [pod()], ENDED + 9)
    assert bool(found) is expected


def test_an_unknown_operator_of_a_label_selector():
    selector = {"matchExpressions": [{"key": "app", "operator": "Like"}]}
    with pytest.raises(SpecError, match="no operator 'Like'"):
        pods_to_delete(owner("OnPodCompletion", labelSelector=selector), [], ENDED)


# Carrying it out


class Hands(Clock):
    """A clock that a test sets."""

    time = ENDED + 1

    def now(self):
        return self.time


@pytest.fixture
def backend(tmp_path):
    made = LocalBackend(open_store(f"sqlite:///{tmp_path / 'tiphys.db'}"), home=tmp_path, host=IdleHost())
    yield made
    made.close()


@pytest.fixture
def clock():
    return Hands()


@pytest.fixture
def cleaner(backend, clock):
    return Cleaner(backend, clock=clock)


@pytest.fixture
def run(backend):
    """Submits a workflow and carries it to a phase."""

    def call(phase="Succeeded", *, name="w", nodes=None, status=None, **spec):
        manifest = {"metadata": {"name": name}, "spec": {"entrypoint": "main", "templates": [MAIN], **spec}}
        uid = backend.workflows.submit(manifest, SubmitOptions())["metadata"]["uid"]
        carry(uid, phase, nodes if nodes is not None else [pod(name)], name, status)
        return uid

    def carry(uid, phase, nodes=(), name="w", status=None):
        state = WorkflowState(uid, name, Phase(phase), "", BEGAN, ENDED if Phase(phase).fulfilled else None)
        with backend.store.transaction() as transaction:
            transaction.save(WorkflowBatch(uid, nodes, state))
            row = transaction.get(WorkflowRow, uid)
            if status is not None:
                manifest = {**json.loads(row.manifest), "status": status}
                transaction.update(WorkflowRow, uid, manifest=json.dumps(manifest))

    call.carry = carry
    return call


class Place:
    """Stands for a driver: what it holds, and what it cannot delete."""

    deleted: ClassVar[list[str]] = []
    broken: ClassVar[set[str]] = set()

    def __init__(self, secrets) -> None:
        self.secrets = secrets

    def delete(self, found):
        if found.s3.key in self.broken:
            raise ArtifactError(f"{found.name} cannot be deleted")
        selector = found.s3.access_key_secret
        secret = f":{self.secrets(selector)}" if selector is not None else ""
        self.deleted.append(found.s3.key + secret)


@pytest.fixture
def place(monkeypatch):
    monkeypatch.setattr(Place, "deleted", [])
    monkeypatch.setattr(Place, "broken", set())
    monkeypatch.setattr(artifact_drivers, "driver_of", lambda _, secrets: Place(secrets))
    return Place


def left(backend):
    return sorted(row.name for row in backend.find(Query.of(WorkflowSummary)))


def test_a_workflow_lives_as_long_as_it_says(backend, cleaner, clock, run, caplog):
    caplog.set_level("INFO", "tiphys.controller")
    run(ttlStrategy={"secondsAfterSuccess": 10})
    run("Failed", name="f", ttlStrategy={"secondsAfterSuccess": 10})
    run("Running", name="r", ttlStrategy={"secondsAfterCompletion": 0})
    run(name="plain")
    cleaner.clean()
    assert left(backend) == ["f", "plain", "r", "w"]
    clock.time = ENDED + 10
    cleaner.clean()
    assert left(backend) == ["f", "plain", "r"]
    assert "workflow default/w: deleted" in caplog.text


def test_a_stored_template_may_say_it(backend, cleaner, clock, run):
    spec = {"entrypoint": "main", "templates": [MAIN], "ttlStrategy": {"secondsAfterCompletion": 3}}
    backend.objects.create({"kind": "WorkflowTemplate", "metadata": {"name": "t"}, "spec": spec})
    manifest = {"metadata": {"name": "w"}, "spec": {"workflowTemplateRef": {"name": "t"}}}
    run.carry(backend.workflows.submit(manifest)["metadata"]["uid"], "Succeeded")
    clock.time = ENDED + 3
    cleaner.clean()
    assert left(backend) == []


def test_a_retry_begins_a_new_life(backend, cleaner, clock, run):
    uid = run("Failed", ttlStrategy={"secondsAfterCompletion": 10})
    cleaner.clean()
    with backend.store.transaction() as transaction:
        transaction.update(WorkflowRow, uid, phase="Running", finished_at=None)
    clock.time = ENDED + 20
    cleaner.clean()
    assert left(backend) == ["w"]
    with backend.store.transaction() as transaction:
        transaction.update(WorkflowRow, uid, phase="Succeeded", finished_at=from_epoch(ENDED + 19))
    cleaner.clean()
    assert left(backend) == ["w"]
    clock.time = ENDED + 29
    cleaner.clean()
    assert left(backend) == []


def with_claims(*names, strategy=None):
    return {
        "spec": {"volumeClaimGC": {"strategy": strategy}} if strategy else {},
        "status": {"persistentVolumeClaims": [{"name": n, "persistentVolumeClaim": {"claimName": n}} for n in names]},
    }


def test_claims_go_with_a_success(backend, cleaner, clock, run, tmp_path):
    for name in ("w-work", "f-work", "mine"):
        backend.objects.create({"kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": {}})
    run(status=with_claims("w-work", "lost")["status"])
    uid = run("Failed", name="f", status=with_claims("f-work")["status"], ttlStrategy={"secondsAfterFailure": 9})
    cleaner.clean()

    def claims():
        return [one["metadata"]["name"] for one in backend.objects.find(ObjectKind.PERSISTENT_VOLUME_CLAIM)]

    assert claims() == ["f-work", "mine"]
    assert not (tmp_path / "volumes/default/w-work").exists()
    assert "persistentVolumeClaims" not in backend.workflows.get("w")["status"]
    assert backend.workflows.get("f", uid=uid)["status"]["persistentVolumeClaims"]
    clock.time = ENDED + 9
    cleaner.clean()
    assert claims() == ["mine"]


def s3(key, strategy=None, **more):
    location = {"bucket": "b", "endpoint": "e", "key": key, **more}
    return {"path": "/x", "s3": location, **({"artifactGC": {"strategy": strategy}} if strategy else {})}


def test_artifacts_go_at_the_end_or_with_the_workflow(backend, cleaner, clock, run, place):
    secret = {"kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "open"}}
    backend.objects.create(secret)
    outputs = {
        "a": s3("at-end", accessKeySecret={"name": "s", "key": "k"}),
        "b": s3("with-it", "OnWorkflowDeletion"),
        "c": s3("never", "Never"),
        "d": {"digest": "sha256:1"},
    }
    nodes = [pod(outputs=Values(artifacts=outputs))]
    uid = run(nodes=nodes, artifactGC={"strategy": "OnWorkflowCompletion"}, ttlStrategy={"secondsAfterCompletion": 10})
    cleaner.clean()
    assert place.deleted == ["at-end:open"]
    with backend.store.reader() as reader:
        found = reader.load_nodes(uid)[0].outputs.artifacts
    assert [name for name, value in found.items() if value.get("deleted")] == ["a", "d"]
    assert "digest" not in found["d"]
    status = backend.workflows.get("w")["status"]
    assert status["artifactGCStatus"] == {"strategiesProcessed": {"OnWorkflowCompletion": True}}
    Cleaner(backend, clock=clock).clean()
    assert place.deleted == ["at-end:open"]
    clock.time = ENDED + 10
    cleaner.clean()
    assert place.deleted == ["at-end:open", "with-it"]
    assert left(backend) == []


def test_a_workflow_whose_artifacts_cannot_be_deleted_is_kept(backend, cleaner, clock, run, place):
    place.broken.add("bad")
    nodes = [pod(outputs=Values(artifacts={"x": s3("bad"), "y": s3("good")}))]
    gc = {"strategy": "OnWorkflowDeletion"}
    run(nodes=nodes, artifactGC=gc, ttlStrategy={"secondsAfterCompletion": 0})
    cleaner.clean()
    cleaner.clean()
    assert place.deleted == ["good"]
    conditions = backend.workflows.get("w")["status"]["conditions"]
    expected = {"type": "ArtifactGCError", "status": "True", "message": "w: x cannot be deleted"}
    assert expected in conditions
    place.broken.clear()
    Cleaner(backend, clock=clock).clean()
    assert (place.deleted, left(backend)) == (["good", "bad"], [])
    place.broken.add("bad")
    gc = {**gc, "forceFinalizerRemoval": True}
    run(nodes=nodes, artifactGC=gc, ttlStrategy={"secondsAfterCompletion": 0})
    cleaner.clean()
    assert left(backend) == []


def test_an_artifact_that_failed_at_the_end_is_tried_again_with_the_workflow(backend, cleaner, clock, run, place):
    place.broken.add("bad")
    nodes = [pod(outputs=Values(artifacts={"x": s3("bad")}))]
    run(nodes=nodes, artifactGC={"strategy": "OnWorkflowCompletion"}, ttlStrategy={"secondsAfterCompletion": 9})
    cleaner.clean()
    place.broken.clear()
    cleaner.clean()
    assert place.deleted == []
    clock.time = ENDED + 9
    cleaner.clean()
    assert (place.deleted, left(backend)) == (["bad"], [])


def test_logs_and_folders_of_pods_go(backend, cleaner, clock, run, tmp_path):
    nodes = [pod("w"), pod("w-1", Phase.RUNNING), pod("w-12")]
    uid = run("Running", nodes=nodes, podGC={"strategy": "OnPodCompletion"})
    logs = [log_of(tmp_path, uid, name, container) for name in ("w", "w-1", "w-12") for container in ("main", "side")]
    logs[0].parent.mkdir(parents=True, exist_ok=True)
    folders = [Path(PodFolder(str(tmp_path), f"{uid}/{node.id}/0").path) for node in nodes]
    for log in logs:
        log.write_text("x")
    for folder in folders:
        folder.mkdir(parents=True)
    cleaner.clean()
    assert all(log.exists() for log in logs)
    clock.time = ENDED + 5
    cleaner.clean()
    assert [log.name for log in logs if log.exists()] == ["w-1", "w-1.side"]
    assert [folder.exists() for folder in folders] == [False, True, False]
    run.carry(uid, "Succeeded", [pod("w-1")])
    cleaner.clean()
    assert not any(log.exists() for log in logs)
    assert not folders[1].exists()
    assert left(backend) == ["w"]


def test_what_fails_for_one_does_not_keep_the_others(backend, cleaner, clock, run, caplog):
    uid = run(name="bad", ttlStrategy={"secondsAfterCompletion": 0})
    run(name="good", ttlStrategy={"secondsAfterCompletion": 0})
    with backend.store.transaction() as transaction:
        row = transaction.get(WorkflowRow, uid)
        manifest = json.loads(row.manifest)
        manifest["spec"]["podGC"] = {"strategy": "OnPodCompletion", "deleteDelayDuration": "soon"}
        transaction.update(WorkflowRow, uid, manifest=json.dumps(manifest))
    cleaner.clean()
    assert left(backend) == ["bad"]
    assert "workflow default/bad: cannot be cleaned up: 'soon' is not a duration" in caplog.text


def test_what_another_process_deleted_is_gone(backend, cleaner, run):
    run()
    (row,) = backend.find(Query.of(WorkflowSummary))
    backend.workflows.delete("w")
    assert cleaner.delete(row)
    with pytest.raises(NotFoundError):
        backend.workflows.get("w")
