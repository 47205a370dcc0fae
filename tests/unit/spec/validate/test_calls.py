"""Rules for steps, tasks, hooks and loops. Facts: Argo v4.1, workflow/validate (tests of both files)."""

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
    problems,
    steps,
    stored,
    stored_call,
    taking,
    workflow,
)

LIBRARY = [
    stored(container("echo"), taking("x", name="shout"), steps(call("in", "echo"), name="deep")),
    stored(container("echo"), name="lib", kind="ClusterWorkflowTemplate"),
]


def task(**more: Any) -> Json:
    """A workflow of one task."""
    return workflow(dag(call("a") | more), container())


def hooked(**hook: Any) -> Json:
    return task(hooks={"notify": {"expression": "tasks.a.status == 'Failed'", "template": "work"} | hook})


GOOD = {
    "loop over items": task(withItems=[0, False, "x", 1.5, {"k": "v"}, [1]]),
    "loop over a constant": task(withParam="[1, 2]"),
    "loop over a tag": task(withParam="{{workflow.labels}}"),
    "loop over numbers": task(withSequence={"start": "1", "end": "{{workflow.name}}", "format": "%02d"}),
    "recursion": workflow(steps(call("again", "main", when="{{workflow.name}} == x"))),
    "steps of dynamic names": workflow(
        steps(call("run-{{inputs.parameters.d}}"), inputs=given(d=None)),
        container(),
        arguments=given(d="x"),
    ),
    "digits without dependencies": workflow(dag(call("5a"), call("b")), container()),
    "target by a tag": workflow(
        dag(call("a"), target="{{workflow.parameters.t}}"), container(), arguments=given(t="a")
    ),
    "targets": workflow(dag(call("a"), call("b"), target="a b"), container()),
    "depends": workflow(
        dag(call("a"), call("b", depends="a.Succeeded || !a.Failed"), call("c", depends="(a && b.Omitted)")),
        container(),
    ),
    "depends on items": workflow(dag(call("a", withItems=[1]), call("b", depends="a.AnySucceeded")), container()),
    "dependencies and continueOn": workflow(
        dag(call("a", continueOn={"failed": True}), call("b", dependencies=["a"])), container()
    ),
    "inline": workflow(dag(call("a", None, inline={"container": {"image": "x"}}))),
    "inline with inputs": workflow(
        dag(
            call(
                "a",
                None,
                arguments=given(x="{{inputs.parameters.y}}"),
                inline={
                    "inputs": given(x=None),
                    "container": {"image": "x", "args": ["{{inputs.parameters.x}} {{inputs.parameters.y}} {{item}}"]},
                },
                withItems=[1],
            ),
            inputs=given(y="1"),
        )
    ),
    "hook": hooked(),
    "hook with outputs of its task": hooked(arguments={"parameters": [{"name": "x", "value": "{{tasks.a.exitCode}}"}]}),
    "exit hook without an expression": task(hooks={"exit": {"template": "work"}}),
    "onExit takes the arguments of its task": workflow(
        dag(call("a", arguments=given(x="1"), onExit="work")), taking("x")
    ),
    "stored": workflow(dag(stored_call("a", "lib", "echo"), stored_call("b", "lib", "echo", clusterScope=True))),
    "stored that is not known": workflow(dag(stored_call("a", "other", "any", clusterScope=True))),
    "stored by a tag": workflow(dag(stored_call("a", "lib", "{{workflow.name}}"))),
    "stored with arguments": workflow(dag(stored_call("a", "lib", "shout") | {"arguments": given(x="1")})),
    "argument from a config map": workflow(
        dag(
            call(
                "a",
                arguments={
                    "parameters": [
                        {"name": "x", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}, "default": "d"}}
                    ]
                },
            )
        ),
        taking("x"),
    ),
    "artifact by its key": workflow(
        dag(call("a", arguments={"artifacts": [{"name": "f", "s3": {"key": "k"}}]})),
        container(inputs={"artifacts": [{"name": "f", "path": "/f"}]}),
    ),
}


@pytest.mark.parametrize("document", GOOD.values(), ids=GOOD)
def test_good_calls_have_no_problems(document: Json) -> None:
    assert errors(document, library=LIBRARY) == []


