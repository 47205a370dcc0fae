"""A machine restored from what was committed (`test_crashes` does this at random)."""

from __future__ import annotations

import copy

import pytest
from tests.unit.engine.flows import Drive, flow, template

from tiphys.engine.commands import FinishWorkflow, Launch, SetTimer
from tiphys.engine.events import ShutdownRequested, TaskFinished, TimerFired, WorkflowStarted
from tiphys.engine.machine import Machine
from tiphys.engine.model import Node, NodeType, Phase
from tiphys.errors import InvariantError


def test_nothing_is_asked_for_twice_and_timers_come_back() -> None:
    again = template("again", retryStrategy={"backoff": {"duration": "1h"}}, timeout="5m")
    nap = {"name": "nap", "suspend": {"duration": "20s"}}
    run = Drive(
        flow(
            {"name": "a", "template": "again"}, {"name": "b", "template": "again"}, {"name": "c", "template": "nap"},
            templates=[again, nap], activeDeadlineSeconds=9999,
        )
    )  # fmt: skip
    run.end("a(0)", Phase.FAILED)

    machine = run.restored()

    assert machine.take_changes() == (None, [])
    assert machine.running() == run.machine.running()
    assert machine.timers() == run.machine.timers()
    assert {timer.key.partition(":")[0] for timer in machine.timers()} == {"deadline", "timeout", "resume", "retry"}
    assert all(timer.due == run.timers[timer.key] for timer in machine.timers())


def test_work_that_waited_for_a_place_is_found_again() -> None:
    run = Drive(flow({"name": "a", "withItems": [1, 2, 3]}, {"name": "b"}, parallelism=1))
    run.end("a(0:1)")

    machine = run.restored()

    started = []
    for name in ("a(1:2)", "a(2:3)", "b"):
        [node_id] = machine.running()
        assert machine.node(node_id).display_name == name
        commands = machine.handle(TaskFinished(machine.task(node_id).id, Phase.SUCCEEDED), 200.0)
        started += [type(command) for command in commands]
    assert started == [Launch, Launch, FinishWorkflow]


def test_a_failure_still_counts() -> None:
    run = Drive(flow({"name": "a"}, {"name": "b"}, {"name": "c", "depends": "b"}, mode="STOP_ON_FAILURE"))
    run.end("a", Phase.FAILED)

    machine = run.restored()

    assert machine.handle(TaskFinished(run.task("b").id, Phase.SUCCEEDED), 200.0) == [FinishWorkflow()]


def test_a_shutdown_still_counts() -> None:
    run = Drive(flow({"name": "a"}, {"name": "b", "depends": "a"}))
    run.handle(ShutdownRequested("Drain"))

    machine = run.restored()

    assert machine.handle(TaskFinished(run.task("a").id, Phase.SUCCEEDED), 200.0) == [FinishWorkflow()]
    assert machine.state.phase is Phase.FAILED


def test_an_exit_handler_goes_on() -> None:
    run = Drive(flow({"name": "a"}, onExit="step"))
    run.end("a", Phase.FAILED)

    machine = run.restored()

    assert machine.handle(TaskFinished(run.task("wf.onExit").id, Phase.SUCCEEDED), 200.0) == [FinishWorkflow()]
    assert machine.state.phase is Phase.FAILED


def test_a_workflow_that_was_not_started_or_has_ended() -> None:
    workflow = flow({"name": "a"})
    fresh = Machine("uid", workflow, "wf")
    machine = Machine.restore("uid", workflow, fresh.state, [], now=0.0)
    assert machine.handle(WorkflowStarted(), 1.0) != []

    run = Drive(workflow)
    run.end("a")
    ended = run.restored()
    assert ended.handle(WorkflowStarted(), 300.0) == []
    assert ended.timers() == []


def test_a_finished_leaf_can_still_be_described() -> None:
    inner = {"name": "inner", "dag": {"tasks": [{"name": "x", "template": "step"}]}}
    run = Drive(flow({"name": "a", "template": "inner"}, {"name": "b", "depends": "a"}, templates=[inner]))
    run.end("x")

    task = run.restored().task(run.node("x").id)

    assert (task.name, task.body) == ("x", {"step": "s"})


def test_a_retry_that_is_due_starts_when_its_timer_fires_again() -> None:
    again = template("again", retryStrategy={"backoff": {"duration": "10s"}})
    run = Drive(flow({"name": "a", "template": "again"}, templates=[again]))
    run.end("a(0)", Phase.FAILED)
    machine = run.restored()
    [timer] = machine.timers()

    early = machine.handle(TimerFired(timer.key), timer.due - 1)
    due = machine.handle(TimerFired(timer.key), timer.due)

    assert early == [SetTimer(timer.key, timer.due)]
    assert [type(command) for command in due] == [Launch]


def test_invariants_find_a_contradiction() -> None:
    run = Drive(flow({"name": "a"}, {"name": "b", "depends": "a"}))
    nodes = [copy.deepcopy(node) for node in run.store.values()]
    started_too_early = Node("wf-1", "wf.b", "b", NodeType.PLUGIN, Phase.RUNNING, "step", "wf", "b", started_at=100.0)
    machine = Machine.restore(
        "uid", run.workflow, copy.deepcopy(run.machine.state), [*nodes, started_too_early], now=0.0
    )

    with pytest.raises(InvariantError, match="'b' was started before its dependencies ended"):
        machine.validate()
