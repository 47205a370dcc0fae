"""The tree of `argo get` (shapes of cmd/argo/commands/get_test.go and common/get_test.go)."""

from __future__ import annotations

import click
import pytest

from tiphys.cli.argo.printing import node_filter, workflow_text
from tiphys.cli.argo.tree import TreeStyle, tree_rows
from tiphys.errors import ExpressionError, UsageError


def node(id, type="Pod", phase="Succeeded", name=None, **fields):
    base = {"id": id, "name": name or id, "displayName": name or id, "type": type, "phase": phase, "templateName": "t"}
    return {**base, "startedAt": "2026-01-31T12:00:00Z", "finishedAt": "2026-01-31T12:00:05Z", **fields}


def workflow(*nodes):
    return {"metadata": {"name": "wf"}, "status": {"nodes": {one["id"]: one for one in nodes}}}


def drawn(*nodes, **style):
    rows = tree_rows(workflow(*nodes), TreeStyle(**style))
    return [click.unstyle(row[0]).rstrip() for row in rows[1:]]


def test_steps_are_drawn_side_by_side():
    found = drawn(
        node("wf", "Steps"),
        node("wf-g0", "StepGroup", name="[0]", boundaryID="wf", children=["wf-a"]),
        node("wf-a", name="a", boundaryID="wf"),
        node("wf-g1", "StepGroup", name="[1]", boundaryID="wf", children=["wf-c", "wf-b", "wf-d"]),
        node("wf-b", name="b", boundaryID="wf"),
        node("wf-c", name="c", boundaryID="wf"),
        node("wf-d", name="d", boundaryID="wf"),
    )
    assert found == [" ✔ wf", " ├───✔ a", " └─┬─✔ b", "   ├─✔ c", "   └─✔ d"]


def test_graphs_nest():
    found = drawn(
        node("wf", "DAG"),
        node("wf-1", "DAG", name="inner", boundaryID="wf"),
        node("wf-2", name="leaf", boundaryID="wf-1"),
        node("wf-3", name="last", boundaryID="wf", phase="Failed", startedAt="2026-01-31T12:00:01Z"),
    )
    assert found == [" ✔ wf", " ├─✔ inner", " │ └─✔ leaf", " └─✖ last"]


def test_without_other_letters():
    found = drawn(node("wf", "DAG"), node("wf-1", name="a", boundaryID="wf"), utf8=False)
    assert found == [" Succeeded wf", " `-Succeeded a"]


def test_of_a_single_attempt_only_the_attempt_is_drawn():
    retried = node("wf-r", "Retry", name="a", boundaryID="wf", children=["wf-0"])
    attempts = [node(f"wf-{number}", name=f"a({number})", boundaryID="wf") for number in range(2)]
    assert drawn(node("wf", "DAG"), retried, attempts[0]) == [" ✔ wf", " └─✔ a(0)"]
    both = {**retried, "children": ["wf-0", "wf-1"]}
    assert drawn(node("wf", "DAG"), both, *attempts) == [" ✔ wf", " └─✔ a", "   ├─✔ a(0)", "   └─✔ a(1)"]


def test_loops_go_by_their_index():
    names = ["a(10:x)", "a(2:y)", "a(0:z)"]
    children = [node(f"wf-{number}", name=name, boundaryID="wf") for number, name in enumerate(names)]
    assert drawn(node("wf", "DAG"), *children)[1:] == [" ├─✔ a(0:z)", " ├─✔ a(2:y)", " └─✔ a(10:x)"]


def test_earlier_ones_come_first():
    late = node("wf-1", name="a", boundaryID="wf", startedAt="2026-01-31T12:00:09Z")
    assert drawn(node("wf", "DAG"), late, node("wf-2", name="b", boundaryID="wf"))[1:] == [" ├─✔ b", " └─✔ a"]


def test_omitted_nodes_are_left_out():
    omitted = node("wf-1", "Skipped", "Omitted", name="a", boundaryID="wf")
    skipped = node("wf-2", "Skipped", "Skipped", name="b", boundaryID="wf")
    assert drawn(node("wf", "DAG"), omitted, skipped) == [" ✔ wf", " └─○ b"]