#: Name → document, place, phrase.
BAD: dict[str, tuple[Json, str, str]] = {
    "no template": (task(template=None), "templates.main.tasks.a", "template name is required"),
    "unknown template": (task(template="wrk"), "templates.main.tasks.a.template", "template name 'wrk' undefined"),
    "unknown template of a step": (
        workflow(steps(call("a", "wrk"))),
        "templates.main.steps[0].a.template",
        "template name 'wrk' undefined",
    ),
    "template and templateRef": (
        task(templateRef={"name": "lib", "template": "echo"}),
        "templates.main.tasks.a",
        "template name cannot be specified with templateRef",
    ),
    "template and inline": (
        task(inline={"container": {"image": "x"}}),
        "templates.main.tasks.a",
        "template name cannot be specified with inline",
    ),
    "templateRef without a name": (
        task(template=None, templateRef={"template": "echo"}),
        "templates.main.tasks.a.templateRef",
        "resource name is required",
    ),
    "templateRef without a template": (
        task(template=None, templateRef={"name": "lib"}),
        "templates.main.tasks.a.templateRef",
        "template name is required",
    ),
    "templateRef to nothing": (
        workflow(dag(stored_call("a", "lib", "nothing"))),
        "templates.main.tasks.a.templateRef",
        "template reference lib.nothing not found",
    ),
    "templateRef to nothing of the cluster": (
        workflow(steps(stored_call("a", "lib", "shout", clusterScope=True))),
        "templates.main.steps[0].a.templateRef",
        "template reference lib.shout not found",
    ),
    "stored template needs more": (
        workflow(dag(stored_call("a", "lib", "shout"))),
        "templates.main.tasks.a",
        "namespaced/lib templates.shout inputs.parameters.x was not supplied",
    ),
    "parameter not supplied": (
        workflow(dag(call("a")), taking("x")),
        "templates.main.tasks.a",
        "templates.work inputs.parameters.x was not supplied",
    ),
    "artifact not supplied": (
        workflow(dag(call("a")), container(inputs={"artifacts": [{"name": "f", "path": "/f"}]})),
        "templates.main.tasks.a",
        "templates.work inputs.artifacts.f was not supplied",
    ),
    "inline template needs more": (
        workflow(dag(call("a", None, inline={"inputs": given(x=None), "container": {"image": "x"}}))),
        "templates.main.tasks.a",
        "inputs.parameters.x was not supplied",
    ),
    "inline template without a type": (
        workflow(dag(call("a", None, inline={}))),
        "templates.main.tasks.a.inline",
        "template type unspecified",
    ),
    "argument without a value": (
        workflow(steps(call("a", arguments=given(x=None))), taking("x")),
        "templates.main.steps[0].a.arguments.parameters.x",
        "value or valueFrom is required",
    ),
    "argument twice": (
        task(arguments={"parameters": [{"name": "x", "value": "1"}, {"name": "x", "value": "1"}]}),
        "templates.main.tasks.a.arguments.parameters[1]",
        "name 'x' is not unique",
    ),
    "argument of a path": (
        task(arguments={"parameters": [{"name": "x", "valueFrom": {"path": "/x"}}]}),
        "templates.main.tasks.a.arguments.parameters.x",
        "valueFrom only allows: default, configMapKeyRef and supplied",
    ),
    "argument of a parameter": (
        task(arguments={"parameters": [{"name": "x", "valueFrom": {"parameter": "{{workflow.name}}"}}]}),
        "templates.main.tasks.a.arguments.parameters.x",
        "valueFrom only allows",
    ),
    "artifact from nowhere": (
        task(arguments={"artifacts": [{"name": "f"}]}),
        "templates.main.tasks.a.arguments.artifacts.f",
        "from, artifact location, or key is required",
    ),
    "artifact with an incomplete place": (
        task(arguments={"artifacts": [{"name": "f", "s3": {"bucket": "b"}}]}),
        "templates.main.tasks.a.arguments.artifacts.f",
        "from, artifact location, or key is required",
    ),
    "artifact from two sources": (
        task(arguments={"artifacts": [{"name": "f", "from": "{{workflow.name}}", "fromExpression": "workflow.name"}]}),
        "templates.main.tasks.a.arguments.artifacts.f",
        "shouldn't have both `from` and `fromExpression`",
    ),
    "artifact of a bad expression": (
        task(arguments={"artifacts": [{"name": "f", "fromExpression": "tasks.b.outputs.artifacts.x"}]}),
        "templates.main.tasks.a.arguments.artifacts.f.fromExpression",
        "failed to resolve {{tasks.b.outputs.artifacts.x}}: there is no 'b'",
    ),
    "two loops": (
        task(withItems=[1], withParam="[1]"),
        "templates.main.tasks.a",
        "only one of withItems, withParam, withSequence",
    ),
    "null item": (task(withItems=[1, None]), "templates.main.tasks.a.withItems[1]", "unsupported withItems type"),
    "withParam that is no list": (
        task(withParam='{"a": 1}'),
        "templates.main.tasks.a.withParam",
        "must be a JSON list",
    ),
    "withParam that is no JSON": (task(withParam="[1"), "templates.main.tasks.a.withParam", "must be a JSON list"),
    "withParam that is nested too deeply": (
        task(withParam="[" * 100_000),
        "templates.main.tasks.a.withParam",
        "must be a JSON list",
    ),
    "count and end": (
        task(withSequence={"count": "10", "end": "10"}),
        "templates.main.tasks.a.withSequence",
        "only one of count or end can be defined",
    ),
    "no end": (task(withSequence={"start": 1}), "templates.main.tasks.a.withSequence", "must specify end or count"),
    "a count that is no number": (
        task(withSequence={"count": "x"}),
        "templates.main.tasks.a.withSequence.count",
        "must be an integer",
    ),
    "when": (task(when="a = b"), "templates.main.tasks.a.when", "is not a condition"),
    "when that is no condition": (task(when="3"), "templates.main.tasks.a.when", "is not a condition"),
    "step without a name": (workflow(steps(call("")), container()), "templates.main.steps[0][0]", "name is required"),
    "bad step name": (
        workflow(steps(call("a.b")), container()),
        "templates.main.steps[0].a.b",
        "name 'a.b' is invalid",
    ),
    "bad step name around a tag": (
        workflow(steps(call("a_{{inputs.parameters.x}}"), inputs=given(x="1")), container()),
        "templates.main.steps[0].a_{{inputs.parameters.x}}",
        "is invalid",
    ),
    "step twice": (
        workflow(steps(call("a"), call("a")), container()),
        "templates.main.steps[1].a",
        "name 'a' is not unique",
    ),
    "bad task name": (workflow(dag(call("a.b")), container()), "templates.main.tasks.a.b", "name: 'a.b' is invalid"),
    "task twice": (
        workflow(dag(call("a"), call("a")), container()),
        "templates.main.tasks.a",
        "name 'a' is not unique",
    ),
    "no tasks": (workflow(dag()), "templates.main", "must have at least one task"),
    "unknown dependency": (
        workflow(dag(call("a", dependencies=["b"])), container()),
        "templates.main.tasks.a",
        "dependency 'b' not defined",
    ),
    "unknown dependency by depends": (
        workflow(dag(call("a", depends="b || c"), call("c")), container()),
        "templates.main.tasks.a.depends",
        "dependency 'b' not defined",
    ),
    "result of a dependency": (
        workflow(dag(call("a"), call("b", depends="a.Success")), container()),
        "templates.main.tasks.b.depends",
        "'Success' is not a result of task 'a'",
    ),
    "grammar of depends": (
        workflow(dag(call("a"), call("b", depends="a &&")), container()),
        "templates.main.tasks.b.depends",
        "is invalid",
    ),
    "depends on items of no loop": (
        workflow(dag(call("a"), call("b", depends="a.AllFailed")), container()),
        "templates.main.tasks.b.depends",
        "does not contain any items",
    ),
    "depends and dependencies": (
        workflow(dag(call("a"), call("b", dependencies=["a"]), call("c", depends="b")), container()),
        "templates.main",
        "cannot use both 'depends' and 'dependencies' in the same DAG template",
    ),
    "depends and continueOn": (
        workflow(dag(call("a", continueOn={"failed": True}), call("b", depends="a")), container()),
        "templates.main",
        "cannot use 'continueOn' when using 'depends'",
    ),
    "digit and depends": (
        workflow(dag(call("5a"), call("b", depends="5a")), container()),
        "templates.main.tasks.5a",
        "name cannot begin with a digit when using either 'depends' or 'dependencies'",
    ),
    "cycle": (
        workflow(
            dag(call("a", dependencies=["c"]), call("b", dependencies=["a"]), call("c", dependencies=["a"])),
            container(),
        ),
        "templates.main.tasks",
        "dependency cycle detected: a->c->a",
    ),
    "task that waits for itself": (
        workflow(dag(call("a", depends="a")), container()),
        "templates.main.tasks",
        "dependency cycle detected: a->a",
    ),
    "unknown target": (
        workflow(dag(call("a"), target="a b"), container()),
        "templates.main.target",
        "target 'b' is not defined",
    ),
    "target by an unknown tag": (
        workflow(dag(call("a"), target="{{inputs.parameters.t}}"), container()),
        "templates.main.target",
        "failed to resolve {{inputs.parameters.t}}",
    ),
    "hook without an expression": (
        hooked(expression=None),
        "templates.main.tasks.a.hooks.notify",
        "Expression required",
    ),
    "hook without a template": (
        hooked(template=None),
        "templates.main.tasks.a.hooks.notify",
        "template name is required",
    ),
    "hook on nothing": (
        hooked(template="x"),
        "templates.main.tasks.a.hooks.notify.template",
        "template name 'x' undefined",
    ),
    "hook with a bad expression": (
        hooked(expression="tasks.b.status == 'x'"),
        "templates.main.tasks.a.hooks.notify.expression",
        "failed to resolve {{tasks.b.status}}",
    ),
    "hook with a bad argument": (
        hooked(arguments=given(x="{{steps.a.status}}")),
        "templates.main.tasks.a.hooks.notify.arguments.parameters.x.value",
        "failed to resolve {{steps.a.status}}",
    ),
    "hook needs more": (
        workflow(dag(call("a", hooks={"exit": {"template": "say"}})), container(), taking("x", name="say")),
        "templates.main.tasks.a.hooks.exit",
        "templates.say inputs.parameters.x was not supplied",
    ),
    "onExit of nothing": (task(onExit="x"), "templates.main.tasks.a.onExit", "template name 'x' undefined"),
    "onExit of a step needs more": (
        workflow(steps(call("a", onExit="say")), container(), taking("x", name="say")),
        "templates.main.steps[0].a.onExit",
        "templates.say inputs.parameters.x was not supplied",
    ),
}


