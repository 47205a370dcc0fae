"""Retry, resubmit, resume and set, as pure functions.

The cases follow those of Argo's workflow/util/util_test.go, in other words, and what its users ran into: a failed node
with nodes after it, a failure that others allowed for, a Retry node that had succeeded, an exit handler that failed.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.engine.flows import Drive, flow, template
from tests.unit.engine.test_status import dag, inside, manifest, node, steps

from tiphys.engine.events import NodeSet, ResumeRequested, ShutdownRequested, TaskFinished, TimerFired
from tiphys.engine.machine import Machine
from tiphys.engine.model import Node, NodeType, Phase, Reason, Values, WorkflowState
from tiphys.engine.operations import RetryResult, resubmit, resume, retry, select_nodes, set_node
from tiphys.errors import ExpressionError, UsageError
from tiphys.spec.workflow import Workflow

FAILED, SUCCEEDED = Phase.FAILED, Phase.SUCCEEDED
AGAIN = template("again", retryStrategy={"limit": 1})
NOW = 500.0


def ended(run: Drive, outcomes: dict[str, Phase] | None = None) -> Drive:
    """Let all tasks of a run end: those named in `outcomes` so, the others well."""
    while running := run.machine.running():
        name = run.machine.node(running[0]).display_name
        task = run.machine.task(running[0])
        run.handle(TaskFinished(task.id, (outcomes or {}).get(name, SUCCEEDED), message=f"{name} ended"), after=1.0)
    return run


def retried(run: Drive, **options: Any) -> RetryResult:
    nodes = copy.deepcopy(run.machine.nodes())
    result = retry(run.workflow, run.machine.state, run.machine.nodes(), now=NOW, **options)
    assert run.machine.nodes() == nodes, "the nodes that were given were changed"
    return result


def names(result: RetryResult) -> dict[str, str]:
    """Display name → phase, of what is left."""
    return {each.display_name: each.phase.value for each in result.nodes}


def goes_on(result: RetryResult, outcomes: dict[str, Phase] | None = None) -> tuple[list[str], dict[str, str]]:
    """What a machine restored from a retry starts, in order, and how its nodes end."""
    nodes = copy.deepcopy(result.nodes)
    machine = Machine.restore("uid", result.workflow, copy.deepcopy(result.state), nodes, now=0.0)
    before = {each.id for each in nodes}
    machine.handle(TimerFired("nothing:"), NOW)
    machine.validate()
    started = []
    while running := machine.running():
        name = machine.node(running[0]).display_name
        started.append(name)
        phase = (outcomes or {}).get(name, SUCCEEDED)
        machine.handle(TaskFinished(machine.task(running[0]).id, phase), NOW + len(started))
        machine.validate()
    assert machine.state.phase.fulfilled, machine.story("wf")
    assert before <= {each.id for each in machine.nodes()}
    return started, {each.display_name: each.phase.value for each in machine.nodes()} | {"": machine.state.phase.value}


# --- retry: which workflows


@pytest.mark.parametrize(
    ("phase", "options", "message"),
    [
        ("Running", {}, "Cannot retry a workflow in phase Running"),
        ("Pending", {"restart_successful": True, "selector": "id=wf"}, "Cannot retry a workflow in phase Pending"),
        ("Succeeded", {}, "set the options restartSuccessful and nodeFieldSelector"),
        ("Succeeded", {"restart_successful": True}, "set the options restartSuccessful and nodeFieldSelector"),
        ("Succeeded", {"selector": "id=wf"}, "set the options restartSuccessful and nodeFieldSelector"),
    ],
)
def test_only_what_is_over_is_retried(phase: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        retry(manifest(dag("a:")), WorkflowState("uid", "wf", Phase(phase)), [], now=NOW, **options)


def test_the_state_and_the_manifest_begin_again() -> None:
    workflow = Workflow.from_json(
        {
            "metadata": {
                "labels": {
                    "workflows.argoproj.io/completed": "true",
                    "workflows.argoproj.io/workflow-archiving-status": "Archived",
                    "mine": "kept",
                }
            },
            "spec": {
                "entrypoint": "pod", "templates": [{"name": "pod", "container": {}}],
                "shutdown": "Stop", "activeDeadlineSeconds": 0, "suspend": True,
            },
        }
    )  # fmt: skip
    state = WorkflowState("uid", "wf", FAILED, "no", 1.0, 2.0, shutdown="Stop", suspended=True)

    result = retry(workflow, state, [node("wf", phase="Failed")], now=NOW)

    assert result.state == WorkflowState("uid", "wf", Phase.RUNNING, "", NOW, None, shutdown="", suspended=True)
    assert (result.nodes, result.removed) == ([], ["wf"])
    written = result.workflow.to_json()
    assert written["metadata"]["labels"] == {"mine": "kept"}
    assert written["spec"].keys() == {"entrypoint", "templates", "suspend"}
    assert workflow.spec is not None
    assert workflow.spec.shutdown == "Stop", "the manifest that was given was changed"


# --- retry: what is taken back


def test_a_failed_task_and_what_follows_it() -> None:
    run = Drive(flow({"name": "a"}, {"name": "b", "depends": "a"}, {"name": "c", "depends": "b"}, {"name": "d"}))
    ended(run, {"b": FAILED})

    result = retried(run)

    assert names(result) == {"wf": "Running", "a": "Succeeded", "d": "Succeeded"}
    assert result.reopened == ["wf"]
    root = result.nodes[0]
    assert (root.started_at, root.finished_at, root.message) == (NOW, None, "")
    assert goes_on(result) == (
        ["b", "c"],
        {"wf": "Succeeded", "a": "Succeeded", "b": "Succeeded", "c": "Succeeded", "d": "Succeeded", "": "Succeeded"},
    )


def test_a_failed_node_that_has_nodes_after_it_takes_them_with_it() -> None:
    run = Drive(flow({"name": "a"}, {"name": "b", "depends": "a.Failed"}, {"name": "c", "depends": "b"}))
    ended(run, {"a": FAILED, "b": FAILED})

    assert names(retried(run)) == {"wf": "Running"}
    assert goes_on(retried(run), {"a": FAILED}) == (
        ["a", "b", "c"],
        {"wf": "Succeeded", "a": "Failed", "b": "Succeeded", "c": "Succeeded", "": "Succeeded"},
    )


def test_a_failure_that_others_went_on_from_is_left_alone() -> None:
    run = Drive(
        flow(
            {"name": "one"}, {"name": "two", "depends": "one"}, {"name": "three", "depends": "two.Failed"},
            {"name": "four", "depends": "one"}, {"name": "five", "depends": "four"},
        )
    )  # fmt: skip
    ended(run, {"two": FAILED, "four": FAILED})
    assert run.phases()["five"] == "Omitted"

    result = retried(run)

    assert names(result) == {"wf": "Running", "one": "Succeeded", "two": "Failed", "three": "Succeeded"}
    started, phases = goes_on(result)
    assert started == ["four", "five"]
    assert (phases["two"], phases[""]) == ("Failed", "Succeeded")


def test_a_failure_is_not_left_alone_if_what_went_on_from_it_is_taken_back() -> None:
    run = Drive(
        flow(
            {"name": "one"}, {"name": "two", "depends": "one"}, {"name": "three", "depends": "two.Failed"},
            {"name": "four", "depends": "one"}, {"name": "five", "depends": "four"},
        )
    )  # fmt: skip
    ended(run, {"two": FAILED, "four": FAILED})

    result = retried(run, restart_successful=True, selector="displayName=three")

    assert names(result) == {"wf": "Running", "one": "Succeeded"}


def test_an_omission_does_not_hide_a_failure() -> None:
    tasks = [{"name": "a"}, {"name": "b", "depends": "a"}, {"name": "c", "depends": "b.Omitted"}, {"name": "d"}]
    run = Drive(flow(*tasks, dag={"failFast": False}))
    ended(run, {"a": FAILED, "d": FAILED})
    assert run.phases() == {"wf": "Failed", "a": "Failed", "b": "Omitted", "c": "Succeeded", "d": "Failed"}

    result = retried(run)

    assert names(result) == {"wf": "Running"}
    assert goes_on(result)[0] == ["a", "d", "b"]


def test_of_a_good_and_a_bad_end_the_good_one_is_tried_again() -> None:
    """Argo keeps `work`, as `mourn` succeeded, and the DAG fails again by what `celebrate` inherits."""
    run = Drive(
        flow(
            {"name": "work"}, {"name": "celebrate", "depends": "work"}, {"name": "mourn", "depends": "work.Failed"},
            {"name": "other"}, dag={"failFast": False},
        )
    )  # fmt: skip
    ended(run, {"work": FAILED})
    assert (run.phases()["celebrate"], run.phases()["mourn"]) == ("Omitted", "Succeeded")

    result = retried(run)

    assert names(result) == {"wf": "Running", "other": "Succeeded"}
    started, phases = goes_on(result)
    assert started == ["work", "celebrate"]
    assert (phases["mourn"], phases[""]) == ("Omitted", "Succeeded")


def test_what_could_not_be_started_is_taken_back() -> None:
    needy = template("needy", inputs={"parameters": [{"name": "x"}]})
    given = {"parameters": [{"name": "x", "value": "{{tasks.a.outputs.parameters.x}}"}]}
    run = Drive(
        flow({"name": "a"}, {"name": "b", "template": "needy", "depends": "a", "arguments": given}, templates=[needy])
    )
    ended(run)
    assert run.node("b").type is NodeType.SKIPPED

    assert names(retried(run)) == {"wf": "Running", "a": "Succeeded"}


def test_of_a_nested_dag_only_the_failed_part_is_done_again() -> None:
    run = Drive(
        flow(
            {"name": "in", "template": "inner"}, {"name": "after", "depends": "in"},
            templates=[dag({"name": "x", "template": "step"}, {"name": "y", "template": "step"}, name="inner")],
        )
    )  # fmt: skip
    ended(run, {"y": FAILED})

    result = retried(run)

    assert names(result) == {"wf": "Running", "in": "Running", "x": "Succeeded"}
    assert goes_on(result)[0] == ["y", "after"]


def test_a_failed_retry_node_goes_with_its_attempts() -> None:
    run = Drive(flow({"name": "a", "template": "again"}, {"name": "b"}, templates=[AGAIN]))
    ended(run, {"a(0)": FAILED, "a(1)": FAILED})

    result = retried(run)

    assert names(result) == {"wf": "Running", "b": "Succeeded"}
    assert goes_on(result, {"a(0)": FAILED})[0] == ["a(0)", "a(1)"]


def test_a_retry_node_that_succeeded_is_kept_with_its_failed_attempt() -> None:
    run = Drive(flow({"name": "a", "template": "again"}, {"name": "b", "depends": "a"}, templates=[AGAIN]))
    ended(run, {"a(0)": FAILED, "b": FAILED})

    result = retried(run)

    assert names(result) == {"wf": "Running", "a": "Succeeded", "a(0)": "Failed", "a(1)": "Succeeded"}
    assert goes_on(result)[0] == ["b"]


def test_of_a_retried_dag_the_last_attempt_goes_on() -> None:
    inner = dag({"name": "x", "template": "step"}, {"name": "y", "template": "step"}, name="inner")
    run = Drive(flow({"name": "a", "template": "inner"}, templates=[{**inner, "retryStrategy": {"limit": 1}}]))
    ended(run, {"y": FAILED})

    result = retried(run)

    kept = {each.name: each.phase.value for each in result.nodes}
    assert kept == {
        "wf": "Running", "wf.a": "Running",
        "wf.a(0)": "Failed", "wf.a(0).x": "Succeeded", "wf.a(0).y": "Failed",
        "wf.a(1)": "Running", "wf.a(1).x": "Succeeded",
    }  # fmt: skip
    assert goes_on(result) == (["y"], {**names(result), "wf": "Succeeded", "a": "Succeeded", "a(1)": "Succeeded",
                                       "y": "Succeeded", "": "Succeeded"})  # fmt: skip


def test_the_items_of_a_loop_that_succeeded_are_kept() -> None:
    run = Drive(flow({"name": "a", "withItems": [1, 2, 3]}, {"name": "b", "depends": "a"}))
    ended(run, {"a(2:3)": FAILED})

    result = retried(run)

    assert names(result) == {"wf": "Running", "a": "Running", "a(0:1)": "Succeeded", "a(1:2)": "Succeeded"}
    assert goes_on(result)[0] == ["a(2:3)", "b"]


def test_the_items_after_one_that_failed_are_kept_too() -> None:
    run = Drive(flow({"name": "a", "withItems": [1, 2, 3]}, {"name": "b", "depends": "a"}))
    ended(run, {"a(1:2)": FAILED})

    result = retried(run)

    assert names(result) == {"wf": "Running", "a": "Running", "a(0:1)": "Succeeded", "a(2:3)": "Succeeded"}
    assert goes_on(result)[0] == ["a(1:2)", "b"]


def test_what_a_stop_cut_short_goes_on() -> None:
    run = Drive(flow({"name": "a"}, {"name": "b", "depends": "a"}, {"name": "c", "depends": "b"}))
    run.end("a")
    run.handle(ShutdownRequested("Stop"))
    assert run.phases() == {"wf": "Failed", "a": "Succeeded", "b": "Failed"}

    result = retried(run)

    assert result.state.shutdown == ""
    assert goes_on(result)[0] == ["b", "c"]


def test_steps_that_were_cut_short_between_two_groups_go_on() -> None:
    run = Drive(manifest(steps("a", "b", "c"), template("pod")))
    run.end("a")
    run.handle(ShutdownRequested("Drain"))
    run.end("b")
    assert run.phases() == {"wf": "Failed", "[0]": "Succeeded", "a": "Succeeded", "[1]": "Succeeded", "b": "Succeeded"}

    result = retried(run)

    assert names(result) == {
        "wf": "Running",
        "[0]": "Succeeded",
        "a": "Succeeded",
        "[1]": "Succeeded",
        "b": "Succeeded",
    }
    assert goes_on(result)[0] == ["c"]


def test_a_workflow_that_was_never_begun_begins() -> None:
    run = Drive(flow({"name": "a"}, suspend=True))
    run.handle(ShutdownRequested("Terminate"))
    assert run.machine.state.phase is FAILED

    result = retried(run)
    result.state.suspended = False

    assert result.nodes == []
    assert goes_on(result)[0] == ["a"]


def test_a_dag_that_failed_by_its_outputs_is_done_again_as_a_whole() -> None:
    outputs = {"parameters": [{"name": "o", "valueFrom": {"parameter": "{{tasks.x.outputs.parameters.o}}"}}]}
    inner = {**dag({"name": "x", "template": "step"}, name="inner"), "outputs": outputs}
    run = Drive(flow({"name": "a", "template": "inner"}, {"name": "b"}, templates=[inner]))
    ended(run)
    assert run.phases() == {"wf": "Error", "a": "Error", "x": "Succeeded", "b": "Succeeded"}

    assert names(retried(run)) == {"wf": "Running", "b": "Succeeded"}


def test_a_failed_exit_handler_runs_again_and_nothing_else() -> None:
    run = Drive(flow({"name": "a"}, onExit="step"))
    ended(run, {"wf.onExit": FAILED})
    assert run.machine.state.phase is FAILED

    result = retried(run)

    assert names(result) == {"wf": "Succeeded", "a": "Succeeded"}
    assert goes_on(result)[0] == ["wf.onExit"]


def test_an_exit_handler_that_succeeded_runs_again_after_a_retry() -> None:
    bye = dag({"name": "x", "template": "step"}, name="bye")
    run = Drive(flow({"name": "a"}, templates=[bye], onExit="bye"))
    ended(run, {"a": FAILED})

    result = retried(run)

    assert names(result) == {"wf": "Running"}
    assert goes_on(result)[0] == ["a", "x"]


# --- retry: selected nodes


def test_selected_nodes_of_a_workflow_that_succeeded() -> None:
    run = Drive(
        flow(
            {"name": "a"},
            {"name": "b", "depends": "a"},
            {"name": "c", "depends": "a"},
            {"name": "d", "depends": "b && c"},
        )
    )
    ended(run)

    result = retried(run, restart_successful=True, selector="displayName=b")

    assert names(result) == {"wf": "Running", "a": "Succeeded", "c": "Succeeded"}
    assert goes_on(result)[0] == ["b", "d"]


def test_a_selector_without_restart_successful_means_nothing() -> None:
    run = Drive(flow({"name": "a"}, {"name": "b"}))
    ended(run, {"a": FAILED})

    assert names(retried(run, selector="displayName=b")) == {"wf": "Running", "b": "Succeeded"}


def test_with_a_selector_what_failed_is_done_again_as_well() -> None:
    run = Drive(flow({"name": "a"}, {"name": "b"}, {"name": "c"}))
    ended(run, {"a": FAILED})

    result = retried(run, restart_successful=True, selector="displayName in (b)")

    assert names(result) == {"wf": "Running", "c": "Succeeded"}


@pytest.mark.parametrize(
    ("selector", "left"),
    [
        ("name=wf", []),
        ("name=wf.in", ["wf", "first"]),
        ("displayName=x", ["wf", "first", "in", "y", "y(0)"]),
        ("displayName=y", ["wf", "first", "in", "x"]),
        ("displayName=y(0)", ["wf", "first", "in", "x"]),
        ("templateName=again", ["wf", "first", "in", "x"]),
        ("displayName=nobody", ["wf", "first", "in", "x", "y", "y(0)", "last"]),
    ],
)
def test_what_a_selected_node_takes_with_it(selector: str, left: list[str]) -> None:
    inner = dag({"name": "x", "template": "step"}, {"name": "y", "template": "again"}, name="inner")
    run = Drive(
        flow(
            {"name": "first"}, {"name": "in", "template": "inner", "depends": "first"},
            {"name": "last", "depends": "in"},
            templates=[inner, AGAIN],
        )
    )  # fmt: skip
    ended(run)

    assert list(names(retried(run, restart_successful=True, selector=selector))) == left


# --- retry: steps, hooks, container sets (whatever made the nodes)


def state(phase: Phase = FAILED) -> WorkflowState:
    return WorkflowState("uid", "wf", phase, started_at=1.0, finished_at=2.0)


def left(workflow: Workflow, nodes: list[Node], phase: Phase = FAILED, **options: Any) -> dict[str, str]:
    result = retry(workflow, state(phase), nodes, now=NOW, **options)
    return {each.name: each.phase.value for each in result.nodes}


def test_of_a_failed_group_only_the_failed_steps_are_done_again() -> None:
    workflow = manifest(steps("a", "b c", "d"))
    nodes = [
        node("wf", "Steps", "Failed"),
        *inside("wf", node("wf[0]", "StepGroup"), node("wf[0].a"), node("wf[1]", "StepGroup", "Failed")),
        *inside("wf", node("wf[1].b", phase="Failed"), node("wf[1].c")),
    ]

    assert left(workflow, nodes) == {
        "wf": "Running", "wf[0]": "Succeeded", "wf[0].a": "Succeeded", "wf[1]": "Running", "wf[1].c": "Succeeded",
    }  # fmt: skip


def test_a_failed_step_that_was_allowed_for_is_left_alone() -> None:
    workflow = manifest(steps([{"name": "a", "continueOn": {"failed": True}}], "b"))
    nodes = [
        node("wf", "Steps", "Failed"),
        *inside(
            "wf", node("wf[0]", "StepGroup"), node("wf[0].a", phase="Failed"), node("wf[1]", "StepGroup", "Failed")
        ),
        *inside("wf", node("wf[1].b", phase="Failed")),
    ]

    kept = left(workflow, nodes)

    assert kept == {"wf": "Running", "wf[0]": "Succeeded", "wf[0].a": "Failed", "wf[1]": "Running"}


def test_all_groups_after_a_selected_step_go() -> None:
    workflow = manifest(steps("a b", "c", "d"))
    nodes = [
        node("wf", "Steps"),
        *inside("wf", node("wf[0]", "StepGroup"), node("wf[0].a"), node("wf[0].b")),
        *inside("wf", node("wf[1]", "StepGroup"), node("wf[1].c"), node("wf[2]", "StepGroup"), node("wf[2].d")),
    ]
    options: dict[str, Any] = {"restart_successful": True}

    first = left(workflow, nodes, SUCCEEDED, selector="displayName=a", **options)
    group = left(workflow, nodes, SUCCEEDED, selector="name=wf[1]", **options)

    assert first == {"wf": "Running", "wf[0]": "Running", "wf[0].b": "Succeeded"}
    assert group == {
        "wf": "Running", "wf[0]": "Succeeded", "wf[0].a": "Succeeded", "wf[0].b": "Succeeded", "wf[1]": "Running",
    }  # fmt: skip


def test_hooks_run_again_with_the_nodes_they_belong_to() -> None:
    workflow = manifest(dag({"name": "a", "hooks": {"exit": {"template": "pod"}}}, {"name": "b", "onExit": "pod"}))
    nodes = [
        node("wf", "DAG", "Failed"),
        *inside("wf", node("wf.a"), node("wf.b", phase="Failed")),
        *inside("wf", node("wf.a.onExit", hook="exit", parent_id="wf.a")),
        *inside(
            "wf",
            node("wf.b.onExit", "DAG", hook="exit", parent_id="wf.b"),
            node("wf.b.hooks.h", hook="h", parent_id="wf.b"),
        ),
        *inside("wf.b.onExit", node("wf.b.onExit.x")),
        node("wf.hooks.w", hook="w"),
    ]

    assert left(workflow, nodes) == {"wf": "Running", "wf.a": "Succeeded", "wf.a.onExit": "Succeeded"}


def test_the_exit_hook_of_a_node_that_goes_on_runs_again() -> None:
    workflow = manifest(dag({"name": "in", "template": "inner", "onExit": "pod"}), dag("x:", "y:", name="inner"))
    nodes = [
        node("wf", "DAG", "Failed"),
        *inside("wf", node("wf.in", "DAG", "Failed")),
        *inside("wf.in", node("wf.in.x", phase="Failed"), node("wf.in.y")),
        *inside("wf", node("wf.in.onExit", hook="exit", parent_id="wf.in")),
    ]

    assert left(workflow, nodes) == {"wf": "Running", "wf.in": "Running", "wf.in.y": "Succeeded"}


def test_a_selected_hook_means_the_node_it_belongs_to() -> None:
    workflow = manifest(dag({"name": "a", "onExit": "pod"}, "b:"))
    nodes = [
        node("wf", "DAG"),
        *inside("wf", node("wf.a"), node("wf.a.onExit", hook="exit", parent_id="wf.a"), node("wf.b")),
    ]

    kept = left(workflow, nodes, SUCCEEDED, restart_successful=True, selector="name=wf.a.onExit")

    assert kept == {"wf": "Running", "wf.b": "Succeeded"}


def test_a_failed_container_takes_its_pod_with_it() -> None:
    workflow = manifest(
        dag({"name": "s", "template": "set"}, "t:"), {"name": "set", "containerSet": {"containers": [{"name": "main"}]}}
    )
    nodes = [
        node("wf", "DAG", "Failed"),
        *inside(
            "wf", node("wf.s", phase="Failed"), node("wf.s.main", "Container", "Failed", parent_id="wf.s"), node("wf.t")
        ),
    ]

    assert left(workflow, nodes) == {"wf": "Running", "wf.t": "Succeeded"}
    nodes[0].phase = nodes[1].phase = nodes[2].phase = SUCCEEDED
    options: dict[str, Any] = {"restart_successful": True, "selector": "displayName=main"}
    assert left(workflow, nodes, SUCCEEDED, **options) == {"wf": "Running", "wf.t": "Succeeded"}


def test_an_earlier_attempt_of_a_dag_is_no_place_to_go_on_from() -> None:
    inner = {**dag("x:", name="inner"), "retryStrategy": {"limit": 1}}
    workflow = manifest(dag({"name": "a", "template": "inner"}, "b:"), inner)
    first = [node("wf.a(0)", "DAG", "Failed", parent_id="wf.a"), node("wf.a(1)", "DAG", parent_id="wf.a", attempt=1)]
    nodes = [
        node("wf", "DAG"),
        *inside("wf", node("wf.a", "Retry"), first[0]),
        *inside("wf.a(0)", node("wf.a(0).x", phase="Failed")),
        *inside("wf", first[1], node("wf.b")),
        *inside("wf.a(1)", node("wf.a(1).x")),
    ]
    options: dict[str, Any] = {"restart_successful": True}

    assert left(workflow, nodes, SUCCEEDED, selector="name=wf.a(0).x", **options) == {
        "wf": "Running",
        "wf.b": "Succeeded",
    }
    assert left(workflow, nodes, SUCCEEDED, selector="name=wf.a(1).x", **options) == {
        "wf": "Running", "wf.a": "Running", "wf.a(0)": "Failed", "wf.a(0).x": "Failed", "wf.a(1)": "Running",
        "wf.b": "Succeeded",
    }  # fmt: skip


# --- retry: whatever the workflow


def _any_templates(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Templates, the first of which calls the others: DAGs, steps, loops, retries, hooks."""
    made: list[dict[str, Any]] = []

    def call(name: str, depth: int) -> dict[str, Any]:
        extras: list[dict[str, Any]] = [{}, {}, {"withItems": [1, 2, 3]}, {"hooks": {"exit": {"template": "leaf"}}}]
        return {"name": name, "template": make(depth + 1), **draw(st.sampled_from(extras))}

    def make(depth: int) -> str:
        found: dict[str, Any] = {}
        made.append(found)
        name = f"t{len(made)}"
        kind = draw(st.sampled_from(["leaf", "dag", "steps"])) if 0 < depth < 3 else ["dag", "", "", "leaf"][depth]
        if kind == "dag":
            tasks = [call(f"k{index}", depth) for index in range(draw(st.integers(1, 3)))]
            for index, task in enumerate(tasks[1:]):
                wish = draw(st.sampled_from(["", "k{}", "k{}.Failed", "k{} || k{}.Failed"]))
                task["depends"] = wish.format(index, index)
            found["dag"] = {"tasks": tasks, "failFast": draw(st.booleans())}
        elif kind == "steps":
            groups = range(draw(st.integers(1, 2)))
            found["steps"] = [[call(f"s{group}{each}", depth) for each in "ab"] for group in groups]
        else:
            found.update(template())
        found["name"] = name
        if draw(st.sampled_from([True, False, False])):
            found["retryStrategy"] = {"limit": 1}
        return name

    make(0)
    return [*made, template("leaf")]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_retry_that_goes_well_ends_well_and_does_nothing_twice(data: st.DataObject) -> None:
    templates = _any_templates(data.draw)
    run = Drive(Workflow.from_json({"spec": {"entrypoint": "t1", "templates": templates, "onExit": "leaf"}}))
    phases = data.draw(st.lists(st.sampled_from([SUCCEEDED, SUCCEEDED, FAILED, Phase.ERROR]), min_size=1, max_size=9))
    cut = data.draw(st.sampled_from([0, 0, 1, 2, 5]))
    done = 0
    while running := run.machine.running():
        done += 1
        if done == cut:
            run.handle(ShutdownRequested(data.draw(st.sampled_from(["Stop", "Terminate", "Drain"]))))
            continue
        run.handle(TaskFinished(run.machine.task(running[0]).id, phases[done % len(phases)]), after=1.0)
    chosen = data.draw(st.sampled_from([each.id for each in run.machine.nodes()]))

    result = retried(run, restart_successful=True, selector=f"id={chosen}")

    kept = {each.id for each in result.nodes if each.phase.fulfilled}
    machine = Machine.restore("uid", result.workflow, result.state, copy.deepcopy(result.nodes), now=0.0)
    machine.handle(TimerFired("nothing:"), NOW)
    while running := machine.running():
        assert running[0] not in kept
        machine.handle(TaskFinished(machine.task(running[0]).id, SUCCEEDED), NOW)
        machine.validate()
    assert machine.state.phase is SUCCEEDED


