"""Suspend nodes: resumed, timed, given values, and set from outside.

Semantics: argo-workflows, executeSuspend (operator.go); ResumeWorkflow and SetWorkflow (workflow/util/util.go).
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.flows import Drive, each_way, flow, grouped, steps, taking

from tiphys.engine.events import NodeSet, ResumeRequested, ShutdownRequested, SuspendRequested, TimerFired
from tiphys.engine.model import NodeType, Phase


def hold(duration: str = "", *outputs: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A suspend template."""
    suspend = {"duration": duration} if duration else {}
    return {"name": "hold", "suspend": suspend, "outputs": {"parameters": list(outputs)}, **fields}


def supplied(name: str = "o", **fields: Any) -> dict[str, Any]:
    """An output that whoever resumes the workflow gives."""
    return {"name": name, "valueFrom": {"supplied": {}, **fields}}


WAIT = {"name": "w", "template": "hold"}
AFTER = taking("{{tasks.w.outputs.parameters.o}}", depends="w")


@each_way
@pytest.mark.parametrize("nodes", [None, "own", "other"])
def test_resumes(drive: type[Drive], nodes: str | None) -> None:
    run = drive(steps([WAIT, {"name": "v", "template": "hold"}], [{"name": "a"}], templates=[hold()]))
    assert run.commands == []
    assert (run.node("w").type, run.node("w").phase) == (NodeType.SUSPEND, Phase.RUNNING)

    if nodes is None:
        assert run.handle(ResumeRequested()) == ["launch a"]
    elif nodes == "own":
        assert run.handle(ResumeRequested((run.node("w").id,))) == []
        assert (run.node("w").phase, run.node("v").phase) == (Phase.SUCCEEDED, Phase.RUNNING)
        assert run.handle(ResumeRequested((run.node("v").id,))) == ["launch a"]
    else:
        assert run.handle(ResumeRequested(("wf-1",))) == []
        assert run.node("w").phase is Phase.RUNNING


@each_way
@pytest.mark.parametrize("duration", ["20", "20s", "{{inputs.parameters.t}}"])
def test_a_duration(drive: type[Drive], duration: str) -> None:
    inputs = {"inputs": {"parameters": [{"name": "t", "value": "20s"}]}}
    run = drive(flow(WAIT, {"name": "a", "depends": "w"}, templates=[hold(duration, **inputs)]))
    key = f"resume:{run.node('w').id}"
    assert run.timers == {key: 120.0}

    assert run.fire(key) == ["launch a"]
    assert run.handle(TimerFired(key)) == []


@each_way
def test_an_early_timer_does_not_resume(drive: type[Drive]) -> None:
    run = drive(flow(WAIT, {"name": "a", "depends": "w"}, templates=[hold("20s")]))
    key = f"resume:{run.node('w').id}"

    assert run.handle(TimerFired(key), after=5) == []
    assert run.node("w").phase is Phase.RUNNING
    assert run.fire(key) == ["launch a"]


@each_way
@pytest.mark.parametrize(("default", "taken"), [("D", "set"), (None, "set")])
def test_values_that_were_set(drive: type[Drive], default: str | None, taken: str) -> None:
    output = supplied() if default is None else supplied(default=default)
    run = drive(flow(WAIT, AFTER, templates=[hold("", output)]))
    run.handle(NodeSet(run.node("w").id, outputs={"o": "set"}))
    assert run.node("w").phase is Phase.RUNNING

    assert run.handle(ResumeRequested()) == ["launch take"]
    assert run.takes() == taken


@each_way
@pytest.mark.parametrize("resume", ["event", "timer"])
def test_a_default_where_nothing_was_set(drive: type[Drive], resume: str) -> None:
    run = drive(flow(WAIT, AFTER, templates=[hold("20s", supplied(default="D"))]))

    commands = run.handle(ResumeRequested()) if resume == "event" else run.fire(f"resume:{run.node('w').id}")
    assert commands == ["launch take"]
    assert run.takes() == "D"


@each_way
def test_the_default_of_the_input_of_the_same_name(drive: type[Drive]) -> None:
    """addRawOutputFields of Argo's operator.go."""
    inputs = {"inputs": {"parameters": [{"name": "o", "default": "of the input", "enum": ["of the input", "x"]}]}}
    run = drive(flow(WAIT, AFTER, templates=[hold("20s", supplied(), **inputs)]))

    assert run.fire(f"resume:{run.node('w').id}") == ["launch take"]
    assert run.takes() == "of the input"


