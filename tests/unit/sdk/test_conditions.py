"""Conditions on outputs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.errors import DefinitionError
from tiphys.lang.when import evaluate
from tiphys.sdk.conditions import Comparison, Condition, Operand, as_condition, literal_text, quotable


class Named(Operand):
    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return f"output {self.name}"


a, b = Named("a"), Named("b")


def text(condition: Any) -> str:
    return as_condition(condition).text(lambda operand: f"{{{{{operand.name}}}}}")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (a > 1, "{{a}} > 1"),
        (a <= 0.5, "{{a}} <= 0.5"),
        (1 < a, "{{a}} > 1"),  # noqa: SIM300  the reflected operator is what is tested
        (1 >= a, "{{a}} <= 1"),  # noqa: SIM300
        (a == "x", '{{a}} == "x"'),
        (a != None, "{{a}} != null"),  # noqa: E711
        (a == True, "{{a}} == true"),  # noqa: E712
        (a == b, "{{a}} == {{b}}"),
        (a, "{{a}} == true"),
        (~a, "!({{a}} == true)"),
        ((a > 1) & (b < 2), "({{a}} > 1) && ({{b}} < 2)"),
        (a & b, "({{a}} == true) && ({{b}} == true)"),
        (a | (b == 1), "({{a}} == true) || ({{b}} == 1)"),
        (~((a > 1) | b), "!(({{a}} > 1) || ({{b}} == true))"),
        (True & a, "(true == true) && ({{a}} == true)"),
        (False, "true == false"),
        (a < np.float64(0.25), "{{a}} < 0.25"),
        (a < -1e-07, "{{a}} < -0.0000001"),
        (a < 1e22, "{{a}} < 10000000000000000000000"),
        (a == 'it\'s "{{x}}"', '{{a}} == "it\\u0027s \\"{\\u007bx}}\\""'),
    ],
)
def test_texts(condition: Any, expected: str) -> None:
    assert text(condition) == expected


@given(st.text(), st.text())
def test_no_text_breaks_out_of_its_place(value: str, other: str) -> None:
    held = f"{quotable(json.dumps(value, ensure_ascii=False))} == {literal_text(value)}"
    assert evaluate(held)
    condition = Comparison(a, "==", other).text(lambda _: quotable(json.dumps(value, ensure_ascii=False)))
    assert isinstance(evaluate(condition), bool)


def test_operands() -> None:
    assert [str(found) for found in ((a > 1) & ~(b == a)).operands()] == ["output a", "output b", "output a"]


@pytest.mark.parametrize(
    "use", [lambda: a == 1 and b == 1, lambda: not (a > 1), lambda: 0 < a < 1, lambda: bool(a > 1)]
)
def test_python_cannot_decide_now(use: Any) -> None:
    with pytest.raises(DefinitionError, match="when=condition"):
        use()


def test_an_output_has_no_truth_yet() -> None:
    with pytest.raises(DefinitionError, match=r"output a was used as True or False(.|\n)*when="):
        bool(a)


@pytest.mark.parametrize("value", [[1], {"a": 1}, float("nan"), object()])
def test_what_cannot_be_compared_with(value: Any) -> None:
    with pytest.raises(DefinitionError, match="output a is compared with"):
        _ = a == value


def test_what_has_no_order() -> None:
    with pytest.raises(DefinitionError, match="None has no order"):
        _ = a < None


def test_what_is_no_condition() -> None:
    with pytest.raises(DefinitionError, match=r"3 \(int\) is no condition"):
        as_condition(3)
    with pytest.raises(DefinitionError, match="parentheses"):
        _ = (a > 1) & 2


def test_outputs_can_be_in_sets() -> None:
    assert len({a, b, a}) == 2
    assert isinstance(a != b, Condition)


def test_literals_are_json() -> None:
    assert [literal_text(value) for value in (None, True, 1, 1.5, "é")] == ["null", "true", "1", "1.5", '"é"']