@pytest.mark.parametrize(("document", "place", "phrase"), BAD.values(), ids=BAD)
def test_bad_calls_have_one_error(document: Json, place: str, phrase: str) -> None:
    [error] = errors(document, library=LIBRARY)

    assert error.startswith(place + " ")
    assert phrase in error


def test_what_a_complete_library_lacks_does_not_exist() -> None:
    document = workflow(dag(stored_call("a", "other", "any")))

    assert errors(document, library=LIBRARY, complete=True) == [
        "templates.main.tasks.a.templateRef template reference other.any not found"
    ]


def test_an_argument_that_the_template_does_not_take_is_worth_a_warning() -> None:
    document = workflow(dag(call("a", arguments=given(message="1", text="2"))), taking("messages"))

    assert problems(document) == [
        "templates.main.tasks.a templates.work inputs.parameters.messages was not supplied",
        "warning: templates.main.tasks.a.arguments.parameters templates.work has no input 'message';"
        " did you mean 'messages'?",
        "warning: templates.main.tasks.a.arguments.parameters templates.work has no input 'text'",
    ]
    assert problems(document, strict=False) == [
        "templates.main.tasks.a templates.work inputs.parameters.messages was not supplied"
    ]


def test_what_is_wrong_with_a_stored_template_is_told_where_it_is_used() -> None:
    broken = stored(
        steps(call("s", "leaf"), name="outer"), container("leaf", container={"args": ["{{inputs.parameters.x}}"]})
    )
    document = workflow(dag(stored_call("a", "lib", "outer")))

    found = errors(document, library=[broken])

    assert len(found) == 2
    assert all(error.startswith("templates.main.tasks.a.templateRef namespaced/lib: templates.leaf") for error in found)
    assert any("templates.leaf.container.image may not be empty" in error for error in found)
    assert any("failed to resolve {{inputs.parameters.x}}" in error for error in found)
