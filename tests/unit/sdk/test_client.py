"""Looking at what was recorded and changing it: client, views, and the functions for artifacts, labels and models."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tiphys.db.store import open_store
from tiphys.engine.model import Phase, Reason
from tiphys.errors import AlreadyExistsError, ConflictError, NotFoundError, UsageError
from tiphys.ports.backend import ModelRequest, TagRequest
from tiphys.records.artifacts import ArtifactType
from tiphys.records.base import EntityType
from tiphys.records.models import ModelStage
from tiphys.sdk.artifacts import download_artifact, load_artifact, register_artifact, save_artifact
from tiphys.sdk.client import Client
from tiphys.sdk.config import Tag
from tiphys.sdk.context import StepContext, enter_step_context, leave_step_context
from tiphys.sdk.metadata import bulk_log_metadata, log_metadata
from tiphys.sdk.model import Model
from tiphys.sdk.session import use_backend
from tiphys.sdk.tags import add_tags, remove_tags
from tiphys.services.backend import LocalBackend
from tiphys.services.recorder import MLRecorder
from tiphys.testing.playing import IdleHost, Played, a_request, step_body


@pytest.fixture
def backend(tmp_path):
    url = f"sqlite:///{tmp_path / 'tiphys.db'}"
    backend = LocalBackend(open_store(url), home=tmp_path, db_url=url, host=IdleHost())
    with use_backend(backend):
        yield backend
    backend.close()


@pytest.fixture
def play(backend):
    recorder = MLRecorder(backend)
    return lambda **fields: Played(backend, backend.store, recorder, a_request(**fields))


@pytest.fixture
def client(backend):
    return Client()


@contextmanager
def inside(played, body, name=None):
    """A step while it runs; at the end what it logged is recorded."""
    task = played.launch(played.task(body, name))
    context = StepContext(task, played.artifacts)
    token = enter_step_context(context)
    try:
        yield context
    finally:
        leave_step_context(token)
    outputs = context.output_metadata.get("output", {})
    tags = tuple(context.output_tags.get("output", ()))
    played.succeed(
        task,
        result={
            "metadata": context.step_metadata,
            "other_metadata": tuple((*target, values) for target, values in context.other_metadata.items()),
            "tags": tuple(context.other_tags),
        },
        outputs={"metadata": outputs, "tags": tags},
    )


# Runs ----------------------------------------------------------------------------------------------------------------


def test_a_run_its_steps_and_their_values(client, play):
    played = play(run_name="first", parameters={"n": 3})
    made = played.execute(step_body("load"), values={"output": [1, 2, 3]})
    train = step_body("train", outputs=("model", "score"), inputs={"data": {"kind": "artifact"}})
    artifacts = {"data": made.outputs.artifacts["output"]}
    played.execute(train, artifacts=artifacts, values={"model": {"w": 1}, "score": 0.5})
    played.state(Phase.SUCCEEDED)

    run = client.get_pipeline_run("first")
    assert (run.name, run.status, run.parameters) == ("first", "completed", {"n": 3})
    assert list(run.steps) == ["load", "train"]
    assert run.end_time > run.start_time
    step = run.steps["train"]
    assert step.outputs["score"][0].load() == step.outputs["score"].load() == 0.5
    assert step.outputs["model"].load() == {"w": 1}
    assert step.inputs["data"].name == "p::load::output"
    assert step.inputs["data"].producer_step == run.steps["load"]
    assert step.input.load() == run.steps["load"].output.load() == run.steps["load"].load() == [1, 2, 3]
    assert step.duration.total_seconds() == 1
    assert step.run == run
    assert {version.name for version in run.artifact_versions} == {
        "p::load::output",
        "p::train::model",
        "p::train::score",
    }
    with pytest.raises(UsageError, match="'train' has 2 outputs, not one") as caught:
        step.output.load()
    assert "model, score" in caught.value.hint
    with pytest.raises(UsageError, match="'load' has no input artifacts"):
        _ = run.steps["load"].input


def test_a_mapped_step_loads_as_a_list(client, play):
    played = play()
    refs = [played.execute(step_body("w"), f"w({n}:x)", parameters={"n": n}, values={"output": n}) for n in range(3)]
    reducer = step_body("reduce", inputs={"xs": {"kind": "artifacts"}})
    played.execute(reducer, artifacts={"xs": [event.outputs.artifacts["output"] for event in refs]})
    inputs = client.get_pipeline_run(played.run.id).steps["reduce"].inputs
    assert inputs["xs"].load() == [0, 1, 2]
    with pytest.raises(UsageError, match="3 artifact versions"):
        _ = inputs["xs"].digest


def test_the_last_attempt_stands_for_a_step(client, play):
    played = play()
    body = step_body("flaky")
    played.fail(played.launch(played.task(body)), retried=True)
    played.succeed(played.launch(played.task(body, attempt=1)))
    run = client.get_pipeline_run(played.run.name)
    assert [(step.version, step.status) for step in run.step_runs] == [(1, "retried"), (2, "completed")]
    assert run.steps["flaky"].version == 2
    assert client.list_run_steps(status="retried").items[0].exception["type"] == "ValueError"


def test_cached_steps_know_where_their_result_is_from(client, play):
    for _ in range(2):
        played = play()
        played.execute(step_body("s"), result={"metadata": {"loss": 0.5}})
    cached = client.get_pipeline_run(played.run.id).steps["s"]
    assert cached.status == "cached"
    assert cached.original_step.status == "completed"
    assert cached.output == cached.original_step.output
    assert cached.run_metadata == {"loss": 0.5}
    run = client.get_pipeline_run(played.run.id)
    assert (len(run.artifact_versions), len(run.produced_artifact_versions)) == (1, 0)


def test_runs_are_listed_filtered_and_paged(client, play):
    runs = [play(pipeline="a" if number % 2 else "b", run_name=f"run-{number}") for number in range(5)]
    runs[3].state(Phase.SUCCEEDED)
    add_tags("best", run="run-1")
    assert [run.name for run in client.list_pipeline_runs()] == [f"run-{number}" for number in (4, 3, 2, 1, 0)]
    page = client.list_pipeline_runs(size=2, page=2, sort_by="asc:created")
    assert ([run.name for run in page.items], page.total, page.total_pages) == (["run-2", "run-3"], 5, 3)
    assert [run.name for run in client.list_pipeline_runs(pipeline="a")] == ["run-3", "run-1"]
    assert [run.name for run in client.list_pipeline_runs(status="completed")] == ["run-3"]
    assert [run.name for run in client.list_pipeline_runs(tag="best")] == ["run-1"]
    assert client.list_pipeline_runs(tags=["best", "other"]) == []
    assert [run.name for run in client.list_pipeline_runs(name="contains:-2")] == ["run-2"]
    assert len(client.list_pipeline_runs(name="startswith:run")) == 5
    assert client.get_pipeline("a").last_run.name == "run-3"
    assert client.get_pipeline("a").last_successful_run.name == "run-3"
    with pytest.raises(NotFoundError, match="'b' has no completed run"):
        _ = client.get_pipeline("b").last_successful_run
    with pytest.raises(UsageError, match="sort_by"):
        client.list_pipeline_runs(sort_by="up:created")
    client.delete_pipeline_run("run-3")
    assert len(client.list_pipeline_runs()) == 4


def test_a_view_has_the_fields_of_its_record_and_no_others(client, play):
    run = client.get_pipeline_run(play().run.id)
    assert run.workflow_uid == run.record.workflow_uid
    with pytest.raises(AttributeError):
        _ = run.nonsense
    assert repr(run) == f"<Run {run.name} {run.id}>"


# Artifacts -----------------------------------------------------------------------------------------------------------


def test_saved_values_are_versions(client):
    first, second = save_artifact(42, "m"), save_artifact(43, "m")
    assert (first.version, second.version) == ("1", "2")
    assert (load_artifact("m"), load_artifact("m", "1"), load_artifact(first.id)) == (43, 42, 42)
    save_artifact(44, "m", version="44")
    assert load_artifact("m") == 44
    with pytest.raises(AlreadyExistsError, match="version '44'"):
        save_artifact(45, "m", version="44")
    assert [version.version for version in client.list_artifact_versions(artifact="m")] == ["44", "2", "1"]


def test_parallel_saves_get_all_numbers_once(client, backend):
    def save(number):
        with use_backend(backend):
            return save_artifact(number, "m").version

    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(save, range(20)))
    assert sorted(map(int, versions)) == list(range(1, 21))


def test_what_a_saved_value_carries(client):
    view = save_artifact(
        "# Title", "report", artifact_type="DataAnalysisArtifact", tags=["t"], user_metadata={"a": Path("x")}
    )
    found = client.get_artifact_version("report")
    assert found == view
    assert (found.type, found.tags, found.run_metadata["a"]) == (ArtifactType.DATA_ANALYSIS, ["t"], "x")
    assert found.artifact.name == "report"
    assert found.producer_step is None
    with pytest.raises(NotFoundError, match="was made by no step"):
        _ = found.step
    client.delete_artifact_version("report", "1")
    with pytest.raises(NotFoundError, match="has no versions"):
        client.get_artifact_version("report")


def test_files_in_the_store_are_registered(client, backend, tmp_path):
    folder = Path(client.active_stack.artifact_store.root) / "checkpoints"
    folder.mkdir()
    (folder / "weights").write_text("1 2 3")
    view = register_artifact(folder, "checkpoint", artifact_metadata={"epoch": 3})
    assert (view.version, view.run_metadata["epoch"]) == ("1", 3)
    (folder / "weights").write_text("changed")
    loaded = load_artifact("checkpoint")
    assert isinstance(loaded, Path)
    assert (loaded / "weights").read_text() == "1 2 3"
    copied = download_artifact(view, tmp_path / "copy")
    assert [path.read_text() for path in copied.rglob("weights")] == ["1 2 3"]
    for wrong in (tmp_path / "elsewhere", folder / "missing"):
        with pytest.raises(FileNotFoundError):
            register_artifact(wrong, "checkpoint")


def test_pictures_of_an_artifact(client):
    from tiphys.types import HTMLString

    save_artifact(HTMLString("<b>hi</b>"), "page")
    (picture,) = client.get_artifact_version("page").visualize()
    assert (picture.type, picture.content) == ("html", b"<b>hi</b>")


def test_artifacts_saved_inside_a_step_belong_to_it(client, play):
    played = play(model=ModelRequest(name="m"))
    with inside(played, step_body("s")):
        save_artifact(1, "extra")
    view = client.get_artifact_version("extra")
    assert view.run.name == played.run.name
    assert view.producer_step.name == "s"
    assert Model("m").load_artifact("extra") == 1


# Metadata and tags ---------------------------------------------------------------------------------------------------


def test_metadata_of_the_present_step_and_its_output(client, play):
    played = play(model=ModelRequest(name="m"))
    with inside(played, step_body("s")):
        log_metadata({"loss": 1.0})
        log_metadata({"loss": 0.5, "path": Path("x")})
        log_metadata({"rows": 3}, infer_artifact=True)
        log_metadata({"auc": 0.9}, infer_model=True)
        log_metadata({"note": "late"}, run_id_name_or_prefix=played.run.id)
    run = client.get_pipeline_run(played.run.id)
    assert run.steps["s"].run_metadata == {"loss": 0.5, "path": "x"}
    assert run.steps["s"].output.run_metadata == {"rows": 3}
    assert run.model_version.run_metadata == {"auc": 0.9}
    assert run.run_metadata == {"note": "late"}


def test_an_output_must_be_named_where_there_are_several(play):
    with inside(play(), step_body("s", outputs=("a", "b"))):
        with pytest.raises(ValueError, match="must be named"):
            log_metadata({"rows": 3}, infer_artifact=True)
        log_metadata({"rows": 3}, infer_artifact=True, artifact_name="a")


def test_metadata_from_outside(client, play):
    played = play(model=ModelRequest(name="m"))
    event = played.execute(step_body("s"))
    run = client.get_pipeline_run(played.run.id)
    log_metadata({"a": 1}, run_id_name_or_prefix=run.name)
    log_metadata({"b": 1}, run_id_name_or_prefix=run.name, step_name="s")
    log_metadata({"c": 1}, step_id=run.steps["s"].id)
    log_metadata({"d": 1}, artifact_name="p::s::output")
    log_metadata({"d": 2, "e": 2}, artifact_version_id=event.outputs.artifacts["output"]["version_id"])
    log_metadata({"f": 1}, model_name="m", model_version="latest")
    assert run.run_metadata == {"a": 1}
    assert run.steps["s"].run_metadata == {"b": 1, "c": 1}
    assert run.steps["s"].output.run_metadata == {"d": 2, "e": 2}
    assert Model("m").run_metadata == {"f": 1}
    bulk_log_metadata({"g": 1}, pipeline_runs=[run.name], step_runs=[run.steps["s"].id])
    assert run.run_metadata == {"a": 1, "g": 1}


@pytest.mark.parametrize(
    "target",
    [{}, {"infer_artifact": True}, {"infer_model": True}, {"step_name": "s"}, {"artifact_version": "1"}],
)
def test_metadata_of_nothing(backend, target):
    with pytest.raises(ValueError, match=r"works only inside a step|is of which run|but not of what"):
        log_metadata({"a": 1}, **target)


def test_tags_are_added_and_removed(client, play):
    played = play()
    played.execute(step_body("s"))
    run = client.get_pipeline_run(played.run.id)
    add_tags(["a", Tag("b", cascade=True)], run=run.name)
    assert (run.tags, run.steps["s"].output.tags) == (["a", "b"], ["b"])
    add_tags("c", artifact_name="p::s::output")
    add_tags("d", pipeline="p")
    add_tags("e", artifact="p::s::output")
    assert run.steps["s"].output.tags == ["b", "c"]
    assert client.get_pipeline("p").tags == ["d"]
    assert [artifact.name for artifact in client.list_artifacts(tag="e")] == ["p::s::output"]
    remove_tags("a", run=run.name)
    assert run.tags == ["b"]
    with pytest.raises(NotFoundError):
        remove_tags("a", run=run.name)
    with pytest.raises(UsageError, match="Several targets"):
        add_tags("a", run=run.name, pipeline="p")
    with pytest.raises(UsageError, match="only inside a step"):
        add_tags("a")
    client.delete_tag("b")
    assert run.tags == []


def test_tags_from_inside_a_step(client, play):
    played = play()
    with inside(played, step_body("s")):
        add_tags(["x", Tag("best", exclusive=True)])
        add_tags("y", infer_artifact=True)
    run = client.get_pipeline_run(played.run.id)
    assert sorted(run.tags) == ["best", "x"]
    assert run.steps["s"].output.tags == ["y"]
    assert client.get_tag("best").exclusive


# Models --------------------------------------------------------------------------------------------------------------


def test_runs_make_versions_and_link_their_outputs(client, play):
    for number in (1, 2):
        played = play(model=Model("m").to_request(), run_name=f"run-{number}")
        with_data = played.execute(step_body("s"), values={"output": [number]})
        played.execute(step_body("t", cache=False), values={"output": number})
    assert with_data.reason is Reason.CACHED
    versions = client.list_model_versions("m")
    assert [version.number for version in versions] == [2, 1]
    for number in (1, 2):
        version = client.get_model_version("m", number)
        assert [artifact.name for artifact in version.artifact_versions] == ["p::s::output", "p::t::output"]
        assert list(version.pipeline_runs) == [f"run-{number}"]
        assert version.load_artifact("p::t::output") == number
    assert Model("m", version="latest").number == 2
    assert client.get_model("m").latest_version.number == 2
    assert client.get_pipeline_run("run-1").model_version.number == 1
    assert Model("m", version=1).get_pipeline_run("run-1").name == "run-1"


def test_stages(client, play):
    for number in (1, 2):
        play(model=Model("m").to_request()).execute(step_body("x", cache=False), values={"output": number})
    one, two = Model("m", version=1), Model("m", version=2)
    one.set_stage("production")
    with pytest.raises(ConflictError):
        two.set_stage(ModelStage.PRODUCTION)
    two.set_stage("production", force=True)
    assert (one.stage, two.stage) == (ModelStage.ARCHIVED, ModelStage.PRODUCTION)
    assert Model("m", version="production").load_artifact("p::x::output") == 2
    assert [version.number for version in client.list_model_versions("m", stage="archived")] == [1]
    with pytest.raises(UsageError, match="no stage 'live'"):
        one.set_stage("live")
    for name in ("production", "3"):
        with pytest.raises(ValueError, match=f"cannot be named '{name}'"):
            client.create_model_version("m", name)


def test_artifacts_of_a_model_by_kind(client, backend):
    version = client.create_model_version(client.create_model("m", license="MIT").name, "v1", tags=["t"])
    data, model = save_artifact([1], "data"), save_artifact("w", "model", artifact_type="ModelArtifact")
    version.link_artifacts(data, model)
    found = Model("m", version="v1")
    assert found.get_artifact("data") == found.get_data_artifact("data") == data
    assert found.get_model_artifact("model") == model
    assert found.get_model_artifact("data") is None
    assert found.get_artifact("data", "7") is None
    assert version.tags == ["t"]
    assert client.get_model("m").card == {"license": "MIT"}
    with pytest.raises(NotFoundError, match="'other' does not belong") as caught:
        found.load_artifact("other")
    assert "data, model" in caught.value.hint
    with pytest.raises(UsageError, match="There is a model 'm' already"):
        client.create_model("m")
    client.delete_model_version(version.id)
    with pytest.raises(NotFoundError):
        client.get_model_version("m", "v1")


def test_in_a_step_a_model_is_the_runs_version(client, play):
    played = play(model=ModelRequest(name="m"))
    client.create_model_version("m")
    assert Model("m").number == 2
    with inside(played, step_body("s")) as context:
        assert Model("m").number == 1
        assert context.model.number == 1
        Model("m").log_metadata({"a": 1})
    assert client.get_model_version("m", 1).run_metadata == {"a": 1}


def test_what_is_not_there(client):
    for look_up in (
        client.get_pipeline_run,
        client.get_pipeline,
        client.get_artifact,
        client.get_model,
        client.get_tag,
    ):
        with pytest.raises(NotFoundError, match="'missing'"):
            look_up("missing")
    assert Model("m").to_request().version is None
    with pytest.raises(NotFoundError):
        _ = Model("m").number


def test_the_stack_in_use(client, backend):
    stack = client.active_stack
    assert (stack.name, stack.artifact_store.root) == ("default", str(backend.home / "artifacts"))
    assert stack.experiment_tracker is None
    assert stack.orchestrator.name == "default"
    assert [one.name for one in client.list_stacks()] == ["default"]
    assert len(client.list_stack_components("artifact_store")) == 1


def test_run_tags_given_with_the_request(client, play):
    runs = [play(tags=(TagRequest(name="best", exclusive=True),)) for _ in range(2)]
    assert [client.get_pipeline_run(one.run.id).tags for one in runs] == [[], ["best"]]
    client.create_run_metadata({"k": 1}, EntityType.RUN, runs[0].run.id)
    assert client.get_pipeline_run(runs[0].run.id).run_metadata == {"k": 1}