# --- retry: other parameters


def parametrized(**main: Any) -> Workflow:
    """A workflow with the parameter p, a loop over it, and a nested DAG that is called with it."""
    takes_p = {"parameters": [{"name": "q", "value": "{{workflow.parameters.p}}"}]}
    inner = {**dag({"name": "x", "template": "step"}, {"name": "y", "template": "step"}, name="inner"),
             "inputs": {"parameters": [{"name": "q"}]}}  # fmt: skip
    return flow(
        {"name": "fixed"},
        {"name": "loop", "withParam": "{{workflow.parameters.p}}"},
        {"name": "in", "template": "inner", "arguments": takes_p},
        {"name": "same", "template": "other"},
        templates=[inner, dag({"name": "u", "template": "step"}, {"name": "v", "template": "step"}, name="other")],
        arguments={"parameters": [{"name": "p", "value": "[1, 2]"}, {"name": "z", "value": "1"}]},
        **main,
    )


def test_loops_and_templates_that_may_differ_begin_anew() -> None:
    run = Drive(parametrized())
    ended(run, {"loop(1:2)": FAILED, "y": FAILED, "v": FAILED})

    result = retried(run, parameters={"p": "[3]"})

    assert names(result) == {"wf": "Running", "fixed": "Succeeded", "same": "Running", "u": "Succeeded"}
    assert result.workflow.spec is not None
    assert result.workflow.spec.arguments is not None
    given = result.workflow.spec.arguments.to_json()["parameters"]
    assert given == [{"name": "p", "value": "[3]"}, {"name": "z", "value": "1"}]
    started, phases = goes_on(result)
    assert sorted(started) == ["loop(0:3)", "v", "x", "y"]
    assert phases[""] == "Succeeded"


