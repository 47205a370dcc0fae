"""Daemons: those who wait for one go on when it is ready, and it is ended with the DAG or steps that started it.

Semantics: argo-workflows, assessNodeStatus (operator.go), killDaemonedChildren (exec_control.go), and assessDAGPhase
(dag.go) for what the death of a daemon means.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.flows import Drive, each_way, flow, grouped, steps, taking, template

from tiphys.engine.events import ShutdownRequested, TaskReady
from tiphys.engine.model import Phase

DAEMON = template("daemon", daemon=True)
SERVER = {"name": "d", "template": "daemon"}


def after(depends: str = "d", **fields: Any) -> dict[str, Any]:
    return {"name": "a", "depends": depends, **fields}


@each_way
def test_dependents_of_a_daemon_go_on_when_it_is_ready(drive: type[Drive]) -> None:
    run = drive(flow(SERVER, taking("{{tasks.d.ip}} {{tasks.d.status}}", depends="d"), templates=[DAEMON]))
    assert run.commands == ["launch d"]

    assert run.ready("d", "10.1.2.3") == ["launch take"]
    assert run.takes() == "10.1.2.3 Running"
    assert (run.node("d").phase, run.node("d").daemoned, run.node("d").ip) == (Phase.RUNNING, True, "10.1.2.3")
    assert run.machine.running() == [run.node("take").id]
    assert run.end("take") == ["cancel d", "finish"]
    assert (run.node("d").phase, run.node("d").daemoned) == (Phase.SUCCEEDED, False)
    assert run.machine.state.phase is Phase.SUCCEEDED


@each_way
def test_steps_after_a_daemon(drive: type[Drive]) -> None:
    run = drive(steps([SERVER], [taking("{{steps.d.ip}}")], [{"name": "b"}], templates=[DAEMON]))

    assert run.ready("d") == ["launch take"]
    assert run.takes() == "10.0.0.1"
    assert run.end("take") == ["launch b"]
    assert run.end("b") == ["cancel d", "finish"]
    assert run.node("[0]").phase is Phase.SUCCEEDED


@each_way
@pytest.mark.parametrize(
    ("depends", "runs"),
    [
        ("d.Daemoned", True),
        ("d", True),
        ("d.Succeeded", False),
        ("!d.Daemoned", False),
        ("d.Daemoned || d.Failed", True),
    ],
)
def test_depends(drive: type[Drive], depends: str, runs: bool) -> None:
    run = drive(flow(SERVER, {"name": "b"}, after(depends), templates=[DAEMON]))

    assert run.ready("d") == (["launch a"] if runs else [])
    assert run.phases().get("a") == ("Running" if runs else "Omitted")


@each_way
def test_a_daemon_is_ended_with_the_steps_that_started_it(drive: type[Drive]) -> None:
    inner = {"name": "inner", "steps": grouped([SERVER], [{"name": "x"}])}
    run = drive(flow({"name": "in", "template": "inner"}, after("in"), templates=[DAEMON, inner]))
    run.ready("d")

    assert run.end("x") == ["cancel d", "launch a"]


@each_way
def test_a_daemon_that_is_a_target_does_not_keep_the_dag_running(drive: type[Drive]) -> None:
    run = drive(flow(SERVER, {"name": "a"}, templates=[DAEMON]))
    run.ready("d")

    assert run.end("a") == ["cancel d", "finish"]
    assert run.machine.state.phase is Phase.SUCCEEDED


@each_way
def test_what_it_reports_after_its_end_is_nothing(drive: type[Drive]) -> None:
    run = drive(flow(SERVER, after(), {"name": "b", "depends": "a"}, templates=[DAEMON]))
    assert run.ready("d") == ["launch a"]

    assert run.ready("d") == []
    assert run.handle(TaskReady("uid/wf-1/0", "10.0.0.1")) == []
    assert run.handle(TaskReady(run.task("a").id, "10.0.0.1")) == []
    assert not run.node("a").daemoned


@each_way
@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.SUCCEEDED, Phase.ERROR])
def test_a_daemon_that_ends_before_it_is_ready_has_failed(drive: type[Drive], phase: Phase) -> None:
    run = drive(flow(SERVER, after(), templates=[DAEMON]))

    assert run.end("d", phase) == ["finish"]
    expected = Phase.FAILED if phase is Phase.SUCCEEDED else phase
    assert run.node("d").phase is expected
    assert (run.node("a").phase, run.machine.state.phase) == (Phase.OMITTED, expected)


@each_way
@pytest.mark.parametrize(
    ("tasks", "phase"),
    [
        # A task that did run decides, not what it once waited for …
        ([after()], Phase.SUCCEEDED),
        # … but a daemon that nobody depends on is a target itself.
        ([{"name": "a"}], Phase.FAILED),
    ],
)
def test_a_daemon_that_dies_while_others_run(drive: type[Drive], tasks: list[dict[str, Any]], phase: Phase) -> None:
    run = drive(flow(SERVER, *tasks, templates=[DAEMON]))
    run.ready("d")

    assert run.end("d", Phase.FAILED, message="died") == []
    assert (run.node("d").phase, run.node("d").daemoned) == (Phase.FAILED, False)
    assert run.end("a") == ["finish"]
    assert run.machine.state.phase is phase


@each_way
@pytest.mark.parametrize(("depends", "runs"), [("d && b", False), ("d.Daemoned && b", False), ("d.Failed && b", True)])
def test_who_asks_after_its_death_finds_a_failed_task(drive: type[Drive], depends: str, runs: bool) -> None:
    run = drive(flow(SERVER, {"name": "b"}, after(depends), templates=[DAEMON]))
    run.ready("d")
    run.end("d", Phase.SUCCEEDED)

    assert run.node("d").phase is Phase.FAILED
    assert run.end("b") == (["launch a"] if runs else ["finish"])


@each_way
def test_a_daemon_that_dies_while_its_group_runs_fails_the_group(drive: type[Drive]) -> None:
    run = drive(steps([SERVER, {"name": "a"}], [{"name": "b"}], templates=[DAEMON]))
    run.ready("d")
    run.end("d", Phase.FAILED)

    assert run.end("a") == ["finish"]
    assert run.machine.state.message == f"child '{run.node('d').id}' failed"


@each_way
def test_a_daemon_that_dies_after_its_group_changes_nothing(drive: type[Drive]) -> None:
    run = drive(steps([SERVER], [{"name": "a"}], [{"name": "b"}], templates=[DAEMON]))
    run.ready("d")
    run.end("d", Phase.FAILED)

    assert run.end("a") == ["launch b"]
    assert run.end("b") == ["finish"]
    assert run.machine.state.phase is Phase.SUCCEEDED


@each_way
def test_a_daemon_is_started_again_when_it_dies(drive: type[Drive]) -> None:
    """As in Argo's examples dag-daemon-retry-strategy and steps-daemon-retry-strategy."""
    again = template("daemon", daemon=True, retryStrategy={"limit": 2})
    run = drive(flow(SERVER, after(), {"name": "b", "depends": "a"}, templates=[again]))
    assert run.commands == ["launch d(0)"]
    assert run.ready("d(0)", "10.0.0.1") == ["launch a"]

    assert run.end("d(0)", Phase.FAILED) == ["launch d(1)"]
    assert run.ready("d(1)", "10.0.0.2") == []
    assert (run.node("d").ip, run.node("d").phase) == ("10.0.0.2", Phase.RUNNING)
    assert run.end("a") == ["launch b"]
    assert run.end("b") == ["cancel d(1)", "finish"]
    assert {name: phase for name, phase in run.phases().items() if name.startswith("d")} == {
        "d": "Succeeded", "d(0)": "Failed", "d(1)": "Succeeded",
    }  # fmt: skip
    assert run.machine.state.phase is Phase.SUCCEEDED


