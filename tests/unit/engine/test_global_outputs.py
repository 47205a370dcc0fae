"""Outputs with a globalName, which the whole workflow may refer to (argo-workflows, addOutputsToGlobalScope)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.flows import Drive, each_way, flow, given, grouped, steps, taking, template

from tiphys.engine.events import ResumeRequested
from tiphys.engine.model import Phase
from tiphys.engine.status.workflow import workflow_status

OUTPUT = {"name": "y", "globalName": "g", "valueFrom": {"path": "/y"}}
GIVER = template("giver", outputs={"parameters": [OUTPUT], "artifacts": [{"name": "o", "globalName": "art"}]})
TAG = "{{workflow.outputs.parameters.g}}"


def shown(run: Drive) -> dict[str, Any]:
    """The outputs in the workflow's status."""
    found: dict[str, Any] = workflow_status(run.workflow, run.machine.state, run.machine.nodes()).get("outputs", {})
    return found


@each_way
def test_a_parameter_is_for_all(drive: type[Drive]) -> None:
    inner = {"name": "inner", "steps": grouped([{"name": "x", "template": "giver"}])}
    after = {"name": "after", "steps": grouped([taking(TAG)])}
    tasks = [{"name": "a", "template": "inner"}, {"name": "b", "template": "after", "depends": "a"}]
    run = drive(flow(*tasks, templates=[inner, after, GIVER]))

    assert run.end("x", parameters={"y": "Y"}) == ["launch take"]
    assert run.takes() == "Y"
    assert shown(run)["parameters"] == [{"name": "g", "value": "Y"}]


@each_way
@pytest.mark.parametrize(
    ("value", "expected"),
    [(TAG, "Y"), (f"<{TAG}>", "<Y>"), ("{{=workflow.outputs.parameters.g + '!'}}", "Y!")],
)
def test_an_exit_handler_may_refer_to_it(drive: type[Drive], value: str, expected: str) -> None:
    run = drive(
        flow(
            {"name": "a", "template": "giver"},
            templates=[GIVER],
            hooks={"exit": {"template": "take", **given(x=value)}},
        )
    )
    run.end("a", parameters={"y": "Y"})

    assert run.takes("wf.onExit") == expected


@each_way
def test_bodies_and_conditions_may_refer_to_it(drive: type[Drive]) -> None:
    leaf = {"name": "sh", "container": {"image": "i", "args": [TAG]}}
    after = {"name": "b", "template": "sh", "depends": "a", "when": f"{TAG} == Y"}
    run = drive(flow({"name": "a", "template": "giver"}, after, templates=[GIVER, leaf]))

    assert run.end("a", parameters={"y": "Y"}) == ["launch b"]
    assert run.task("b").body["container"]["args"] == ["Y"]


@each_way
def test_an_artifact_is_for_all(drive: type[Drive]) -> None:
    leaf = template("leaf", inputs={"artifacts": [{"name": "in"}]})
    artifact = {"name": "in", "from": "{{workflow.outputs.artifacts.art}}"}
    after = {"name": "b", "template": "leaf", "depends": "a", "arguments": {"artifacts": [artifact]}}
    run = drive(flow({"name": "a", "template": "giver"}, after, templates=[GIVER, leaf]))
    run.end("a", artifacts={"o": {"id": 1}})

    assert run.task("b").inputs.artifacts == {"in": {"id": 1}}


@each_way
@pytest.mark.parametrize("first", [0, 1])
def test_the_last_to_end_gives_the_value(drive: type[Drive], first: int) -> None:
    names = ["a", "b"]
    tasks = [{"name": name, "template": "giver"} for name in names]
    run = drive(flow(*tasks, taking(TAG, depends="a && b"), templates=[GIVER]))
    run.end(names[first], parameters={"y": "first"})

    run.end(names[1 - first], parameters={"y": "last"})
    assert run.takes() == "last"
    assert shown(run)["parameters"] == [{"name": "g", "value": "last"}]


@each_way
def test_the_name_may_hold_tags(drive: type[Drive]) -> None:
    named = {"name": "y", "globalName": "g-{{inputs.parameters.x}}", "valueFrom": {"path": "/y"}}
    giver = template("giver", inputs={"parameters": [{"name": "x"}]}, outputs={"parameters": [named]})
    loop = {"name": "a", "template": "giver", "withItems": ["p", "q"], **given(x="{{item}}")}
    value = "{{workflow.outputs.parameters.g-p}}{{workflow.outputs.parameters.g-q}}"
    run = drive(steps([loop], [taking(value)], templates=[giver]))
    run.end("a(0:p)", parameters={"y": "P"})

    assert run.end("a(1:q)", parameters={"y": "Q"}) == ["launch take"]
    assert run.takes() == "PQ"


@each_way
def test_outputs_of_graphs_and_suspend_nodes(drive: type[Drive]) -> None:
    gathered = {"name": "o", "globalName": "g", "valueFrom": {"parameter": "{{steps.x.outputs.result}}"}}
    inner = {"name": "inner", "steps": grouped([{"name": "x"}]), "outputs": {"parameters": [gathered]}}
    asked = {"name": "s", "globalName": "asked", "valueFrom": {"supplied": {}, "default": "S"}}
    hold = {"name": "hold", "suspend": {}, "outputs": {"parameters": [asked]}}
    value = TAG + " {{workflow.outputs.parameters.asked}}"
    run = drive(
        steps(
            [{"name": "in", "template": "inner"}],
            [{"name": "w", "template": "hold"}],
            [taking(value)],
            templates=[inner, hold],
        )
    )
    run.end("x", result="R")

    assert run.handle(ResumeRequested()) == ["launch take"]
    assert run.takes() == "R S"


@each_way
def test_a_retried_node_gives_it_once(drive: type[Drive]) -> None:
    again = template("giver", outputs={"parameters": [OUTPUT]}, retryStrategy={"limit": 1})
    run = drive(flow({"name": "a", "template": "giver"}, taking(TAG, depends="a"), templates=[again]))
    run.end("a(0)", Phase.FAILED, parameters={"y": "no"})

    assert run.end("a(1)", parameters={"y": "yes"}) == ["launch take"]
    assert run.takes() == "yes"


@each_way
def test_what_was_not_given_cannot_be_referred_to(drive: type[Drive]) -> None:
    run = drive(flow({"name": "a", "template": "giver", "when": "false"}, taking(TAG, depends="a"), templates=[GIVER]))

    assert run.commands == ["finish"]
    assert run.node("take").message == f"'{TAG}' cannot be resolved."
    assert shown(run) == {}
