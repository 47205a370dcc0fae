"""Scenarios 23 and 24: metadata and tags."""

from __future__ import annotations

from typing import Annotated

import pytest

from tiphys import Client, Tag, add_tags, log_metadata, pipeline, remove_tags, step
from tiphys.errors import RunFailedError


def test_23_metadata_of_the_current_step_and_later_keys_overwrite() -> None:
    @step
    def s() -> int:
        log_metadata({"a": 1, "b": {"c": [1, 2]}})
        log_metadata({"a": 2})
        return 1

    @pipeline
    def p() -> None:
        s()

    run = p()
    assert run.steps["s"].run_metadata == {"a": 2, "b": {"c": [1, 2]}}
    log_metadata({"a": 3}, step_name="s", run_id_name_or_prefix=run.name)
    assert Client().get_pipeline_run(run.name).steps["s"].run_metadata["a"] == 3


def test_23_infer_artifact_with_one_output() -> None:
    @step
    def s() -> Annotated[int, "one"]:
        log_metadata({"quality": "good"}, infer_artifact=True)
        return 1

    @pipeline
    def p() -> None:
        s()

    p()
    assert Client().get_artifact_version("one").run_metadata["quality"] == "good"


def test_23_infer_artifact_with_several_outputs_needs_a_name() -> None:
    @step
    def s() -> tuple[Annotated[int, "one"], Annotated[int, "two"]]:
        log_metadata({"quality": "good"}, infer_artifact=True)
        return 1, 2

    @pipeline
    def p() -> None:
        s()

    with pytest.raises(RunFailedError, match="ValueError|UsageError"):
        p()


def test_23_metadata_of_runs_artifacts_and_models() -> None:
    @step
    def s() -> Annotated[int, "one"]:
        return 1

    @pipeline
    def p() -> None:
        s()

    run = p()
    log_metadata({"r": 1}, run_id_name_or_prefix=run.name)
    log_metadata({"v": 2}, artifact_name="one", artifact_version="1")
    assert Client().get_pipeline_run(run.name).run_metadata["r"] == 1
    assert Client().get_artifact_version("one").run_metadata["v"] == 2


def test_24_a_cascading_tag_reaches_the_outputs() -> None:
    @step
    def s() -> Annotated[int, "one"]:
        return 1

    @pipeline(tags=["plain", Tag(name="deep", cascade=True)])
    def p() -> None:
        s()

    run = p()
    assert sorted(run.tags) == ["deep", "plain"]
    assert Client().get_artifact_version("one").tags == ["deep"]


def test_24_an_exclusive_tag_moves_to_the_newest_run() -> None:
    @step
    def s() -> int:
        return 1

    @pipeline(tags=[Tag(name="newest", exclusive=True)])
    def p() -> None:
        s()

    first, second = p(), p()
    client = Client()
    assert client.get_pipeline_run(first.name).tags == []
    assert client.get_pipeline_run(second.name).tags == ["newest"]


def test_24_tags_by_hand() -> None:
    @step
    def s() -> Annotated[int, "one"]:
        return 1

    @pipeline
    def p() -> None:
        s()

    run = p()
    add_tags(["a", "b"], run=run.name)
    remove_tags(["a"], run=run.name)
    assert Client().get_pipeline_run(run.name).tags == ["b"]
    add_tags(["c"], artifact_name="one", artifact_version="1")
    assert Client().get_artifact_version("one").tags == ["c"]
