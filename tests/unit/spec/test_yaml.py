"""YAML as Go reads it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.errors import SpecError
from tiphys.spec import yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("n", False),
        ("On", True),
        ("OFF", False),
        ("'yes'", "yes"),
        ("~", None),
        ("Null", None),
        ("12", 12),
        ("-3", -3),
        ("1_000", 1000),
        ("0x1F", 31),
        ("010", 8),
        ("0o10", 8),
        ("0b101", 5),
        ("-0b11", -3),
        ("09", 9.0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1.", 1.0),
        (".inf", float("inf")),
        ("12:30:45", "12:30:45"),
        ("2024-01-31", "2024-01-31"),
        ("2024-01-31T10:00:00Z", "2024-01-31T10:00:00Z"),
        ("!!timestamp 2024-01-31", "2024-01-31"),
        ("1.2.3", "1.2.3"),
        ("0x", "0x"),
        ("3.11-slim", "3.11-slim"),
        ("=", "="),
        ("{1: a, true: b, 1.5: c, ~: d}", {"1": "a", "true": "b", "1.5": "c", "null": "d"}),
        ("{a: &x [1], b: *x}", {"a": [1], "b": [1]}),
        ("{a: &x {k: 1, l: 2}, b: {<<: *x, l: 3}}", {"a": {"k": 1, "l": 2}, "b": {"k": 1, "l": 3}}),
        ('{"json": [1, "a", null]}', {"json": [1, "a", None]}),
    ],
)
def test_scalars(text: str, value: Any) -> None:
    [found] = yaml.load(f"- {text}")

    assert found == value
    assert type(found) is type(value)


def test_documents() -> None:
    assert yaml.load_all("a: 1\n---\n---\nb: 2\n") == [{"a": 1}, {"b": 2}]
    with pytest.raises(SpecError, match=r"One YAML document was expected in x\.yaml, 2 were found"):
        yaml.load("a: 1\n---\nb: 2\n", source="x.yaml")


def test_a_key_may_stand_twice_unless_strict() -> None:
    assert yaml.load("a: 1\na: 2\n") == {"a": 2}
    with pytest.raises(SpecError, match="line 2, column 1: key 'a' is already set"):
        yaml.load("a: 1\na: 2\n", strict=True)


@pytest.mark.parametrize("text", ["a: [1", "a:\n\t- b", "!!python/object:os.system x", "{[1]: 2}", "!!int x"])
def test_wrong_text_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="Not valid YAML"):
        yaml.load(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert yaml.load_all(yaml.dump({"value": value})) == [{"value": value}]


@pytest.mark.parametrize(
    "text", ["y", "NO", "0o7", "1e3", "012", "~", "2024-01-01", "12:30", "<<", "=", "", " a", "a: b", "#"]
)
def test_texts_that_look_like_something_else_stay_texts(text: str) -> None:
    assert yaml.load(yaml.dump([text])) == [text]


def test_order_is_kept_and_documents_are_parted() -> None:
    assert yaml.dump({"b": 1, "a": [1, {"c": 2}]}) == "b: 1\na:\n- 1\n- c: 2\n"
    assert yaml.load_all(yaml.dump_all([{"a": 1}, {"b": 2}])) == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": "\\ud83d\\ude00 \\/"}', {"a": "😀 /"}),
        ('{\n\t"a": 1e3\n}', {"a": 1000.0}),
        ("{a: 1}", {"a": 1}),
        ("[yes, {a: &x 1}]", [True, {"a": 1}]),
        ('\ufeff{"a": 1}', {"a": 1}),
    ],
)
def test_json_and_what_looks_like_it(text: str, value: Any) -> None:
    assert yaml.load(text.encode()) == value


def test_lines_are_those_of_the_keys() -> None:
    tree, other = yaml.parse_all("a:\n  b: [1,\n   2]\n  c:\n  - x: 1\n---\nd: 1\n")

    paths: list[tuple[str | int, ...]] = [
        (),
        ("a",),
        ("a", "b", 1),
        ("a", "c", 0, "x"),
        ("a", "c", 3),
        ("a", "no", "x"),
    ]
    assert [tree.line(path) for path in paths] == [1, 1, 3, 5, 4, 1]
    assert other.line(("d",)) == 7
    assert tree.part(("a", "c", 0)).line(("x",)) == 5
    assert yaml.Tree({"a": 1}).line(("a",)) is None


def test_lines_of_merged_keys_are_those_of_their_anchor() -> None:
    [tree] = yaml.parse_all("a: &x\n  k: 1\nb:\n  <<: *x\n  l: 2\n")

    assert tree.value["b"] == {"k": 1, "l": 2}
    assert tree.line(("b", "k")) == 2


def bomb(levels: int) -> str:
    """Lists of nine aliases each: 9 ** levels values from a short text."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


def test_aliases_are_bounded() -> None:
    assert len(yaml.load(bomb(3))["a2"]) == 9
    with pytest.raises(SpecError, match="excessive aliasing"):
        yaml.load(bomb(9))
    merged = "\n".join(
        ["a0: &a0 {k: v}"] + [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12)]
    )
    with pytest.raises(SpecError, match="excessive aliasing"):
        yaml.load(merged)
    with pytest.raises(SpecError, match="an anchor contains itself"):
        yaml.load("a: &a [*a]")


DEEP = 100_000


@pytest.mark.parametrize(
    "text",
    [
        "[" * DEEP,
        "{a: " * DEEP,
        "- " * DEEP,
        "\n".join(" " * number + "a:" for number in range(500)),
        '{"a":' * DEEP + "1" + "}" * DEEP,
        '{"a":' * 150 + "1" + "}" * 150,
    ],
    ids=["lists", "maps", "blocks", "lines", "json", "json that Python reads"],
)
def test_depth_is_bounded(text: str) -> None:
    with pytest.raises(SpecError, match="nested too deeply|Not valid YAML"):
        yaml.load(text)


def test_values_are_bounded_in_depth_too() -> None:
    value: Any = 1
    for _ in range(yaml.MAX_DEPTH // 2):
        value = {"a": [value]}
    yaml.check_depth(value)
    with pytest.raises(SpecError, match="nested 100 deep"):
        yaml.check_depth([value])
