"""What a failure keeps from starting: failFast of DAGs and of templates, targets, and results of daemons in depends.

`failFast` of a DAG follows Argo's documentation (walk-through/dag.md): no new task starts, those that run end. That of
a template follows its checkParallelism (operator.go), with two differences: what `continueOn` allows for is no failure,
and an attempt that is followed by another one is none either.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.flows import Drive, each_way, flow, grouped, steps, template

from tiphys.engine.model import Phase

MESSAGE = "template has failed or errored children and failFast enabled"


@each_way
@pytest.mark.parametrize(
    ("fail_fast", "after_b", "phases"),
    [
        (None, [], {"a": "Failed", "b": "Succeeded", "c": "Succeeded", "e": "Omitted"}),
        (True, [], {"a": "Failed", "b": "Succeeded", "c": "Succeeded", "e": "Omitted"}),
        (False, ["launch d"], {"a": "Failed", "b": "Succeeded", "c": "Succeeded", "d": "Succeeded", "e": "Omitted"}),
    ],
)
def test_of_a_dag(drive: type[Drive], fail_fast: bool | None, after_b: list[str], phases: dict[str, str]) -> None:
    tasks = [
        {"name": "a"}, {"name": "b"}, {"name": "c"}, {"name": "d", "depends": "b"}, {"name": "e", "depends": "a"},
    ]  # fmt: skip
    run = drive(flow(*tasks, dag={} if fail_fast is None else {"failFast": fail_fast}))
    run.end("a", Phase.FAILED, message="boom")

    assert run.end("b") == after_b
    last = run.end("c")
    if "d" in phases:
        last = run.end("d")
    assert last == ["finish"]
    assert run.phases() == {"wf": "Failed", **phases}
    assert run.machine.state.message == "task 'a' ended as Failed: boom"


@each_way
def test_a_loop_that_was_begun_goes_on(drive: type[Drive]) -> None:
    run = drive(flow({"name": "a"}, {"name": "b", "withItems": [1, 2]}, parallelism=2))
    run.end("a", Phase.FAILED)

    assert run.end("b(0:1)") == []
    assert run.end("b(1:2)") == ["finish"]


@each_way
@pytest.mark.parametrize(
    ("target", "launched", "phase"),
    [
        ("b", ["launch a"], "Succeeded"),
        ("b d", ["launch a", "launch c"], "Failed"),
        ("a b", ["launch a"], "Succeeded"),
    ],
)
def test_only_the_targets_decide(drive: type[Drive], target: str, launched: list[str], phase: str) -> None:
    tasks = [{"name": "a"}, {"name": "b", "depends": "a"}, {"name": "c"}, {"name": "d", "depends": "c"}]
    run = drive(flow(*tasks, dag={"target": target, "failFast": False}))

    assert run.commands == launched
    if "launch c" in launched:
        run.end("c", Phase.FAILED)
    run.end("a")
    assert run.end("b") == ["finish"]
    assert run.machine.state.phase.value == phase


@each_way
@pytest.mark.parametrize("fail_fast", [True, False])
def test_a_target_that_may_fail_does_not_fail_the_dag(drive: type[Drive], fail_fast: bool) -> None:
    run = drive(flow({"name": "a", "continueOn": {"failed": True}}, {"name": "b"}, dag={"failFast": fail_fast}))
    run.end("a", Phase.FAILED)

    assert run.end("b") == ["finish"]
    assert run.machine.state.phase is Phase.SUCCEEDED


@each_way
@pytest.mark.parametrize("bound", [{}, {"parallelism": 2}])
def test_of_a_template_that_is_a_dag(drive: type[Drive], bound: dict[str, int]) -> None:
    tasks = [{"name": "a"}, {"name": "b"}, {"name": "c", "depends": "a.Errored"}, {"name": "d", "depends": "b"}]
    run = drive(flow(*tasks, main={"failFast": True, **bound}, dag={"failFast": False}))

    # Without failFast of the template "c" would run after the error, and "d" after "b".
    assert run.end("a", Phase.ERROR) == []
    assert run.end("b") == ["finish"]
    assert run.phases() == {"wf": "Failed", "a": "Error", "b": "Succeeded"}
    assert (run.node("wf").message, run.machine.state.message) == (MESSAGE, MESSAGE)


@each_way
@pytest.mark.parametrize("bound", [{}, {"parallelism": 2}])
def test_of_a_template_that_consists_of_steps(drive: type[Drive], bound: dict[str, int]) -> None:
    run = drive(steps([{"name": "a"}, {"name": "b"}], [{"name": "c"}], main={"failFast": True, **bound}))
    run.end("a", Phase.ERROR)

    assert run.end("b") == ["finish"]
    assert run.phases() == {"wf": "Failed", "[0]": "Failed", "a": "Error", "b": "Succeeded"}
    assert {run.node(name).message for name in ("wf", "[0]")} == {MESSAGE}


@each_way
@pytest.mark.parametrize("make", [flow, lambda *tasks, **spec: steps(list(tasks), **spec)], ids=["dag", "steps"])
def test_the_items_of_a_loop_that_wait_for_a_place_are_not_started(drive: type[Drive], make: Any) -> None:
    """The flow of Argo's TestStepsFailFast: an item is a template of its own, and one runs at a time."""
    inner = {"name": "iteration", "steps": grouped([{"name": "x"}], [{"name": "y", "template": "again"}])}
    again = template("again", retryStrategy={"limit": 1})
    loop = {"name": "loop", "template": "iteration", "withItems": ["a", "b", "c"]}
    run = drive(make(loop, templates=[inner, again], main={"failFast": True, "parallelism": 1}))
    assert run.end("x") == ["launch y(0)"]

    assert run.end("y(0)", Phase.FAILED) == ["launch y(1)"]
    assert run.end("y(1)", Phase.FAILED) == ["finish"]
    assert run.phases()["loop(0:a)"] == "Failed"
    assert "loop(1:b)" not in run.phases()
    assert (run.machine.state.phase, run.machine.state.message) == (Phase.FAILED, MESSAGE)


