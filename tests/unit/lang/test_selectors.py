r"""Selectors; the tables follow k8s.io/apimachinery v0.35, pkg/labels and pkg/fields (selector_test.go)."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.errors import ExpressionError
from tiphys.lang.selectors import ConditionsOverObject, parse_field_selector, parse_selector

WORDS: dict[str, str] = {"foo": "bar", "baz": "blah"}

MATCHES: list[tuple[str, dict[str, str], bool]] = [
    ("", {"x": "y"}, True),
    ("  ", {"x": "y"}, True),
    ("x=y", {"x": "y"}, True),
    ("x==y", {"x": "y"}, True),
    ("x=y,z=w", {"x": "y", "z": "w"}, True),
    ("x!=y,z!=w", {"x": "z", "z": "a"}, True),
    ("x!=y", {}, True),
    ("notin=in", {"notin": "in"}, True),
    ("in in (in, notin)", {"in": "notin"}, True),
    ("x", {"x": "z"}, True),
    ("x", {"x": ""}, True),
    ("!x", {"y": "z"}, True),
    ("x>1", {"x": "2"}, True),
    ("x<1", {"x": "0"}, True),
    ("x<1", {"x": "-5"}, True),
    ("x>1,x<5", {"x": "3"}, True),
    ("x=z", {}, False),
    ("x=", {}, False),
    ("x=", {"x": ""}, True),
    ("x= ,z= ", {"x": "", "z": ""}, True),
    ("x=y", {"x": "z"}, False),
    ("x=y,z=w", {"x": "w", "z": "w"}, False),
    ("x!=y,z!=w", {"x": "z", "z": "w"}, False),
    ("x", {"y": "z"}, False),
    ("!x", {"x": "z"}, False),
    ("x>1", {"x": "0"}, False),
    ("x>1", {"x": "many"}, False),
    ("x>1", {"x": "9223372036854775808"}, False),
    ("x>1", {}, False),
    ("x<1", {"x": "2"}, False),
    ("foo=bar,baz=blah", WORDS, True),
    ("foo=blah", WORDS, False),
    ("foo=bar,foobar=bar,baz=blah", WORDS, False),
    ("x in (abc,def),y notin (jkl),z", {"x": "def", "y": "a", "z": "1"}, True),
    ("x in (abc,def),y notin (jkl),z", {"x": "def", "y": "jkl", "z": "1"}, False),
    ("x notin (abc,def)", {}, True),
    ("x in (abc,def)", {}, False),
    ("x in ()", {"x": ""}, True),
    ("z notin ()", {"z": ""}, False),
    ("x in (,a)", {"x": ""}, True),
    ("x in (a,)", {"x": ""}, True),
    ("x in (a,,b)", {"x": ""}, True),
    ("x in (a,b)", {"x": ""}, False),
    ("workflows.argoproj.io/phase notin ( Failed , Error )", {"workflows.argoproj.io/phase": "Running"}, True),
]

UNREADABLE = [
    ("x=a||y=b", "'a||y' cannot be a value"),
    ("x==a==b", "',' is missing before '=='"),
    ("!x=a", "',' is missing before '='"),
    ("x<a", "needs a whole number, not 'a'"),
    ("x>", "needs a whole number, not ''"),
    ("x>9223372036854775808", "needs a whole number"),
    ("x,", "a name is missing before the end"),
    (",x", "a name is missing before ','"),
    ("x in (abc,def),", "a name is missing before the end"),
    ("x in a", "'(' is missing before 'a'"),
    ("x in (a", "')' is missing before the end"),
    ("x in (a b)", "')' is missing before 'b'"),
    ("x in (a=b)", "')' is missing before '='"),
    ("x y", "'y' is not an operator after 'x'"),
    ("x=(", "a name is missing before '('"),
    ("x>=1", "a name is missing before '='"),
    ("x=a b", "',' is missing before 'b'"),
    ("-x=a", "'-x' cannot be a key"),
    ("a/b/c=a", "'a/b/c' cannot be a key"),
    ("A_b/c=a", "'A_b/c' cannot be a key"),
    ("x" * 64 + "=a", "cannot be a key"),
    ("a." * 127 + "a/c=a", "cannot be a key"),
    ("x=" + "a" * 64, "cannot be a value"),
    ("x in (-a)", "'-a' cannot be a value"),
]


@pytest.mark.parametrize(("selector", "labels", "expected"), MATCHES)
def test_matches_labels(selector: str, labels: dict[str, str], expected: bool) -> None:
    assert parse_selector(selector).matches(labels) is expected


@pytest.mark.parametrize(("selector", "message"), UNREADABLE)
def test_says_what_is_wrong(selector: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_selector(selector)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("selector", "shown"),
    [
        ("x=a,a=x", "a=x,x=a"),
        ("x in (c, a),!y,z,b > 1, q!=", "b>1,q!=,x in (a,c),!y,z"),
        ("x==a", "x=a"),
        ("z notin ()", "z notin ()"),
    ],
)
def test_is_shown_in_the_order_of_keys(selector: str, shown: str) -> None:
    assert str(parse_selector(selector)) == shown


FIELDS = {"metadata.name": "x", "status.phase": "Running", "path": "a,b=c\\d", "name": "wf.step(0:a)"}

FIELD_MATCHES = [
    ("", True),
    ("metadata.name=x", True),
    ("metadata.name==x, status.phase!=Failed", True),
    (",metadata.name=x,", True),
    ("metadata.name=y", False),
    ("metadata.name!=x", False),
    ("missing=", True),
    ("missing!=a", True),
    ("missing=a", False),
    (r"path=a\,b\=c\\d", True),
    (r"path!=a\,b\=c\\d", False),
    ("name=wf.step(0:a)", True),
    ("metadata.name=x||y", False),
    ("status.phase in (Failed, Running)", True),
    ("status.phase in (Failed,Error),metadata.name=x", False),
    ("status.phase notin (Failed,Error),metadata.name=x", True),
]


@pytest.mark.parametrize(("selector", "expected"), FIELD_MATCHES)
def test_matches_fields(selector: str, expected: bool) -> None:
    assert parse_field_selector(selector).matches(FIELDS) is expected


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("x=a||y=b", "needs a backslash"),
        ("x==a==b", "needs a backslash"),
        ("x=a,b", "'b' has no operator"),
        ("x", "'x' has no operator"),
        ("x=\\", "ends with a backslash"),
        ("x=\\\\\\", "ends with a backslash"),
        ("x=\\a", "'\\a' is not an escape"),
    ],
)
def test_says_what_is_wrong_with_fields(selector: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_field_selector(selector)
    assert message in caught.value.message


@given(st.text(max_size=20))
def test_any_field_value_can_be_escaped(value: str) -> None:
    escaped = value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
    selector = parse_field_selector(f"a={escaped},b!=x")
    assert selector.matches({"a": value})
    assert not selector.matches({"a": value + "."})


JOB: dict[str, Any] = {
    "name": "test",
    "status": {
        "phase": "Error",
        "succeeded": 2,
        "ratio": 1.50,
        "big": 1e21,
        "ready": True,
        "none": None,
        "conditions": [{"type": "Complete", "status": "True"}],
    },
}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("status.phase == Error", True),
        ("status.phase in (Succeeded, Error)", True),
        ("status.phase == Succeeded", False),
        ("status.succeeded > 1", True),
        ("status.succeeded > 2", False),
        ("status.succeeded > 0, status.failed > 0", False),
        ("status.ratio == 1.5", True),
        ("status.big > 1", False),
        ("status.big == 1000000000000000000000", True),
        ("status.ready == true", True),
        ("status.none", True),
        ("status.none ==", True),
        ("!status.none", False),
        ("status.missing", False),
        ("status.phase.deeper", False),
        ("status.conditions.0.type == Complete", True),
        ("status.conditions.1.type == Complete", False),
        ("status.conditions.type", False),
        ("status.conditions != x", True),
    ],
)
def test_conditions_over_an_object(condition: str, expected: bool) -> None:
    assert ConditionsOverObject.parse(condition, "").succeeded(JOB) is expected


@pytest.mark.parametrize(
    ("phase", "succeeded", "failed"),
    [("Error", False, "status.phase=Error"), ("Succeeded", True, None), ("Pending", False, None)],
)
def test_success_needs_all_and_failure_needs_one(phase: str, succeeded: bool, failed: str | None) -> None:
    """The cases of argo-workflows v4.1, workflow/executor/resource_test.go (TestResourceConditionsMatching)."""
    conditions = ConditionsOverObject.parse("status.phase == Succeeded, name", "status.phase == Error, status.x > 1")
    tree = {"name": "test", "status": {"phase": phase}}
    found = conditions.failed(tree)
    assert conditions.succeeded(tree) is succeeded
    assert (str(found) if found else None) == failed


def test_without_conditions_an_object_has_succeeded() -> None:
    conditions = ConditionsOverObject.parse("", "")
    assert conditions.succeeded(JOB)
    assert conditions.failed(JOB) is None


words = st.from_regex(r"[a-z][a-z0-9]{0,4}", fullmatch=True)


@given(st.dictionaries(words, words, max_size=4), st.dictionaries(words, words, max_size=4))
def test_equal_labels_are_selected(wanted: dict[str, str], labels: dict[str, str]) -> None:
    selector = parse_selector(",".join(f"{key}={value}" for key, value in wanted.items()))
    assert selector.matches(labels) is (wanted.items() <= labels.items())
    assert selector.matches({**labels, **wanted})


@given(words, st.lists(words, min_size=1, max_size=3), st.dictionaries(words, words, max_size=4))
def test_notin_is_the_contrary_of_in(key: str, values: list[str], labels: dict[str, str]) -> None:
    listed = ",".join(values)
    inside, outside = parse_selector(f"{key} in ({listed})"), parse_selector(f"{key} notin ({listed})")
    assert inside.matches(labels) is not outside.matches(labels)


@given(st.text("ab1=!<>(),. \\/-", max_size=20))
def test_what_is_read_is_shown_so_that_it_can_be_read_again(text: str) -> None:
    with suppress(ExpressionError):
        parse_field_selector(text)
    with suppress(ExpressionError):
        selector = parse_selector(text)
        assert str(parse_selector(str(selector))) == str(selector)
