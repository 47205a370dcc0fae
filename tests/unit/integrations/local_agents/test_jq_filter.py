"""Filters of jq, in their process."""

from __future__ import annotations

import importlib.util

import pytest

from tiphys.errors import ExpressionError, MissingExtraError
from tiphys.integrations.local.agents import jq_filter
from tiphys.integrations.local.agents.jq_filter import apply_filter

VALUE = {"metadata": {"name": "w", "labels": {"b": "<", "a": "ü"}}, "n": 2.0, "list": [1, None, "x"]}


@pytest.mark.parametrize(
    ("filter", "text"),
    [
        (".metadata.name", "w"),
        (".metadata.labels", '{"a":"ü","b":"\\u003c"}'),
        (".n", "2"),
        (".list[]", "1\nnull\nx"),
        (".list # a comment", '[1,null,"x"]'),
        ("def f: . + 1; .n | f", "3"),
        ("empty", ""),
        ("$ENV, env", "{}\n{}"),
    ],
)
def test_what_a_filter_gives(filter: str, text: str) -> None:
    assert apply_filter(filter, VALUE) == text


@pytest.mark.parametrize(
    ("filter", "message"),
    [
        (".[", "syntax error"),
        (".list.x", "Cannot index array"),
        ('import "a" as a; .', "syntax error"),
        ("repeat(1)", "it gives too much"),
    ],
)
def test_what_a_filter_cannot(filter: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jq_filter, "LONGEST", 100)
    with pytest.raises(ExpressionError, match=message):
        apply_filter(filter, VALUE)


def test_a_filter_without_an_end_is_stopped() -> None:
    with pytest.raises(ExpressionError, match="took longer than 0.2 s"):
        apply_filter("def f: f; f", VALUE, seconds=0.2)


def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="tiphys\\[jq\\]"):
        apply_filter(".", VALUE)
