"""Argo's environment: values of its own tests (util/expand, util/expr, util/template) and of its examples."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tiphys.errors import ExpressionError
from tiphys.lang.expr.context import Context
from tiphys.lang.expr.durations import Duration
from tiphys.lang.expr.environment import argo_environment, expand, to_text
from tiphys.lang.expr.program import compile_expression, evaluate_condition
from tiphys.lang.sprig.functions import function_map

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
STAFF = '{"employees": [{"name": "Baris", "age":43, "friends": ["Mo", "Jai"]}, {"name": "Mo", "age": 42}]}'
VARIABLES: dict[str, Any] = {
    "workflow.name": "w",
    "workflow.parameters.json": '[{"value": "true"}]',
    "workflow.parameters.staff": STAFF,
    "inputs.parameters.foo": "7",
    "inputs.parameters.should-print": "true",
    "steps.a-b.outputs.result": "<5>",
    "steps.a-b.status": "Succeeded",
    "steps.skipped.outputs.parameters.x": None,
    "item": {"key": 3, "list": [1, 2]},
    "retries": "2",
    "cronworkflow.lastScheduledTime": datetime(2024, 5, 1, 11, 50, tzinfo=UTC),
}


def text(expression: str) -> str:
    functions = {"sprig": function_map(NOW, b"seed"), "own": {"join": "-".join}}
    return to_text(compile_expression(expression).run(argo_environment(VARIABLES, functions), Context(NOW)))


def test_dotted_names_become_maps() -> None:
    before = {"a.b": 1, "a.c.d": 2, "a": 3, "ab": 4, "abb": 5, "a-b": 6}
    assert expand(before) == {"a": {"b": 1, "c": {"d": 2}}, "ab": 4, "abb": 5, "a-b": 6}
    assert len(before) == 6


def test_values_are_not_merged_into() -> None:
    value = {"x": 1}
    assert expand({"a": value, "a.b": 2}) == {"a": {"b": 2}}
    assert value == {"x": 1}


TEXTS = [
    ("'test'", "test"),
    (r"'some\\path\\with\\backslashes'", r"some\path\with\backslashes"),
    (r"'some\nnewlines'", "some\nnewlines"),
    ("1 + \n1", "2"),
    ("toJson('test')", '"test"'),
    ("toJson({test: 1})", '{"test":1}'),
    ("toJson([1, '2', {an: 'object'}])", '[1,"2",{"an":"object"}]'),
    ("true == false", "false"),
    ("asInt(inputs.parameters.foo) * 10", "70"),
    ("asFloat(inputs.parameters.foo) / 2", "3.5"),
    ("asFloat(inputs.parameters.foo)", "7"),
    ("steps['a-b'].outputs.result", "<5>"),
    ("[steps['a-b'].outputs.result]", '["\\u003c5\\u003e"]'),
    ("{b: 1.0, a: [nil, true]}", '{"a":[null,true],"b":1}'),
    ("item.key + len(item.list)", "5"),
    ("toJson(filter([1, 3], {# > 1}))", "[3]"),
    ("inputs.parameters[\"should-print\"] == 'true'", "true"),
    ("jsonpath(workflow.parameters.json, '$[0].value') == 'true'", "true"),
    ("jsonpath(workflow.parameters.staff, '$.employees[*].name')", '["Baris","Mo"]'),
    ("jsonpath(workflow.parameters.staff, '$.employees[0].friends')", '["Mo","Jai"]'),
    ("jsonpath(workflow.parameters.staff, '$.employees[1]')", '{"age":42,"name":"Mo"}'),
    ("jsonpath(workflow.parameters.staff, '$.employees[1].age')", "42"),
    ("(now() - cronworkflow.lastScheduledTime).Seconds() > 360", "true"),
    ("cronworkflow.lastScheduledTime", "2024-05-01T11:50:00Z"),
    ("duration('1s')", "1000000000"),
    ("b'ab'", "YWI="),
    ("sprig.trim('  a ')", "a"),
    ("sprig.date('2006', cronworkflow.lastScheduledTime)", "2024"),
    ("sprig.upper(item.list | map(string(#)) | join('x'))", "1X2"),
    ("own.join(['a', 'b'])", "a-b"),
    ("steps.skipped.outputs.parameters.x ?? 'default'", "default"),
    ("steps.skipped.outputs.parameters.y ?? 'default'", "default"),
    ("steps?.absent?.outputs?.result ?? 'none'", "none"),
    ("1000000.0 * 10", "10000000"),
]


@pytest.mark.parametrize(("expression", "expected"), TEXTS)
def test_texts(expression: str, expected: str) -> None:
    assert text(expression) == expected


WRONG = [
    ("steps.absent.outputs.result", "cannot fetch outputs from nil: steps.absent has no value"),
    ("steps.absent.outputs?.result ?? 'x'", "cannot fetch outputs from nil"),
    ("nobody", "unknown name nobody"),
    ("steps.skipped.outputs.parameters.x", "The expression gives nil."),
    ("retries + 1", "invalid operation: + (mismatched types string and int)"),
    ("sprig.trim(1)", "sprig.trim: argument 1 is of type int, string is expected. (1:7)"),
    ("sprig.env('HOME')", "sprig.env is not callable: it is nil"),
    ("asInt('x')", "asInt: invalid operation: int(string 'x')"),
    ("jsonpath('{', '$')", "jsonpath: invalid JSON"),
    ("jsonpath(1, '$')", "jsonpath takes a JSON text and a path"),
    ("toJson(now)", "unknown name now"),
    ("toJson(asInt)", "toJson: a function cannot be written as JSON"),
    ("1/0", "+Inf cannot be written as JSON"),
]


@pytest.mark.parametrize(("expression", "message"), WRONG)
def test_what_has_no_text(expression: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        text(expression)
    assert str(caught.value).startswith(message.partition(" (1:")[0])
    assert message in str(caught.value)


CONDITIONS = [
    (" FOO == 1 ", {"FOO": 2}, False),
    (" FOO == 1 ", {"FOO": 1}, True),
    ("split == 1", {"split": 1}, True),
    ("join == 1", {"join": 1}, True),
]


@pytest.mark.parametrize(("expression", "variables", "expected"), CONDITIONS)
def test_conditions(expression: str, variables: dict[str, Any], expected: bool) -> None:
    assert evaluate_condition(expression, variables) is expected


@pytest.mark.parametrize("expression", ["invalid expression", 'steps["prepare"].outputs != null'])
def test_wrong_conditions(expression: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate_condition(expression, {"steps": {"prepare": {"outputs": "msg"}}})


def test_functions_are_there_only_if_they_are_given() -> None:
    program = compile_expression("sprig.trim('a ')")
    assert program.run(argo_environment({}, {"sprig": {"trim": str.strip}})) == "a"
    with pytest.raises(ExpressionError, match="unknown name sprig"):
        program.run(argo_environment({}))


def test_text_of_a_span() -> None:
    assert to_text(Duration(5)) == "5"
