"""What the removal of unused data keeps, and what it removes."""

from __future__ import annotations

import os
import time

import pytest

from tiphys._util.times import utc_now
from tiphys.engine.model import Node, NodeType, Phase, Values
from tiphys.errors import UsageError
from tiphys.ports.store import WorkflowBatch
from tiphys.records.artifacts import ArtifactVersion
from tiphys.records.base import Query
from tiphys.records.runs import ExecutionStatus, Run
from tiphys.records.stacks import ComponentType
from tiphys.records.synchronization import Memo
from tiphys.records.workflows import WorkflowRow
from tiphys.services import artifacts
from tiphys.services.stacks import MASK, masked
from tiphys.testing.backend_contract import a_version
from tiphys.testing.playing import step_body


@pytest.fixture
def store(backend):
    return backend.stacks.component(ComponentType.ARTIFACT_STORE)


def age(store, digest, *, hours=2.0):
    moment = time.time() - hours * 3600
    os.utime(store.uri(digest), (moment, moment))


def keep(store, text, *, hours=2.0):
    tree = store.commit_bytes("f", text.encode())
    age(store, tree.digest, hours=hours)
    return tree.digest


@pytest.mark.parametrize("picture", ["x", {}, {"digest": 1}, None])
def test_a_visualization_without_a_digest_is_refused(backend, picture):
    with pytest.raises(UsageError, match=r"'p\.png' of a version of 'm'"):
        backend.artifacts.create_version(a_version(visualizations={"p.png": picture}))
    assert backend.count(Query.of(ArtifactVersion)) == 0


def test_what_nothing_points_to_is_removed(backend, store):
    unused, data, picture = (keep(store, text) for text in ("unused", "data", "picture"))
    shown = {"p.png": {"type": "image", "digest": picture}}
    version = backend.artifacts.create_version(a_version(digest=data, visualizations=shown))

    assert backend.artifacts.gc(dry_run=True) == [(unused, len("unused"))]
    assert store.exists(unused)
    assert backend.artifacts.gc(dry_run=False) == [(unused, len("unused"))]
    assert [store.exists(digest) for digest in (unused, data, picture)] == [False, True, True]

    backend.artifacts.delete_versions([version.id])
    assert sorted(digest for digest, _ in backend.artifacts.gc(dry_run=False)) == sorted([data, picture])


def test_logs_of_steps_are_kept(backend, store, play):
    log = keep(store, "log")
    play().execute(step_body("s"), result={"log_digest": log})
    assert backend.artifacts.gc(dry_run=False, grace=-60) == []


def test_what_pods_and_memories_point_to_is_kept(backend, store):
    given, made, deleted, kept = (keep(store, text) for text in ("given", "made", "deleted", "kept"))
    now = utc_now()
    node = Node(
        "w", "w", "w", NodeType.POD, Phase.SUCCEEDED, "t", started_at=1.0, finished_at=2.0,
        inputs=Values(artifacts={"in": {"digest": given}}),
        outputs=Values(artifacts={"out": [{"digest": made}], "gone": {"digest": deleted, "deleted": True}}),
    )  # fmt: skip
    with backend.store.transaction() as transaction:
        transaction.add(
            WorkflowRow(id="u", name="w", manifest="{}", created_at=now),
            Run(id="r", name="w", workflow_uid="u", status=ExecutionStatus.COMPLETED, created_at=now),
            Memo(
                id="m", cache="c", key="k", node_id="n", outputs={"artifacts": {"a": {"digest": kept}}}, created_at=now
            ),
        )
        transaction.save(WorkflowBatch("u", [node]))
    assert backend.artifacts.gc(dry_run=False) == [(deleted, len("deleted"))]


def test_what_a_running_step_has_just_stored_is_kept(backend, store):
    fresh, stored_again = keep(store, "fresh", hours=0.5), keep(store, "again")
    store.commit_bytes("f", b"again")
    assert backend.artifacts.gc(dry_run=False) == []
    assert store.exists(fresh)
    assert store.exists(stored_again)


def test_every_registered_store_is_cleaned_once(backend, store, tmp_path):
    stacks = backend.stacks
    kind = ComponentType.ARTIFACT_STORE
    stacks.register_component(kind, "b", "local", {"path": str(tmp_path / "b")})
    stacks.register_component(kind, "same", "local", {"path": str(tmp_path / "b")})
    first, second = keep(store, "one"), keep(stacks.component(kind, "b"), "two")
    assert backend.artifacts.gc(dry_run=True) == [(first, 3), (second, 3)]


def test_more_versions_than_one_page(backend, store, monkeypatch):
    monkeypatch.setattr(artifacts, "PAGE", 3)
    for number in range(8):
        backend.artifacts.create_version(a_version(digest=keep(store, f"{number}")))
    assert backend.count(Query.of(ArtifactVersion)) == 8
    assert backend.artifacts.gc(dry_run=False) == []


def test_values_of_secrets_are_not_shown():
    configuration = {"path": "/x", "api_key": "k", "password": "", "nested": {"auth_token": "t", "user": "u"}}
    assert masked(configuration) == {
        "path": "/x",
        "api_key": MASK,
        "password": "",
        "nested": {"auth_token": MASK, "user": "u"},
    }
