"""What Argo shows as children and outbound nodes.

The tables follow what Argo's own controller tests show (workflow/controller/{dag,steps,operator,hooks,exit_handler}
_test.go), in other words.
"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine.test_status import POD, dag, graph, inside, manifest, node, outbound, status, steps

from tiphys.engine.model import Reason, WorkflowState
from tiphys.engine.status import node_status
from tiphys.errors import NotFoundError


def test_a_diamond() -> None:
    workflow = manifest(dag("a:", "b: a", "c: a", "d: b c"))
    nodes = [node("wf", "DAG"), *inside("wf", *(node(f"wf.{name}") for name in "abcd"))]

    assert graph(workflow, nodes) == {
        "wf": ["wf.a"],
        "wf.a": ["wf.b", "wf.c"],
        "wf.b": ["wf.d"],
        "wf.c": ["wf.d"],
    }
    assert outbound(workflow, nodes) == {"wf": ["wf.d"]}


def test_a_dag_that_runs_has_no_outbound_nodes() -> None:
    nodes = [node("wf", "DAG", "Running"), *inside("wf", node("wf.a"))]

    assert outbound(manifest(dag("a:")), nodes) == {}


def test_a_target_says_which_tasks_are_last() -> None:
    workflow = manifest(dag("a:", "b: a", "c: b", target="b a"))
    nodes = [node("wf", "DAG"), *inside("wf", node("wf.a"), node("wf.b"))]

    assert outbound(workflow, nodes) == {"wf": ["wf.b", "wf.a"]}


def test_depends_names_the_tasks_before() -> None:
    workflow = manifest(dag("a:", "b:", {"name": "c", "depends": "a.Succeeded && !b.Failed"}))
    nodes = [node("wf", "DAG"), *inside("wf", node("wf.a"), node("wf.b"), node("wf.c", "Skipped", "Omitted"))]

    assert graph(workflow, nodes) == {"wf": ["wf.a", "wf.b"], "wf.a": ["wf.c"], "wf.b": ["wf.c"]}


def test_what_follows_a_nested_dag_hangs_on_its_last_nodes() -> None:
    workflow = manifest(dag({"name": "in", "template": "inner"}, "out: in"), dag("x:", "y:", "z: x", name="inner"))
    nodes = [
        node("wf", "DAG"),
        *inside("wf", node("wf.in", "DAG")),
        *inside("wf.in", node("wf.in.x"), node("wf.in.y"), node("wf.in.z")),
        *inside("wf", node("wf.out")),
    ]

    assert graph(workflow, nodes) == {
        "wf": ["wf.in"],
        "wf.in": ["wf.in.x", "wf.in.y"],
        "wf.in.x": ["wf.in.z"],
        "wf.in.y": ["wf.out"],
        "wf.in.z": ["wf.out"],
    }
    assert outbound(workflow, nodes) == {"wf": ["wf.out"], "wf.in": ["wf.in.y", "wf.in.z"]}


def test_a_loop_of_a_task_is_a_task_group() -> None:
    workflow = manifest(dag({"name": "a", "withItems": [1, 2]}, "b: a"))
    nodes = [
        node("wf", "DAG"),
        *inside(
            "wf", node("wf.a", "TaskGroup"), node("wf.a(0:1)", parent_id="wf.a"), node("wf.a(1:2)", parent_id="wf.a")
        ),
        *inside("wf", node("wf.b")),
    ]

    assert graph(workflow, nodes) == {
        "wf": ["wf.a"],
        "wf.a": ["wf.a(0:1)", "wf.a(1:2)"],
        "wf.a(0:1)": ["wf.b"],
        "wf.a(1:2)": ["wf.b"],
    }


def test_what_follows_a_retried_task_hangs_on_its_last_attempt() -> None:
    workflow = manifest(dag({"name": "a", "template": "again"}, "b: a"), {**POD, "name": "again", "retryStrategy": {}})
    nodes = [
        node("wf", "DAG"),
        *inside("wf", node("wf.a", "Retry"), node("wf.a(0)", phase="Failed", parent_id="wf.a")),
        *inside("wf", node("wf.a(1)", parent_id="wf.a", attempt=1), node("wf.b")),
    ]

    assert graph(workflow, nodes) == {"wf": ["wf.a"], "wf.a": ["wf.a(0)", "wf.a(1)"], "wf.a(1)": ["wf.b"]}
    flags = {name: each.get("nodeFlag") for name, each in status(workflow, nodes)["nodes"].items()}
    assert flags == {"wf": None, "wf.a": None, "wf.a(0)": {"retried": True}, "wf.a(1)": {"retried": True}, "wf.b": None}


def test_the_last_attempt_of_a_nested_dag_is_an_outbound_node_itself() -> None:
    inner = {**dag("x:", name="inner"), "retryStrategy": {"limit": 1}}
    middle = dag({"name": "m", "template": "inner"}, name="middle")
    workflow = manifest(dag({"name": "a", "template": "middle"}, "b: a"), middle, inner)
    nodes = [
        node("wf", "DAG"),
        *inside("wf", node("wf.a", "DAG")),
        *inside("wf.a", node("wf.a.m", "Retry"), node("wf.a.m(0)", "DAG", parent_id="wf.a.m")),
        *inside("wf.a.m(0)", node("wf.a.m(0).x")),
        *inside("wf", node("wf.b")),
    ]

    assert outbound(workflow, nodes) == {"wf": ["wf.b"], "wf.a": ["wf.a.m(0)"], "wf.a.m(0)": ["wf.a.m(0).x"]}
    assert graph(workflow, nodes)["wf.a.m(0).x"] == ["wf.b"]


def test_steps() -> None:
    workflow = manifest(steps("a b", "c", "d"))
    nodes = [
        node("wf", "Steps"),
        *inside("wf", node("wf[0]", "StepGroup"), node("wf[0].a"), node("wf[0].b")),
        *inside("wf", node("wf[1]", "StepGroup"), node("wf[1].c", "Skipped", "Skipped")),
        *inside("wf", node("wf[2]", "StepGroup"), node("wf[2].d")),
    ]

    assert graph(workflow, nodes) == {
        "wf": ["wf[0]"],
        "wf[0]": ["wf[0].a", "wf[0].b"],
        "wf[0].a": ["wf[1]"],
        "wf[0].b": ["wf[1]"],
        "wf[1]": ["wf[1].c"],
        "wf[1].c": ["wf[2]"],
        "wf[2]": ["wf[2].d"],
    }
    assert outbound(workflow, nodes) == {"wf": ["wf[2].d"]}
    shown = status(workflow, nodes)["nodes"]
    assert "templateName" not in shown["wf[0]"]
    assert shown["wf[0]"]["nodeFlag"] == shown["wf[1].c"]["nodeFlag"] == {}


def test_a_group_without_steps_is_followed_itself() -> None:
    workflow = manifest(steps([], "a"))
    nodes = [
        node("wf", "Steps"),
        *inside("wf", node("wf[0]", "StepGroup"), node("wf[1]", "StepGroup"), node("wf[1].a")),
    ]

    assert graph(workflow, nodes) == {"wf": ["wf[0]"], "wf[0]": ["wf[1]"], "wf[1]": ["wf[1].a"]}


def test_the_items_of_a_step_stand_in_its_group() -> None:
    workflow = manifest(steps([{"name": "a", "withItems": [1, 2]}], "b"))
    nodes = [
        node("wf", "Steps"),
        *inside("wf", node("wf[0]", "StepGroup"), node("wf[0].a", "TaskGroup")),
        *inside("wf", node("wf[0].a(0:1)", parent_id="wf[0].a"), node("wf[0].a(1:2)", parent_id="wf[0].a")),
        *inside("wf", node("wf[1]", "StepGroup"), node("wf[1].b")),
    ]

    assert graph(workflow, nodes) == {
        "wf": ["wf[0]"],
        "wf[0]": ["wf[0].a(0:1)", "wf[0].a(1:2)"],
        "wf[0].a(0:1)": ["wf[1]"],
        "wf[0].a(1:2)": ["wf[1]"],
        "wf[1]": ["wf[1].b"],
    }
    assert "wf[0].a" not in status(workflow, nodes)["nodes"]
    with pytest.raises(NotFoundError, match="no node 'wf\\[0\\].a'"):
        node_status(workflow, WorkflowState("uid", "wf"), nodes, "wf[0].a")


def test_hooks_are_children_of_their_owners() -> None:
    workflow = manifest(dag({"name": "a", "hooks": {"exit": {"template": "pod"}, "x": {"template": "pod"}}}, "b: a"))
    nodes = [
        node("wf", "DAG"),
        *inside("wf", node("wf.a")),
        *inside(
            "wf", node("wf.a.hooks.x", hook="x", parent_id="wf.a"), node("wf.a.onExit", hook="exit", parent_id="wf.a")
        ),
        *inside("wf", node("wf.b")),
        node("wf.hooks.h", hook="h"),
        node("wf.onExit", hook="exit", hooked=True),
    ]

    assert graph(workflow, nodes) == {"wf": ["wf.a", "wf.hooks.h"], "wf.a": ["wf.a.hooks.x", "wf.a.onExit", "wf.b"]}
    shown = status(workflow, nodes)["nodes"]
    assert [name for name, each in shown.items() if each.get("nodeFlag") == {"hooked": True}] == [
        "wf.a.hooks.x", "wf.a.onExit", "wf.hooks.h", "wf.onExit",
    ]  # fmt: skip


def test_what_follows_a_retried_task_with_an_exit_hook_hangs_on_the_hook() -> None:
    workflow = manifest(dag({"name": "a", "onExit": "pod"}, "b: a"))
    nodes = [
        node("wf", "DAG"),
        *inside("wf", node("wf.a", "Retry"), node("wf.a(0)", parent_id="wf.a")),
        *inside("wf", node("wf.a.onExit", hook="exit", parent_id="wf.a"), node("wf.b")),
    ]

    assert graph(workflow, nodes) == {"wf": ["wf.a"], "wf.a": ["wf.a(0)", "wf.a.onExit"], "wf.a.onExit": ["wf.b"]}


def test_the_parts_of_an_exit_handler_are_no_hooks_themselves() -> None:
    workflow = manifest(POD, dag("onExit:", "b: onExit", name="bye"), onExit="bye")
    nodes = [
        node("wf"),
        node("wf.onExit", "DAG", hook="exit", hooked=True),
        *inside("wf.onExit", node("wf.onExit.onExit", hooked=True), node("wf.onExit.b", hooked=True)),
    ]

    assert graph(workflow, nodes) == {"wf.onExit": ["wf.onExit.onExit"], "wf.onExit.onExit": ["wf.onExit.b"]}
    shown = status(workflow, nodes)["nodes"]
    assert [name for name, each in shown.items() if "nodeFlag" in each] == ["wf.onExit"]
    assert shown["wf.onExit"]["templateName"] == "bye"


def test_attempts_of_a_hook_carry_both_flags() -> None:
    nodes = [
        node("wf"),
        node("wf.onExit", "Retry", hook="exit", hooked=True),
        node("wf.onExit(0)", hook="exit", hooked=True, parent_id="wf.onExit"),
    ]

    shown = status(manifest(POD, onExit="pod"), nodes)["nodes"]

    assert shown["wf.onExit"]["nodeFlag"] == {"hooked": True}
    assert shown["wf.onExit(0)"]["nodeFlag"] == {"hooked": True, "retried": True}


def test_a_container_set_is_left_by_its_last_containers() -> None:
    containers = [
        {"name": "a"},
        {"name": "b", "dependencies": ["a"]},
        {"name": "main", "dependencies": ["a"]},
        {"name": "end", "dependencies": ["b"]},
    ]
    workflow = manifest(
        dag({"name": "s", "template": "set"}, "t: s"), {"name": "set", "containerSet": {"containers": containers}}
    )
    parts = [node(f"wf.s.{name}", "Container", parent_id="wf.s") for name in ("a", "b", "main", "end")]
    nodes = [node("wf", "DAG"), *inside("wf", node("wf.s"), *parts), *inside("wf", node("wf.t"))]

    assert graph(workflow, nodes) == {
        "wf": ["wf.s"],
        "wf.s": ["wf.s.a"],
        "wf.s.a": ["wf.s.b", "wf.s.main"],
        "wf.s.b": ["wf.s.end"],
        "wf.s.main": ["wf.t"],
        "wf.s.end": ["wf.t"],
    }
    assert {each["boundaryID"] for name, each in status(workflow, nodes)["nodes"].items() if name != "wf"} == {
        "wf",
        "wf.s",
    }


def test_a_memoized_dag_is_left_by_itself() -> None:
    workflow = manifest(dag({"name": "a", "template": "inner"}, "b: a"), dag("x:", name="inner"))
    memo = {"hit": True, "key": "k", "cacheName": "c"}
    hit = node("wf.a", "DAG", reason=Reason.MEMOIZED, memo=memo)
    nodes = [node("wf", "DAG"), *inside("wf", hit, node("wf.b"))]

    assert graph(workflow, nodes) == {"wf": ["wf.a"], "wf.a": ["wf.b"]}
    assert status(workflow, nodes)["nodes"]["wf.a"]["memoizationStatus"] == memo


def test_a_memoized_dag_is_an_outbound_node() -> None:
    workflow = manifest(dag({"name": "a", "template": "inner"}), dag("x:", name="inner"))
    nodes = [node("wf", "DAG"), *inside("wf", node("wf.a", "DAG", reason=Reason.MEMOIZED))]

    assert outbound(workflow, nodes) == {"wf": ["wf.a"]}


def test_nothing_is_left_without_a_parent() -> None:
    """Argo leaves a follower of a DAG that began nothing without one."""
    workflow = manifest(
        dag({"name": "a", "template": "inner"}, {"name": "b", "depends": "a.Failed"}), dag("x:", name="inner")
    )
    nodes = [node("wf", "DAG"), *inside("wf", node("wf.a", "DAG", "Failed"), node("wf.b"))]

    assert graph(workflow, nodes) == {"wf": ["wf.a"], "wf.a": ["wf.b"]}


def test_templates_may_be_nested_deeply() -> None:
    workflow = manifest(dag({"name": "a", "template": "main"}))
    names = ["wf" + ".a" * depth for depth in range(1500)]
    nodes = [node(name, "DAG", boundary_id=above) for name, above in zip(names, [None, *names], strict=False)]

    found = graph(workflow, nodes)

    assert found == {name: [below] for name, below in itertools.pairwise(names)}


@st.composite
def _dependencies(draw: st.DrawFn) -> list[list[int]]:
    count = draw(st.integers(1, 8))
    return [draw(st.lists(st.integers(0, index - 1), unique=True)) if index else [] for index in range(count)]


@given(_dependencies())
def test_of_plain_tasks_the_edges_are_the_dependencies(needs: list[list[int]]) -> None:
    workflow = manifest(dag(*(f"t{index}: {' '.join(f't{n}' for n in own)}" for index, own in enumerate(needs))))
    nodes = [node("wf", "DAG"), *inside("wf", *(node(f"wf.t{index}") for index in range(len(needs))))]

    found = {(parent, child) for parent, children in graph(workflow, nodes).items() for child in children}

    assert found == {
        (f"wf.t{before}" if own else "wf", f"wf.t{index}") for index, own in enumerate(needs) for before in own or [0]
    }
    last = set(range(len(needs))) - {before for own in needs for before in own}
    assert outbound(workflow, nodes) == {"wf": [f"wf.t{index}" for index in sorted(last)]}