@each_way
def test_items_that_run_beside_the_failed_one_end_first(drive: type[Drive]) -> None:
    run = drive(flow({"name": "a", "withSequence": {"count": 9}}, main={"failFast": True, "parallelism": 3}))
    assert run.end("a(1:1)", Phase.FAILED) == []

    assert run.end("a(0:0)") == []
    assert run.end("a(2:2)") == ["finish"]
    assert run.phases() == {
        "wf": "Failed", "a": "Failed", "a(0:0)": "Succeeded", "a(1:1)": "Failed", "a(2:2)": "Succeeded",
    }  # fmt: skip


@each_way
def test_what_may_fail_does_not_fail_a_template_fast(drive: type[Drive]) -> None:
    loop = {"name": "a", "withItems": [1, 2, 3], "continueOn": {"failed": True}}
    run = drive(steps([loop], [{"name": "b"}], main={"failFast": True, "parallelism": 1}))

    assert run.end("a(0:1)", Phase.FAILED) == ["launch a(1:2)"]
    assert run.end("a(1:2)") == ["launch a(2:3)"]
    assert run.end("a(2:3)") == ["launch b"]
    assert run.end("b") == ["finish"]
    assert run.machine.state.phase is Phase.SUCCEEDED


@each_way
def test_a_failure_that_its_exit_hook_is_still_running_for(drive: type[Drive]) -> None:
    hooks = {"exit": {"template": "step"}}
    run = drive(steps([{"name": "a", "hooks": hooks}, {"name": "b"}], main={"failFast": True, "parallelism": 2}))

    assert run.end("a", Phase.FAILED) == ["launch a.onExit"]
    assert run.end("a.onExit") == []
    assert run.end("b") == ["finish"]
    assert run.machine.state.message == MESSAGE
