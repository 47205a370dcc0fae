"""Submitting, taking up, stopping, reading and deleting runs."""

from __future__ import annotations

import json
import logging

import pytest

from tiphys.engine.model import Phase
from tiphys.errors import ConflictError, NotFoundError, StoreError
from tiphys.ports.backend import ModelRequest, TagRequest
from tiphys.records.artifacts import ArtifactUse, ArtifactVersion
from tiphys.records.base import EntityType, Query
from tiphys.records.models import ModelLink
from tiphys.records.runs import ExecutionStatus, Pipeline, Run, StepRun
from tiphys.records.workflows import WorkflowRow
from tiphys.sdk.logs.files import FILE, live_path
from tiphys.services.backend import LocalBackend
from tiphys.services.submission import resolve_name
from tiphys.testing.playing import a_request, a_workflow, step_body


def row_of(backend, run):
    with backend.store.reader() as reader:
        return reader.get(WorkflowRow, run.workflow_uid)


def test_the_workflow_of_a_run(backend, host):
    run = backend.runs.submit(a_request(pipeline="Train it!", workflow=a_workflow(annotations={"a": "b"})))
    row = row_of(backend, run)
    manifest = json.loads(row.manifest)
    assert row.name.startswith("train-it-")
    assert len(row.name) == len("train-it-") + 5
    assert manifest["metadata"]["name"] == row.name
    assert manifest["metadata"]["uid"] == run.workflow_uid
    assert manifest["metadata"]["annotations"] == {"a": "b"}
    assert (row.owner, row.runner, row.phase) == (host.owner, "inline", "Pending")
    assert host.started == [run.workflow_uid]


def test_names_of_long_pipelines_fit_kubernetes(backend):
    run = backend.runs.submit(a_request(pipeline="x" * 80))
    assert len(row_of(backend, run).name) <= 63


def test_the_workflow_that_was_given_is_not_changed(backend):
    workflow = a_workflow()
    before = workflow.to_json()
    backend.runs.submit(a_request(workflow=workflow))
    assert workflow.to_json() == before


def test_a_pipeline_is_recorded_once_with_its_newest_description(backend):
    for text in ("old", "new", ""):
        backend.runs.submit(a_request(pipeline_description=text))
    (pipeline,) = backend.find(Query.of(Pipeline))
    assert pipeline.description == "new"


def test_placeholders():
    known = {"date": "2026_01_31", "city": "Ulm"}
    assert resolve_name("a-{date}-{city}-{date}", known) == "a-2026_01_31-Ulm-2026_01_31"


def test_an_interrupted_run_of_the_same_definition_is_taken_up(backend, host, caplog):
    first = backend.runs.submit(a_request(spec_digest="d"))
    host.alive.clear()
    with caplog.at_level(logging.INFO):
        again = backend.runs.submit(a_request(spec_digest="d"))
    assert again.id == first.id
    assert host.resumed == [first.workflow_uid]
    assert f"taking up interrupted run {first.name}" in caplog.text
    assert backend.count(Query.of(Run)) == 1


@pytest.mark.parametrize(
    "request_fields",
    [
        {"spec_digest": "other"},
        {"resume": False},
        {"listed": False},
        {"run_name": "another"},
        {"pipeline": "q"},
    ],
)
def test_what_does_not_take_up_a_run(backend, host, request_fields):
    first = backend.runs.submit(a_request(spec_digest="d"))
    host.alive.clear()
    assert backend.runs.submit(a_request(**{"spec_digest": "d", **request_fields})).id != first.id


def test_a_run_that_is_worked_on_or_ended_is_not_taken_up(backend, host, play):
    first = play(a_request(spec_digest="d"))
    assert backend.runs.submit(a_request(spec_digest="d", resume=True)).id != first.run.id
    first.state(Phase.SUCCEEDED)
    host.alive.clear()
    with backend.store.transaction() as transaction:
        (unfinished,) = transaction.find(Query.of(Run, status=ExecutionStatus.INITIALIZING))
        transaction.update(Run, unfinished.id, status=ExecutionStatus.PAUSED)
    assert backend.runs.submit(a_request(spec_digest="d")).id not in (first.run.id, unfinished.id)


def test_interrupted_runs_can_be_resumed_by_hand(backend, host, play):
    played = play()
    assert not backend.runs.is_interrupted(played.run)
    host.alive.clear()
    assert backend.runs.is_interrupted(played.run)
    assert backend.runs.resume(played.run.name).id == played.run.id
    assert host.resumed == [played.uid]
    played.state(Phase.SUCCEEDED)
    assert not backend.runs.is_interrupted(played.run)
    with pytest.raises(ConflictError, match="has ended already"):
        backend.runs.resume(played.run.id)


