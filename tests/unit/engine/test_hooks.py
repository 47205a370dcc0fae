"""Lifecycle hooks of tasks, steps, items of loops and retried nodes, and of the workflow.

Semantics: argo-workflows, workflow/controller/hooks.go and exit_handler.go. Where ours differ on purpose: the exit hook
of a DAG's loop is run for its items only (Argo runs it for the loop once more if others depend on it), and the
expression of the workflow's own exit hook is heeded.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.engine.flows import Drive, each_way, flow, given, grouped, steps, template

from tiphys.engine.events import ShutdownRequested, TimerFired
from tiphys.engine.machine import Machine
from tiphys.engine.model import Phase
from tiphys.errors import SpecError

GIVER = template("giver", outputs={"parameters": [{"name": "y", "valueFrom": {"path": "/y"}}]})


def make(kind: str, *tasks: dict[str, Any], **spec: Any) -> Any:
    """A DAG of tasks, or a group of steps, that do not wait for each other."""
    if kind == "dag":
        return flow(*tasks, **spec)
    return steps(list(tasks), **spec)


either = pytest.mark.parametrize("kind", ["dag", "steps"])


@each_way
@either
@pytest.mark.parametrize("phase", [Phase.SUCCEEDED, Phase.FAILED, Phase.ERROR])
@pytest.mark.parametrize("spelling", ["hooks", "onExit"])
def test_an_exit_hook_runs_when_its_task_has_ended(drive: type[Drive], kind: str, phase: Phase, spelling: str) -> None:
    hook = {"onExit": "step"} if spelling == "onExit" else {"hooks": {"exit": {"template": "step"}}}
    run = drive(make(kind, {"name": "a", **hook}))

    assert run.end("a", phase) == ["launch a.onExit"]
    node, owner = run.node("a.onExit"), run.node("a")
    assert (node.name, node.boundary_id, node.parent_id) == (f"{owner.name}.onExit", "wf", owner.id)
    assert run.machine.state.phase is Phase.RUNNING
    assert run.end("a.onExit") == ["finish"]
    # In a DAG the phase is that of the task; a group of steps fails.
    failed = Phase.FAILED if kind == "steps" else phase
    assert run.machine.state.phase is (Phase.SUCCEEDED if phase is Phase.SUCCEEDED else failed)


@each_way
@either
def test_what_was_skipped_has_no_end(drive: type[Drive], kind: str) -> None:
    run = drive(make(kind, {"name": "a", "when": "false", "hooks": {"exit": {"template": "step"}}}))

    assert run.commands == ["finish"]


@each_way
def test_dependents_and_later_groups_wait_for_hooks(drive: type[Drive]) -> None:
    hooks = {"exit": {"template": "step"}}
    run = drive(flow({"name": "a", "hooks": hooks}, {"name": "b", "depends": "a"}))
    assert run.end("a") == ["launch a.onExit"]
    assert run.end("a.onExit") == ["launch b"]

    run = drive(steps([{"name": "a", "hooks": hooks}], [{"name": "b"}]))
    assert run.end("a") == ["launch a.onExit"]
    assert run.end("a.onExit") == ["launch b"]


@each_way
@either
@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.ERROR])
def test_the_failure_of_a_hook_fails_nothing(drive: type[Drive], kind: str, phase: Phase) -> None:
    run = drive(make(kind, {"name": "a", "hooks": {"exit": {"template": "step"}}}))
    run.end("a")

    assert run.end("a.onExit", phase) == ["finish"]
    assert run.machine.state.phase is Phase.SUCCEEDED


@each_way
@either
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{{SELF.outputs.parameters.y}}", "Y"),
        ("{{SELF.status}}/{{SELF.outputs.result}}/{{SELF.exitCode}}", "Succeeded/R/0"),
        ("{{=SELF.outputs.parameters.y + '!'}}", "Y!"),
        ("{{workflow.name}}", "wf"),
    ],
)
def test_an_exit_hook_may_refer_to_its_task(drive: type[Drive], kind: str, value: str, expected: str) -> None:
    prefix = "tasks.a" if kind == "dag" else "steps.a"
    hook = {"template": "take", **given(x=value.replace("SELF", prefix))}
    run = drive(make(kind, {"name": "a", "hooks": {"exit": hook}}))
    run.end("a", parameters={"y": "Y"}, result="R", exit_code=0)

    assert run.takes("a.onExit") == expected


@each_way
def test_an_exit_hook_may_pass_artifacts_on(drive: type[Drive]) -> None:
    leaf = template("leaf", inputs={"artifacts": [{"name": "in"}]})
    artifact = {"name": "in", "from": "{{steps.a.outputs.artifacts.out}}"}
    hook = {"template": "leaf", "arguments": {"artifacts": [artifact]}}
    run = drive(steps([{"name": "a", "hooks": {"exit": hook}}], templates=[leaf]))
    run.end("a", artifacts={"out": {"id": 1}})

    assert run.task("a.onExit").inputs.artifacts == {"in": {"id": 1}}


@each_way
@either
@pytest.mark.parametrize("spelling", ["hooks", "onExit"])
def test_without_arguments_an_exit_hook_takes_the_workflows(drive: type[Drive], kind: str, spelling: str) -> None:
    """GetExitHook of workflow_types.go."""
    hook = {"onExit": "take"} if spelling == "onExit" else {"hooks": {"exit": {"template": "take"}}}
    run = drive(make(kind, {"name": "a", **hook}, **given(x="of the workflow")))
    run.end("a")

    assert run.takes("a.onExit") == "of the workflow"


@each_way
def test_on_exit_goes_before_an_exit_hook(drive: type[Drive]) -> None:
    both = {"onExit": "first", "hooks": {"exit": {"template": "second"}}}
    templates = [template("first"), template("second")]
    run = drive(flow({"name": "a", **both}, templates=templates, **both))
    run.end("a")
    assert run.node("a.onExit").template == "first"

    run.end("a.onExit")
    assert run.node("wf.onExit").template == "first"


@each_way
def test_absent_outputs_in_the_arguments_of_an_exit_hook(drive: type[Drive]) -> None:
    """The flow of Argo's TestExitHookSkippedOutputAbsenceSemantics."""
    ref = "steps.producer.outputs.parameters.y"
    hooked = template("hooked", inputs={"parameters": [{"name": "in", "default": "FALLBACK"}, {"name": "in2"}]})
    hook = {"template": "hooked", **given(**{"in": f"{{{{{ref}}}}}", "in2": f"{{{{={ref} ?? 'hook-fallback'}}}}"})}
    producer = {"name": "producer", "template": "giver", "when": "false"}
    run = drive(steps([producer], [{"name": "work", "hooks": {"exit": hook}}], templates=[GIVER, hooked]))
    run.end("work")

    assert run.task("work.onExit").inputs.parameters == {"in": "FALLBACK", "in2": "hook-fallback"}


