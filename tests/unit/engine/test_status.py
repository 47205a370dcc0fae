"""Argo's status of our nodes.

`test_status_graph` has what follows what.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.flows import Drive, flow, template

from tiphys.engine.events import TaskFinished
from tiphys.engine.model import Node, NodeType, Phase, Values, WorkflowState
from tiphys.engine.status import node_status, workflow_status
from tiphys.errors import NotFoundError
from tiphys.spec.workflow import Workflow

POD: dict[str, Any] = {"name": "pod", "container": {"image": "alpine"}}


def node(name: str, type: str = "Pod", phase: str = "Succeeded", **fields: Any) -> Node:
    """A node whose id is its name; the part after the last dot or bracket is its task."""
    last = name.rsplit("]", 1)[-1].rsplit(".", 1)[-1].split("(")[0]
    known: dict[str, Any] = {"task_name": last, "finished_at": 2.0 if Phase(phase).fulfilled else None, **fields}
    return Node(name, name, last or name, NodeType(type), Phase(phase), "pod", started_at=1.0, **known)


def manifest(*templates: dict[str, Any], **spec: Any) -> Workflow:
    """A workflow whose entry point is the first template."""
    return Workflow.from_json({"spec": {"entrypoint": templates[0]["name"], "templates": [*templates, POD], **spec}})


def dag(*tasks: str | dict[str, Any], name: str = "main", **fields: Any) -> dict[str, Any]:
    """A DAG; a task is given as "name: dependency dependency"."""
    made = []
    for task in tasks:
        if isinstance(task, str):
            own, _, needs = task.partition(":")
            task = {"name": own, "template": "pod", "dependencies": needs.split()}
        made.append({"template": "pod", **task})
    return {"name": name, "dag": {"tasks": made, **fields}}


def steps(*groups: str | list[dict[str, Any]], name: str = "main") -> dict[str, Any]:
    """A steps template; a group is given as its steps' names."""
    made = [[{"name": own} for own in group.split()] if isinstance(group, str) else group for group in groups]
    return {"name": name, "steps": [[{"template": "pod", **step} for step in group] for group in made]}


def status(workflow: Workflow, nodes: list[Node], phase: Phase = Phase.SUCCEEDED) -> dict[str, Any]:
    return workflow_status(workflow, WorkflowState("uid", "wf", phase, started_at=1.0), nodes)


def graph(workflow: Workflow, nodes: list[Node]) -> dict[str, list[str]]:
    """Node → children, of the nodes that have any."""
    shown = status(workflow, nodes)["nodes"]
    return {name: each["children"] for name, each in shown.items() if "children" in each}


def outbound(workflow: Workflow, nodes: list[Node]) -> dict[str, list[str]]:
    shown = status(workflow, nodes)["nodes"]
    return {name: each["outboundNodes"] for name, each in shown.items() if "outboundNodes" in each}


def inside(boundary: str, *nodes: Node) -> list[Node]:
    for each in nodes:
        each.boundary_id = boundary
    return list(nodes)


# --- templates and scopes


def test_scopes_of_templates_that_were_referred_to() -> None:
    ref = {"name": "lib", "template": "flow"}
    everywhere = {"name": "all", "template": "leaf", "clusterScope": True}
    workflow = Workflow.from_json(
        {
            "spec": {
                "entrypoint": "main",
                "templates": [dag({"name": "a", "templateRef": ref, "template": None}), POD],
            },
            "status": {
                "storedTemplates": {
                    "namespaced/lib/flow": dag(
                        "x:",
                        {"name": "y", "dependencies": ["x"], "template": None, "templateRef": everywhere},
                        {"name": "z", "template": None, "inline": dag({"name": "i", "template": "pod"}, name="in")},
                    ),
                    "namespaced/lib/pod": POD,
                    "cluster/all/leaf": {"name": "leaf", "script": {"source": ""}},
                }
            },
        }
    )
    nodes = [
        node("wf", "DAG"),
        *inside("wf", node("wf.a", "DAG")),
        *inside("wf.a", node("wf.a.x"), node("wf.a.y"), node("wf.a.z", "DAG")),
        *inside("wf.a.z", node("wf.a.z.i")),
    ]

    shown = status(workflow, nodes)["nodes"]

    assert {name: each["templateScope"] for name, each in shown.items()} == {
        "wf": "local/wf",
        "wf.a": "local/wf",
        "wf.a.x": "namespaced/lib",
        "wf.a.y": "namespaced/lib",
        "wf.a.z": "namespaced/lib",
        "wf.a.z.i": "namespaced/lib",
    }
    named = {name: each.get("templateName") or each.get("templateRef") for name, each in shown.items()}
    assert named == {
        "wf": "main",
        "wf.a": ref,
        "wf.a.x": "pod",
        "wf.a.y": everywhere,
        "wf.a.z": None,
        "wf.a.z.i": "pod",
    }
    assert graph(workflow, nodes)["wf.a.x"] == ["wf.a.y"]