@pytest.mark.parametrize(
    ("fields", "icon"),
    [
        ({"phase": "Pending"}, "◷"),
        ({"phase": "Running"}, "●"),
        ({"phase": "Error"}, "⚠"),
        ({"type": "Suspend", "phase": "Running"}, "ǁ"),
    ],
)
def test_icons(fields, icon):
    assert drawn(node("wf", **fields)) == [f" {icon} wf"]


def test_the_exit_handler_has_a_tree_of_its_own():
    found = drawn(node("wf"), node("wf-9", name="wf.onExit", phase="Failed"))
    assert found == [" ✔ wf", "", " ✖ wf.onExit"]


def test_columns():
    leaf = node(
        "wf-123",
        name="a",
        boundaryID="wf",
        message="said",
        hostNodeName="h",
        templateRef={"name": "lib", "template": "x"},
        outputs={"artifacts": [{"name": "o"}, {"name": "p"}]},
    )
    rows = tree_rows(workflow(node("wf", "DAG"), leaf), TreeStyle())
    assert rows[0] == ["STEP", "TEMPLATE", "PODNAME", "DURATION", "MESSAGE"]
    assert rows[1][1:] == ["t", "", "", ""]
    assert rows[2][1:] == ["lib/x", "wf-x-123", "5s", "said"]
    assert tree_rows(workflow(node("wf", "DAG"), leaf), TreeStyle("short"))[2][4:] == ["said", "h"]
    assert tree_rows(workflow(node("wf", "DAG"), leaf), TreeStyle("wide"))[2][4:] == ["o,p", "said", "", "h"]


def test_only_wanted_nodes_are_drawn():
    children = [
        node("wf-1", name="a", boundaryID="wf", phase="Failed"),
        node("wf-2", name="b", boundaryID="wf", inputs={"parameters": [{"name": "p", "value": "1"}]}),
    ]
    root = node("wf", "DAG")
    assert drawn(root, *children, wanted=node_filter("", "Failed")) == [" ✖ a"]
    assert drawn(root, *children, wanted=node_filter("inputs.parameters.p.value=1", "")) == [" ✔ b"]
    assert drawn(root, *children, wanted=node_filter("displayName=a,templateName=t", "")) == [" ✖ a"]
    with pytest.raises(UsageError, match="together"):
        node_filter("phase=Failed", "Failed")
    with pytest.raises(ExpressionError):
        node_filter("phase", "")


def test_a_workflow_without_nodes_has_no_tree():
    assert tree_rows({"metadata": {"name": "wf"}, "status": {}}, TreeStyle()) == []


def test_a_workflow_as_text():
    found = {
        "metadata": {"name": "wf", "namespace": "ns", "creationTimestamp": "2026-01-31T12:00:00Z"},
        "spec": {"serviceAccountName": "me", "arguments": {"parameters": [{"name": "p", "value": "1"}, {"name": "q"}]}},
        "status": {
            "phase": "Running",
            "startedAt": "2026-01-31T12:00:00Z",
            "progress": "0/1",
            "conditions": [{"type": "PodRunning", "status": "True"}],
            "nodes": {"wf": node("wf", "Suspend", "Running")},
            "outputs": {"parameters": [{"name": "o", "value": "2"}]},
        },
    }
    lines = click.unstyle(workflow_text(found, TreeStyle())).splitlines()
    assert lines[:5] == [
        "Name:                wf",
        "Namespace:           ns",
        "ServiceAccount:      me",
        "Status:              Running (Suspended)",
        "Conditions:          ",
    ]
    for line in (
        " PodRunning          True",
        "Progress:            0/1",
        "  p:                 1",
        "Output Parameters:   ",
        "  o:                 2",
        "STEP   TEMPLATE  PODNAME  DURATION  MESSAGE",
        " ǁ wf  t",
    ):
        assert line in lines
    assert click.unstyle(workflow_text(found, TreeStyle("short"))).startswith("STEP ")
