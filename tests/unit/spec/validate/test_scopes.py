"""Which variables can be resolved where. Facts: Argo v4.1, docs/variables.md and workflow/validate."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.spec.validate.manifests import (
    Json,
    call,
    container,
    dag,
    errors,
    given,
    giving,
    problems,
    script,
    steps,
    stored,
    stored_call,
    taking,
    workflow,
)


def says(text: str, **more: Any) -> Json:
    return container(container={"image": "x", "args": [text]}, **more)


def passing(value: str, **more: Any) -> Json:
    """A call with one argument."""
    return {"arguments": given(x=value)} | more


def two_steps(value: str, first: Json | None = None, **of_first: Any) -> Json:
    """A step that refers to the one before it."""
    return workflow(
        steps(call("one", "first", **of_first), call("two", "second", **passing(value))),
        (first or giving("out")) | {"name": "first"},
        taking("x", name="second"),
    )


def two_tasks(value: str, first: Json | None = None, **of_first: Any) -> Json:
    """A task that refers to the one it depends on."""
    return workflow(
        dag(call("one", "first", **of_first), call("two", "second", depends="one", **passing(value))),
        (first or giving("out")) | {"name": "first"},
        taking("x", name="second"),
    )


def loop(value: str, **with_: Any) -> Json:
    return workflow(steps(call("a", **passing(value), **with_)), taking("x"))


IO = {
    "inputs": given(p="1") | {"artifacts": [{"name": "a", "path": "/a", "raw": {"data": "x"}}]},
    "outputs": {
        "parameters": [{"name": "o", "valueFrom": {"path": "/o"}}],
        "artifacts": [{"name": "f", "path": "/f"}],
    },
}
ONE_NODE_FIELD = [
    "id",
    "status",
    "startedAt",
    "finishedAt",
    "hostNodeName",
    "exitCode",
    "outputs.result",
    "outputs.parameters.out",
]

GOOD: dict[str, Json] = {
    **{
        f"leaf {text}": workflow(says(text, **IO))
        for text in (
            "{{inputs.parameters.p}}",
            "{{inputs.parameters}}",
            "{{ inputs.parameters.p }}",
            "{{inputs.artifacts.a.path}}",
            "{{outputs.parameters.o.path}}",
            "{{outputs.artifacts.f.path}}",
            "{{pod.name}}",
            "{{ node.name }}",
            "{{steps.name}}",
            "{{tasks.name}}",
            "{{workflow.name}} {{workflow.namespace}} {{workflow.uid}}",
            "{{workflow.mainEntrypoint}} {{workflow.serviceAccountName}}",
            "{{workflow.status}}",
            "{{workflow.duration}}",
            "{{workflow.creationTimestamp}} {{workflow.creationTimestamp.Y}} {{workflow.creationTimestamp.RFC3339}}",
            "{{workflow.scheduledTime}}",
            "{{workflow.labels}} {{workflow.annotations.json}}",
            "{{=inputs.parameters.p + inputs.parameters['p']}}",
            "{{=toJson(inputs.parameters)}}",
            "{{=workflow.nothing ?? 'x'}}",
            "{{=inputs?.parameters?.q}}",
            "{{=sprig.trim(inputs.parameters.p)}}",
        )
    },
    **{f"step {field}": two_steps(f"{{{{steps.one.{field}}}}}") for field in ONE_NODE_FIELD},
    **{f"task {field}": two_tasks(f"{{{{tasks.one.{field}}}}}") for field in ONE_NODE_FIELD},
    "priority": workflow(says("{{workflow.priority}}"), priority=3),
    "label": workflow(says("{{workflow.labels.a-b}}"), metadata={"labels": {"a-b": "c"}}),
    "label from the workflow's metadata": workflow(
        says("{{workflow.labels.a}} {{workflow.labels.b}} {{workflow.annotations.c}}"),
        workflowMetadata={"labels": {"a": "1"}, "labelsFrom": {"b": {"expression": "'x'"}}, "annotations": {"c": "1"}},
    ),
    "parameters": workflow(
        says("{{workflow.parameters.x}} {{workflow.parameters}} {{workflow.parameters.json}}"), arguments=given(x="1")
    ),
    "failures in an exit handler": workflow(container("main"), says("{{workflow.failures}}"), onExit="work"),
    "retries": workflow(says("{{retries}} {{lastRetry.exitCode}}", retryStrategy={"limit": 1})),
    "retries by the workflow's strategy": workflow(says("{{lastRetry.message}}"), retryStrategy={"limit": 1}),
    "item": loop("{{item}}", withItems=[1]),
    "item of a map": loop("{{item.os}}", withItems=[{"os": "x"}]),
    "item of a list": loop("{{item.[1]}}", withItems=[[1, 2]]),
    "item of a parameter": loop("{{item}} {{item.any.thing}}", withParam="{{workflow.name}}"),
    "item of a sequence": loop("{{item}}", withSequence={"count": 3}),
    "ip of a daemon": two_steps("{{steps.one.ip}}", container(daemon=True)),
    "aggregate": two_steps("{{steps.one.outputs.parameters}}", withItems=[1]),
    "aggregate of a script": two_tasks("{{tasks.one.outputs.result}}", script(), withItems=[1]),
    "aggregate of numbers": two_steps("{{steps.one.outputs.parameters}}", withSequence={"count": 2}),
    "steps of dynamic names": workflow(
        steps(
            call("run-{{inputs.parameters.d}}"),
            call("b", when="{{steps.run-{{inputs.parameters.d}}.status}} == x && {{steps.run-1.status}} == y"),
            inputs=given(d="1"),
        ),
        container(),
    ),
    "expression over a node": two_tasks("{{=toJson(tasks.one.outputs.parameters)}} {{=tasks['one'].outputs.result}}"),
    "a node of which nothing is known": workflow(
        steps(stored_call("one", "lib", "any"), call("two", **passing("{{steps.one.outputs.parameters.any}}"))),
        taking("x"),
    ),
    "a distant ancestor": workflow(
        dag(
            call("a", "first"),
            call("b", "first", dependencies=["a"]),
            call("c", "second", dependencies=["b"], **passing("{{tasks.a.outputs.parameters.out}}")),
        ),
        giving("out", name="first"),
        taking("x", name="second"),
    ),
    "outputs of a DAG": workflow(
        dag(
            call("a"),
            outputs={"parameters": [{"name": "o", "valueFrom": {"parameter": "{{tasks.a.outputs.parameters.out}}"}}]},
        ),
        giving("out"),
    ),
    "outputs of steps by an expression": workflow(
        steps(
            call("a"),
            outputs={
                "parameters": [{"name": "o", "valueFrom": {"expression": "steps.a.outputs.parameters.out ?? 'x'"}}]
            },
        ),
        giving("out"),
    ),
    "global output": workflow(
        dag(call("a", "first"), call("b", dependencies=["a"])),
        says("{{workflow.outputs.parameters.g}}"),
        container("first", outputs={"parameters": [{"name": "o", "globalName": "g", "valueFrom": {"path": "/o"}}]}),
    ),
    "global output of a name made at run time": workflow(
        dag(call("a", "first"), call("b", dependencies=["a"])),
        says("{{workflow.outputs.artifacts.x-1}}"),
        container("first", outputs={"artifacts": [{"name": "o", "globalName": "x-{{workflow.name}}", "path": "/o"}]}),
    ),
    "a task of the DAG around an inline one": workflow(
        dag(
            call("a"),
            call(
                "b",
                None,
                depends="a",
                inline={"dag": {"tasks": [call("c", "second", **passing("{{tasks.a.outputs.parameters.out}}"))]}},
            ),
        ),
        giving("out"),
        taking("x", name="second"),
    ),
    "expression with a bare item": loop("{{=item.x + 1}}", withParam="{{workflow.name}}"),
}


@pytest.mark.parametrize("document", GOOD.values(), ids=GOOD)
def test_variables_that_exist(document: Json) -> None:
    assert problems(document) == []


#: Name → document, the tag, a phrase of the reason.
BAD: dict[str, tuple[Json, str, str]] = {
    "input": (workflow(says("{{inputs.parameters.x}}")), "inputs.parameters.x", ""),
    "input with a near name": (
        workflow(says("{{inputs.parameters.mesage}}", inputs=given(message="1"))),
        "inputs.parameters.mesage",
        "did you mean 'inputs.parameters.message'?",
    ),
    "inputs of none": (workflow(says("{{inputs.parameters}}")), "inputs.parameters", ""),
    "artifact's path": (workflow(says("{{inputs.artifacts.a.path}}")), "inputs.artifacts.a.path", ""),
    "output's path": (workflow(says("{{outputs.artifacts.a.path}}")), "outputs.artifacts.a.path", ""),
    "workflow": (workflow(says("{{  workflow.nothing  }}")), "workflow.nothing", ""),
    "priority": (workflow(says("{{workflow.priority}}")), "workflow.priority", ""),
    "label": (workflow(says("{{workflow.labels.a}}"), metadata={"labels": {"b": "c"}}), "workflow.labels.a", ""),
    "parameter": (workflow(says("{{workflow.parameters.x}}"), arguments=given(y="1")), "workflow.parameters.x", ""),
    "failures without an exit handler": (workflow(says("{{workflow.failures}}")), "workflow.failures", ""),
    "global output": (workflow(says("{{workflow.outputs.parameters.g}}")), "workflow.outputs.parameters.g", ""),
    "global artifact": (
        workflow(
            container("main", outputs={"artifacts": [{"name": "o", "globalName": "g", "path": "/o"}]}),
            says("{{workflow.outputs.artifacts.h}}"),
            onExit="work",
        ),
        "workflow.outputs.artifacts.h",
        "",
    ),
    "pod of steps": (workflow(steps(call("a", **passing("{{pod.name}}"))), taking("x")), "pod.name", ""),
    "retries": (workflow(says("{{retries}}")), "retries", ""),
    "last retry": (workflow(says("{{lastRetry.status}}")), "lastRetry.status", ""),
    "item": (loop("{{item}}"), "item", ""),
    "item's field": (loop("{{item.b}}", withItems=[{"a": 1}]), "item.b", ""),
    "field of a number": (loop("{{item.b}}", withSequence={"count": 1}), "item.b", ""),
    "item in withParam": (workflow(steps(call("a", withParam="{{item}}")), container()), "item", ""),
    "step in a leaf": (workflow(says("{{steps.a.status}}")), "steps.a.status", ""),
    "task in steps": (two_steps("{{tasks.one.status}}"), "tasks.one.status", ""),
    "no such step": (two_steps("{{steps.on.status}}"), "steps.on.status", "there is no 'on'"),
    "no such output": (
        two_steps("{{steps.one.outputs.parameters.x}}"),
        "steps.one.outputs.parameters.x",
        "template 'first' has no such output",
    ),
    "no such artifact": (
        two_tasks("{{tasks.one.outputs.artifacts.x}}"),
        "tasks.one.outputs.artifacts.x",
        "template 'first' has no such output",
    ),
    "no such field": (two_steps("{{steps.one.phase}}"), "steps.one.phase", "nodes have no such field"),
    "no field": (two_steps("{{steps.one}}"), "steps.one", "nodes have no such field"),
    "no daemon": (two_steps("{{steps.one.ip}}"), "steps.one.ip", "is no daemon"),
    "no loop": (two_steps("{{steps.one.outputs.parameters}}"), "steps.one.outputs.parameters", "is no loop"),
    "no result": (
        two_tasks("{{tasks.one.outputs.result}}", {"suspend": {}}),
        "tasks.one.outputs.result",
        "does not give it",
    ),
    "no exit code of a container set without main": (
        two_tasks("{{tasks.one.exitCode}}", {"containerSet": {"containers": [{"name": "a", "image": "x"}]}}),
        "tasks.one.exitCode",
        "does not give it",
    ),
    "a step of the same group": (
        workflow(steps([call("a"), call("b", when="{{steps.a.status}} == x")]), container()),
        "steps.a.status",
        "'a' has not run by then",
    ),
    "a later step": (
        workflow(steps(call("a", when="{{steps.b.status}} == x"), call("b")), container()),
        "steps.b.status",
        "'b' has not run by then",
    ),
    "itself": (
        workflow(dag(call("a", when="{{tasks.a.status}} == x")), container()),
        "tasks.a.status",
        "refers to itself",
    ),
    "a task that it does not wait for": (
        workflow(
            dag(call("a"), call("b", depends="a"), call("c", depends="a", when="{{tasks.b.status}} == x")), container()
        ),
        "tasks.b.status",
        "missing dependency 'b'",
    ),
    "a task that waits for it": (
        workflow(dag(call("a", when="{{tasks.b.status}} == x"), call("b", depends="a")), container()),
        "tasks.b.status",
        "missing dependency 'b'",
    ),
    "output of steps": (
        workflow(
            steps(
                call("a"),
                outputs={"parameters": [{"name": "o", "valueFrom": {"parameter": "{{steps.a.outputs.parameters.x}}"}}]},
            ),
            container(),
        ),
        "steps.a.outputs.parameters.x",
        "has no such output",
    ),
    "output of steps by an expression": (
        workflow(
            steps(call("a"), outputs={"parameters": [{"name": "o", "valueFrom": {"expression": "steps.b.exitCode"}}]}),
            container(),
        ),
        "steps.b.exitCode",
        "there is no 'b'",
    ),
    "output artifact by an expression": (
        workflow(
            dag(call("a"), outputs={"artifacts": [{"name": "o", "fromExpression": "tasks.a.outputs.artifacts.x"}]}),
            container(),
        ),
        "tasks.a.outputs.artifacts.x",
        "has no such output",
    ),
    "expression tag": (workflow(says("{{=inputs.parameters.x}}")), "inputs.parameters.x", ""),
    "inside another tag": (
        workflow(steps(call("a"), call("b", when="{{steps.{{inputs.parameters.x}}.status}} == x")), container()),
        "inputs.parameters.x",
        "",
    ),
    "environment": (
        workflow(container(container={"image": "x", "env": [{"name": "E", "value": "{{inputs.parameters.x}}"}]})),
        "inputs.parameters.x",
        "",
    ),
    "key of a label": (
        workflow(container(metadata={"labels": {"{{inputs.parameters.x}}": "v"}})),
        "inputs.parameters.x",
        "",
    ),
}


@pytest.mark.parametrize(("document", "tag", "reason"), BAD.values(), ids=BAD)
def test_variables_that_do_not_exist(document: Json, tag: str, reason: str) -> None:
    [error] = errors(document)

    assert f"failed to resolve {{{{{tag}}}}}" in error
    assert reason in error


def test_places_are_named() -> None:
    assert errors(workflow(says("{{inputs.parameters.x}}"))) == [
        "templates.work.container.args[0] failed to resolve {{inputs.parameters.x}}"
    ]
    assert errors(loop("{{item}}")) == [
        "templates.main.steps[0].a.arguments.parameters.x.value failed to resolve {{item}}"
    ]


def test_tags_of_other_languages_are_worth_a_warning() -> None:
    assert problems(workflow(says("hello {{ user.name }}"))) == [
        "warning: templates.work.container.args[0] '{{user.name}}' is no variable of workflows: Argo leaves it as it is"
    ]


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("{{", "not closed"),
        ("{{=1 +}}", "expression is invalid"),
        ("{{=x", "not closed"),
        ("{{" * 5000, "nested more than 20 deep"),
    ],
)
def test_tags_that_are_none(text: str, phrase: str) -> None:
    [error] = errors(workflow(says(text)))

    assert phrase in error


def test_stored_templates_take_what_the_workflow_gives() -> None:
    library = [stored(says("{{workflow.parameters.x}} {{workflow.labels.l}}", name="t"))]
    use = dag(stored_call("a", "lib", "t"))

    assert errors(workflow(use, arguments=given(x="1"), metadata={"labels": {"l": "1"}}), library=library) == []
    found = errors(workflow(use), library=library)
    assert len(found) == 2
    assert all("failed to resolve {{workflow." in error for error in found)


def test_a_stored_template_by_itself_does_not_know_its_parameters() -> None:
    document = workflow(says("{{workflow.parameters.any}} {{workflow.failures}}"), kind="WorkflowTemplate")

    assert errors(document) == []
    assert errors(workflow(says("{{workflow.outputs.parameters.x}}"), kind="WorkflowTemplate")) == [
        "templates.work.container.args[0] failed to resolve {{workflow.outputs.parameters.x}}"
    ]