def test_the_scope_of_steps_of_a_template_that_was_referred_to() -> None:
    ref = {"name": "lib", "template": "flow"}
    workflow = Workflow.from_json(
        {
            "spec": {"entrypoint": "main", "templates": [steps([{"name": "a", "template": None, "templateRef": ref}])]},
            "status": {
                "storedTemplates": {"namespaced/lib/flow": steps("x", name="flow"), "namespaced/lib/pod": POD},
            },
        }
    )
    parts = [node("wf[0].a[0]", "StepGroup"), node("wf[0].a[0].x", inputs=Values({"p": "1"}))]
    nodes = [
        node("wf", "Steps"),
        *inside("wf", node("wf[0]", "StepGroup"), node("wf[0].a", "Steps")),
        *inside("wf[0].a", *parts),
    ]

    shown = status(workflow, nodes)["nodes"]

    assert {name: each["templateScope"] for name, each in shown.items()} == {
        "wf": "local/wf", "wf[0]": "local/wf", "wf[0].a": "local/wf",
        "wf[0].a[0]": "namespaced/lib", "wf[0].a[0].x": "namespaced/lib",
    }  # fmt: skip


def test_a_stored_specification_is_carried_out_under_no_name() -> None:
    stored = {"entrypoint": "main", "templates": [dag("a:", "b: a"), POD]}
    workflow = Workflow.from_json(
        {"spec": {"workflowTemplateRef": {"name": "t"}}, "status": {"storedWorkflowTemplateSpec": stored}}
    )
    nodes = [node("wf", "DAG"), *inside("wf", node("wf.a"), node("wf.b"))]

    found = status(workflow, nodes)

    assert found["nodes"]["wf.a"]["templateScope"] == "local/"
    assert found["nodes"]["wf.a"]["children"] == ["wf.b"]
    assert found["storedWorkflowTemplateSpec"]["entrypoint"] == "main"


# --- values


def test_inputs_and_outputs_are_the_declarations_with_values() -> None:
    leaf = {
        **POD,
        "name": "leaf",
        "inputs": {
            "parameters": [
                {"name": "p", "default": "d", "description": "about"},
                {"name": "q", "default": "{{workflow.name}}"},
            ],
            "artifacts": [{"name": "i", "path": "/in"}],
        },
        "outputs": {
            "parameters": [{"name": "o", "globalName": "all", "valueFrom": {"path": "/o", "default": "x"}}],
            "artifacts": [{"name": "f", "path": "/f", "globalName": "file"}],
        },
    }
    values = {
        "inputs": Values({"p": "1", "q": "2"}, {"i": {"name": "other", "s3": {"key": "k"}}}),
        "outputs": Values({"o": "3"}, {"f": {"s3": {"key": "g"}}, "main-logs": {"s3": {"key": "l"}}}, "text", 0),
    }

    found = status(manifest(leaf), [node("wf", **values)])

    shown = found["nodes"]["wf"]
    assert shown["inputs"] == {
        "parameters": [
            {"name": "p", "default": "d", "description": "about", "value": "1"},
            {"name": "q", "value": "2"},
        ],
        "artifacts": [{"name": "i", "path": "/in", "s3": {"key": "k"}}],
    }
    assert shown["outputs"] == {
        "parameters": [{"name": "o", "value": "3", "globalName": "all", "valueFrom": {"path": "/o", "default": "x"}}],
        "artifacts": [
            {"name": "f", "path": "/f", "globalName": "file", "s3": {"key": "g"}},
            {"name": "main-logs", "s3": {"key": "l"}},
        ],
        "result": "text",
        "exitCode": "0",
    }
    assert found["outputs"] == {
        "parameters": [{"name": "all", "value": "3"}],
        "artifacts": [{"name": "file", "s3": {"key": "g"}}],
    }


