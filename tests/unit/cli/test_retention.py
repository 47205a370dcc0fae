from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.unit.cli.conftest import Invoke

from tiphys.services.backend import LocalBackend
from tiphys.testing.store_samples import a_workflow

ENDED = datetime(2026, 1, 1, tzinfo=UTC)


def test_rules_are_set_shown_and_unset(invoke: Invoke, read: Callable[..., Any]) -> None:
    assert "No rules" in invoke("argo", "retention", "list").output
    invoke("argo", "retention", "set", "--completed", "1000", "--failed", "5")
    invoke("argo", "retention", "set", "--archive", "180d", "--failed", "0")
    found = {each["rule"]: each["kept"] for each in read("argo", "retention", "list")}
    assert found == {"archive": 180 * 86400, "completed": 1000, "failed": 0}
    assert "for 180 d" in invoke("argo", "retention", "list").output
    invoke("argo", "retention", "unset", "failed")
    invoke("argo", "retention", "set", "--archive", "forever")
    assert {each["rule"]: each["kept"] for each in read("argo", "retention", "list")} == {
        "archive": 0,
        "completed": 1000,
    }
    invoke("argo", "retention", "unset")
    assert read("argo", "retention", "list") == []


def test_what_is_no_rule(invoke: Invoke) -> None:
    assert "Name a rule" in invoke("argo", "retention", "set", code=2).output
    assert "is not a span" in invoke("argo", "retention", "set", "--archive", "soon", code=2).output
    assert "is not a span" in invoke("argo", "retention", "set", "--archive", "400000d", code=2).output
    assert "leave the list" in invoke("argo", "retention", "set", "--archive", "99999d", "--dry-run").output
    assert "keeps nothing" in invoke("argo", "retention", "set", "--archive", "0d", code=2).output


def test_what_would_go_is_told_before(invoke: Invoke, read: Callable[..., Any], backend: LocalBackend) -> None:
    with backend.store.transaction() as transaction:
        for number in range(3):
            ended = ENDED + timedelta(hours=number)
            transaction.add(
                a_workflow(f"u{number}", name=f"w{number}", phase="Succeeded", runner="sandbox", finished_at=ended)
            )
    told = invoke("argo", "retention", "set", "--completed", "1", "--dry-run").output
    assert told.splitlines() == [
        "With these rules, 2 workflows leave the list, and 0 the archive.",
        "default/w0",
        "default/w1",
    ]
    assert read("argo", "retention", "list") == []
    assert "--yes" in invoke("argo", "retention", "set", "--completed", "1", code=2).output
    said = invoke("argo", "retention", "set", "--completed", "1", "--archive", "12h", "--yes").output
    assert "2 workflows leave the list (the archive keeps them), and 0 the archive" in said
