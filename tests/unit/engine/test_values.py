"""Inputs, outputs, references and bodies."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.flows import Drive, flow, template

from tiphys.engine.commands import Launch
from tiphys.engine.events import WorkflowStarted
from tiphys.engine.machine import Machine
from tiphys.engine.model import Phase
from tiphys.errors import NotFoundError, SpecError
from tiphys.spec.workflow import Workflow

TAKE = template("take", inputs={"parameters": [{"name": "x"}]})


def taking(value: str, **fields: Any) -> Drive:
    """A task "b" that takes `value`, after a task "a"."""
    arguments = {"parameters": [{"name": "x", "value": value}]}
    task = {"name": "b", "template": "take", "depends": "a", "arguments": arguments}
    return Drive(
        flow({"name": "a", **fields.pop("a", {})}, task, templates=[TAKE, *fields.pop("templates", [])], **fields)
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ("{{tasks.a.outputs.parameters.y}}", "{{tasks.a.x}}"),
        ("<{{ tasks.a.outputs.result }}|{{tasks.a.status}}>", "<r|Succeeded>"),
        ("{{tasks.a.finishedAt}}", "1970-01-01T00:01:41Z"),
        ("{{workflow.name}}/{{workflow.uid}}/{{workflow.parameters.p}}", "wf/uid/P"),
        ("{{workflow.parameters.{{tasks.a.outputs.parameters.which}}}}", "P"),
    ],
)
def test_arguments_are_filled_in(value: str, expected: str) -> None:
    run = taking(value, arguments={"parameters": [{"name": "p", "value": "P"}]})
    run.end("a", parameters={"y": "{{tasks.a.x}}", "which": "p"}, result="r")

    assert run.task("b").inputs.parameters == {"x": expected}


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("{{tasks.a.outputs.parameters.missing}}", "'{{tasks.a.outputs.parameters.missing}}' cannot be resolved"),
        ("{{tasks.nobody.outputs.result}}", "'{{tasks.nobody.outputs.result}}' cannot be resolved"),
        ("see {{inputs.parameters.x}}", "'{{inputs.parameters.x}}' cannot be resolved"),
        ("{{item}}", "'{{item}}' cannot be resolved"),
        ("{{tasks.b.status}}", "task 'b' has not ended"),
        ("{{=tasks.nobody.status}}", "'{{tasks.nobody.status}}' cannot be resolved"),
    ],
)
def test_what_cannot_be_resolved_is_an_error_that_names_it(value: str, named: str) -> None:
    run = taking(value)

    assert run.end("a") == ["finish"]
    assert run.node("b").phase is Phase.ERROR
    assert named in run.node("b").message
    assert run.machine.state.phase is Phase.ERROR


def test_a_missing_argument_is_an_error() -> None:
    run = Drive(flow({"name": "a", "template": "take"}, templates=[TAKE]))

    assert "needs input parameter 'x'" in run.node("a").message


def test_defaults_fill_what_a_skipped_task_did_not_give() -> None:
    giver = template("giver", outputs={"parameters": [{"name": "y", "valueFrom": {"default": "given"}}]})
    value = "{{tasks.a.outputs.parameters.y}}"
    skipped = {"when": "false", "template": "giver"}
    assert taking(value, a=skipped, templates=[giver]).task("b").inputs.parameters == {"x": "given"}

    default = template("take", inputs={"parameters": [{"name": "x", "default": "own"}]})
    assert taking(value, a={"when": "false"}, templates=[default]).task("b").inputs.parameters == {"x": "own"}
    assert taking(f"<{value}>", a={"when": "false"}, templates=[default]).node("b").phase is Phase.ERROR
    assert taking(value, a={"when": "false"}).node("b").message == f"'{value}' cannot be resolved."


def test_artifacts_are_passed_on_as_they_are() -> None:
    inner = {
        "name": "inner",
        "inputs": {"artifacts": [{"name": "in"}]},
        "dag": {
            "tasks": [
                {
                    "name": "x",
                    "template": "leaf",
                    "arguments": {"artifacts": [{"name": "in", "from": "{{inputs.artifacts.in}}"}]},
                }
            ]
        },
        "outputs": {"artifacts": [{"name": "out", "from": "{{tasks.x.outputs.artifacts.out}}"}]},
    }
    leaf = template("leaf", inputs={"artifacts": [{"name": "in"}, {"name": "extra", "optional": True}]})
    first = {"artifacts": [{"name": "in", "from": "{{tasks.a.outputs.artifacts.out}}"}]}
    second = {"artifacts": [{"name": "in", "from": "{{tasks.b.outputs.artifacts.out}}"}]}
    run = Drive(
        flow(
            {"name": "a"},
            {"name": "b", "template": "inner", "depends": "a", "arguments": first},
            {"name": "c", "template": "leaf", "depends": "b", "arguments": second},
            templates=[inner, leaf],
        )
    )
    artifact: dict[str, Any] = {"id": 1, "text": "{{not.a.tag}}"}
    run.end("a", artifacts={"out": artifact})
    assert run.task("x").inputs.artifacts["in"] is artifact
    run.end("x", artifacts={"out": artifact})

    assert run.task("c").inputs.artifacts == {"in": artifact}
    assert run.node("b").outputs is not None


def test_an_artifact_that_was_not_made_is_an_error_unless_it_is_optional() -> None:
    argument = {"name": "in", "from": "{{tasks.a.outputs.artifacts.out}}"}
    take = template("leaf", inputs={"artifacts": [{"name": "in"}]})

    def after(artifact: dict[str, Any]) -> Drive:
        task = {"name": "b", "template": "leaf", "depends": "a", "arguments": {"artifacts": [artifact]}}
        run = Drive(flow({"name": "a"}, task, templates=[take]))
        run.end("a")
        return run

    assert after(argument).node("b").message == "'{{tasks.a.outputs.artifacts.out}}' cannot be resolved."
    assert after({**argument, "optional": True}).node("b").phase is Phase.RUNNING


def test_places_given_in_the_manifest_are_artifacts_too() -> None:
    take = template("leaf", inputs={"artifacts": [{"name": "in", "path": "/in", "raw": {"data": "text"}}]})
    run = Drive(flow({"name": "a", "template": "leaf"}, templates=[take]))

    assert run.task("a").inputs.artifacts["in"]["raw"] == {"data": "text"}


def test_the_workflows_arguments_are_the_entry_points_inputs() -> None:
    run = Drive(flow(entrypoint="take", templates=[TAKE], arguments={"parameters": [{"name": "x", "value": 7}]}))

    assert run.task("wf").inputs.parameters == {"x": "7"}


def test_a_dags_output_that_cannot_be_resolved_is_an_error() -> None:
    outputs = {"parameters": [{"name": "y", "valueFrom": {"parameter": "{{tasks.x.outputs.parameters.y}}"}}]}
    inner = {"name": "inner", "dag": {"tasks": [{"name": "x", "template": "step"}]}, "outputs": outputs}
    run = Drive(flow({"name": "a", "template": "inner"}, templates=[inner]))
    run.end("x")
    assert run.node("a").phase is Phase.ERROR

    outputs["parameters"][0]["valueFrom"]["default"] = "d"
    run = Drive(flow({"name": "a", "template": "inner"}, templates=[inner]))
    run.end("x")
    assert run.node("a").phase is Phase.SUCCEEDED


def test_a_steps_body_is_passed_on_untouched() -> None:
    body = {"docstring": "Fill {{this}} in.", "step": "s"}
    run = Drive(flow({"name": "a"}, templates=[template(plugin={"tiphys": body})]))

    assert run.task("a").body == body


def test_other_bodies_have_their_tags_replaced() -> None:
    script = {
        "name": "sh",
        "inputs": {"parameters": [{"name": "x"}], "artifacts": [{"name": "in", "path": "/in", "raw": {"data": "d"}}]},
        "script": {
            "image": "alpine",
            "command": ["sh"],
            "source": "cat {{inputs.artifacts.in.path}} > {{inputs.parameters.x}}",
        },
        "outputs": {"parameters": [{"name": "o", "valueFrom": {"path": "/o-{{retries}}-{{workflow.name}}"}}]},
        "retryStrategy": {"limit": 1},
    }
    arguments = {"parameters": [{"name": "x", "value": 'a"b'}]}
    run = Drive(flow({"name": "a", "template": "sh", "arguments": arguments}, templates=[script]))
    run.end("a(0)", Phase.FAILED)

    body = run.task("a(1)").body
    assert body["script"]["source"] == 'cat /in > a"b'
    assert body["outputs"]["parameters"][0]["valueFrom"]["path"] == "/o-1-wf"


def test_a_body_that_cannot_be_filled_in_is_never_launched() -> None:
    container = {"name": "c", "container": {"image": "alpine", "args": ["{{inputs.parameters.nope}}"]}}
    run = Drive(flow({"name": "a", "template": "c"}, templates=[container]))

    assert run.commands == ["finish"]
    assert run.node("a").message == "'{{inputs.parameters.nope}}' cannot be resolved."


def test_only_leaves_are_tasks() -> None:
    run = Drive(flow({"name": "a"}))

    with pytest.raises(NotFoundError):
        run.machine.task("wf")
    with pytest.raises(NotFoundError):
        run.machine.task("wf-0")
    with pytest.raises(NotFoundError):
        run.machine.node("wf-0")


def with_template(**fields: Any) -> dict[str, Any]:
    """One task whose template has these fields too."""
    template = {"name": "t", "container": {"image": "busybox"}, **fields}
    return {"tasks": [{"name": "a", "template": "t"}], "templates": [template]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"tasks": [{"name": "a", "template": "none"}]},
            "spec.templates.main.dag.tasks.a.template: there is no template 'none'",
        ),
        ({"tasks": [{"name": "a"}, {"name": "a"}]}, "the name 'a' is used twice"),
        ({"tasks": [{"name": "a", "depends": "b"}]}, "it depends on 'b', which is not a task"),
        ({"tasks": [{"name": "a", "depends": "a && (b"}]}, "unbalanced"),
        ({"tasks": [{"name": "a", "depends": "b"}, {"name": "b", "depends": "a"}]}, "wait for each other: 'a', 'b'"),
        ({"tasks": [{"name": "a"}], "dag": {"target": "z"}}, "there is no task 'z'"),
        ({"tasks": [{"name": "a", "template": "e"}], "templates": [{"name": "e"}]}, "exactly one of .* found none"),
        ({"tasks": [{"name": "a", "when": "{{x"}]}, "spec.templates.main.dag.tasks.a.when: A tag is not closed"),
        ({"tasks": [], "entrypoint": ""}, "spec.entrypoint is required"),
        ({"tasks": [], "mode": "WHATEVER"}, "'WHATEVER' is not an execution mode"),
        (
            {"tasks": [], "arguments": {"parameters": [{"name": "p", "value": "{{item}}"}]}},
            "spec.arguments.parameters.p",
        ),
    ],
)
def test_wrong_workflows_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Machine("uid", flow(*change.pop("tasks"), **change), "wf")


def test_templates_may_call_themselves_but_not_without_end() -> None:
    endless = {"name": "endless", "dag": {"tasks": [{"name": "again", "template": "endless"}]}}
    run = Drive(flow({"name": "a", "template": "endless"}, templates=[endless]))

    assert run.commands == ["finish"]
    assert run.machine.state.phase is Phase.ERROR
    assert "nested more than 2000 deep" in run.machine.nodes()[-1].message


def test_the_place_of_an_input_artifact_speaks_of_the_templates_own_inputs() -> None:
    template = {
        "name": "t",
        "inputs": {
            "parameters": [{"name": "who"}],
            "artifacts": [{"name": "a", "raw": {"data": "hello {{inputs.parameters.who}} of {{workflow.name}}"}}],
        },
        "container": {"image": "busybox"},
    }
    main = {
        "name": "main",
        "inputs": {"parameters": [{"name": "who", "value": "outer"}]},
        "dag": {
            "tasks": [{"name": "a", "template": "t", "arguments": {"parameters": [{"name": "who", "value": "inner"}]}}]
        },
    }
    manifest = {"metadata": {"name": "wf"}, "spec": {"entrypoint": "main", "templates": [main, template]}}
    machine = Machine("uid", Workflow.from_json(manifest), "wf")
    (launch,) = [command for command in machine.handle(WorkflowStarted(), 0.0) if isinstance(command, Launch)]
    assert machine.task(launch.node_id).inputs.artifacts["a"]["raw"] == {"data": "hello inner of wf"}