def test_the_entry_point_takes_the_new_arguments() -> None:
    again = {**dag("a:"), "inputs": {"parameters": [{"name": "p"}, {"name": "q", "default": "d"}]}}
    root = node("wf", "DAG", "Failed", inputs=Values({"p": "old", "q": "d"}))
    nodes = [root, *inside("wf", node("wf.a", phase="Failed"))]
    stored = {"entrypoint": "main", "arguments": {"parameters": [{"name": "p", "value": "old"}]}, "templates": []}
    workflow = manifest(again, arguments={"parameters": [{"name": "p", "value": "old"}]})
    workflow = Workflow.from_json({**workflow.to_json(), "status": {"storedWorkflowTemplateSpec": stored}})

    result = retry(workflow, state(), nodes, now=NOW, parameters={"p": "new"})

    assert result.nodes[0].inputs == Values({"p": "new", "q": "d"})
    assert root.inputs == Values({"p": "old", "q": "d"})
    assert result.workflow.status is not None
    assert result.workflow.status.stored_workflow_template_spec is not None
    assert result.workflow.status.stored_workflow_template_spec.to_json()["arguments"] == {
        "parameters": [{"name": "p", "value": "new"}]
    }


# --- resubmit


OLD = {
    "metadata": {
        "name": "wf", "generateName": "w-", "namespace": "ns", "uid": "u",
        "labels": {"mine": "1", "workflows.argoproj.io/phase": "Failed", "workflows.argoproj.io/creator": "c"},
        "annotations": {"note": "n"},
    },
    "spec": {"entrypoint": "main", "shutdown": "Stop", "arguments": {"parameters": [{"name": "p", "value": "1"}]}},
}  # fmt: skip