@each_way
def test_a_daemon_that_is_not_ready_again_when_the_dag_ends(drive: type[Drive]) -> None:
    again = template("daemon", daemon=True, retryStrategy={"limit": 2})
    run = drive(flow(SERVER, after(), templates=[again]))
    run.ready("d(0)")
    run.end("d(0)", Phase.FAILED)

    commands = run.end("a")
    assert commands == ["cancel d(1)", "finish"]
    assert run.machine.state.phase is Phase.SUCCEEDED


@each_way
def test_a_daemon_that_waits_for_its_next_attempt_when_the_dag_ends(drive: type[Drive]) -> None:
    again = template("daemon", daemon=True, retryStrategy={"limit": 2, "backoff": {"duration": "1h"}})
    run = drive(flow(SERVER, after(), templates=[again]))
    run.ready("d(0)")
    run.end("d(0)", Phase.FAILED)

    assert run.end("a") == ["finish"]
    assert run.machine.state.phase is Phase.SUCCEEDED
    assert all(node.phase.fulfilled for node in run.machine.nodes())


@each_way
@pytest.mark.parametrize("strategy", ["Stop", "Terminate"])
def test_a_shutdown_ends_daemons(drive: type[Drive], strategy: str) -> None:
    run = drive(flow(SERVER, after(), templates=[DAEMON]))
    run.ready("d")

    assert sorted(run.handle(ShutdownRequested(strategy))) == ["cancel a", "cancel d", "finish"]
    assert (run.node("d").phase, run.node("a").phase) == (Phase.SUCCEEDED, Phase.FAILED)


@each_way
@pytest.mark.parametrize("make", [flow, lambda *groups, **spec: steps(*([group] for group in groups), **spec)])
def test_a_loop_of_daemons_is_over_when_all_are_ready(drive: type[Drive], make: Any) -> None:
    after = {"name": "a"} if make is not flow else {"name": "a", "depends": "d"}
    run = drive(make({**SERVER, "withItems": [1, 2]}, after, templates=[DAEMON]))
    assert run.ready("d(0:1)") == []

    assert run.ready("d(1:2)") == ["launch a"]
    assert run.node("d").phase is Phase.SUCCEEDED
    run.end("d(0:1)", Phase.FAILED)
    assert run.end("a") == ["cancel d(1:2)", "finish"]
    assert run.machine.state.phase is Phase.SUCCEEDED