def test_stopping(backend, host, play):
    played = play()
    backend.runs.stop(played.run.name)
    backend.runs.stop(played.run.name, graceful=True)
    assert host.shut == [(played.uid, "Terminate"), (played.uid, "Drain")]
    played.state(Phase.SUCCEEDED)
    with pytest.raises(ConflictError, match="has ended already"):
        backend.runs.stop(played.run.name)


def test_an_observer_sees_the_run_as_it_is(backend):
    run = backend.runs.submit(a_request())
    seen = []
    backend.runs.wait(run.id, lambda run, nodes: seen.append((run.status, list(nodes))))
    assert seen == [(ExecutionStatus.RUNNING, [])]


def test_deleting_a_run_leaves_its_artifact_versions(backend, play):
    played = play(a_request(model=ModelRequest(name="m"), tags=(TagRequest(name="t"),)))
    played.execute(step_body("s"), result={"metadata": {"a": 1}})
    played.state(Phase.SUCCEEDED)
    (step,) = backend.runs.steps(played.run.id)
    run_id = played.run.id
    backend.runs.delete(played.run.name)
    with pytest.raises(NotFoundError):
        backend.runs.get(run_id)
    for kind in (StepRun, ArtifactUse):
        assert backend.count(Query.of(kind)) == 0
    assert [link.target_type for link in backend.find(Query.of(ModelLink))] == ["artifact_version"]
    assert backend.labels.metadata_of(EntityType.STEP_RUN, [step.id]) == {step.id: {}}
    assert row_of(backend, played.submitted) is None
    (version,) = backend.find(Query.of(ArtifactVersion))
    assert backend.artifacts.delete_versions([version.id]) == 1


def test_versions_that_a_run_uses_stay(backend, play):
    event = play().execute(step_body("s"))
    unused = backend.find(Query.of(ArtifactVersion))[0]
    assert unused.id == event.outputs.artifacts["output"]["version_id"]
    assert backend.artifacts.delete_versions([unused.id]) == 0


def test_the_log_of_a_step_while_it_runs_and_afterwards(backend, play):
    played = play()
    line = "2026-01-31T12:00:00.000000Z stdout "
    tasks = [played.launch(played.task(step_body(name))) for name in ("a", "b")]
    live = live_path(backend.home, played.run.id, "a", 0)
    live.parent.mkdir(parents=True)
    live.write_text(f"{line}one\n{line}two\n{line[:20]}")
    assert list(backend.runs.logs(played.run.id)) == [("a", "one"), ("a", "two")]
    stored = played.artifacts.commit_bytes(FILE, f"{line}one\n{line}two\n{line}three\n".encode()).digest
    live.unlink()
    played.succeed(tasks[0], result={"log_digest": stored})
    other = played.artifacts.commit_bytes(FILE, f"{line}of b\n".encode()).digest
    played.succeed(tasks[1], result={"log_digest": other})
    assert list(backend.runs.logs(played.run.name, step="a")) == [("a", "one"), ("a", "two"), ("a", "three")]
    played.state(Phase.SUCCEEDED)
    followed = list(backend.runs.logs(played.run.id, follow=True))
    assert followed == [("a", "one"), ("a", "two"), ("a", "three"), ("b", "of b")]
    with pytest.raises(NotFoundError, match="no step 'c'") as caught:
        backend.runs.logs(played.run.id, step="c")
    assert caught.value.hint == "It has: a, b."


def test_a_followed_log_goes_on_where_it_was(backend, play, monkeypatch):
    played = play()
    line = "2026-01-31T12:00:00.000000Z stdout "
    task = played.launch(played.task(step_body("a")))
    live = live_path(backend.home, played.run.id, "a", 0)
    live.parent.mkdir(parents=True)
    live.write_text(f"{line}one\n")

    def meanwhile(_seconds):
        stored = played.artifacts.commit_bytes(FILE, f"{line}one\n{line}two\n".encode()).digest
        live.unlink()
        played.succeed(task, result={"log_digest": stored})
        played.state(Phase.SUCCEEDED)

    monkeypatch.setattr("tiphys.services.runs.time.sleep", meanwhile)
    assert list(backend.runs.logs(played.run.id, follow=True)) == [("a", "one"), ("a", "two")]


def test_without_an_engine_runs_can_only_be_read(backend, play):
    run = play().run
    reading = LocalBackend(backend.store, home=backend.home)
    assert reading.runs.get(run.id).name == run.name
    with pytest.raises(StoreError, match="no engine"):
        reading.runs.submit(a_request())


def test_a_live_log_is_read_by_its_own_lines_and_to_the_last_whole_one(backend, play):
    played = play()
    played.launch(played.task(step_body("a")))
    line = "2026-01-31T12:00:00.000000Z stdout "
    live = live_path(backend.home, played.run.id, "a", 0)
    live.parent.mkdir(parents=True)
    live.write_bytes(f"{line}one\ftwo\u2028three\n{line}ü".encode()[:-1])
    assert list(backend.runs.logs(played.run.id)) == [("a", "one\ftwo\u2028three")]
