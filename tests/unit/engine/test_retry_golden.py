"""What a retry leaves of a workflow: the cases of Argo's own tests, each as its nodes' names before and after.

The facts are those that workflow/util/util_test.go of argo-workflows 4.1 asserts of FormulateRetryWorkflow; tests name
their functions there. What is left must also be enough for the machine to go on to the end.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.unit.engine.flows import Drive, flow, template
from tests.unit.engine.test_status import dag, manifest, steps

from tiphys.engine.events import ShutdownRequested, TaskFinished, TimerFired
from tiphys.engine.machine import Machine
from tiphys.engine.model import NodeType, Phase
from tiphys.engine.operations import RetryResult, resume, retry
from tiphys.spec.workflow import Workflow

FAILED, SUCCEEDED, RUNNING = Phase.FAILED, Phase.SUCCEEDED, Phase.RUNNING
APPROVE = {"name": "approve", "suspend": {}}


def ended(workflow: Workflow, failing: str = "", *, cut: str = "") -> Drive:
    """A workflow carried to its end, in which the tasks that bear a name fail, or that a stop cut short at one."""
    run = Drive(workflow)
    while not run.machine.state.phase.fulfilled:
        for node_id in list(run.machine.running()):
            name = run.machine.node(node_id).display_name
            if name == cut:
                run.handle(ShutdownRequested("Stop"))
                break
            phase = FAILED if name == failing else SUCCEEDED
            run.handle(TaskFinished(run.machine.task(node_id).id, phase), after=1.0)
        waiting = [node for node in run.machine.nodes() if node.type is NodeType.SUSPEND and node.phase is RUNNING]
        if waiting:
            for event in resume(workflow, run.machine.state, run.machine.nodes()):
                run.handle(event)
    return run


def again(run: Drive, selector: str = "", **options: Any) -> RetryResult:
    if selector:
        options |= {"restart_successful": True, "selector": selector}
    return retry(run.workflow, run.machine.state, run.machine.nodes(), now=500.0, **options)


def phases(result: RetryResult) -> dict[str, Phase]:
    return {node.name: node.phase for node in result.nodes}


def running(result: RetryResult) -> list[str]:
    return [name for name, phase in phases(result).items() if phase is RUNNING]


def done_again(result: RetryResult) -> list[str]:
    """Names of the nodes that the machine launches or waits at, until the workflow succeeds."""
    machine = Machine.restore("uid", result.workflow, result.state, copy.deepcopy(result.nodes), now=0.0)
    machine.handle(TimerFired("nothing:"), 500.0)
    machine.validate()
    found = []
    while not machine.state.phase.fulfilled:
        for node_id in list(machine.running()):
            found.append(machine.node(node_id).name)
            machine.handle(TaskFinished(machine.task(node_id).id, SUCCEEDED), 501.0)
            machine.validate()
        for event in resume(result.workflow, machine.state, machine.nodes()):
            found += [machine.node(event.node_id).name] if hasattr(event, "node_id") else []
            machine.handle(event, 502.0)
    assert machine.state.phase is SUCCEEDED
    return found


def suspending() -> Workflow:
    """Two branches of nested DAGs with Suspend nodes in them, and a last task that is to fail."""
    third = dag(
        {"name": "dag3-step1", "template": "approve"},
        {"name": "dag3-step2", "template": "step", "dependencies": ["dag3-step1"]},
        {"name": "dag3-step3", "template": "step", "dependencies": ["dag3-step2"]},
        name="third",
    )
    one = dag(
        {"name": "dag2-branch1-step1", "template": "approve"},
        {"name": "dag2-branch1-step2", "template": "third", "dependencies": ["dag2-branch1-step1"]},
        name="one",
    )
    two = dag(
        {"name": "dag2-branch2-step1", "template": "third"},
        {"name": "dag2-branch2-step2", "template": "approve", "dependencies": ["dag2-branch2-step1"]},
        name="two",
    )
    return flow(
        {"name": "dag1-step1"},
        {"name": "dag1-step2", "template": "approve", "dependencies": ["dag1-step1"]},
        {"name": "dag1-step3-middle1", "template": "one", "dependencies": ["dag1-step2"]},
        {"name": "dag1-step3-middle2", "template": "two", "dependencies": ["dag1-step2"]},
        {
            "name": "dag1-step4",
            "template": "approve",
            "dependencies": ["dag1-step3-middle1", "dag1-step3-middle2"],
        },
        {"name": "dag1-step5-tofail", "dependencies": ["dag1-step4"]},
        templates=[APPROVE, third, one, two],
    )


@pytest.mark.parametrize(
    ("selected", "left", "gone", "goes_on"),
    [
        ("dag1-step1", 1, 6, []),
        ("dag1-step2", 2, 5, []),
        ("dag1-step3-middle2", 9, 3, []),
        ("dag1-step3-middle2.dag2-branch2-step1", 10, 3, ["dag1-step3-middle2"]),
        (
            "dag1-step3-middle2.dag2-branch2-step1.dag3-step1",
            11,
            3,
            ["dag1-step3-middle2", "dag1-step3-middle2.dag2-branch2-step1"],
        ),
        (
            "dag1-step3-middle2.dag2-branch2-step1.dag3-step2",
            12,
            3,
            ["dag1-step3-middle2", "dag1-step3-middle2.dag2-branch2-step1"],
        ),
        (
            "dag1-step3-middle2.dag2-branch2-step1.dag3-step3",
            13,
            2,
            ["dag1-step3-middle2", "dag1-step3-middle2.dag2-branch2-step1"],
        ),
        ("dag1-step3-middle2.dag2-branch2-step2", 14, 1, ["dag1-step3-middle2"]),
        ("dag1-step4", 15, 1, []),
        ("dag1-step5-tofail", 16, 1, []),
    ],
)
def test_nested_dags_with_suspend_nodes(selected: str, left: int, gone: int, goes_on: list[str]) -> None:
    """TestRetryWorkflowWithNestedDAGsWithSuspendNodes."""
    run = ended(suspending(), "dag1-step5-tofail")
    pods = {node.id for node in run.machine.nodes() if node.type is NodeType.PLUGIN}

    result = again(run, f"name=wf.{selected}")

    assert len(result.nodes) == left
    assert len(pods.intersection(result.removed)) == gone
    assert running(result) == ["wf", *(f"wf.{name}" for name in goes_on)]
    assert set(phases(result).values()) <= {RUNNING, SUCCEEDED}
    assert done_again(result)[0].startswith(f"wf.{selected}")


def test_one_of_two_parallel_steps() -> None:
    """TestStepsRetryWorkflow."""
    run = ended(manifest(steps("hello1", "hello2a hello2b"), template("pod")))

    result = again(run, "displayName=hello2a")

    assert phases(result) == {
        "wf": RUNNING,
        "wf[0]": SUCCEEDED,
        "wf[0].hello1": SUCCEEDED,
        "wf[1]": RUNNING,
        "wf[1].hello2b": SUCCEEDED,
    }
    assert done_again(result) == ["wf[1].hello2a"]


def test_one_side_of_a_diamond() -> None:
    """TestDAGDiamondRetryWorkflow."""
    run = ended(
        flow(
            {"name": "A"},
            {"name": "B", "depends": "A"},
            {"name": "C", "depends": "A"},
            {"name": "D", "depends": "B && C"},
        )
    )

    result = again(run, "displayName=B")

    assert phases(result) == {"wf": RUNNING, "wf.A": SUCCEEDED, "wf.C": SUCCEEDED}
    assert done_again(result) == ["wf.B", "wf.D"]


def looping() -> Workflow:
    inner = dag({"name": "echo-param", "template": "step"},
                {"name": "echo-bye", "template": "step", "dependencies": ["echo-param"]}, name="inner")  # fmt: skip
    return flow({"name": "group", "template": "inner", "withItems": ["foo", "bar", "baz"]}, templates=[inner])


@pytest.mark.parametrize("item", ["0:foo", "1:bar", "2:baz"])
def test_a_node_within_one_item_of_a_loop(item: str) -> None:
    """TestFormulateRetryWorkflowWithParams."""
    run = ended(looping())

    result = again(run, f"name=wf.group({item}).echo-bye")

    assert running(result) == ["wf", "wf.group", f"wf.group({item})"]
    assert len(result.nodes) == len(run.machine.nodes()) - 1
    assert done_again(result) == [f"wf.group({item}).echo-bye"]


def test_a_failed_item_does_not_touch_the_others() -> None:
    """Issue 9244, and the facts of "Nested DAG with Non-group Node Selected"."""
    run = ended(flow({"name": "a", "withItems": [1, 2, 3, 4]}, {"name": "b", "depends": "a"}), "a(1:2)")

    selected = again(run, "displayName=a(2:3)")

    assert phases(again(run)) == {
        "wf": RUNNING, "wf.a": RUNNING, "wf.a(0:1)": SUCCEEDED, "wf.a(2:3)": SUCCEEDED, "wf.a(3:4)": SUCCEEDED
    }  # fmt: skip
    assert done_again(again(run)) == ["wf.a(1:2)", "wf.b"]
    assert done_again(selected) == ["wf.a(1:2)", "wf.a(2:3)", "wf.b"]


def test_items_of_a_loop_whose_list_is_another_one_go() -> None:
    """TestFormulateRetryWorkflowWithParamOverride."""
    tried = template("tried", retryStrategy={"limit": 0})
    launch = {"name": "launch", "template": "tried", "withParam": "{{workflow.parameters.wfparams}}"}
    given = {"parameters": [{"name": "wfparams", "value": '["pass","fail"]'}]}
    run = ended(flow(launch, templates=[tried], arguments=given), "launch(1:fail)(0)")

    result = again(run, parameters={"wfparams": '["fail"]'})

    assert not [name for name in phases(result) if "pass" in name]
    assert done_again(result) == ["wf.launch(0:fail)(0)"]


def test_what_is_left_does_not_change_from_one_call_to_the_next() -> None:
    """TestFormulateRetryWorkflowDeterministicReset."""
    run = ended(
        flow({"name": "P"}, {"name": "G", "withItems": ["a", "b"]}, {"name": "X", "depends": "P && G"}), "X"
    )  # fmt: skip

    found = {tuple(phases(again(run)).items()) for _ in range(5)}

    assert found == {(("wf", RUNNING), ("wf.P", SUCCEEDED), ("wf.G", SUCCEEDED),
                      ("wf.G(0:a)", SUCCEEDED), ("wf.G(1:b)", SUCCEEDED))}  # fmt: skip


def test_a_stop_keeps_what_had_succeeded_of_a_loop() -> None:
    run = ended(flow({"name": "a", "withItems": [1, 2, 3]}, parallelism=1), cut="a(1:2)")

    assert done_again(again(run)) == ["wf.a(1:2)", "wf.a(2:3)"]


def test_an_exit_handler_is_not_kept() -> None:
    """TestRetryExitHandler, TestRegressions."""
    bye = dag({"name": "x", "template": "step"}, {"name": "y", "template": "step"}, name="bye")
    run = ended(flow({"name": "a"}, templates=[bye], onExit="bye"), "a")

    assert phases(again(run)) == {"wf": RUNNING}
    assert done_again(again(run)) == ["wf.a", "wf.onExit.x", "wf.onExit.y"]
