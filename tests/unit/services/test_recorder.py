"""What a run leaves behind, and when a step is answered from an earlier one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tiphys.engine.events import TaskFinished
from tiphys.engine.model import Phase, Reason
from tiphys.errors import UsageError
from tiphys.ports.backend import ModelRequest, TagRequest
from tiphys.ports.clock import Clock
from tiphys.ports.runner import Task
from tiphys.records.artifacts import Artifact, ArtifactUse, ArtifactVersion
from tiphys.records.base import EntityType, Query
from tiphys.records.models import ModelLink
from tiphys.records.runs import ExecutionStatus, StepRun
from tiphys.records.stacks import ComponentType
from tiphys.services.recorder import MLRecorder
from tiphys.testing.playing import BEGAN, a_request, a_workflow, step_body, step_template


def statuses(backend, played):
    return [(step.name, step.version, step.status.value) for step in backend.runs.steps(played.run.id)]


def versions_of(backend, name):
    return [version.version for version in backend.find(Query.of(ArtifactVersion, name=name, order="id"))]


# What is written down ------------------------------------------------------------------------------------------------


def test_an_executed_step_leaves_its_step_run_version_and_lineage(backend, play):
    played = play()
    load = played.execute(step_body("load"), values={"output": [1, 2]})
    train = step_body("train_model", inputs={"data": {"kind": "artifact"}, "rate": {"kind": "parameter"}})
    played.execute(train, artifacts={"data": load.outputs.artifacts["output"]}, parameters={"rate": 0.5})
    played.state(Phase.SUCCEEDED)

    first, second = backend.runs.steps(played.run.id)
    assert (first.name, second.name) == ("load", "train_model")
    assert second.status is ExecutionStatus.COMPLETED
    assert second.parameters == {"rate": 0.5}
    assert second.finished_at - second.started_at == timedelta(seconds=1)
    assert (second.source, second.code_digest) == ("project:train_model", "1")
    (version,) = backend.find(Query.of(ArtifactVersion, name="p::load::output"))
    assert (version.version, version.number, version.run_id) == ("1", 1, played.run.id)
    assert version.producer_step_run_id == first.id
    uses = backend.find(Query.of(ArtifactUse, step_run_id=second.id, direction="in"))
    assert [(use.name, use.artifact_version_id) for use in uses] == [("data", version.id)]
    assert played.run.status is ExecutionStatus.COMPLETED
    assert played.run.finished_at is not None


def test_versions_count_up_from_run_to_run(backend, play):
    for _ in range(3):
        play().execute(step_body("s", cache=False))
    assert versions_of(backend, "p::s::output") == ["1", "2", "3"]


def test_default_names_are_not_custom(backend, play):
    body = step_body("s", outputs=())
    body["outputs"] = [{"name": "a", "artifact_name": "mine"}, {"name": "b", "artifact_name": None}]
    play().execute(body)
    artifacts = backend.find(Query.of(Artifact, order="id"))
    assert [(one.name, one.has_custom_name) for one in artifacts] == [("mine", True), ("p::s::b", False)]


def test_every_item_of_a_list_is_an_input_of_its_parameter(backend, play):
    played = play()
    refs = [played.execute(step_body(name)).outputs.artifacts["output"] for name in ("a", "b", "c")]
    reducer = step_body("reduce", inputs={"xs": {"kind": "list", "length": 2}, "ys": {"kind": "artifacts"}})
    played.execute(reducer, artifacts={"xs-0": refs[0], "xs-1": refs[1], "ys": [refs[1], refs[2]]})
    step = backend.runs.steps(played.run.id)[-1]
    uses = backend.find(Query.of(ArtifactUse, step_run_id=step.id, direction="in", order="id"))
    ids = [ref["version_id"] for ref in refs]
    assert [(use.name, ids.index(use.artifact_version_id)) for use in uses] == [
        ("xs", 0),
        ("xs", 1),
        ("ys", 1),
        ("ys", 2),
    ]


def test_an_artifact_from_outside_is_an_input_too(backend, play):
    played = play()
    ref = played.execute(step_body("a")).outputs.artifacts["output"]
    taking = step_body("b", inputs={"x": {"kind": "external", "ref": ref}})
    played.execute(taking)
    step = backend.runs.steps(played.run.id)[-1]
    (use,) = backend.find(Query.of(ArtifactUse, step_run_id=step.id, direction="in"))
    assert (use.name, use.artifact_version_id) == ("x", ref["version_id"])


def test_attempts_are_versions_and_the_failure_is_the_runs_message(backend, play):
    played = play()
    body = step_body("flaky")
    for attempt in range(2):
        played.fail(played.launch(played.task(body, attempt=attempt)), "boom\nmore", retried=attempt == 0)
    played.state(Phase.FAILED, message="child 'p-1' failed")
    assert statuses(backend, played) == [("flaky", 1, "retried"), ("flaky", 2, "failed")]
    assert backend.runs.steps(played.run.id)[-1].exception["message"] == "boom\nmore"
    assert (played.run.status.value, played.run.message) == ("failed", "step 'flaky' failed: ValueError: boom")


def test_steps_that_ended_without_a_report(backend, play):
    slow, late, after = step_body("slow"), step_body("late"), step_body("after")
    played = play(a_request(workflow=a_workflow(*map(step_template, (slow, late, after)))))
    for body in (slow, late):
        played.launch(played.task(body))
    played.node("late", Phase.FAILED, reason=Reason.TIMED_OUT, message="over 3s")
    played.node("slow", Phase.FAILED, reason=Reason.STOPPED)
    for _ in range(2):  # a node may change again after it was skipped
        played.node("after", Phase.OMITTED)
    played.state(Phase.FAILED)
    assert statuses(backend, played) == [("slow", 1, "stopped"), ("late", 1, "failed"), ("after", 1, "skipped")]
    assert played.run.message == "step 'late' failed: StepTimeoutError: over 3s"


def test_a_stopped_run_stops_what_still_ran(backend, play):
    played = play()
    played.launch(played.task(step_body("slow")))
    played.state(Phase.RUNNING, shutdown="Terminate")
    assert played.run.status is ExecutionStatus.STOPPING
    played.state(Phase.FAILED, shutdown="Terminate", message="Stopped with strategy 'Terminate'")
    assert statuses(backend, played) == [("slow", 1, "stopped")]
    assert played.run.status is ExecutionStatus.STOPPED


def test_names_of_steps(backend, play):
    played = play(a_request(workflow=a_workflow(annotations={"tiphys.dev/step-names": '{"step-a-b": "a-b"}'})))
    played.execute(step_body("a_b"), "a-b")
    played.execute(step_body("other"), "step-a-b")
    played.execute(step_body("work"), "work(3:x)")
    assert [step.name for step in backend.runs.steps(played.run.id)] == ["a_b", "a-b", "work(3)"]


def test_metadata_and_tags_of_a_report(backend, play):
    played = play()
    result = {
        "metadata": {"loss": 0.5},
        "other_metadata": (("run", played.run.id, {"city": "Ulm"}),),
        "tags": (("run", played.run.id, "good"),),
    }
    outputs = {"metadata": {"rows": 3}, "tags": ("fresh",)}
    event = played.execute(step_body("s"), result=result, outputs=outputs)
    version_id = event.outputs.artifacts["output"]["version_id"]
    (step,) = backend.runs.steps(played.run.id)
    labels = backend.labels
    assert labels.metadata_of(EntityType.STEP_RUN, [step.id]) == {step.id: {"loss": 0.5}}
    assert labels.metadata_of(EntityType.RUN, [played.run.id]) == {played.run.id: {"city": "Ulm"}}
    assert labels.metadata_of(EntityType.ARTIFACT_VERSION, [version_id]) == {version_id: {"rows": 3}}
    assert labels.tags_of(EntityType.ARTIFACT_VERSION, [version_id]) == {version_id: ["fresh"]}
    assert labels.tags_of(EntityType.RUN, [played.run.id]) == {played.run.id: ["good"]}


def test_an_exclusive_tag_of_an_output_moves_to_the_newest_version(backend, play):
    backend.labels.ensure_tag(TagRequest(name="best", exclusive=True))
    ids = [
        play()
        .execute(step_body("s", cache=False), outputs={"tags": ("best",)})
        .outputs.artifacts["output"]["version_id"]
        for _ in range(2)
    ]
    assert backend.labels.tags_of(EntityType.ARTIFACT_VERSION, ids) == {ids[0]: [], ids[1]: ["best"]}


def test_cascading_tags_of_the_run_are_put_on_its_outputs_cached_ones_too(backend, play):
    tagged = {"tags": (TagRequest(name="q3", cascade=True), TagRequest(name="plain"))}
    first = play().execute(step_body("s"))
    again = play(a_request(**tagged)).execute(step_body("s"))
    fresh = play(a_request(**tagged)).execute(step_body("t"))
    assert again.reason is Reason.CACHED
    ids = [event.outputs.artifacts["output"]["version_id"] for event in (first, fresh)]
    assert backend.labels.tags_of(EntityType.ARTIFACT_VERSION, ids) == {ids[0]: ["q3"], ids[1]: ["q3"]}


def test_outputs_belong_to_the_model_version_cached_ones_too(backend, play):
    model = ModelRequest(name="m")
    runs = [play(a_request(model=model)) for _ in range(2)]
    events = [played.execute(step_body("s")) for played in runs]
    again = play(a_request(model=ModelRequest(name="m", version="latest"))).execute(step_body("s"))
    assert [event.reason for event in (*events, again)] == [Reason.NONE, Reason.CACHED, Reason.CACHED]
    version_id = events[0].outputs.artifacts["output"]["version_id"]
    links = backend.find(Query.of(ModelLink, target_id=version_id, order="id"))
    versions = [backend.models.get_version("m", number).id for number in (1, 2)]
    assert [link.model_version_id for link in links] == versions
    (step,) = backend.runs.steps(runs[1].run.id)
    assert step.model_version_id == versions[1]


def test_a_step_may_have_a_model_of_its_own(backend, play):
    models = {"model": ModelRequest(name="m"), "step_models": {"special": ModelRequest(name="other")}}
    played = play(a_request(**models))
    tasks = [played.launch(played.task(step_body(name))) for name in ("usual", "special")]
    assert [task.context["model"]["name"] for task in tasks] == ["m", "other"]
    ids = [played.succeed(task).outputs.artifacts["output"]["version_id"] for task in tasks]
    linked = {link.target_id: link.model_version_id for link in backend.find(Query.of(ModelLink, target_id=ids))}
    assert linked == {ids[0]: backend.models.get_version("m").id, ids[1]: backend.models.get_version("other").id}


# What a task is told -------------------------------------------------------------------------------------------------


def test_the_context_of_a_task(backend, play):
    request = a_request(model=ModelRequest(name="m"), tags=(TagRequest(name="t"),), substitutions={"city": "Ulm"})
    played = play(request)
    context = played.launch(played.task(step_body("s"), attempt=0)).context
    (step,) = backend.runs.steps(played.run.id)
    version = backend.models.get_version("m")
    assert context["step_run_id"] == step.id
    assert context["run_id"] == played.run.id
    assert (context["pipeline_name"], context["step_name"], context["attempt"]) == ("p", "s", 0)
    assert (context["workspace"], context["stack"], context["tags"]) == ("default", "default", ["t"])
    assert context["substitutions"] == {"city": "Ulm"}
    assert (context["home"], context["db_url"]) == (str(backend.home), backend.db_url)
    assert context["model"] == {
        "id": version.model_id,
        "name": "m",
        "version_id": version.id,
        "number": 1,
        "version": "1",
    }
    (store,) = context["components"]["artifact_store"]
    assert store["implementation"] == "tiphys.integrations.local.artifact_store:LocalArtifactStore"
    assert store["config"] == {"path": str(backend.home / "artifacts")}


def test_after_a_crash_the_same_step_run_goes_on(backend, play):
    played = play()
    body = step_body("s")
    task = played.task(body)
    before = played.launch(task)
    played.recorder = MLRecorder(backend)  # another process
    (again,) = played.recorder.describe([task])
    assert again.context == before.context
    played.succeed(again)
    assert statuses(backend, played) == [("s", 1, "completed")]
    (step,) = backend.runs.steps(played.run.id)
    assert step.cache_key is not None
    assert versions_of(backend, "p::s::output") == ["1"]


def test_a_report_of_an_earlier_owners_task_is_recorded_without_having_been_described(backend, play):
    played = play()
    task = played.launch(played.task(step_body("s")))
    played.recorder = MLRecorder(backend)
    played.succeed(task)
    assert statuses(backend, played) == [("s", 1, "completed")]


def test_tasks_of_other_templates_are_told_of_their_workflow_and_not_recorded(backend, play):
    played = play()
    task = played.task(step_body("s"))
    plain = replace(task, body={"name": "t", "container": {"image": "alpine"}})
    launched = played.launch(plain)
    assert replace(launched, context={}) == plain
    assert launched.context["namespace"] == "default"
    assert launched.context["log"].startswith(str(backend.home))
    played.finish(plain, TaskFinished(plain.id, Phase.SUCCEEDED))
    assert backend.runs.steps(played.run.id) == []


# The cache -----------------------------------------------------------------------------------------------------------


def test_a_hit_has_the_same_version_and_is_not_executed(backend, play):
    first = play()
    original = first.execute(step_body("s"), values={"output": 7})
    for _ in range(2):
        played = play()
        event = played.launch(played.task(step_body("s")))
        assert isinstance(event, TaskFinished)
        assert (event.phase, event.reason) == (Phase.SUCCEEDED, Reason.CACHED)
        assert event.outputs.artifacts == original.outputs.artifacts
        (step,) = backend.runs.steps(played.run.id)
        assert step.status is ExecutionStatus.CACHED
        assert step.original_step_run_id == backend.runs.steps(first.run.id)[0].id
    assert versions_of(backend, "p::s::output") == ["1"]


@pytest.mark.parametrize(
    "changed",
    [
        {"code": "2"},
        {"cache": False},
        {"outputs": ("other",)},
    ],
)
def test_what_misses(play, changed):
    play().execute(step_body("s"))
    played = play()
    assert isinstance(played.launch(played.task(step_body("s", **changed))), Task)


def test_another_parameter_misses_and_equal_data_hits(play):
    body = step_body("s", inputs={"x": {"kind": "artifact"}, "n": {"kind": "parameter"}})

    def run(data, n):
        played = play()
        ref = played.execute(step_body("load", cache=False), values={"output": data}).outputs.artifacts["output"]
        return played.execute(body, artifacts={"x": ref}, parameters={"n": n}).reason

    assert run([1, 2], 1) is Reason.NONE
    assert run([1, 2], 1) is Reason.CACHED
    assert run([1, 2], 2) is Reason.NONE
    assert run([1, 3], 1) is Reason.NONE


def test_a_failed_step_is_no_hit(play):
    played = play()
    played.fail(played.launch(played.task(step_body("s"))))
    played = play()
    assert isinstance(played.launch(played.task(step_body("s"))), Task)


def test_a_hit_needs_its_data(backend, play):
    event = play().execute(step_body("s"))
    store = backend.stacks.component(ComponentType.ARTIFACT_STORE)
    store.delete(event.outputs.artifacts["output"]["digest"])
    played = play()
    assert isinstance(played.launch(played.task(step_body("s"))), Task)


class At(Clock):
    def __init__(self, moment):
        self.moment = moment

    def now(self):
        return self.moment


def test_a_result_expires(backend, play):
    body = step_body("s")
    body["cache"]["expires_after"] = 2.0
    play(recorder=MLRecorder(backend, clock=At(BEGAN))).execute(body)  # ends at BEGAN + 1
    early, late = (MLRecorder(backend, clock=At(BEGAN + after)) for after in (2.9, 3.1))
    assert play(recorder=early).execute(body).reason is Reason.CACHED
    assert play(recorder=late).execute(body).reason is Reason.NONE


def test_conditions_and_loops_get_their_parameters_from_the_cache(play):
    body = step_body("s", outputs=())
    body["outputs"] = [{"name": "output", "exposed": True}]
    first = play().execute(body, values={"output": {"loss": 0.5}})
    event = play().execute(body)
    assert event.reason is Reason.CACHED
    assert event.outputs.parameters == first.outputs.parameters == {"output": '{"loss": 0.5}'}


def test_a_result_without_the_parameters_that_are_asked_for_is_no_hit(play):
    play().execute(step_body("s"))
    exposed = step_body("s", outputs=())
    exposed["outputs"] = [{"name": "output", "exposed": True}]
    assert play().execute(exposed).reason is Reason.NONE
    assert play().execute(exposed).reason is Reason.CACHED


def test_results_of_another_stacks_store_are_no_hits(backend, play, tmp_path):
    stacks = backend.stacks
    stacks.register_component(ComponentType.ARTIFACT_STORE, "b", "local", {"path": str(tmp_path / "b")})
    stacks.register("b", {ComponentType.ARTIFACT_STORE: ["b"]})
    first = play().execute(step_body("s"))
    other = play(a_request(stack="b"))
    second = other.execute(step_body("s"))
    assert second.reason is Reason.NONE
    version = backend.artifacts.get_version(second.outputs.artifacts["output"]["version_id"])
    assert version.store == "b"
    assert version.uri.startswith(str(tmp_path / "b"))
    assert first.outputs.artifacts["output"]["digest"] == version.digest
    assert play(a_request(stack="b")).execute(step_body("s")).reason is Reason.CACHED


def test_of_several_results_the_one_of_the_same_name_is_taken(play):
    played = play()
    tasks = [played.launch(played.task(step_body("s"), name)) for name in ("s", "s-2")]
    first, second = (played.succeed(task).outputs.artifacts["output"]["version_id"] for task in tasks)
    again = play()
    found = [
        again.execute(step_body("s"), name).outputs.artifacts["output"]["version_id"] for name in ("s", "s-2", "s-3")
    ]
    assert found == [first, second, second]


def test_many_tasks_are_looked_up_together(backend, play):
    bodies = [step_body(f"s{number}") for number in range(30)]
    played = play()
    for body in bodies:
        played.execute(body)
    again = play()
    tasks = [again.task(body) for body in bodies]
    with backend.store.transaction() as transaction:
        prepared = again.recorder.prepare(transaction, [*tasks, again.task(step_body("new"))])
    assert [isinstance(one, Task) for one in prepared] == [False] * 30 + [True]


def test_outputs_of_an_earlier_run_are_taken_over_without_a_look_at_the_key(backend, play):
    first, cached = play(), play()
    for played in (first, cached):
        event = played.execute(step_body("s"))
    for earlier in (first, cached):
        (step,) = backend.runs.steps(earlier.run.id)
        played = play(a_request(reuse={"s": step.id}))
        again = played.execute(step_body("s", code="edited", cache=False))
        assert again.outputs.artifacts == event.outputs.artifacts
        assert statuses(backend, played) == [("s", 1, "skipped")]
        (recorded,) = backend.runs.steps(played.run.id)
        assert recorded.original_step_run_id == backend.runs.steps(first.run.id)[0].id


def test_a_step_that_never_succeeded_cannot_be_skipped(backend, play):
    played = play()
    played.fail(played.launch(played.task(step_body("s"))))
    (step,) = backend.runs.steps(played.run.id)
    for step_run_id in (step.id, "missing"):
        with pytest.raises(UsageError, match="'s' cannot be skipped: it never succeeded"):
            play(a_request(reuse={"s": step_run_id}))


# Explicit versions ---------------------------------------------------------------------------------------------------


def explicit(version, name="mine"):
    body = step_body("s", outputs=(), cache=False)
    body["outputs"] = [{"name": "output", "artifact_name": name, "version": version}]
    return body


def test_a_number_given_by_hand_is_not_given_again(backend, play):
    played = play()
    for number, version in enumerate(("5", None, "first")):
        played.execute(explicit(version), f"s-{number}")
    assert versions_of(backend, "mine") == ["5", "6", "first"]


def test_a_version_that_is_taken_fails_the_step(backend, play):
    play().execute(explicit("v1"))
    played = play()
    event = played.execute(explicit("v1"))
    assert (event.phase, event.retryable) == (Phase.FAILED, False)
    (step,) = backend.runs.steps(played.run.id)
    assert step.status is ExecutionStatus.FAILED
    assert step.exception["message"] == "The artifact 'mine' has a version 'v1' already."
    assert versions_of(backend, "mine") == ["v1"]


def test_of_two_reports_in_one_batch_that_want_one_version_the_second_fails(backend, play, recorder):
    played = play()
    with backend.store.transaction() as transaction:
        events = []
        for name in ("a", "b"):
            (task,) = recorder.prepare(transaction, [played.task(explicit("v1"), name)])
            events.append(recorder.check(transaction, task, _report(played, task)))
    assert [event.phase for event in events] == [Phase.SUCCEEDED, Phase.FAILED]


def _report(played, task):
    caught = []
    played.finish = lambda _task, event, **_: caught.append(event)  # what the runner would report
    played.succeed(task)
    return caught[0]


def test_a_process_that_died_without_a_result(backend, play):
    played = play()
    task = played.launch(played.task(step_body("s")))
    played.finish(task, TaskFinished(task.id, Phase.ERROR, "killed by signal 9"))
    (step,) = backend.runs.steps(played.run.id)
    assert (step.status, step.exception["message"]) == (ExecutionStatus.FAILED, "killed by signal 9")


def test_results_of_other_processes_come_as_json(backend, play):
    played = play()
    task = played.launch(played.task(step_body("s")))
    report = _report(played, task)
    as_json = TaskFinished(task.id, report.phase, outputs=report.outputs, details=report.details.to_json())
    del played.finish
    played.finish(task, as_json)
    assert statuses(backend, played) == [("s", 1, "completed")]
    assert backend.find(Query.of(StepRun, run_id=played.run.id))[0].started_at.timestamp() == BEGAN
