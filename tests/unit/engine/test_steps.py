"""Steps templates: groups in series, the steps of a group in parallel.

What is expected follows argo-workflows, workflow/controller/steps.go. Each flow runs as it is, and with a crash after
each event.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.engine.flows import Drive, each_way, given, grouped, steps, taking, template

from tiphys.engine.commands import FinishWorkflow
from tiphys.engine.events import TimerFired
from tiphys.engine.ids import fnv32
from tiphys.engine.machine import Machine
from tiphys.engine.model import NodeType, Phase
from tiphys.engine.operations import retry
from tiphys.errors import SpecError

GIVER = template("giver", outputs={"parameters": [{"name": "y", "valueFrom": {"path": "/y"}}]})


@each_way
def test_groups_run_one_after_the_other(drive: type[Drive]) -> None:
    run = drive(steps([{"name": "a"}, {"name": "b"}], [{"name": "c"}]))

    assert run.commands == ["launch a", "launch b"]
    assert run.end("b") == []
    assert run.end("a") == ["launch c"]
    assert run.end("c") == ["finish"]
    assert run.machine.state.phase is Phase.SUCCEEDED


@each_way
def test_nodes_are_named_as_in_argo(drive: type[Drive]) -> None:
    run = drive(steps([{"name": "a"}], [{"name": "b", "withItems": ["x"]}]))
    run.end("a")

    found = {node.name: (node.type, node.display_name, node.boundary_id) for node in run.machine.nodes()}
    assert found == {
        "wf": (NodeType.STEPS, "wf", None),
        "wf[0]": (NodeType.STEP_GROUP, "[0]", "wf"),
        "wf[0].a": (NodeType.PLUGIN, "a", "wf"),
        "wf[1]": (NodeType.STEP_GROUP, "[1]", "wf"),
        "wf[1].b": (NodeType.TASK_GROUP, "b", "wf"),
        "wf[1].b(0:x)": (NodeType.PLUGIN, "b(0:x)", "wf"),
    }
    assert all(node.id in ("wf", f"wf-{fnv32(node.name)}") for node in run.machine.nodes())


@each_way
@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.ERROR])
def test_a_failed_step_fails_its_group_once_the_others_have_ended(drive: type[Drive], phase: Phase) -> None:
    run = drive(steps([{"name": "a"}, {"name": "b"}], [{"name": "c"}]))

    assert run.end("a", phase, message="boom") == []
    assert run.node("[0]").phase is Phase.RUNNING
    assert run.end("b") == ["finish"]
    message = f"child '{run.node('a').id}' failed"
    assert run.phases() == {"wf": "Failed", "[0]": "Failed", "a": phase.value, "b": "Succeeded"}
    assert {run.node(name).message for name in ("wf", "[0]")} == {message}
    assert (run.machine.state.phase, run.machine.state.message) == (Phase.FAILED, message)


@each_way
@pytest.mark.parametrize(
    ("allowed", "phase", "goes_on"),
    [
        ({"failed": True}, Phase.FAILED, True),
        ({"failed": True}, Phase.ERROR, False),
        ({"error": True}, Phase.ERROR, True),
        ({"error": True}, Phase.FAILED, False),
        ({"error": True, "failed": True}, Phase.FAILED, True),
        ({}, Phase.FAILED, False),
    ],
)
def test_continue_on(drive: type[Drive], allowed: dict[str, bool], phase: Phase, goes_on: bool) -> None:
    run = drive(steps([{"name": "a", "continueOn": allowed}], [{"name": "b"}]))

    assert run.end("a", phase) == (["launch b"] if goes_on else ["finish"])
    assert run.node("[0]").phase is (Phase.SUCCEEDED if goes_on else Phase.FAILED)


@each_way
def test_a_step_may_be_skipped(drive: type[Drive]) -> None:
    run = drive(
        steps(
            [{"name": "a"}],
            [{"name": "b", "when": "{{steps.a.outputs.result}} == yes"}, {"name": "c"}],
            [{"name": "d"}],
        )
    )

    assert run.end("a", result="no") == ["launch c"]
    assert (run.node("b").type, run.node("b").phase) == (NodeType.SKIPPED, Phase.SKIPPED)
    assert run.node("b").message == "when 'no == yes' evaluated false"
    assert run.end("c") == ["launch d"]


@each_way
def test_a_group_of_skipped_steps_succeeds(drive: type[Drive]) -> None:
    run = drive(steps([{"name": "a", "when": "false"}, {"name": "b", "withItems": []}], [{"name": "c"}]))

    assert run.commands == ["launch c"]
    assert run.node("[0]").phase is Phase.SUCCEEDED
    assert run.node("b").message == "Skipped, empty params"


@each_way
def test_an_empty_group_ends_at_once(drive: type[Drive]) -> None:
    run = drive(steps([], [{"name": "a"}], []))

    assert run.commands == ["launch a"]
    assert run.end("a") == ["finish"]
    assert run.phases() == {
        "wf": "Succeeded", "[0]": "Succeeded", "[1]": "Succeeded", "[2]": "Succeeded", "a": "Succeeded",
    }  # fmt: skip


@each_way
def test_what_cannot_be_resolved_fails_the_group_before_any_step_starts(drive: type[Drive]) -> None:
    producer = {"name": "a", "template": "giver", "when": "false"}
    broken = taking("<{{steps.a.outputs.parameters.y}}>")
    run = drive(steps([producer], [{"name": "b"}, broken], [{"name": "c"}], templates=[GIVER]))

    assert run.commands == ["finish"]
    message = "failed to resolve references: step 'take': '{{steps.a.outputs.parameters.y}}' cannot be resolved."
    assert run.phases() == {"wf": "Failed", "[0]": "Succeeded", "a": "Skipped", "[1]": "Error"}
    assert {run.node(name).message for name in ("wf", "[1]")} == {message}
    assert (run.machine.state.phase, run.machine.state.message) == (Phase.FAILED, message)


def test_a_group_that_is_tried_again_is_looked_at_again() -> None:
    producer = {"name": "a", "template": "giver", "when": "false"}
    run = Drive(steps([producer], [{"name": "b"}, taking("<{{steps.a.outputs.parameters.y}}>")], templates=[GIVER]))
    again = retry(run.workflow, run.machine.state, run.machine.nodes(), now=200.0)
    machine = Machine.restore("uid", again.workflow, again.state, again.nodes, now=200.0)

    assert [type(command) for command in machine.handle(TimerFired("nothing:"), 201.0)] == [FinishWorkflow]
    assert machine.state.message.startswith("failed to resolve references: step 'take': ")
    assert {node.display_name for node in machine.nodes()} == {"wf", "[0]", "a", "[1]"}


@each_way
@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"when": "{{steps.a.outputs.result}} <"}, "when"),
        ({"when": "{{steps.a.outputs.parameters.none}} == 1"}, "'{{steps.a.outputs.parameters.none}}' cannot be"),
        ({"withParam": "{{steps.a.outputs.result}}"}, "withParam value could not be parsed as a JSON list: r"),
        ({"withSequence": {"count": "{{steps.a.outputs.result}}"}}, "withSequence.count: 'r' is not a whole number"),
        ({"template": "take", **given(x="{{=steps.a.outputs.result.none}}")}, ""),
        (
            {"withItems": [1], "template": "take", **given(x="{{steps.a.outputs.parameters.none}}")},
            "cannot be resolved",
        ),
    ],
)
def test_what_else_fails_a_group_before_it_starts(drive: type[Drive], step: dict[str, Any], message: str) -> None:
    run = drive(steps([{"name": "a"}], [{"name": "b"}, {"name": "c", **step}]))

    assert run.end("a", result="r") == ["finish"]
    assert run.phases() == {"wf": "Failed", "[0]": "Succeeded", "a": "Succeeded", "[1]": "Error"}
    assert run.node("[1]").message.startswith("failed to resolve references: step 'c': ")
    assert message in run.node("[1]").message


@each_way
def test_what_is_not_needed_need_not_be_resolved(drive: type[Drive]) -> None:
    skipped = {"name": "b", "when": "false", "template": "take", **given(x="{{steps.a.outputs.parameters.none}}")}
    looped = {**skipped, "name": "c", "withParam": "{{steps.a.outputs.parameters.none}}"}
    each = {"name": "d", "withItems": [1, 2], "when": "{{item}} > 1"}
    run = drive(steps([{"name": "a"}], [skipped, looped, each]))

    assert run.end("a") == ["launch d(1:2)"]
    assert (run.node("b").phase, run.node("c").phase) == (Phase.SKIPPED, Phase.SKIPPED)


@each_way
def test_a_step_whose_template_cannot_be_called_errors_its_group(drive: type[Drive]) -> None:
    run = drive(steps([{"name": "a", "template": "take"}, {"name": "b"}], [{"name": "c"}]))

    assert run.commands == ["launch b"]
    assert run.end("b") == ["finish"]
    assert run.phases() == {"wf": "Failed", "[0]": "Error", "a": "Error", "b": "Succeeded"}
    problem = "Template 'take' needs input parameter 'x', which is not given."
    assert run.node("a").message == problem
    assert run.node("[0]").message == f"step group deemed errored due to child wf[0].a error: {problem}"
    assert run.machine.state.message == run.node("[0]").message


@each_way
def test_the_items_of_a_loop(drive: type[Drive]) -> None:
    each = {"name": "a", "template": "take", "withItems": [{"k": "p"}, {"k": "q"}], **given(x="{{item.k}}")}
    after = taking("{{steps.a.outputs.result}}|{{steps.a.outputs.parameters.y}}|{{steps.a.outputs.parameters}}")
    run = drive(steps([each], [after]))

    assert run.commands == ["launch a(0:k:p)", "launch a(1:k:q)"]
    assert run.takes("a(1:k:q)") == "q"
    run.end("a(1:k:q)", result="2", parameters={"y": '{"n": 2}'})
    assert run.end("a(0:k:p)", result="1", parameters={"y": "[1]"}) == ["launch take"]
    result, parameter, parameters = run.takes().split("|")
    assert (json.loads(result), json.loads(parameter)) == ([1, 2], [[1], {"n": 2}])
    assert json.loads(parameters) == [{"y": "[1]"}, {"y": '{"n": 2}'}]


@each_way
@pytest.mark.parametrize("allowed", [False, True])
def test_a_failed_item_fails_the_group_unless_it_is_allowed(drive: type[Drive], allowed: bool) -> None:
    loop = {"name": "a", "withItems": [1, 2], "continueOn": {"failed": allowed}}
    run = drive(steps([loop], [taking("{{steps.a.status}}")]))
    run.end("a(0:1)", Phase.FAILED)

    assert run.end("a(1:2)") == (["launch take"] if allowed else ["finish"])
    if allowed:
        # A loop's status is that of the group that its items stand in.
        assert run.takes() == "Succeeded"
    else:
        assert run.node("[0]").message == f"child '{run.node('a(0:1)').id}' failed"


@each_way
def test_fields_of_an_earlier_loop_are_those_of_its_group(drive: type[Drive]) -> None:
    after = taking("{{steps.a.id}}|{{steps.a.startedAt}}|{{steps.a.finishedAt}}")
    run = drive(steps([{"name": "a", "withItems": [1]}], [{"name": "b"}], [after]))
    run.end("a(0:1)", after=5)
    run.end("b")

    assert run.takes() == f"{run.node('[0]').id}|1970-01-01T00:01:40Z|1970-01-01T00:01:45Z"


@each_way
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{{steps.a.status}}", "Succeeded"),
        ("{{steps.a.exitCode}}", "0"),
        ("{{steps.a.startedAt}} {{steps.a.finishedAt}}", "1970-01-01T00:01:40Z 1970-01-01T00:01:41Z"),
        ("{{steps.a.outputs.parameters.y}}+{{steps.a.outputs.result}}", "Y+R"),
        ("{{=steps.a.outputs.parameters.y + steps['a'].outputs.result}}", "YR"),
    ],
)
def test_references_to_an_earlier_step(drive: type[Drive], value: str, expected: str) -> None:
    run = drive(steps([{"name": "a"}], [{"name": "b"}], [taking(value)]))
    run.end("a", parameters={"y": "Y"}, result="R", exit_code=0)
    run.end("b")

    assert run.takes() == expected


def nested(**outputs: Any) -> dict[str, Any]:
    """Steps with outputs that another template may call."""
    inner = grouped([{"name": "x", "template": "giver"}], [{"name": "y", "when": "{{steps.x.outputs.result}} == go"}])
    return {"name": "nested", "steps": inner, "outputs": {"parameters": [{"name": "o", **outputs}]}}


@each_way
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"parameter": "{{steps.x.outputs.parameters.y}}"}, "Y"),
        ({"expression": "steps.x.outputs.parameters.y + '!'"}, "Y!"),
        ({"expression": "steps['y'].status"}, "Skipped"),
        ({"parameter": "{{steps.x.outputs.parameters.none}}", "default": "D"}, "D"),
        ({"expression": "steps.x.outputs.parameters.none", "default": "D"}, "D"),
    ],
)
def test_outputs_of_nested_steps(drive: type[Drive], source: dict[str, str], expected: str) -> None:
    run = drive(
        steps(
            [{"name": "in", "template": "nested"}], [taking("{{steps.in.outputs.parameters.o}}")],
            templates=[GIVER, nested(valueFrom=source)],
        )
    )  # fmt: skip

    assert [node.name for node in run.machine.nodes()][-1] == "wf[0].in[0].x"
    assert run.end("x", parameters={"y": "Y"}, result="no") == ["launch take"]
    assert run.takes() == expected


@each_way
def test_an_output_that_cannot_be_resolved_is_an_error(drive: type[Drive]) -> None:
    broken = nested(valueFrom={"parameter": "{{steps.x.outputs.parameters.none}}"})
    run = drive(steps([{"name": "in", "template": "nested"}], templates=[GIVER, broken]))

    assert run.end("x", parameters={"y": "Y"}, result="no") == ["finish"]
    assert run.node("in").phase is Phase.ERROR
    assert run.node("in").message == "'{{steps.x.outputs.parameters.none}}' cannot be resolved."


@each_way
def test_artifacts_of_steps(drive: type[Drive]) -> None:
    leaf = template("leaf", inputs={"artifacts": [{"name": "in"}]})
    take = {
        "name": "b", "template": "leaf",
        "arguments": {"artifacts": [{"name": "in", "from": "{{steps.a.outputs.artifacts.out}}"}]},
    }  # fmt: skip
    run = drive(steps([{"name": "a"}], [take], templates=[leaf]))

    assert run.end("a", artifacts={"out": {"id": 1}}) == ["launch b"]
    assert run.task("b").inputs.artifacts == {"in": {"id": 1}}
    missing = drive(steps([{"name": "a"}], [take], templates=[leaf]))
    assert missing.end("a") == ["finish"]
    assert missing.node("[1]").phase is Phase.ERROR


@each_way
def test_steps_that_are_tried_again_begin_with_their_first_group(drive: type[Drive]) -> None:
    inner = {"name": "inner", "steps": grouped([{"name": "x"}], [{"name": "y"}]), "retryStrategy": {"limit": 1}}
    run = drive(steps([{"name": "a", "template": "inner"}], [{"name": "b"}], templates=[inner]))
    run.end("x")

    assert run.end("y", Phase.FAILED) == ["launch x"]
    second = next(node for node in run.machine.nodes() if node.name == "wf[0].a(1)[0].x")
    assert second.phase is Phase.RUNNING


@each_way
def test_parallelism_bounds_the_steps_of_a_template(drive: type[Drive]) -> None:
    run = drive(steps([{"name": "a"}, {"name": "b", "withItems": [1, 2]}], main={"parallelism": 2}))

    assert run.commands == ["launch a", "launch b(0:1)"]
    assert run.end("a") == ["launch b(1:2)"]
    run.end("b(0:1)")
    assert run.end("b(1:2)") == ["finish"]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([[{"template": "step"}]], r"spec.templates.main.steps\[0\]: a step has no name"),
        ([[{"name": "a"}], [{"name": "a"}]], r"steps\[1\].a: the name is used twice"),
        ([[{"name": "a", "template": "none"}]], "there is no template 'none'"),
    ],
)
def test_wrong_steps_are_refused(groups: list[list[dict[str, Any]]], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Machine("uid", steps(*groups), "wf")