def test_of_a_python_step_an_artifact_shows_its_name() -> None:
    outputs = Values({}, {"model": {"version_id": "v", "name": "p::s::model", "digest": "sha256:0"}, "all": [{}, {}]})

    shown = status(manifest({"name": "s", "plugin": {"tiphys": {}}}), [node("wf", "Plugin", outputs=outputs)])["nodes"]

    assert shown["wf"]["outputs"] == {"artifacts": [{"name": "model"}, {"name": "all"}]}


def test_outputs_of_a_dag_do_not_say_where_they_came_from() -> None:
    outputs = {"parameters": [{"name": "o", "valueFrom": {"parameter": "{{tasks.a.outputs.result}}"}}]}
    workflow = manifest({**dag("a:"), "outputs": outputs})
    nodes = [node("wf", "DAG", outputs=Values({"o": "1"})), *inside("wf", node("wf.a"))]

    assert status(workflow, nodes)["nodes"]["wf"]["outputs"] == {"parameters": [{"name": "o", "value": "1"}]}


def test_the_last_to_end_gives_a_global_output() -> None:
    leaf = {**POD, "name": "leaf", "outputs": {"parameters": [{"name": "o", "globalName": "g", "valueFrom": {}}]}}
    workflow = manifest(dag({"name": "a", "template": "leaf"}, {"name": "b", "template": "leaf"}), leaf)
    first = node("wf.a", outputs=Values({"o": "late"}), finished_at=9.0)
    nodes = [node("wf", "DAG"), *inside("wf", first, node("wf.b", outputs=Values({"o": "early"})))]

    assert status(workflow, nodes)["outputs"] == {"parameters": [{"name": "g", "value": "late"}]}


def test_a_suspend_node_shows_what_it_waits_for() -> None:
    approve = {
        "name": "approve",
        "suspend": {},
        "inputs": {"parameters": [{"name": "x", "default": "no"}, {"name": "choice"}]},
        "outputs": {
            "parameters": [
                {"name": "x", "valueFrom": {"supplied": {}}},
                {"name": "y", "valueFrom": {"supplied": {}, "default": "1"}},
            ]
        },
    }
    inputs = Values({"x": "no", "choice": '{"enum": ["a", "b"]}'})
    waiting = node("wf", "Suspend", "Running", inputs=inputs, outputs=Values({"y": "2"}))

    shown = status(manifest(approve), [waiting], Phase.RUNNING)["nodes"]["wf"]

    assert shown["outputs"]["parameters"] == [
        {"name": "x", "valueFrom": {"supplied": {}, "default": "no"}},
        {"name": "y", "value": "2"},
    ]
    assert shown["inputs"]["parameters"][1] == {
        "name": "choice", "value": '{"enum": ["a", "b"]}', "enum": ["a", "b"], "default": "a",
    }  # fmt: skip


# --- progress, times, conditions


def test_progress_sums_up_what_a_node_consists_of() -> None:
    workflow = manifest(dag({"name": "a", "template": "inner"}, "b: a"), steps("x y", name="inner"))
    nodes = [
        node("wf", "DAG", "Failed"),
        *inside("wf", node("wf.a", "Steps")),
        *inside(
            "wf.a", node("wf.a[0]", "StepGroup"), node("wf.a[0].x"), node("wf.a[0].y", phase="Skipped", type="Skipped")
        ),
        *inside("wf", node("wf.b", phase="Failed", progress="3/4")),
        node("wf.onExit", hook="exit"),
    ]

    found = status(workflow, nodes, Phase.FAILED)

    assert {name: each.get("progress") for name, each in found["nodes"].items()} == {
        "wf": "4/5", "wf.a": "1/1", "wf.a[0]": "1/1", "wf.a[0].x": "1/1", "wf.a[0].y": None,
        "wf.b": "3/4", "wf.onExit": "1/1",
    }  # fmt: skip
    assert found["progress"] == "5/6"


def test_containers_count_beside_their_pod() -> None:
    containers = [{"name": "main"}, {"name": "b"}]
    workflow = manifest(
        dag({"name": "s", "template": "set"}), {"name": "set", "containerSet": {"containers": containers}}
    )
    parts = [node("wf.s.main", "Container", parent_id="wf.s"), node("wf.s.b", "Container", "Failed", parent_id="wf.s")]

    shown = status(workflow, [node("wf", "DAG"), *inside("wf", node("wf.s"), *parts)])["nodes"]

    assert {name: each["progress"] for name, each in shown.items()} == {
        "wf": "2/3", "wf.s": "1/1", "wf.s.main": "1/1", "wf.s.b": "0/1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("told", "phase", "shown"),
    [
        ("", "Running", "0/1"),
        ("2/5", "Running", "2/5"),
        ("2/5", "Succeeded", "5/5"),
        ("9/5", "Running", "0/1"),
        ("0/0", "Succeeded", "1/1"),
        ("half", "Failed", "0/1"),
    ],
)
def test_progress_that_a_task_tells(told: str, phase: str, shown: str) -> None:
    assert status(manifest(POD), [node("wf", phase=phase, progress=told)])["nodes"]["wf"]["progress"] == shown


