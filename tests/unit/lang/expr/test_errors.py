"""What cannot be evaluated: found before the evaluation where it can be, always with its place."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tiphys.errors import ExpressionError, UsageError
from tiphys.lang.expr.program import compile_expression, evaluate_condition

ENV: dict[str, Any] = {
    "Int": 1,
    "Float": 1.5,
    "Bool": True,
    "String": "s",
    "Array": [1, "2", 3, True],
    "Map": {"a": 1, "deep": {"list": [1]}, "half": "\ud800"},
    "Nil": None,
    "call": lambda value: value,
}

#: Found without the variables: from expr-lang's checker/checker_test.go, expr_test.go and builtin/builtin_test.go.
MISTYPED = [
    ("1 and false", "invalid operation: and (mismatched types int and bool)", 3),
    ("true or 0", "invalid operation: or (mismatched types bool and int)", 6),
    ("1 + ''", "invalid operation: + (mismatched types int and string)", 3),
    ('1 /* one */ + "2"', "invalid operation: + (mismatched types int and string)", 13),
    ("1; 2 + true; 3", "invalid operation: + (mismatched types int and bool)", 6),
    ("not 1", "invalid operation: not (mismatched type int)", 1),
    ("-'a'", "invalid operation: - (mismatched type string)", 1),
    ("1 == '1'", "mismatched types int and string", 3),
    ("1.5 % 2", "invalid operation: % (mismatched types float and int)", 5),
    ("'a' .. 'b'", "mismatched types string and string", 5),
    ("'str' in 'string'", "invalid operation: in (mismatched types string and string)", 7),
    ('42 in ["a", "b", "c"]', "invalid operation: in", 4),
    ("0.5 in {a: 1}", "invalid operation: in", 5),
    ("nil + 1", "mismatched types nil and int", 5),
    ("1 ? 2 : 3", "non-bool expression (type int) used as condition", 1),
    ("if 'a' { 1 } else { 2 }", "non-bool expression (type string)", 4),
    ("(nil).Foo", "type nil has no field Foo", 7),
    ("'a'.b", "type string has no field b", 5),
    ("'a'[0]", "type string has no elements to be selected by int", 4),
    ("[1].a", "array elements can only be selected using an integer (got string)", 5),
    ("{a: 1}[0]", "cannot use int to get an element from a map", 8),
    ("(true)[:]", "cannot slice bool", 7),
    ("[1][true:]", "non-integer slice index bool", 5),
    ("now().Foo()", "type time has no field Foo", 7),
    ("now().Year() + 'a'", "mismatched types int and string", 14),
    ("1..2 | map(.a)", "type int has no field a", 13),
    ("count(1, {#})", "builtin count takes only an array (got int)", 7),
    ("all([1], {# + 1})", "predicate should return boolean (got int)", 10),
    ("filter(['a'], #)", "predicate should return boolean (got string)", 15),
    ('1..3 | filter(# > 1) | filter(# == "str")', "mismatched types int and string", 33),
    ('1..3 | map("str") | filter(# > 1)', "mismatched types string and int", 30),
    ("map(1..9, #unknown)", "unknown pointer #unknown", 11),
    ("filter(1..9, #index > 1)", "unknown pointer #index", 14),
    ("map(1..9, #acc)", "unknown pointer #acc", 11),
    ("let map = 42; map", "cannot redeclare builtin map", 5),
    ("let len = 42; len", "cannot redeclare builtin len", 5),
    ("let foo = 1; let foo = 2; foo", "cannot redeclare variable foo", 18),
    ('"foo" matches "[+"', "missing closing ]", 15),
    ("$env()", "$env is not callable", 1),
    ("let f = 1; f()", "int is not callable", 12),
    ("len(42)", "cannot use int as argument (type array or bytes or map or string) to call len", 5),
    ("len()", "invalid number of arguments for len (expected 1, got 0)", 1),
    ("abs(1, 2)", "invalid number of arguments for abs (expected 1, got 2)", 1),
    ("split('a')", "invalid number of arguments for split (expected 2 or 3, got 1)", 1),
    ("max()", "invalid number of arguments for max (expected at least 1, got 0)", 1),
    ('max(1, "2")', "cannot use string as argument", 8),
    ("trimPrefix(nil)", "cannot use nil as argument (type string) to call trimPrefix", 12),
    ('bitand("1", 1)', "cannot use string as argument (type int) to call bitand", 8),
    ('"10" | bitor(1)', "cannot use string as argument (type int) to call bitor", 1),
    ('repeat("0", 1/0)', "cannot use float as argument (type int) to call repeat", 14),
    ("get(false, 2)", "type bool does not support indexing", 5),
    ("get(1..2, 0.5)", "non-integer index float", 11),
    ("flatten([1, 2], [3, 4])", "invalid number of arguments", 1),
    ("now(nil)", "cannot use nil as argument (type timezone) to call now", 5),
]

#: Found with the variables, though what is wrong is never evaluated.
UNKNOWN = [
    ("Noo", "unknown name Noo", 1),
    ("true || Noo", "unknown name Noo", 9),
    ("Array[Not]", "unknown name Not", 7),
    ("{id: Not}", "unknown name Not", 6),
    ("$env.nope", "unknown name nope", 6),
    ("$env['nope']", "unknown name nope", 5),
    ("len", "unknown name len", 1),
    ("let Int = 2; Int", "cannot redeclare variable Int", 5),
    ("Int < Bool", "invalid operation: < (mismatched types int and bool)", 5),
    ("String == 1", "invalid operation: == (mismatched types string and int)", 8),
    ("Int matches String", "mismatched types int and string", 5),
    ("Map ? 1 : 2", "non-bool expression (type map) used as condition", 1),
    ("Int()", "int is not callable", 1),
    ("Array.not", "array elements can only be selected using an integer (got string)", 7),
    ("Nil.x", "type nil has no field x", 5),
]

#: Found in the evaluation.
FAILING = [
    ("Map.b.c", "cannot fetch c from nil: Map.b has no value", 7),
    ("Map.b['c d'].e", "cannot fetch c d from nil: Map.b has no value", 6),
    ("Map.a.x", "cannot fetch x from int", 7),
    ("Map.deep.list.x", "cannot fetch x from array", 15),
    ("Array[-7]", "index out of range: -7 (array length is 4)", 6),
    ("[1,2,3][5]", "index out of range: 5 (array length is 3)", 8),
    ("filter(1..9, # > 9)[0]", "index out of range", 20),
    ("reduce(10..1, # + #acc)", "reduce of empty array with no initial value", 1),
    ("Map.a + 'x'", "invalid operation: int + string", 7),
    ("Map.a and true", "non-bool value (type int) used as operand of 'and'", 7),
    ("not Map.a", "non-bool value (type int) used as operand of 'not'", 1),
    ("Map.a ? 1 : 2", "non-bool value (type int) used as condition", 5),
    ("Map.a in Map.deep", "cannot use int 1 as a key of a map", 7),
    ("1 in Map.a", 'operator "in" not defined on int', 3),
    ("Map.deep[Map.a]", "cannot use int 1 as a key of a map", 9),
    ("{(Map.a): 1}", "a map key must be a string (got int)", 7),
    ("Map.a[1:]", "cannot slice int", 6),
    ("upper(Map.a)", "cannot use int as argument (type string) to call upper", 1),
    ("filter(Array, #)", "non-bool value (type int) used as result of a predicate", 1),
    ("map(Map.a, #)", "builtin map takes only an array (got int)", 1),
    ("Array | max()", "invalid argument for max (type string)", 9),
    ("sort(Array)", "invalid operation: string < int", 1),
    ('sort([1], "up")', 'unknown order, use "asc" or "desc" (got string \'up\')', 1),
    ("groupBy([[1]], #)", "cannot use array as a key of a map", 1),
    ("groupBy([1, true], #)", "cannot tell the keys", 1),
    ("1 % 0", "integer divide by zero", 3),
    ("int('x')", "invalid operation: int(string 'x')", 1),
    ("int('9223372036854775808')", "invalid operation: int(string", 1),
    ("float('1_0')", "invalid operation: float(string '1_0')", 1),
    ("join([1])", "join takes only strings (got int 1)", 1),
    ("repeat('a', -1)", "expected positive integer, got -1", 1),
    ("take([1], -1)", "cannot take -1 elements", 1),
    ("fromPairs([[1]])", "invalid pair length 1", 1),
    ("bitshl(1, -1)", "negative shift count -1", 1),
    ('duration("error")', "invalid duration 'error'", 1),
    ('date("error")', "invalid date string 'error'", 1),
    ("date('x', '2006')", "date: ", 1),
    ('timezone("Nowhere/At all")', "unknown time zone", 1),
    ("now()", "there is no time here", 1),
    ("fromJSON('{')", "invalid JSON", 1),
    ("fromJSON('NaN')", "'NaN' is no value", 1),
    ('fromJSON("5e2482")', "the number 5e2482 is too large", 1),
    ("fromBase64('?')", "invalid base64", 1),
    ("toJSON(1/0)", "+Inf cannot be written as JSON", 1),
    ("toJSON(call)", "a function cannot be written as JSON", 1),
    ("call()", "call: ", 1),
    ("duration('1h').Round(1)", "cannot use int as argument (type duration) to call Round", 16),
    ("duration('1h').String(1)", "invalid number of arguments for String (expected 0, got 1)", 16),
    ("date('2024-01-01').AddDate(0.5, 0, 0)", "cannot use float as argument (type int) to call AddDate", 20),
    ("date('9999-12-31') + duration('48h')", "the time lies outside the years 1 to 9999", 20),
    ("date('2024-01-01').AddDate(9999, 0, 0)", "the time lies outside the years 1 to 9999", 20),
    ("date('0001-01-01') > date(timezone('Asia/Tokyo'), '0001-01-01')", "the time lies outside the years", 20),
    ("toBase64(Map.half)", "a string holds half a character", 1),
    ("$env[Array]", "cannot use array as a key of a map", 5),
    ("$env[String + 't']", "unknown name st", 5),
    ("Map.a()", "Map.a is not callable: it is int", 5),
    ("'a' matches Map.b ?? '('", "missing closing )", 5),
]


def failure(source: str, env: dict[str, Any] | None) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(source).run(env or {})
    return caught.value


def check(error: ExpressionError, message: str, column: int) -> None:
    assert message in error.message
    found = re.search(r"\(1:(\d+)\)\n", error.message)
    assert found
    assert int(found[1]) == column


@pytest.mark.parametrize(("source", "message", "column"), MISTYPED)
def test_kinds_that_do_not_go_together_are_found_when_it_is_read(source: str, message: str, column: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(source)
    check(caught.value, message, column)


@pytest.mark.parametrize(("source", "message", "column"), UNKNOWN)
def test_names_and_kinds_of_variables_are_checked_first(source: str, message: str, column: int) -> None:
    check(failure(source, ENV), message, column)


@pytest.mark.parametrize(("source", "message", "column"), FAILING)
def test_what_fails_in_the_evaluation(source: str, message: str, column: int) -> None:
    check(failure(source, ENV), message, column)


def test_errors_of_functions_get_a_place() -> None:
    def refuse() -> None:
        raise UsageError("not today", hint="Come again.")

    error = failure("1; [ns.refuse()]", {"ns": {"refuse": refuse}})
    assert error.message == "ns.refuse: not today (1:8)\n | 1; [ns.refuse()]\n | .......^"
    assert error.hint == "Come again."
    assert isinstance(error.__cause__, UsageError)


def test_conversions_are_hinted_at() -> None:
    assert "int(…)" in (failure("String + 1", ENV).hint or "")
    assert "int(…)" in (failure("Map.s > 1", {"Map": {"s": "2"}}).hint or "")
    assert "call it" in (failure("len", {}).hint or "")


def test_a_program_is_checked_for_each_kind_of_its_variables() -> None:
    program = compile_expression("x + 1")
    assert program.run({"x": 1}) == 2
    with pytest.raises(ExpressionError, match="mismatched types string and int"):
        program.run({"x": "1"})
    assert program.run({"x": 1.5}) == 2.5
    with pytest.raises(ExpressionError, match="unknown name x"):
        program.run({})


def test_a_condition_must_be_a_bool() -> None:
    assert evaluate_condition("x > 1", {"x": 2})
    with pytest.raises(ExpressionError, match="gives a string, not true or false"):
        evaluate_condition("x", {"x": "true"})