@each_way
@either
@pytest.mark.parametrize(
    ("hook", "message"),
    [
        ({"template": "take", **given(x="{{steps.none.outputs.result}}")}, "'{{steps.none.outputs.result}}' cannot"),
        ({"template": "take"}, "needs input parameter 'x'"),
        ({"template": "step", "expression": "1 + 1"}, "must give true or false"),
        ({"template": "step", "expression": "tasks.none.status == 'x'"}, "tasks.none.status"),
    ],
)
def test_a_hook_that_cannot_be_run_is_an_error_beside_its_task(
    drive: type[Drive], kind: str, hook: dict[str, Any], message: str
) -> None:
    run = drive(make(kind, {"name": "a", "hooks": {"exit": hook}}))

    assert run.end("a") == ["finish"]
    assert run.node("a.onExit").phase is Phase.ERROR
    assert message in run.node("a.onExit").message
    assert run.machine.state.phase is Phase.SUCCEEDED


@each_way
@either
def test_hooks_run_when_their_expressions_become_true(drive: type[Drive], kind: str) -> None:
    """As in Argo's example life-cycle-hooks-tmpl-level."""
    prefix = "tasks.a" if kind == "dag" else "steps.a"
    hooks = {
        name: {"template": "step", "expression": f'{prefix}.status == "{phase}"'}
        for name, phase in {"running": "Running", "succeed": "Succeeded", "failed": "Failed"}.items()
    }
    run = drive(make(kind, {"name": "a", "hooks": hooks}))
    assert run.commands == ["launch a", "launch a.hooks.running"]
    node = run.node("a.hooks.running")
    assert (node.name, node.hook) == (f"{run.node('a').name}.hooks.running", "running")

    assert run.end("a.hooks.running") == []
    assert run.end("a") == ["launch a.hooks.succeed"]
    assert run.end("a.hooks.succeed") == ["finish"]
    assert "a.hooks.failed" not in run.phases()


