from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tiphys._util.times import utc_now
from tiphys.errors import UsageError
from tiphys.records.artifacts import ArtifactRef, ArtifactVersion
from tiphys.sdk.config import Tag
from tiphys.sdk.context import StepContext, current_step_context, get_step_context
from tiphys.sdk.runtime import run_task
from tiphys.testing.tasks import step_task


def nothing() -> None:
    """A step that is not called."""


def context(tmp_path: Path, *, outputs=("output",), backend: Any = None, **known: Any) -> StepContext:
    task = step_task(nothing, home=tmp_path, outputs=outputs, context=known)
    return StepContext(task, store=None, backend=backend)  # type: ignore[arg-type]  # no value is stored here


def test_outside_of_a_step_there_is_none():
    assert current_step_context() is None
    with pytest.raises(UsageError, match="no step is being carried out"):
        get_step_context()


def test_inside_it_knows_the_step_and_the_run(tmp_path):
    seen = []

    def who() -> None:
        step = get_step_context()
        seen.append((step.pipeline_name, step.run_name, step.step_name, step.attempt))

    run_task(step_task(who, home=tmp_path, outputs=(), attempt=2, name="who"))
    assert seen == [("p", "run", "who", 2)]
    assert current_step_context() is None


def test_the_only_output_need_not_be_named(tmp_path):
    step = context(tmp_path)
    step.log_artifact_metadata(None, {"a": 1})
    step.add_output_metadata({"a": 2, "b": 3})
    assert step.output_metadata == {"output": {"a": 2, "b": 3}}


@pytest.mark.parametrize("outputs", [(), ("x", "y")])
def test_several_or_no_outputs_must_be_named(tmp_path, outputs):
    with pytest.raises(ValueError, match="must be named"):
        context(tmp_path, outputs=outputs).log_artifact_metadata(None, {"a": 1})


def test_an_unknown_output_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no output 'z'") as info:
        context(tmp_path, outputs=("x", "y")).log_artifact_metadata("z", {"a": 1})
    assert "x, y" in str(info.value)


def test_later_keys_replace_earlier_ones(tmp_path):
    step = context(tmp_path, model={"name": "m", "version_id": "v1", "version": "1"})
    for value in (1, 2):
        step.log_step_metadata({"k": value})
        step.log_run_metadata({"k": value})
        step.log_model_metadata({"k": value})
    assert step.step_metadata == {"k": 2}
    assert step.other_metadata == {("run", step.run_id): {"k": 2}, ("model_version", "v1"): {"k": 2}}


def test_metadata_is_made_plain(tmp_path):
    step = context(tmp_path)
    step.log_step_metadata({"path": Path("a/b"), "set": (1, 2), "nan": float("nan"), "nested": {"p": Path("c")}})
    assert step.step_metadata == {"path": "a/b", "set": [1, 2], "nan": None, "nested": {"p": "c"}}


def test_metadata_without_a_json_form_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'thing' has no JSON form"):
        context(tmp_path).log_step_metadata({"thing": object()})
    with pytest.raises(ValueError, match="keys are text"):
        context(tmp_path).log_step_metadata({1: "x"})  # type: ignore[dict-item]  # the point of the test


def test_without_a_model_there_is_nothing_to_log_to(tmp_path):
    with pytest.raises(ValueError, match="has a Model"):
        context(tmp_path).log_model_metadata({"a": 1})


def test_tags_of_outputs_begin_with_the_definitions(tmp_path):
    output = {"name": "x", "tags": ["defined"]}
    step = context(tmp_path, outputs=(output,))
    assert step.tags_of_output(output) == ("defined",)
    step.add_output_tags(["new", Tag("object")])
    step.add_output_tags("defined")
    assert step.tags_of_output(output) == ("defined", "new", "object")
    step.remove_output_tags(["defined", "never there"])
    assert step.tags_of_output(output) == ("new", "object")
    assert step.get_output_tags() == ["new", "object"]


def test_tags_of_the_run_and_the_model(tmp_path):
    step = context(tmp_path, model={"name": "m", "version_id": "v1", "version": "1"})
    step.add_run_tags(["a", "a"])
    step.add_model_tags(["b"])
    assert list(step.other_tags) == [("run", step.run_id, "a"), ("model_version", "v1", "b")]


def test_a_folder_beside_an_output(tmp_path):
    step = context(tmp_path)
    folder = step.get_output_artifact_uri()
    assert Path(folder).is_dir()
    assert step.get_output_artifact_uri("output") == folder
    assert step.get_output_metadata() == {"files_uri": folder}


class FakeBackend:
    """Knows artifact versions."""

    def __init__(self, versions: list[ArtifactVersion]) -> None:
        self.versions = versions
        self.queries = 0

    def find(self, query: Any) -> list[Any]:
        self.queries += 1
        return [version for version in self.versions if version.id in query.where[0].value]


def version(id: str) -> ArtifactVersion:
    return ArtifactVersion(
        id=id,
        artifact_id="a",
        name=id,
        version="1",
        digest="d",
        uri="u",
        materializer="m",
        data_type="t",
        created_at=utc_now(),
    )


def ref(id: str) -> dict[str, Any]:
    return ArtifactRef(version_id=id, name=id, digest="d", materializer="m", data_type="t").to_json()


def test_inputs_are_artifact_versions_by_parameter(tmp_path):
    backend = FakeBackend([version(name) for name in "abcd"])
    task = step_task(nothing, home=tmp_path, artifacts={"x": ref("a"), "xs-0": ref("b"), "xs-1": ref("c")})
    task.inputs.artifacts["loop"] = [ref("d"), ref("a")]
    inputs = StepContext(task, None, backend=backend).inputs  # type: ignore[arg-type]  # neither store nor real backend
    assert {name: getattr(value, "id", None) or [v.id for v in value] for name, value in inputs.items()} == {
        "x": "a",
        "xs": ["b", "c"],
        "loop": ["d", "a"],
    }
    assert backend.queries == 1


def test_a_step_without_artifacts_asks_nobody(tmp_path):
    assert context(tmp_path).inputs == {}


def test_a_missing_piece_of_context_is_named(tmp_path):
    task = step_task(nothing, home=tmp_path)
    step = StepContext(replace(task, context={}), None)  # type: ignore[arg-type]  # no value is stored here
    with pytest.raises(UsageError, match="without 'run_id'"):
        _ = step.run_id
    assert step.step_name == "nothing"
