"""Problems as texts, in the manner of `argo lint` (cmd/argo/lint/formatter_*_test.go)."""

from __future__ import annotations

from tiphys.spec.problems import Problem, Severity
from tiphys.spec.validate.report import pretty, simple

PROBLEMS = [
    Problem("templates.main", "template type unspecified", 7),
    Problem("", "is odd", None, Severity.WARNING),
]


def test_pretty() -> None:
    assert pretty("a.yaml", PROBLEMS) == (
        "a.yaml:\n   ✖ line 7: templates.main template type unspecified\n   ▲ is odd\n\n"
    )
    assert pretty("a.yaml", []) == ""


def test_pretty_in_colours() -> None:
    assert pretty("a.yaml", PROBLEMS, color=True) == (
        "\x1b[4ma.yaml\x1b[0m:\n"
        "   \x1b[31m✖\x1b[0m line 7: templates.main template type unspecified\n"
        "   \x1b[33m▲\x1b[0m is odd\n\n"
    )


def test_simple() -> None:
    assert simple("a.yaml", PROBLEMS) == (
        "a.yaml:7: error: templates.main template type unspecified\na.yaml: warning: is odd\n"
    )
    assert simple("a.yaml", []) == ""
