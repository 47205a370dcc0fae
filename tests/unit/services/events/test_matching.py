"""Which bindings an event meets, and what each submits. Cases: Argo, server/event/dispatch/operation_test.go."""

from __future__ import annotations

import pytest

from tiphys._util.ids import new_id
from tiphys._util.times import utc_now
from tiphys.errors import ExpressionError, NotFoundError, SpecError
from tiphys.records.events import ReceivedEvent
from tiphys.records.objects import ObjectKind, StoredObject
from tiphys.services.events.matching import is_met, workflow_of

NOW = utc_now()
PAYLOAD = {
    "foo": {"bar": "baz", "numeric": 8675309, "bool": True},
    "list": ["one", "two"],
    "formatted": "My%Test%",
    "quoted": 'say "hi"\n<b>',
}


def event(payload=None, **given):
    return ReceivedEvent(
        id=new_id(),
        delivery="d",
        payload=PAYLOAD if payload is None else payload,
        due_at=NOW,
        created_at=NOW,
        **{"discriminator": "mine", "metadata": {"x-a": ["1"]}, **given},
    )


def binding(selector="true", *, cluster=False, template="my-wft", arguments=None, **metadata):
    reference = {"name": template, **({"clusterScope": True} if cluster else {})}
    submit = {"workflowTemplateRef": reference, "metadata": metadata}
    if arguments is not None:
        submit["arguments"] = {"parameters": arguments}
    return StoredObject(
        id=new_id(),
        kind=ObjectKind.WORKFLOW_EVENT_BINDING,
        name="my-wfeb",
        manifest={"spec": {"event": {"selector": selector}, "submit": submit}},
        created_at=NOW,
        updated_at=NOW,
    )


@pytest.fixture
def submitted(backend):
    for kind, name in (("WorkflowTemplate", "my-wft"), ("ClusterWorkflowTemplate", "my-cwft")):
        spec = {"entrypoint": "m", "templates": [{"name": "m", "container": {"image": "busybox"}}]}
        backend.objects.create({"kind": kind, "metadata": {"name": name}, "spec": spec})

    def make(one, of=None):
        with backend.store.reader() as reader:
            return workflow_of(reader, one, of or event(), NOW)

    return make


@pytest.mark.parametrize(
    ("selector", "met"),
    [
        ("true", True),
        ("false", False),
        ("payload.foo.bar == 'baz'", True),
        ("payload.foo.numeric > 8000000", True),
        ('metadata["x-a"] == ["1"]', True),
        ('metadata["x-a"] == "1"', False),
        ('discriminator == "mine"', True),
        ('namespace == "default"', True),
        ("payload.none == nil", True),
        ("payload.none?.deeper == nil", True),
        ('sprig.upper(payload.foo.bar) == "BAZ"', True),
    ],
)
def test_selectors(selector, met):
    assert is_met(binding(selector), event()) is met


@pytest.mark.parametrize(
    "selector",
    ["", "garbage!!!!!!", '"garbage"', "payload.none.deeper == 1", "payload.list[7] == 1", "nobody == 1"],
)
def test_selectors_that_fail(selector):
    with pytest.raises(ExpressionError):
        is_met(binding(selector), event())


@pytest.mark.parametrize(
    "selector",
    [
        "len(map(1..1000000, map(1..1000000, #))) > 0",
        'sprig.repeat(1000000000, "x") == ""',
        "(" * 5000 + "1" + ")" * 5000 + " == 1",
    ],
)
def test_expression_bombs_end(selector):
    with pytest.raises(ExpressionError):
        is_met(binding(selector), event())


@pytest.mark.parametrize("payload", [None, 1, "text", [], {"foo": 1}])
def test_payloads_that_are_no_objects_fail_as_expressions(payload):
    with pytest.raises(ExpressionError):
        is_met(binding("payload.foo.bar == 1"), event(payload if payload is not None else 0))


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ('"bar"', "bar"),
        ("payload.foo", '{"bar":"baz","bool":true,"numeric":8675309}'),
        ("payload.formatted", "My%Test%"),
        ("payload.quoted", 'say "hi"\n<b>'),
        ("payload.list", '["one","two"]'),
        ("payload.foo.numeric", "8675309"),
        ("payload.foo.bool", "true"),
        ("payload.none", "null"),
        ('metadata["x-a"][0]', "1"),
    ],
)
def test_parameters_are_texts(submitted, source, value):
    found = submitted(binding(arguments=[{"name": "p", "valueFrom": {"event": source}}]))
    assert found["spec"]["arguments"] == {"parameters": [{"name": "p", "value": value}]}


def test_a_parameter_needs_an_expression(submitted):
    with pytest.raises(SpecError, match=r"parameters\.p: valueFrom\.event is missing"):
        submitted(binding(arguments=[{"name": "p", "value": "fixed"}]))


def test_a_workflow_refers_to_its_template_and_is_labelled_with_its_binding(submitted):
    found = submitted(binding())
    assert found["spec"] == {"workflowTemplateRef": {"name": "my-wft"}}
    assert found["metadata"]["generateName"] == "my-wft-"
    assert found["metadata"]["labels"]["workflows.argoproj.io/workflow-event-binding"] == "my-wfeb"
    assert submitted(binding(cluster=True, template="my-cwft"))["spec"] == {
        "workflowTemplateRef": {"name": "my-cwft", "clusterScope": True}
    }


def test_the_client_that_signed_is_the_creator(submitted):
    labels = submitted(binding(), event(sender="github.com"))["metadata"]["labels"]
    assert labels["workflows.argoproj.io/creator"] == "system-serviceaccount-default-github.com"
    assert "workflows.argoproj.io/creator" not in submitted(binding())["metadata"]["labels"]


def test_half_a_character_is_told_of_before_the_database_refuses_it(submitted):
    broken = event({"text": "\ud800"})
    with pytest.raises(SpecError, match="half a character"):
        submitted(binding(arguments=[{"name": "p", "valueFrom": {"event": "payload.text"}}]), broken)
    with pytest.raises(SpecError, match="half a character"):
        submitted(binding(annotations={"a": "payload.text"}), broken)


def test_metadata_are_expressions(submitted):
    found = submitted(
        binding(
            name='"my-" + payload.foo.bar',
            generateName='"g-"',
            labels={"aLabel": "payload.list[0]"},
            annotations={"anAnnotation": "payload.list[1]"},
        )
    )["metadata"]
    assert (found["name"], found["generateName"]) == ("my-baz", "g-")
    assert found["labels"]["aLabel"] == "one"
    assert found["annotations"] == {"anAnnotation": "two"}


@pytest.mark.parametrize(
    "metadata",
    [
        {"name": "payload.......foo[.numeric]"},
        {"name": "payload.foo.numeric"},
        {"name": "payload.foo.bool"},
        {"name": "payload.foo"},
        {"name": "payload.list"},
        {"labels": {"a": "foo...bar"}},
        {"labels": {"a": "payload.quoted"}},
        {"annotations": {"a": "foo.[..]bar"}},
    ],
)
def test_metadata_that_fail(submitted, metadata):
    with pytest.raises((ExpressionError, SpecError)):
        submitted(binding(**metadata))


def test_a_template_that_is_not_there(submitted):
    with pytest.raises(NotFoundError, match="no WorkflowTemplate 'not-found'"):
        submitted(binding(template="not-found"))
