"""The condition language; the table was checked against govaluate's source and tests."""

from __future__ import annotations

import pytest

from tiphys.errors import ExpressionError
from tiphys.lang.when import evaluate

HOLDS = [
    "",
    "true",
    "heads == heads",
    "heads != tails",
    "'a b' == \"a b\"",
    "[a-b] == 'a-b'",
    "a\\-b == 'a-b'",
    '"say \\"x\\"" == "say \\"x\\""',
    "1 == 1.0",
    "0x1F == 31",
    ".5 < 1",
    "-1 < 0",
    "2.5e-05 < 0.5 && 1E3 == 1000",
    "1 != '1'",
    "true != 'true'",
    "b > a && b >= b && a <= b",
    "2 - 3 - 4 == -5",
    "2 + 3 * 4 == 14",
    "(2 + 3) * 4 == 20",
    "100 / 10 / 5 == 2",
    "7 % 4 == 3",
    "2 ** 3 ** 2 == 64",
    "-2 ** 2 == 4",
    "6 & 3 == 2",
    "1 << 3 == 8 && 8 >> 2 == 2",
    "1 + 2 << 1 == 6",
    "5 ^ 1 | 2 == 6",
    "~0 == -1",
    "1 / 0 > 10",
    "a + 1 == 'a1'",
    "1 + a == '1a'",
    "1.5 + a == '1.5a'",
    "a in (b, a)",
    "1 in (2, 1)",
    "!(c in (b, a))",
    "x IN (x, y)",
    "abc =~ '^a.c$'",
    "abc !~ 'd'",
    "x1 =~ '[[:digit:]]\\\\z'",
    "!false && !(1 == 2)",
    "false || true && true",
    "true || 1 == oops",
    "!(false && 5 > oops)",
    "(true ? a : b) == a",
    "(false ? a : b) == b",
    "(false ? a) ?? c == c",
    "'2024-01-01' < '2024-01-01T00:00:01Z'",
    "'2024-01-01T01:00:00+01:00' == '2024-01-01'",
    "'2024-01-01' != [2024-01-01]",
]
FAILS = [
    "false",
    "heads == tails",
    "'1' == 1",
    "a in (b, c)",
    "1 > 1",
    "abc =~ '^b'",
    "true ? false : true",
    "true && false || false",
]
WRONG = [
    ("a", "not true or false"),
    ("1 + 1", "not true or false"),
    ("a-b == c", "'a' cannot be used with '-'"),
    ("a == b c", "'c' is not expected"),
    ("1 >", "ends too early"),
    ("== 1", "not expected"),
    ("(1 == 1", "not closed"),
    ("1 == 1)", "not expected"),
    ("'a == b", "a string is not closed"),
    ("[a == b", "'[' is not closed"),
    ("1 < a", "cannot be ordered"),
    ("true > false", "cannot be ordered"),
    ("a && true", "neither true nor false"),
    ("!a", "neither true nor false"),
    ("!!true", "'!!' is not an operator"),
    ("1 in (1)", "not a list"),
    ("1 =~ a", "not text"),
    ("a =~ '('", "error parsing regexp: missing closing )"),
    ("a =~ '(?=b)'", "error parsing regexp"),
    ("a === b", "'===' is not an operator"),
    ("a = b", "'=' is not an operator"),
    ("1.2.3 == 1", "'1.2.3' is not a number"),
    ("12abc == 1", "not expected"),
    ("v1.2 == a", "reads as a field"),
    ("a & 1 == 1", "not a number"),
    ("1 + true == 2", "not a number"),
    ("{} == 1", "not an operator"),
    ("(" * 200 + "1 == 1" + ")" * 200, "nested too deeply"),
]


@pytest.mark.parametrize("text", HOLDS)
def test_holds(text: str) -> None:
    assert evaluate(text) is True


@pytest.mark.parametrize("text", FAILS)
def test_does_not_hold(text: str) -> None:
    assert evaluate(text) is False


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_wrong(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluate(text)
    assert message in str(caught.value)
    assert text in str(caught.value)


def test_long_conditions_do_not_recurse() -> None:
    assert evaluate(" && ".join(["a == a"] * 5000))


def test_a_regular_expression_takes_time_linear_in_the_text() -> None:
    """`re` would try each of 2**40 ways to divide the letters."""
    assert evaluate(f"{'a' * 40}b !~ '^(a+)+$'")
