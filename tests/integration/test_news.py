"""News of Python pipelines: written with what happened, by whatever process carries the run out."""

from __future__ import annotations

import pytest

from tiphys import pipeline, step
from tiphys.bootstrap import default_backend
from tiphys.errors import RunFailedError
from tiphys.records.base import Query
from tiphys.records.events import RunNotice


def told() -> list[tuple[str, str]]:
    """Type and display name of each piece of news, in order."""
    found = []
    for notice in default_backend().find(Query.of(RunNotice, order="id")):
        nodes = notice.data["status"].get("nodes") or {}
        found.append((notice.type.removeprefix("dev.tiphys."), next((n["displayName"] for n in nodes.values()), "")))
    return found


def test_a_pipelines_run_and_steps_are_told_in_order() -> None:
    @step(enable_cache=False)
    def one() -> int:
        return 1

    @step
    def two(x: int) -> int:
        return 1 // (x - 1)

    @pipeline
    def p() -> None:
        two(one())

    default_backend().events.subscribe("s", "http://127.0.0.1:9/", private=True)
    with pytest.raises(RunFailedError):
        p()
    assert told() == [
        ("run.started", ""),
        ("step.started", "one"),
        ("step.succeeded", "one"),
        ("step.started", "two"),
        ("step.failed", "two"),
        ("run.failed", ""),
    ]


def test_nothing_is_written_where_nobody_listens() -> None:
    @step
    def one() -> int:
        return 1

    @pipeline
    def p() -> None:
        one()

    p()
    assert told() == []