def test_a_whole_workflow_as_json() -> None:
    workflow = manifest(dag("a:"))
    daemon = node("wf.a", phase="Running", daemoned=True, ip="10.0.0.1", waiting="ns/Mutex/m", message="hello")
    state = WorkflowState("uid", "wf", Phase.RUNNING, started_at=0.0, message="on its way")

    assert workflow_status(workflow, state, [node("wf", "DAG", "Running"), *inside("wf", daemon)]) == {
        "phase": "Running",
        "startedAt": "1970-01-01T00:00:00Z",
        "finishedAt": None,
        "progress": "0/1",
        "message": "on its way",
        "nodes": {
            "wf": {
                "id": "wf",
                "name": "wf",
                "displayName": "wf",
                "type": "DAG",
                "templateName": "main",
                "templateScope": "local/wf",
                "phase": "Running",
                "startedAt": "1970-01-01T00:00:01Z",
                "finishedAt": None,
                "progress": "0/1",
                "children": ["wf.a"],
            },
            "wf.a": {
                "id": "wf.a",
                "name": "wf.a",
                "displayName": "a",
                "type": "Pod",
                "templateName": "pod",
                "templateScope": "local/wf",
                "phase": "Running",
                "boundaryID": "wf",
                "message": "hello",
                "startedAt": "1970-01-01T00:00:01Z",
                "finishedAt": None,
                "progress": "0/1",
                "podIP": "10.0.0.1",
                "daemoned": True,
                "synchronizationStatus": {"waiting": "ns/Mutex/m"},
            },
        },
        "conditions": [{"type": "PodRunning", "status": "True"}],
    }


def test_what_the_manifest_s_status_says_is_kept() -> None:
    workflow = Workflow.from_json(
        {
            "spec": {"entrypoint": "pod", "templates": [POD]},
            "status": {
                "phase": "Pending",
                "conditions": [{"type": "SpecWarning", "message": "w"}, {"type": "Completed", "status": "False"}],
                "artifactRepositoryRef": {"default": True},
            },
        }
    )

    found = status(workflow, [node("wf")])

    assert found["conditions"] == [
        {"type": "SpecWarning", "message": "w"},
        {"type": "PodRunning", "status": "False"},
        {"type": "Completed", "status": "True"},
    ]
    assert found["artifactRepositoryRef"] == {"default": True}
    assert found["phase"] == "Succeeded"


def test_one_node_is_what_the_whole_says_of_it() -> None:
    workflow = manifest(dag("a:", "b: a"))
    nodes = [node("wf", "DAG"), *inside("wf", node("wf.a"), node("wf.b"))]
    state = WorkflowState("uid", "wf", Phase.SUCCEEDED)

    whole = workflow_status(workflow, state, nodes)["nodes"]

    assert {each.id: node_status(workflow, state, nodes, each.id) for each in nodes} == whole
    with pytest.raises(NotFoundError, match="no node 'x'"):
        node_status(workflow, state, nodes, "x")


def test_nodes_of_the_machine() -> None:
    run = Drive(
        flow(
            {"name": "a", "template": "again"}, {"name": "b", "withItems": [1, 2], "depends": "a"},
            templates=[template("again", retryStrategy={"limit": 1})],
        )
    )  # fmt: skip
    run.end("a(0)", Phase.FAILED)
    run.end("a(1)")
    for item in ("b(0:1)", "b(1:2)"):
        run.handle(TaskFinished(run.task(item).id, Phase.SUCCEEDED))

    found = workflow_status(run.workflow, run.machine.state, run.machine.nodes())

    names = {each["id"]: each["displayName"] for each in found["nodes"].values()}
    edges = {
        each["displayName"]: [names[child] for child in each.get("children", ())] for each in found["nodes"].values()
    }
    assert edges == {
        "wf": ["a"], "a": ["a(0)", "a(1)"], "a(0)": [], "a(1)": ["b"],
        "b": ["b(0:1)", "b(1:2)"], "b(0:1)": [], "b(1:2)": [],
    }  # fmt: skip
    assert found["progress"] == "3/4"