def test_a_resubmitted_workflow_is_a_new_one() -> None:
    made, nodes = resubmit(Workflow.from_json(OLD), state(SUCCEEDED), [], name="new", now=NOW, parameters={"p": "2"})

    assert nodes == []
    assert made.to_json() == {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {
            "name": "new", "generateName": "w-", "namespace": "ns", "annotations": {"note": "n"},
            "labels": {"mine": "1", "workflows.argoproj.io/resubmitted-from-workflow": "wf"},
        },
        "spec": {"entrypoint": "main", "arguments": {"parameters": [{"name": "p", "value": "2"}]}},
    }  # fmt: skip


def test_without_a_generated_name_the_old_one_is_the_prefix() -> None:
    made, _ = resubmit(manifest(dag("a:")), state(), [], name="new", now=NOW)

    assert made.metadata is not None
    assert made.metadata.generate_name == "wf-"


@pytest.mark.parametrize("phase", [SUCCEEDED, Phase.RUNNING])
def test_only_what_failed_is_resubmitted_with_its_results(phase: Phase) -> None:
    with pytest.raises(UsageError, match="workflow must be Failed/Error to resubmit in memoized mode"):
        resubmit(manifest(dag("a:")), state(phase), [], name="new", now=NOW, memoized=True)


def test_a_memoized_copy_begins_with_what_succeeded() -> None:
    inner = dag({"name": "x", "template": "step"}, {"name": "y", "template": "step"}, name="inner")
    run = Drive(
        flow(
            {"name": "a", "withItems": [1, 2]}, {"name": "in", "template": "inner", "depends": "a"},
            {"name": "b", "depends": "in"}, templates=[inner], onExit="step",
        )

    )  # fmt: skip
    ended(run, {"y": FAILED})
    old = {each.display_name: each.id for each in run.machine.nodes()}

    made, nodes = resubmit(run.workflow, run.machine.state, run.machine.nodes(), name="new", now=NOW, memoized=True)

    assert {each.name: each.phase.value for each in nodes} == {
        "new": "Running", "new.a": "Succeeded", "new.a(0:1)": "Succeeded", "new.a(1:2)": "Succeeded",
        "new.in": "Running", "new.in.x": "Succeeded",
    }  # fmt: skip
    copied = nodes[-1]
    assert (copied.message, copied.reason, copied.finished_at) == (f"original pod: {old['x']}", Reason.CACHED, NOW)
    machine = Machine.restore("uid2", made, WorkflowState("uid2", "new", Phase.RUNNING, started_at=NOW), nodes, now=0.0)
    machine.validate()
    machine.handle(TimerFired("nothing:"), NOW)
    started = []
    while running := machine.running():
        started.append(machine.node(running[0]).name)
        machine.handle(TaskFinished(machine.task(running[0]).id, SUCCEEDED), NOW)
        machine.validate()
    assert started == ["new.in.y", "new.b", "new.onExit"]
    assert machine.state.phase is SUCCEEDED
    assert {each.id for each in machine.nodes()}.isdisjoint(old.values())