@each_way
@either
def test_a_task_is_done_with_when_its_hooks_are(drive: type[Drive], kind: str) -> None:
    prefix = "tasks.a" if kind == "dag" else "steps.a"
    hooks = {"running": {"template": "step", "expression": f"{prefix}.status == 'Running'"}}
    run = drive(make(kind, {"name": "a", "hooks": hooks}))

    assert run.end("a") == []
    assert run.end("a.hooks.running") == ["finish"]


@each_way
def test_the_loop_of_a_dag_has_hooks_as_a_whole_but_for_the_exit_hook(drive: type[Drive]) -> None:
    hooks = {
        "exit": {"template": "take", **given(x="{{tasks.a.outputs.result}}")},
        "running": {"template": "step", "expression": "tasks.a.status == 'Running'"},
        "failed": {"template": "step", "expression": "tasks.a.status == 'Failed'"},
    }
    loop = {"name": "a", "withItems": ["p", "q"], "hooks": hooks}
    run = drive(flow(loop, {"name": "b", "depends": "a.Failed"}))
    assert sorted(run.commands) == ["launch a(0:p)", "launch a(1:q)", "launch a.hooks.running"]
    assert run.node("a.hooks.running").parent_id == run.node("a").id

    assert run.end("a(0:p)", result="1") == ["launch a(0:p).onExit"]
    assert run.takes("a(0:p).onExit") == "1"
    assert run.end("a(0:p).onExit") == []
    assert run.end("a(1:q)", Phase.FAILED, result="2") == ["launch a(1:q).onExit"]
    assert run.end("a(1:q).onExit") == ["launch a.hooks.failed"]
    assert run.end("a.hooks.failed") == []
    assert run.end("a.hooks.running") == ["launch b"]


@each_way
def test_the_items_of_a_step_have_all_hooks(drive: type[Drive]) -> None:
    hooks = {
        "exit": {"template": "take", **given(x="{{steps.a.outputs.result}}")},
        "failed": {"template": "step", "expression": "steps.a.status == 'Failed'"},
    }
    run = drive(steps([{"name": "a", "withItems": ["p", "q"], "hooks": hooks}]))

    assert run.end("a(0:p)", result="1") == ["launch a(0:p).onExit"]
    assert run.takes("a(0:p).onExit") == "1"
    assert sorted(run.end("a(1:q)", Phase.FAILED, result="2")) == [
        "launch a(1:q).hooks.failed", "launch a(1:q).onExit",
    ]  # fmt: skip
    assert run.takes("a(1:q).onExit") == "2"
    run.end("a(0:p).onExit")
    run.end("a(1:q).onExit")
    assert run.end("a(1:q).hooks.failed") == ["finish"]
    assert run.machine.state.phase is Phase.FAILED


@each_way
@either
def test_hooks_of_a_retried_task(drive: type[Drive], kind: str) -> None:
    prefix = "tasks.a" if kind == "dag" else "steps.a"
    again = template("again", retryStrategy={"limit": 1})
    hooks = {
        "exit": {"template": "take", **given(x=f"{{{{{prefix}.status}}}} {{{{{prefix}.outputs.result}}}}")},
        "running": {"template": "step", "expression": f"{prefix}.status == 'Running'"},
    }
    run = drive(make(kind, {"name": "a", "template": "again", "hooks": hooks}, templates=[again]))
    assert run.commands == ["launch a(0)", "launch a.hooks.running"]
    run.end("a.hooks.running")

    assert run.end("a(0)", Phase.FAILED) == ["launch a(1)"]
    assert run.end("a(1)", result="R") == ["launch a.onExit"]
    assert run.takes("a.onExit") == "Succeeded R"
    assert run.end("a.onExit") == ["finish"]


@each_way
def test_a_hook_may_be_retried_and_may_be_steps_with_hooks(drive: type[Drive]) -> None:
    again = template("again", retryStrategy={"limit": 1})
    inner = {"name": "inner", "steps": grouped([{"name": "x", "template": "again", "onExit": "step"}])}
    run = drive(flow({"name": "a", "onExit": "inner"}, templates=[again, inner]))
    assert run.end("a") == ["launch x(0)"]

    assert run.end("x(0)", Phase.FAILED) == ["launch x(1)"]
    assert run.end("x(1)") == ["launch x.onExit"]
    assert run.node("x.onExit").name == "wf.a.onExit[0].x.onExit"
    assert run.end("x.onExit") == ["finish"]
    assert run.phases()["a.onExit"] == "Succeeded"