@each_way
def test_without_a_value_it_waits_on_or_is_an_error_when_its_time_is_over(drive: type[Drive]) -> None:
    run = drive(flow(WAIT, AFTER, templates=[hold("20s", supplied())]))

    assert run.handle(ResumeRequested()) == []
    problem = "output parameter 'o' has not been set and does not have a default value"
    assert (run.node("w").phase, run.node("w").message) == (Phase.RUNNING, f"raw {problem}")
    run.fire(f"resume:{run.node('w').id}")
    assert (run.node("w").phase, run.node("w").message) == (Phase.ERROR, f"raw {problem}")


@each_way
@pytest.mark.parametrize(
    ("phase", "after", "state"),
    [
        (Phase.SUCCEEDED, ["launch a"], Phase.RUNNING),
        (Phase.SKIPPED, ["launch a"], Phase.RUNNING),
        (Phase.FAILED, ["finish"], Phase.FAILED),
        (Phase.ERROR, ["finish"], Phase.ERROR),
    ],
)
def test_a_node_is_given_a_phase(drive: type[Drive], phase: Phase, after: list[str], state: Phase) -> None:
    run = drive(flow(WAIT, {"name": "a", "depends": "w"}, templates=[hold()]))

    assert run.handle(NodeSet(run.node("w").id, phase=phase, message="by hand")) == after
    assert (run.node("w").phase, run.node("w").message) == (phase, "by hand")
    assert run.machine.state.phase is state


@each_way
def test_a_node_is_given_all_at_once(drive: type[Drive]) -> None:
    run = drive(flow(WAIT, AFTER, templates=[hold("", supplied(), supplied("p", default="D"))]))

    run.handle(NodeSet(run.node("w").id, phase=Phase.SUCCEEDED, outputs={"o": "set"}))
    assert run.commands == ["launch take"]
    assert run.takes() == "set"


@each_way
def test_only_what_waits_can_be_set(drive: type[Drive]) -> None:
    run = drive(flow({"name": "a"}, WAIT, templates=[hold()]))

    assert run.handle(NodeSet(run.node("a").id, phase=Phase.FAILED, message="no")) == []
    assert run.handle(NodeSet("wf-1", phase=Phase.FAILED)) == []
    assert (run.node("a").phase, run.node("a").message) == (Phase.RUNNING, "")


@each_way
@pytest.mark.parametrize("strategy", ["Stop", "Terminate"])
def test_a_shutdown_ends_it(drive: type[Drive], strategy: str) -> None:
    run = drive(flow(WAIT, templates=[hold()]))

    assert run.handle(ShutdownRequested(strategy)) == ["finish"]
    assert (run.node("w").phase, run.node("w").message) == (Phase.FAILED, f"Stopped with strategy '{strategy}'")


@each_way
def test_the_deadline_ends_it(drive: type[Drive]) -> None:
    run = drive(flow(WAIT, templates=[hold("1h")], activeDeadlineSeconds=9))

    assert run.fire("deadline") == ["finish"]
    assert (run.node("w").phase, run.node("w").message) == (Phase.FAILED, "Step exceeded its deadline")


@each_way
def test_a_suspended_workflow_goes_on_as_a_whole(drive: type[Drive]) -> None:
    inner = {"name": "inner", "steps": grouped([WAIT])}
    run = drive(flow({"name": "in", "template": "inner"}, {"name": "a", "depends": "in"}, templates=[hold(), inner]))
    run.handle(SuspendRequested())
    run.handle(ResumeRequested((run.node("w").id,)))
    assert (run.node("in").phase, run.machine.state.suspended) == (Phase.SUCCEEDED, True)

    assert run.handle(ResumeRequested()) == ["launch a"]
    assert not run.machine.state.suspended


@each_way
def test_hooks_of_a_suspend_node(drive: type[Drive]) -> None:
    run = drive(flow({**WAIT, "onExit": "step"}, templates=[hold()]))

    assert run.handle(ResumeRequested()) == ["launch w.onExit"]