# --- selectors


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("", ["wf", "wf.a", "wf.b"]),
        ("displayName=a", ["wf.a"]),
        ("displayName!=a", ["wf", "wf.b"]),
        ("displayName in (a, b)", ["wf.a", "wf.b"]),
        ("name=wf.b,phase=Failed", ["wf.b"]),
        ("name=wf.b,phase=Succeeded", []),
        ("id=wf", ["wf"]),
        ("templateName=pod", ["wf.a"]),
        ("templateName=leaf", ["wf.b"]),
        ("templateRef.name=lib", ["wf.b"]),
        ("templateRef.template=leaf", ["wf.b"]),
        ("inputs.parameters.p.value=1", ["wf.a"]),
        ("unknown=1", []),
    ],
)
def test_node_field_selectors(selector: str, found: list[str]) -> None:
    ref = {"name": "b", "template": None, "templateRef": {"name": "lib", "template": "leaf"}}
    nodes = [node("wf", "DAG"), *inside("wf", node("wf.a", inputs=Values({"p": "1"})), node("wf.b", phase="Failed"))]

    assert [each.name for each in select_nodes(manifest(dag("a:", ref)), state(), nodes, selector)] == found


def test_a_selector_that_cannot_be_read() -> None:
    with pytest.raises(ExpressionError, match="has no operator"):
        select_nodes(manifest(dag("a:")), state(), [], "a")


