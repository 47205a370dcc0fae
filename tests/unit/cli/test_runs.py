"""`tiphys runs` and `tiphys pipeline`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.cli.conftest import Invoke, World

from tiphys._util.times import utc_now
from tiphys.records.base import EntityType


def test_an_empty_home_has_no_runs(invoke: Invoke) -> None:
    result = invoke("runs", "list")
    assert result.stdout == ""
    assert result.stderr == "No runs.\n"


def test_list_is_columns_of_text(invoke: Invoke, two_runs: Mapping[str, Any]) -> None:
    lines = invoke("runs", "list").stdout.splitlines()
    assert lines == [
        "NAME      PIPELINE   STATUS      AGE   DURATION",
        "churn-2   churn      completed   now   3.0 s",
        "churn-1   churn      completed   now   3.0 s",
    ]


def test_list_wide_and_names(invoke: Invoke, two_runs: Mapping[str, Any]) -> None:
    assert two_runs["churn-1"].id in invoke("runs", "list", "-o", "wide").stdout
    assert invoke("runs", "list", "-o", "name").stdout == "churn-2\nchurn-1\n"


def test_list_filters(invoke: Invoke, world: World) -> None:
    world.run("a", status="failed")
    world.run("b", pipeline="other")
    world.run("c", created_at=utc_now() - timedelta(days=3))

    def names(*options: str) -> list[str]:
        return invoke("runs", "list", "-o", "name", *options).stdout.split()

    assert names("--status", "failed") == ["a"]
    assert names("--status", "failed", "--status", "completed") == ["c", "b", "a"]
    assert names("--pipeline", "other") == ["b"]
    assert names("--since", "2d") == ["b", "a"]
    assert names("--since", "2020-01-01") == ["c", "b", "a"]
    assert names("-n", "1") == ["c"]
    assert names("-n", "0") == ["c", "b", "a"]


def test_since_that_is_no_time(invoke: Invoke) -> None:
    assert "neither a duration" in invoke("runs", "list", "--since", "soon", code=2).stderr


def test_yaml_is_what_json_is(invoke: Invoke, read: Callable[..., Any], two_runs: Mapping[str, Any]) -> None:
    import yaml

    assert yaml.safe_load(invoke("runs", "list", "-o", "yaml").stdout) == read("runs", "list")


def test_show_tells_steps_and_parameters(invoke: Invoke, two_runs: Mapping[str, Any]) -> None:
    text = invoke("runs", "show", "churn-2").stdout
    assert "Status:    completed" in text
    assert "  rate:  0.2" in text
    assert "  NAME    STATUS      DURATION   OUTPUTS" in text
    assert "  load    cached                 churn::load::output:1" in text
    assert "  train   completed   2.0 s      churn_model:2" in text


def test_show_takes_the_newest_run_and_ids(read: Callable[..., Any], two_runs: Mapping[str, Any]) -> None:
    run = two_runs["churn-1"]
    assert read("runs", "show")["name"] == "churn-2"
    assert read("runs", "show", "latest")["name"] == "churn-2"
    assert read("runs", "show", run.id)["name"] == "churn-1"


def test_show_as_json_has_everything(read: Callable[..., Any], two_runs: Mapping[str, Any]) -> None:
    data = read("runs", "show", "churn-1")
    train = data["steps"][1]
    assert data["parameters"] == {"rate": 0.1, "seed": 7}
    assert train["metadata"] == {"accuracy": pytest.approx(0.81), "note": "text"}
    assert [version["name"] for version in train["outputs"]["output"]] == ["churn_model"]
    assert [version["name"] for version in train["inputs"]["data"]] == ["churn::load::output"]


def test_show_tells_attempts_and_failures(invoke: Invoke, world: World) -> None:
    run = world.run("bad", status="failed", message="Step train failed: ValueError: no")
    world.step(run, "train", "retried", version=1, exception={"type": "OSError", "message": "gone", "traceback": "T1"})
    world.step(
        run, "train", "failed", version=2, exception={"type": "ValueError", "message": "no", "traceback": "T2\nend"}
    )
    text = invoke("runs", "show", "bad").stdout
    assert "Error:     Step train failed: ValueError: no" in text
    assert "  train   retried   1.5 s      1" in text
    assert "  train   failed    1.5 s      2" in text
    assert "Failure of train\n  T2\n  end\n" in text
    assert "T1" not in text


def test_an_unknown_run_is_an_error_with_a_hint(invoke: Invoke, two_runs: Mapping[str, Any]) -> None:
    result = invoke("runs", "show", "nothing", code=2)
    assert result.stderr.startswith("Error: ")
    assert "nothing" in result.stderr
    assert result.stdout == ""


def test_stopping_what_has_ended_says_so(invoke: Invoke, two_runs: Mapping[str, Any]) -> None:
    assert invoke("runs", "stop", "churn-1").stdout == "Run churn-1 has ended already: completed.\n"


def test_delete(invoke: Invoke, two_runs: Mapping[str, Any]) -> None:
    assert invoke("runs", "delete", "churn-1", "--dry-run").stdout == "Would delete: churn-1.\n"
    assert "--yes" in invoke("runs", "delete", "churn-1", code=2).stderr
    assert invoke("runs", "list", "-o", "name").stdout == "churn-2\nchurn-1\n"
    assert invoke("runs", "delete", "churn-1", "--yes").stdout == "Deleted run churn-1.\n"
    assert invoke("runs", "list", "-o", "name").stdout == "churn-2\n"


def test_compare_marks_what_differs(invoke: Invoke, two_runs: Mapping[str, Any]) -> None:
    lines = [line.split() for line in invoke("runs", "compare", "churn-1", "churn-2").stdout.splitlines()]
    assert ["*", "parameters", "rate", "0.1", "0.2", "+0.1"] in lines
    assert ["parameters", "seed", "7", "7"] in lines
    assert ["*", "metrics", "train.accuracy", "0.81", "0.82", "+0.01"] in lines
    assert ["*", "steps", "load", "completed", "cached"] in lines
    assert ["*", "durations", "train", "1.0", "s", "2.0", "s", "+1"] not in lines
    assert ["*", "durations", "train", "1.0", "s", "2.0", "s"] in lines
    assert not any("train.note" in line for line in lines)
    artifacts = {line[-3]: line[-2:] for line in lines if "artifacts" in line}
    assert artifacts["load.output"][0] == artifacts["load.output"][1]
    assert artifacts["train.output"][0] != artifacts["train.output"][1]


def test_compare_only_what_changed(invoke: Invoke, read: Callable[..., Any], two_runs: Mapping[str, Any]) -> None:
    facts = read("runs", "compare", "churn-1", "churn-2", "--changed")["facts"]
    assert {
        "section": "parameters",
        "key": "rate",
        "values": {"churn-1": 0.1, "churn-2": 0.2},
        "differs": True,
    } in facts
    assert all(fact["differs"] for fact in facts)
    assert invoke("runs", "compare", "churn-1", "churn-1", "--changed").stdout == "Nothing differs.\n"


def test_compare_names_long_runs_above_the_table(invoke: Invoke, world: World) -> None:
    names = [f"churn-2026_01_31-12_00_00_00000{number}" for number in (1, 2)]
    for name in names:
        world.run(name)
    lines = invoke("runs", "compare", *names).stdout.splitlines()
    assert lines[:2] == [f"A: {names[0]}", f"B: {names[1]}"]
    assert lines[2].split() == ["WHAT", "KEY", "A", "B"]


def test_compare_needs_two(invoke: Invoke, two_runs: Mapping[str, Any]) -> None:
    assert "compare A B" in invoke("runs", "compare", "churn-1", code=2).stderr


def test_diff_names_code_parameters_and_inputs(invoke: Invoke, world: World, two_runs: Mapping[str, Any]) -> None:
    assert invoke("runs", "diff", "churn-1", "churn-2").stdout.splitlines() == [
        "--- churn-1",
        "+++ churn-2",
        "",
        "train",
        "  code of scale changed: 111111111111 → 222222222222",
        "  parameter rate: 0.1 → 0.2",
        "",
        "The same in code, parameters and inputs: 1 of 2 steps.",
    ]


def test_diff_names_steps_that_only_one_has(invoke: Invoke, world: World, two_runs: Mapping[str, Any]) -> None:
    run = world.run("churn-3")
    world.step(run, "load", code_digest="a" * 64)
    world.step(run, "extra")
    lines = invoke("runs", "diff", "churn-2", "churn-3").stdout.splitlines()
    assert lines[lines.index("train") + 1] == "  not in churn-3"
    assert lines[lines.index("extra") + 1] == "  not in churn-2"


def test_diff_names_changed_data(invoke: Invoke, world: World) -> None:
    for number in (1, 2):
        run = world.run(f"r{number}")
        load = world.step(run, "load")
        train = world.step(run, "train")
        world.use(train, world.output(load, "output", b"%d" % number, artifact="data"), "in", "rows")
    change = invoke("runs", "diff", "r1", "r2").stdout.splitlines()[4]
    assert change.startswith("  input rows: data:1 (")
    assert " → data:2 (" in change


def test_pipelines(invoke: Invoke, read: Callable[..., Any], world: World, two_runs: Mapping[str, Any]) -> None:
    world.run("other-1", pipeline="other", status="failed")
    assert [line.split() for line in invoke("pipeline", "list").stdout.splitlines()[1:]] == [
        ["churn", "churn-2", "completed", "now", "2"],
        ["other", "other-1", "failed", "now", "1"],
    ]
    assert read("pipeline", "show", "churn")["runs"] == {"completed": 2}
    assert invoke("pipeline", "runs", "other", "-o", "name").stdout == "other-1\n"
    assert "Known: churn, other." in invoke("pipeline", "show", "nothing", code=2).stderr


def test_compare_shows_what_a_cached_step_logged_and_leaves_out_equal_facts_of_data(
    world: World, read: Callable[..., Any]
) -> None:
    first, second = world.run("a"), world.run("b")
    made = world.step(first, "evaluate")
    cached = world.step(second, "evaluate", "cached", original_step_run_id=made.id)
    world.metadata(EntityType.STEP_RUN, made.id, rmse=0.5)
    for step, rows in ((made, 1), (cached, 2)):
        version = world.output(step, "data", b"[]")
        world.metadata(EntityType.ARTIFACT_VERSION, version.id, rows=rows, columns=3)
    facts = {(fact["section"], fact["key"]): fact["values"] for fact in read("runs", "compare", "a", "b")["facts"]}
    assert facts["metrics", "evaluate.rmse"] == {"a": 0.5, "b": 0.5}
    assert facts["data", "evaluate.data.rows"] == {"a": 1, "b": 2}
    assert ("data", "evaluate.data.columns") not in facts
