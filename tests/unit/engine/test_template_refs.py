"""Templates that stand elsewhere: templateRef and nested scopes, templates in place, templateDefaults.

What a workflow refers to is in its status, as Argo stores it: `storedTemplates` by `<scope>/<name>/<template>`, and
`storedWorkflowTemplateSpec` (argo-workflows, workflow/templateresolution/context.go, workflow/util/merge.go).
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.flows import TAKE, Drive, each_way, flow, given, grouped, steps, template

from tiphys.engine.machine import Machine
from tiphys.engine.model import Node, NodeType, Phase
from tiphys.errors import SpecError
from tiphys.spec.workflow import Workflow


def stored(workflow: Workflow, templates: dict[str, dict[str, Any]], **status: Any) -> Workflow:
    """The workflow with templates that stand elsewhere: `<scope>/<name>/<template>` → template."""
    data = workflow.to_json()
    found = {key: {"name": key.rpartition("/")[2], **each} for key, each in templates.items()}
    return Workflow.from_json({**data, "status": {"storedTemplates": found, **status}})


def ref(name: str, which: str, *, cluster: bool = False) -> dict[str, Any]:
    """A reference to a template that is stored elsewhere."""
    return {"templateRef": {"name": name, "template": which, **({"clusterScope": True} if cluster else {})}}


def body(run: Drive, name: str) -> Any:
    """The body of a leaf's task."""
    return run.task(name).body


def step(which: str, **fields: Any) -> dict[str, Any]:
    """A step's template that can be told by its body."""
    return {"plugin": {"tiphys": {"step": which}}, **fields}


@each_way
@pytest.mark.parametrize("make", [flow, lambda *tasks: steps(list(tasks))], ids=["dag", "steps"])
@pytest.mark.parametrize(("cluster", "scope"), [(False, "namespaced"), (True, "cluster")])
def test_a_template_that_is_stored_elsewhere(drive: type[Drive], make: Any, cluster: bool, scope: str) -> None:
    task = {"name": "a", **ref("lib", "step", cluster=cluster), **given(x="v")}
    template = step("theirs", inputs={"parameters": [{"name": "x"}]})
    run = drive(stored(make(task), {f"{scope}/lib/step": template, "namespaced/other/step": step("wrong")}))

    assert run.commands == ["launch a"]
    assert (body(run, "a"), run.takes("a")) == ({"step": "theirs"}, "v")
    assert run.end("a") == ["finish"]


@each_way
def test_names_mean_what_they_mean_where_they_stand(drive: type[Drive]) -> None:
    """A stored template calls its own neighbours, and may refer on; the workflow's templates are none of its own."""
    library = {
        "namespaced/lib/main": {
            "steps": grouped(
                [{"name": "near", "template": "step"}],
                [{"name": "far", **ref("deep", "main", cluster=True)}],
                [{"name": "placed", "inline": {"steps": grouped([{"name": "in", "template": "step"}])}}],
            )
        },
        "namespaced/lib/step": step("of lib"),
        "cluster/deep/main": {"dag": {"tasks": [{"name": "x", "template": "step", "onExit": "leave"}]}},
        "cluster/deep/step": step("of deep"),
        "cluster/deep/leave": step("leave of deep"),
    }
    run = drive(stored(flow({"name": "a", **ref("lib", "main")}, {"name": "b", "depends": "a"}), library))
    found = {}
    while run.machine.running():
        name = run.machine.node(run.machine.running()[0]).display_name
        found[name] = body(run, name)["step"]
        run.end(name)

    assert found == {"near": "of lib", "x": "of deep", "x.onExit": "leave of deep", "in": "of lib", "b": "s"}
    assert run.machine.state.phase is Phase.SUCCEEDED


@each_way
def test_hooks_and_exit_handlers_may_be_stored_elsewhere(drive: type[Drive]) -> None:
    library = {"namespaced/lib/hook": step("hook"), "namespaced/lib/end": step("end")}
    hooks = {"exit": ref("lib", "hook")}
    run = drive(stored(flow({"name": "a", "hooks": hooks}, hooks={"exit": ref("lib", "end")}), library))

    assert run.end("a") == ["launch a.onExit"]
    assert body(run, "a.onExit") == {"step": "hook"}
    assert run.end("a.onExit") == ["launch wf.onExit"]
    assert body(run, "wf.onExit") == {"step": "end"}


@each_way
def test_a_template_in_place(drive: type[Drive]) -> None:
    inline = step("here", inputs={"parameters": [{"name": "x"}]}, retryStrategy={"limit": 1})
    run = drive(flow({"name": "a", "inline": inline, "withItems": ["p"], **given(x="{{item}}")}))
    assert run.commands == ["launch a(0:p)(0)"]
    assert (body(run, "a(0:p)(0)"), run.takes("a(0:p)(0)")) == ({"step": "here"}, "p")

    assert run.end("a(0:p)(0)", Phase.FAILED) == ["launch a(0:p)(1)"]
    assert run.end("a(0:p)(1)") == ["finish"]


@each_way
def test_a_graph_in_place(drive: type[Drive]) -> None:
    inline = {
        "dag": {"tasks": [{"name": "x", "template": "step"}, {"name": "y", "template": "step", "depends": "x"}]},
        "outputs": {"parameters": [{"name": "o", "valueFrom": {"parameter": "{{tasks.y.outputs.result}}"}}]},
    }
    take = {"name": "take", "template": "take", **given(x="{{steps.a.outputs.parameters.o}}")}
    run = drive(steps([{"name": "a", "inline": inline}], [take]))

    assert run.end("x") == ["launch y"]
    assert run.end("y", result="R") == ["launch take"]
    assert run.takes() == "R"