# --- resume and set


APPROVE = {
    "name": "approve",
    "suspend": {},
    "inputs": {"parameters": [{"name": "z", "default": "from input"}]},
    "outputs": {
        "parameters": [
            {"name": "x", "valueFrom": {"supplied": {}}},
            {"name": "y", "valueFrom": {"supplied": {}, "default": "dy"}},
            {"name": "z", "valueFrom": {"supplied": {}}},
        ]
    },
}
NAP = {"name": "nap", "suspend": {}}


def waiting(**fields: Any) -> tuple[Workflow, WorkflowState, list[Node]]:
    """A workflow that waits at an approval and a nap."""
    workflow = manifest(
        dag({"name": "ask", "template": "approve"}, {"name": "nap", "template": "nap"}, "done:"), APPROVE, NAP
    )
    asks = node("wf.ask", "Suspend", "Running", **fields)
    nodes = [node("wf", "DAG", "Running"), *inside("wf", asks, node("wf.nap", "Suspend", "Running"), node("wf.done"))]
    return workflow, WorkflowState("uid", "wf", Phase.RUNNING), nodes


@pytest.mark.parametrize(
    ("selector", "options", "events"),
    [
        ("displayName=nap", {"phase": FAILED, "message": "no"}, [NodeSet("wf.nap", FAILED, "no", {})]),
        ("displayName=ask", {"message": "hm"}, [NodeSet("wf.ask", None, "hm", {})]),
        ("displayName=ask", {"outputs": {"x": "1"}}, [NodeSet("wf.ask", None, None, {"x": "1"})]),
        (
            "displayName=ask",
            {"phase": SUCCEEDED, "outputs": {"x": "1", "y": "2"}},
            [NodeSet("wf.ask", SUCCEEDED, None, {"x": "1", "y": "2", "z": "from input"})],
        ),
        ("phase=Running", {"message": "m"}, [NodeSet("wf.ask", None, "m", {}), NodeSet("wf.nap", None, "m", {})]),
    ],
)
def test_setting_nodes(selector: str, options: dict[str, Any], events: list[NodeSet]) -> None:
    assert set_node(*waiting(), selector, **options) == events


