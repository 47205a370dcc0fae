"""Deadlines, shutdowns, suspension and exit handlers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.engine.flows import Drive, flow, template

from tiphys.engine.events import ResumeRequested, ShutdownRequested, SuspendRequested, TimerFired
from tiphys.engine.model import NodeType, Phase, Reason

HANDLER = template("handler", inputs={"parameters": [{"name": "status", "value": "{{workflow.status}}"}]})


def two_tasks(**fields: Any) -> Drive:
    run = Drive(flow({"name": "a"}, {"name": "b"}, {"name": "c", "depends": "a"}, templates=[HANDLER], **fields))
    assert run.commands == ["launch a", "launch b"]
    return run


def test_the_deadline_of_the_workflow_ends_everything() -> None:
    run = two_tasks(activeDeadlineSeconds=60)
    assert run.timers == {"deadline": 160.0}
    assert run.task("a").deadline == 160.0

    assert run.fire("deadline") == ["cancel a", "cancel b", "finish"]
    assert (run.machine.state.phase, run.machine.state.message) == (Phase.FAILED, "Step exceeded its deadline")
    assert {run.node(name).reason for name in ("a", "b", "wf")} == {Reason.TIMED_OUT}


def test_a_deadline_of_zero_seconds_ends_at_once() -> None:
    assert two_tasks(activeDeadlineSeconds=0).fire("deadline") == ["cancel a", "cancel b", "finish"]


@pytest.mark.parametrize("strategy", ["Stop", "Terminate"])
def test_a_stop_ends_what_runs(strategy: str) -> None:
    run = two_tasks()

    assert run.handle(ShutdownRequested(strategy)) == ["cancel a", "cancel b", "finish"]
    assert run.machine.state.phase is Phase.FAILED
    assert run.machine.state.message == f"Stopped with strategy '{strategy}'"
    assert run.machine.state.shutdown == strategy
    assert (run.node("a").reason, run.node("a").message) == (
        Reason.STOPPED,
        f"workflow shutdown with strategy:  {strategy}",
    )
    assert "c" not in run.phases()


def test_a_drain_lets_what_runs_end() -> None:
    run = two_tasks()

    assert run.handle(ShutdownRequested("Drain")) == []
    assert run.end("a") == []
    assert run.end("b") == ["finish"]
    assert run.machine.state.phase is Phase.FAILED
    assert run.phases() == {"wf": "Failed", "a": "Succeeded", "b": "Succeeded"}


def test_a_drain_ends_a_retry_that_waits() -> None:
    again = template("again", retryStrategy={"backoff": {"duration": "1h"}})
    run = Drive(flow({"name": "a", "template": "again"}, templates=[again]))
    run.end("a(0)", Phase.FAILED)

    assert run.handle(ShutdownRequested("Drain")) == ["finish"]
    assert run.node("a").message == "Stopped with strategy 'Drain'"


def test_a_stronger_shutdown_may_follow_and_a_weaker_one_is_nothing() -> None:
    run = two_tasks()
    run.handle(ShutdownRequested("Drain"))

    assert run.handle(ShutdownRequested("Drain")) == []
    assert run.handle(ShutdownRequested("Stop")) == ["cancel a", "cancel b", "finish"]


def test_the_exit_handler_runs_after_a_failure() -> None:
    run = two_tasks(onExit="handler")
    run.end("a", Phase.FAILED, message="boom")

    assert run.end("b") == ["launch wf.onExit"]
    assert run.machine.state.phase is Phase.RUNNING
    handler = run.node("wf.onExit")
    assert (handler.hooked, handler.boundary_id) == (True, None)
    assert run.machine.task(handler.id).inputs.parameters == {"status": "Failed"}
    assert run.end("wf.onExit") == ["finish"]
    assert run.machine.state.phase is Phase.FAILED


def test_the_exit_handlers_failure_is_the_workflows() -> None:
    run = Drive(flow({"name": "a"}, templates=[HANDLER], onExit="handler"))
    run.end("a")

    assert run.end("wf.onExit", Phase.ERROR, message="no") == ["finish"]
    assert (run.machine.state.phase, run.machine.state.message) == (Phase.ERROR, "no")


def test_an_exit_hook_has_arguments() -> None:
    hook = {
        "template": "handler",
        "arguments": {"parameters": [{"name": "status", "value": "was {{workflow.status}}"}]},
    }
    run = Drive(flow({"name": "a"}, templates=[HANDLER], hooks={"exit": hook}))

    assert run.end("a") == ["launch wf.onExit"]
    assert run.task("wf.onExit").inputs.parameters == {"status": "was Succeeded"}


def test_the_exit_handler_sees_the_failures() -> None:
    tell = template("tell", inputs={"parameters": [{"name": "f", "value": "{{workflow.failures}}"}]})
    run = Drive(flow({"name": "a"}, templates=[tell], onExit="tell"))
    run.end("a", Phase.FAILED, message="boom")

    failures = json.loads(json.loads(run.task("wf.onExit").inputs.parameters["f"]))
    assert [(failure["displayName"], failure["message"]) for failure in failures] == [("a", "boom")]


def test_a_stop_runs_the_exit_handler_and_a_termination_ends_it() -> None:
    run = two_tasks(onExit="handler")

    assert run.handle(ShutdownRequested("Stop")) == ["cancel a", "cancel b", "launch wf.onExit"]
    assert run.handle(ShutdownRequested("Terminate")) == ["cancel wf.onExit", "finish"]
    assert run.node("wf.onExit").phase is Phase.FAILED


def test_a_termination_does_not_run_the_exit_handler() -> None:
    assert two_tasks(onExit="handler").handle(ShutdownRequested("Terminate")) == ["cancel a", "cancel b", "finish"]


def test_the_deadline_does_not_count_for_the_exit_handler() -> None:
    run = two_tasks(onExit="handler", activeDeadlineSeconds=60)

    assert run.fire("deadline") == ["cancel a", "cancel b", "launch wf.onExit"]
    assert run.handle(TimerFired("deadline"), after=100) == []
    assert run.task("wf.onExit").deadline is None


def test_nothing_new_starts_while_suspended() -> None:
    run = two_tasks()
    run.handle(SuspendRequested())

    assert run.machine.state.suspended
    assert run.end("a") == []
    assert run.handle(ResumeRequested()) == ["launch c"]
    assert not run.machine.state.suspended


def test_a_workflow_may_begin_suspended() -> None:
    run = Drive(flow({"name": "a"}, suspend=True))

    assert run.commands == []
    assert run.machine.state.phase is Phase.RUNNING
    assert run.handle(ResumeRequested()) == ["launch a"]


@pytest.mark.parametrize(("on_exit", "after"), [(None, ["finish"]), ("handler", ["launch wf.onExit"])])
def test_a_stop_before_anything_ran(on_exit: str | None, after: list[str]) -> None:
    run = Drive(flow({"name": "a"}, templates=[HANDLER], suspend=True, onExit=on_exit))

    commands = run.handle(ShutdownRequested("Stop"))
    commands += run.handle(ResumeRequested())

    assert commands == after
    assert "a" not in run.phases()


def test_a_suspend_template_waits_for_a_resume_or_for_its_time() -> None:
    hold = {"name": "hold", "suspend": {}}
    nap = {"name": "nap", "suspend": {"duration": "20"}}
    run = Drive(
        flow(
            {"name": "a", "template": "hold"}, {"name": "b", "template": "nap"}, {"name": "c", "depends": "b"},
            templates=[hold, nap], parallelism=1,
        )
    )  # fmt: skip
    assert run.node("a").type is NodeType.SUSPEND
    key = f"resume:{run.node('b').id}"
    assert run.timers == {key: 120.0}

    assert run.fire(key) == ["launch c"]
    run.end("c")
    assert run.handle(ResumeRequested()) == ["finish"]
    assert run.machine.state.phase is Phase.SUCCEEDED
