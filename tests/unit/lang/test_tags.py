"""Tags in texts and trees."""

from __future__ import annotations

from typing import Any

import pytest

from tiphys.errors import ExpressionError
from tiphys.lang.tags import fill_tree, has_tags, parse

VALUES = {"a.b": "1", "x": "a", "a.c": "{{a.b}}", "quote": 'say "hi"\n', "p.1": "one"}


def fill(text: str, *, lenient: bool = False) -> str:
    return parse(text).fill(VALUES.get, lenient=lenient)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain }} {", "plain }} {"),
        ("{{a.b}}", "1"),
        ("<{{ a.b }}|{{x}}>", "<1|a>"),
        ("{{p.{{a.b}}}}", "one"),
        ("{{{{x}}.b}}", "1"),
        ("{{ {{x}}.b }}!", "1!"),
        ("{{a.c}}", "{{a.b}}"),
        ("{{quote}}", 'say "hi"\n'),
    ],
)
def test_fill(text: str, expected: str) -> None:
    assert fill(text) == expected


def test_what_has_no_value_is_named_or_left() -> None:
    with pytest.raises(ExpressionError) as caught:
        fill("x {{inputs.parameters.none}}")
    assert "'{{inputs.parameters.none}}' cannot be resolved" in str(caught.value)
    assert fill("x {{inputs.parameters.none}} {{x}}", lenient=True) == "x {{inputs.parameters.none}} a"


def test_tags_of_other_programs_stay() -> None:
    assert fill("{{ user.name }} {{x}}") == "{{user.name}} a"


def test_tags_are_not_nested_without_end() -> None:
    with pytest.raises(ExpressionError, match="nested more than 20 deep"):
        parse("{{" * 5000)


@pytest.mark.parametrize("text", ["{{a", "x {{a.{{b}}", "{{=1"])
def test_an_open_tag_is_an_error(text: str) -> None:
    with pytest.raises(ExpressionError, match="not closed"):
        parse(text)


def test_an_expression_tag_is_refused_when_it_is_needed() -> None:
    text = parse("{{= 1 + 1 }}")

    with pytest.raises(ExpressionError, match="there can be no expression here"):
        text.fill(VALUES.get)
    assert text.fill(VALUES.get, lambda source: f"<{source}>") == "<1 + 1>"


def test_what_a_text_consists_of() -> None:
    assert parse("plain").is_plain
    assert not parse("{{x}}").is_plain
    assert parse("{{ x }}").single == "x"
    assert parse("{{x}} ").single is None
    assert parse("{{a.{{x}}}}").single is None
    assert list(parse("{{b}} {{a.{{x}}}}").names()) == ["b", "x"]


def test_trees() -> None:
    tree: dict[str, Any] = {"k-{{x}}": ["{{a.b}}", 1, None, {"deep": "{{x}}"}], "plain": {"same": [1, "2"]}}

    filled = fill_tree(tree, VALUES.get)

    assert filled == {"k-a": ["1", 1, None, {"deep": "a"}], "plain": {"same": [1, "2"]}}
    assert filled["plain"] is tree["plain"]
    assert has_tags(tree)
    assert not has_tags(tree["plain"])