@pytest.mark.parametrize(
    ("selector", "options", "message"),
    [
        (
            "displayName=done",
            {"phase": FAILED},
            "only targets suspend nodes: no suspend nodes matching .*: displayName=done",
        ),
        ("displayName=ask", {}, "only targets suspend nodes"),
        ("displayName=nap", {"outputs": {"x": "1"}}, "node is not expecting any raw parameters"),
        ("displayName=ask", {"outputs": {"w": "1"}}, "node is not expecting output parameter 'w'"),
        ("displayName=ask", {"outputs": {"y": "1"}}, "cannot set output parameter 'y' because .* it was already set"),
        (
            "displayName=ask",
            {"phase": SUCCEEDED},
            "raw output parameter 'x' has not been set and does not have a default",
        ),
    ],
)
def test_what_cannot_be_set(selector: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        set_node(*waiting(outputs=Values({"y": "set before"})), selector, **options)


def test_a_resume_gives_defaults_and_keeps_what_was_set() -> None:
    events = resume(*waiting(outputs=Values({"x": "1"}), message="set by a person"), message="go")

    assert events == [
        NodeSet("wf.ask", SUCCEEDED, "set by a person; go", {"y": "dy", "z": "from input"}),
        NodeSet("wf.nap", SUCCEEDED, "go", {}),
        ResumeRequested(),
    ]


def test_a_resume_without_a_value_fails_whole() -> None:
    with pytest.raises(UsageError, match="raw output parameter 'x' has not been set"):
        resume(*waiting())


def test_a_resume_of_selected_nodes_leaves_the_workflow_as_it_is() -> None:
    assert resume(*waiting(), selector="displayName=nap") == [NodeSet("wf.nap", SUCCEEDED, None, {})]
    with pytest.raises(UsageError, match="no suspend nodes matching"):
        resume(*waiting(), selector="displayName=done")