# --- templateDefaults


@each_way
def test_defaults_stand_under_every_template(drive: type[Drive]) -> None:
    own = template("own", timeout="5s")
    run = drive(
        flow({"name": "a"}, {"name": "b", "template": "own"}, templates=[own], templateDefaults={"timeout": "1m"})
    )

    assert (run.task("a").deadline, run.task("b").deadline) == (160.0, 105.0)


@each_way
def test_defaults_hold_for_stored_templates_and_templates_in_place(drive: type[Drive]) -> None:
    tasks = [{"name": "a", **ref("lib", "step")}, {"name": "b", "inline": step("here")}]
    run = drive(stored(flow(*tasks, templateDefaults={"timeout": "1m"}), {"namespaced/lib/step": step("theirs")}))

    assert (run.task("a").deadline, run.task("b").deadline) == (160.0, 160.0)


@each_way
def test_graphs_are_tried_again_by_default_too(drive: type[Drive]) -> None:
    run = drive(flow({"name": "a"}, templateDefaults={"retryStrategy": {"limit": 1}}))

    assert run.commands == ["launch a(0)"]
    assert run.node("wf").type is NodeType.RETRY


@each_way
def test_fields_of_a_default_are_merged(drive: type[Drive]) -> None:
    leaf = {"name": "sh", "container": {"image": "mine", "args": ["x"]}}
    defaults = {
        "container": {"image": "theirs", "command": ["sh"]},
        "inputs": {"parameters": [{"name": "x", "value": "d"}]},
    }
    run = drive(flow(entrypoint="sh", templates=[leaf], templateDefaults=defaults))

    assert run.task("wf").body["container"] == {"image": "mine", "command": ["sh"], "args": ["x"]}
    assert run.task("wf").inputs.parameters == {"x": "d"}


# --- workflowTemplateRef


def referring(spec: dict[str, Any], **own: Any) -> Workflow:
    """A workflow that is a stored specification, and what it says itself."""
    return Workflow.from_json(
        {
            "spec": {"workflowTemplateRef": {"name": "lib"}, **own},
            "status": {"storedWorkflowTemplateSpec": spec},
        }
    )


@each_way
def test_a_whole_specification_that_is_stored_elsewhere(drive: type[Drive]) -> None:
    """The stored specification is the merged one: only what changes while the workflow runs is its own."""
    spec = {
        "entrypoint": "main", "templates": [{"name": "main", "steps": grouped([{"name": "a"}])}, template(), TAKE],
        "hooks": {"exit": {"template": "take", "arguments": given(x="{{workflow.parameters.p}}")["arguments"]}},
        "arguments": {"parameters": [{"name": "p", "value": "merged"}]},
    }  # fmt: skip
    run = drive(referring(spec, arguments={"parameters": [{"name": "p", "value": "own"}]}))
    assert run.commands == ["launch a"]

    assert run.end("a") == ["launch wf.onExit"]
    assert run.takes("wf.onExit") == "merged"


def test_the_workflows_own_suspend_counts() -> None:
    spec = {"entrypoint": "step", "templates": [template()]}

    assert Drive(referring(spec, suspend=True)).commands == []
    assert Drive(referring({**spec, "suspend": True})).commands == ["launch wf"]


@pytest.mark.parametrize(
    ("workflow", "message"),
    [
        (flow({"name": "a", **ref("lib", "step")}), "a.templateRef: there is no template 'step' in 'namespaced/lib'"),
        (flow({"name": "a", **ref("lib", "x", cluster=True)}), "no template 'x' in 'cluster/lib'"),
        (
            stored(flow({"name": "a", **ref("lib", "d")}), {
                "namespaced/lib/d": {"dag": {"tasks": [{"name": "x", "template": "step"}]}},
            }),
            "there is no template 'step' in 'namespaced/lib'",
        ),
        (Workflow.from_json({"spec": {"workflowTemplateRef": {"name": "lib"}}}), "the template 'lib' is not at hand"),
    ],
)  # fmt: skip
def test_what_is_not_at_hand_is_refused(workflow: Workflow, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Machine("uid", workflow, "wf")


def test_templates_that_refer_to_each_other_are_compiled_once() -> None:
    """A circle through two scopes, which a condition ends."""
    condition = {"when": "{{inputs.parameters.n}} > 0"}
    inputs = {"inputs": {"parameters": [{"name": "n"}]}}
    less = given(n="{{=asInt(inputs.parameters.n) - 1}}")
    library = {
        "namespaced/one/go": {"dag": {"tasks": [{"name": "x", **ref("two", "go"), **less, **condition}]}, **inputs},
        "namespaced/two/go": {"dag": {"tasks": [{"name": "y", **ref("one", "go"), **less, **condition}]}, **inputs},
    }
    run = Drive(stored(flow({"name": "a", **ref("one", "go"), **given(n="3")}), library))

    def ended(node: Node) -> str:
        return f"{node.name} {node.phase}"

    assert run.commands == ["finish"]
    assert [ended(node) for node in run.machine.nodes()][-2:] == ["wf.a.x.y.x Succeeded", "wf.a.x.y.x.y Skipped"]