@each_way
@pytest.mark.parametrize("on_exit", [None, "step"])
def test_a_stop_runs_exit_hooks_of_what_it_ended_and_a_termination_does_not(
    drive: type[Drive], on_exit: str | None
) -> None:
    hooks = {"exit": {"template": "step"}, "failed": {"template": "step", "expression": "tasks.a.status == 'Failed'"}}
    run = drive(flow({"name": "a", "hooks": hooks}, onExit=on_exit))
    stopped = ["cancel a", "launch a.onExit"]
    assert run.handle(ShutdownRequested("Stop")) == stopped
    assert run.end("a.onExit") == (["launch wf.onExit"] if on_exit else ["finish"])

    run = drive(flow({"name": "a", "hooks": hooks}, onExit=on_exit))
    assert run.handle(ShutdownRequested("Terminate")) == ["cancel a", "finish"]


@each_way
def test_a_termination_ends_hooks_that_run(drive: type[Drive]) -> None:
    run = drive(flow({"name": "a", "onExit": "step"}))
    run.end("a")

    assert run.handle(ShutdownRequested("Stop")) == []
    assert run.handle(ShutdownRequested("Terminate")) == ["cancel a.onExit", "finish"]
    assert run.node("a.onExit").phase is Phase.FAILED


@each_way
def test_the_deadline_does_not_hold_for_exit_hooks(drive: type[Drive]) -> None:
    hooks = {
        "exit": {"template": "step"},
        "running": {"template": "step", "expression": "tasks.a.status == 'Running'"},
    }
    run = drive(flow({"name": "a", "hooks": hooks}, activeDeadlineSeconds=60))

    assert run.fire("deadline") == ["cancel a", "cancel a.hooks.running", "launch a.onExit"]
    assert run.task("a.onExit").deadline is None
    assert run.end("a.onExit") == ["finish"]
    assert run.machine.state.message == "Step exceeded its deadline"


# --- of the workflow


@each_way
def test_hooks_of_the_workflow(drive: type[Drive]) -> None:
    """As in Argo's example life-cycle-hooks-wf-level."""
    hooks = {
        "exit": {"template": "step"},
        "running": {"template": "step", "expression": 'workflow.status == "Running"'},
        "failed": {"template": "step", "expression": 'workflow.status == "Failed"'},
    }
    run = drive(flow({"name": "a"}, hooks=hooks))
    assert run.commands == ["launch a", "launch wf.hooks.running"]
    assert run.node("wf.hooks.running").boundary_id is None

    assert run.end("a", Phase.FAILED) == ["launch wf.hooks.failed"]
    assert run.end("wf.hooks.failed") == []
    assert run.end("wf.hooks.running", Phase.FAILED) == ["launch wf.onExit"]
    assert run.end("wf.onExit") == ["finish"]
    assert run.machine.state.phase is Phase.FAILED


@each_way
def test_a_hook_of_the_workflow_fails_nothing(drive: type[Drive]) -> None:
    run = drive(flow({"name": "a"}, hooks={"seen": {"template": "step", "expression": "true"}}))
    run.end("wf.hooks.seen", Phase.ERROR)

    assert run.end("a") == ["finish"]
    assert run.machine.state.phase is Phase.SUCCEEDED


@each_way
@pytest.mark.parametrize(
    ("expression", "ended", "commands", "phase"),
    [
        ("workflow.status == 'Failed'", Phase.FAILED, ["launch wf.onExit"], Phase.RUNNING),
        ("workflow.status == 'Failed'", Phase.SUCCEEDED, ["finish"], Phase.SUCCEEDED),
        ("1 + 1", Phase.SUCCEEDED, ["finish"], Phase.ERROR),
        ("1 + 1", Phase.FAILED, ["finish"], Phase.FAILED),
    ],
)
def test_the_expression_of_the_exit_handler(
    drive: type[Drive], expression: str, ended: Phase, commands: list[str], phase: Phase
) -> None:
    run = drive(flow({"name": "a"}, hooks={"exit": {"template": "step", "expression": expression}}))

    assert run.end("a", ended) == commands
    assert run.machine.state.phase is phase


