"""Retry strategies and time limits."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.flows import Drive, flow, template

from tiphys.engine.model import NodeType, Phase, Reason
from tiphys.engine.retry import RetryPlan, decide, read_strategy
from tiphys.errors import SpecError


def retried(strategy: dict[str, Any], **fields: Any) -> Drive:
    return Drive(
        flow({"name": "a", "template": "again"}, templates=[template("again", retryStrategy=strategy, **fields)])
    )


def test_attempts_until_one_succeeds() -> None:
    run = retried({"limit": 2, "retryPolicy": "Always"})
    assert run.commands == ["launch a(0)"]
    assert run.node("a").type is NodeType.RETRY
    assert not run.task("a(0)").last_attempt

    assert run.end("a(0)", Phase.FAILED) == ["launch a(1)"]
    assert run.machine.will_retry(run.node("a(0)").id)
    assert run.end("a(1)", Phase.ERROR) == ["launch a(2)"]
    assert run.task("a(2)").last_attempt
    assert run.task("a(2)").name == "a"
    assert run.end("a(2)", parameters={"y": "1"}) == ["finish"]

    assert run.phases() == {"wf": "Succeeded", "a": "Succeeded", "a(0)": "Failed", "a(1)": "Error", "a(2)": "Succeeded"}
    assert run.node("a").outputs == run.node("a(2)").outputs
    assert [run.node(f"a({n})").attempt for n in range(3)] == [0, 1, 2]
    assert not run.machine.will_retry(run.node("a(2)").id)


def test_no_retries_left() -> None:
    run = retried({"limit": "1"})
    run.end("a(0)", Phase.FAILED)

    assert run.end("a(1)", Phase.FAILED, message="boom") == ["finish"]
    assert run.node("a").message == "No more retries left: boom"
    assert not run.machine.will_retry(run.node("a(1)").id)


def test_the_policy_says_which_phases_are_tried_again() -> None:
    run = retried({"limit": 5, "retryPolicy": "OnError"})

    assert run.end("a(0)", Phase.ERROR) == ["launch a(1)"]
    assert run.end("a(1)", Phase.FAILED, message="boom") == ["finish"]
    assert (run.node("a").phase, run.node("a").message) == (Phase.FAILED, "boom")


def test_a_report_may_forbid_another_attempt() -> None:
    run = retried({"limit": 5})

    assert run.end("a(0)", Phase.FAILED, retryable=False, message="stop") == ["finish"]
    assert run.node("a").message == "stop"


def test_waits_grow_up_to_their_cap_even_without_a_limit() -> None:
    run = retried({"backoff": {"duration": "2", "factor": 3, "cap": "10s"}})

    for attempt, wait in enumerate([2, 6, 10, 10]):
        assert run.end(f"a({attempt})", Phase.FAILED) == []
        retry = run.node("a")
        assert retry.message == f"Backoff for {wait}s"
        assert run.timers[f"retry:{retry.id}"] == run.now + wait
        assert run.fire(f"retry:{retry.id}") == [f"launch a({attempt + 1})"]
    assert run.node("a").message == ""


def test_an_early_timer_is_set_again() -> None:
    run = retried({"backoff": {"duration": "10s"}})
    run.end("a(0)", Phase.FAILED)
    key = f"retry:{run.node('a').id}"
    due = run.timers.pop(key)
    from tiphys.engine.events import TimerFired

    assert run.handle(TimerFired(key), after=3) == []
    assert run.timers[key] == due


def test_max_duration() -> None:
    plan = read_strategy({"backoff": {"duration": "10", "maxDuration": "1m"}}, 0.0, where="t")

    def message(ended: float) -> str:
        return decide(plan, attempt=0, phase=Phase.FAILED, task_id="x", began=0.0, ended=ended).message

    assert message(50.0) == ""
    assert message(51.0) == "Backoff would exceed max duration limit"
    assert message(61.0) == "Max duration limit exceeded"


def test_jitter_is_the_same_for_the_same_task_and_stays_in_its_bounds() -> None:
    plan = RetryPlan(None, frozenset(), duration=10.0, jitter=0.2)
    waits = [plan.wait(0, f"uid/wf-{n}/0") for n in range(200)]

    assert waits == [plan.wait(0, f"uid/wf-{n}/0") for n in range(200)]
    assert 8.0 <= min(waits) < 8.5
    assert 11.5 < max(waits) <= 12.0


def test_the_body_asks_for_jitter() -> None:
    body = {"tiphys": {"retry": {"jitter": 0.5}}}
    run = retried({"backoff": {"duration": "100s"}}, plugin=body)
    run.end("a(0)", Phase.FAILED)

    wait = run.timers[f"retry:{run.node('a').id}"] - run.now
    assert 50.0 <= wait <= 150.0
    assert wait != 100.0


def test_a_strategy_may_hold_tags() -> None:
    fields = {"inputs": {"parameters": [{"name": "n", "value": "1"}]}}
    run = retried({"limit": "{{inputs.parameters.n}}"}, **fields)

    assert run.end("a(0)", Phase.FAILED) == ["launch a(1)"]
    assert run.task("a(1)").last_attempt
    assert run.end("a(1)", Phase.FAILED) == ["finish"]


@pytest.mark.parametrize(
    ("strategy", "field"),
    [
        ({"retryPolicy": "Sometimes"}, "retryPolicy"),
        ({"limit": "many"}, "limit"),
        ({"backoff": {"factor": 2}}, "backoff"),
        ({"expression": "1 +"}, "expression"),
    ],
)
def test_wrong_strategies_are_refused(strategy: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError, match=f"spec.templates.again.retryStrategy.{field}"):
        retried(strategy)


def test_the_workflow_may_set_a_strategy_for_all() -> None:
    run = Drive(flow({"name": "a"}, retryStrategy={"limit": 1}))

    # The entry point is a template like any other, so it is retried too.
    assert run.commands == ["launch a(0)"]
    assert run.node("wf").type is NodeType.RETRY
    run.end("a(0)", Phase.FAILED)
    run.end("a(1)", Phase.FAILED)
    assert run.node("wf(0)").phase is Phase.FAILED
    assert run.node("wf(1)").phase is Phase.RUNNING


def test_a_dag_is_tried_again_as_a_whole() -> None:
    inner = {"name": "inner", "dag": {"tasks": [{"name": "x", "template": "step"}]}, "retryStrategy": {"limit": 1}}
    run = Drive(flow({"name": "a", "template": "inner"}, templates=[inner], mode="FAIL_FAST"))

    assert run.end("x", Phase.FAILED) == ["launch x"]
    assert [node.name for node in run.machine.nodes()][-1] == "wf.a(1).x"
    assert run.machine.state.phase is Phase.RUNNING


def test_an_attempt_that_takes_too_long_is_cancelled_and_counts_as_a_failure() -> None:
    run = retried({"limit": 1}, timeout="90s")
    first = run.node("a(0)")
    assert run.task("a(0)").deadline == 190.0

    assert run.fire(f"timeout:{first.id}") == ["cancel a(0)", "launch a(1)"]
    assert (first.phase, first.reason, first.message) == (Phase.FAILED, Reason.TIMED_OUT, "Step exceeded its deadline")
    assert run.task("a(1)").deadline == 280.0


def test_the_earlier_of_two_limits_counts() -> None:
    run = Drive(
        flow({"name": "a", "template": "t"}, templates=[template("t", timeout="1m", activeDeadlineSeconds="30")])
    )

    assert run.task("a").deadline == 130.0


def test_a_timer_of_an_ended_attempt_does_nothing() -> None:
    run = retried({"limit": 1}, timeout="90s")
    first = run.node("a(0)")
    run.end("a(0)")

    assert run.fire(f"timeout:{first.id}") == []
    assert first.phase is Phase.SUCCEEDED