@each_way
@pytest.mark.parametrize("dies", [False, True])
def test_those_who_wait_for_a_daemon_wait_for_its_hooks(drive: type[Drive], dies: bool) -> None:
    hooks = {"running": {"template": "step", "expression": "tasks.d.status == 'Running'"}}
    run = drive(flow({**SERVER, "hooks": hooks}, after(), templates=[DAEMON]))
    assert run.commands == ["launch d", "launch d.hooks.running"]
    assert run.ready("d") == []

    if dies:
        assert run.end("d", Phase.FAILED) == []
        assert run.end("d.hooks.running") == ["finish"]
        assert run.machine.state.phase is Phase.FAILED
    else:
        assert run.end("d.hooks.running") == ["launch a"]
        assert run.end("a") == ["cancel d", "finish"]


@each_way
def test_a_daemon_that_is_a_hook(drive: type[Drive]) -> None:
    hooks = {"running": {"template": "daemon", "expression": "tasks.b.status == 'Running'"}}
    run = drive(flow({"name": "b", "hooks": hooks}, after("b"), templates=[DAEMON]))
    assert run.ready("b.hooks.running") == []

    assert run.end("b") == ["launch a"]
    assert run.end("a") == ["cancel b.hooks.running", "finish"]
    assert run.machine.state.phase is Phase.SUCCEEDED


@each_way
def test_a_daemon_that_is_a_hook_of_one_that_is_retried(drive: type[Drive]) -> None:
    again = template("again", daemon=True, retryStrategy={"limit": 2})
    hooks = {"running": {"template": "daemon", "expression": "tasks.d.status == 'Running'"}}
    run = drive(flow({"name": "d", "template": "again", "hooks": hooks}, after(), templates=[DAEMON, again]))
    assert run.ready("d.hooks.running") == []
    assert not run.node("d").daemoned

    assert run.ready("d(0)") == ["launch a"]
    assert sorted(run.end("a")) == ["cancel d(0)", "cancel d.hooks.running", "finish"]
    assert run.machine.state.phase is Phase.SUCCEEDED


@each_way
@pytest.mark.parametrize("wait", [{}, {"backoff": {"duration": "1h"}}])
def test_a_hook_that_is_a_daemon_and_is_to_be_ready_again_ends_with_the_dag(
    drive: type[Drive], wait: dict[str, Any]
) -> None:
    again = template("again", daemon=True, retryStrategy={"limit": 2, **wait})
    run = drive(flow({"name": "b", "hooks": {"exit": {"template": "again"}}}, after("b"), templates=[again]))
    run.end("b")
    assert run.ready("b.onExit(0)") == ["launch a"]
    run.end("b.onExit(0)", Phase.FAILED)

    assert run.end("a") == (["finish"] if wait else ["cancel b.onExit(1)", "finish"])
    assert run.machine.state.phase is Phase.SUCCEEDED
    assert run.node("b.onExit").phase is Phase.SUCCEEDED


@each_way
def test_what_follows_a_daemon_goes_on_when_it_dies(drive: type[Drive]) -> None:
    run = drive(flow(SERVER, after(), {"name": "b", "depends": "a"}, templates=[DAEMON]))
    run.ready("d")
    run.end("d", Phase.FAILED)

    assert run.end("a") == ["launch b"]
    assert run.end("b") == ["finish"]
    assert run.machine.state.phase is Phase.SUCCEEDED


@each_way
@pytest.mark.parametrize("dies", [False, True])
def test_daemons_that_are_hooks_of_the_workflow(drive: type[Drive], dies: bool) -> None:
    hooks = {"seen": {"template": "daemon", "expression": "true"}, "exit": {"template": "daemon"}}
    run = drive(flow({"name": "a"}, templates=[DAEMON], hooks=hooks))
    run.ready("wf.hooks.seen")
    if dies:
        run.end("wf.hooks.seen", Phase.FAILED)

    assert run.end("a") == ["launch wf.onExit"]
    ended = ["cancel wf.onExit", "finish"]
    assert run.ready("wf.onExit") == (ended if dies else ["cancel wf.hooks.seen", *ended])
    assert run.machine.state.phase is Phase.SUCCEEDED


@each_way
def test_daemons_do_not_count_for_parallelism(drive: type[Drive]) -> None:
    run = drive(flow(SERVER, {"name": "a"}, {"name": "b"}, templates=[DAEMON], main={"parallelism": 1}))
    assert run.commands == ["launch d"]

    assert run.ready("d") == ["launch a"]
    assert run.end("a") == ["launch b"]
    assert run.end("b") == ["cancel d", "finish"]