@each_way
@pytest.mark.parametrize(
    ("main", "handler", "phase"),
    [
        (Phase.SUCCEEDED, Phase.FAILED, Phase.FAILED),
        (Phase.SUCCEEDED, Phase.ERROR, Phase.ERROR),
        (Phase.FAILED, Phase.ERROR, Phase.FAILED),
        (Phase.ERROR, Phase.SUCCEEDED, Phase.ERROR),
    ],
)
def test_the_phase_of_the_exit_handler(drive: type[Drive], main: Phase, handler: Phase, phase: Phase) -> None:
    run = drive(flow({"name": "a"}, onExit="step"))
    run.end("a", main)

    assert run.end("wf.onExit", handler, message="handler") == ["finish"]
    assert run.machine.state.phase is phase
    assert (run.machine.state.message == "handler") == (main is Phase.SUCCEEDED)


@each_way
@pytest.mark.parametrize("spelling", ["hooks", "onExit"])
def test_the_exit_handler_takes_the_workflows_arguments(drive: type[Drive], spelling: str) -> None:
    hook = {"onExit": "take"} if spelling == "onExit" else {"hooks": {"exit": {"template": "take"}}}
    run = drive(flow({"name": "a"}, **hook, **given(x="{{workflow.name}}'s")))
    run.end("a")

    assert run.takes("wf.onExit") == "wf's"


@each_way
def test_what_an_exit_handler_may_refer_to(drive: type[Drive]) -> None:
    value = "{{workflow.status}} {{workflow.duration}} {{workflow.failures}}"
    leaf = {"name": "sh", "container": {"image": "i", "args": ["x"]}}
    run = drive(
        flow({"name": "a", "template": "sh"}, hooks={"exit": {"template": "take", **given(x=value)}}, templates=[leaf])
    )
    run.end("a", Phase.FAILED, message="boom", after=2.5)

    status, duration, failures = run.takes("wf.onExit").split(" ", 2)
    assert (status, duration) == ("Failed", "2.500000")
    found = {failure["displayName"]: failure for failure in json.loads(json.loads(failures))}
    assert found["a"] == {
        "displayName": "a", "message": "boom", "templateName": "sh", "phase": "Failed",
        "podName": f"wf-sh-{run.node('a').id.removeprefix('wf-')}", "finishedAt": "1970-01-01T00:01:42Z",
    }  # fmt: skip


@each_way
def test_the_exit_handler_may_be_steps_with_hooks_of_their_own(drive: type[Drive]) -> None:
    handler = {"name": "handler", "steps": grouped([{"name": "x", "onExit": "step"}], [{"name": "y"}])}
    run = drive(flow({"name": "a"}, templates=[handler], onExit="handler"))
    assert run.handle(ShutdownRequested("Stop")) == ["cancel a", "launch x"]

    assert run.end("x") == ["launch x.onExit"]
    assert run.end("x.onExit") == ["launch y"]
    assert run.end("y") == ["finish"]
    assert run.machine.state.message == "Stopped with strategy 'Stop'"
    assert run.phases()["wf.onExit"] == "Succeeded"


@each_way
def test_after_a_stop_no_other_hook_of_the_workflow_is_run(drive: type[Drive]) -> None:
    hooks = {
        "failed": {"template": "step", "expression": "workflow.status == 'Failed'"},
        "exit": {"template": "step"},
    }
    run = drive(flow({"name": "a"}, hooks=hooks))

    assert run.handle(ShutdownRequested("Stop")) == ["cancel a", "launch wf.onExit"]
    assert run.end("wf.onExit") == ["finish"]


@each_way
def test_a_deadline_leaves_the_exit_handler_alone(drive: type[Drive]) -> None:
    run = drive(flow({"name": "a"}, hooks={"exit": {"template": "step"}}, activeDeadlineSeconds=5))
    assert run.fire("deadline") == ["cancel a", "launch wf.onExit"]

    assert run.handle(TimerFired("deadline"), after=60) == []
    assert run.end("wf.onExit") == ["finish"]


@pytest.mark.parametrize(
    ("spec", "where"),
    [
        ({"hooks": {"h": {"template": "step"}}}, "spec.hooks.h.expression is required"),
        ({"hooks": {"exit": {}}}, "spec.hooks.exit: a template is needed"),
    ],
)
def test_wrong_hooks_are_refused(spec: dict[str, Any], where: str) -> None:
    with pytest.raises(SpecError, match=where):
        Machine("uid", flow({"name": "a"}, **spec), "wf")
    with pytest.raises(SpecError, match=where.replace("spec.", "spec.templates.main.dag.tasks.a.", 1)):
        Machine("uid", flow({"name": "a", **spec}), "wf")
