"""Several processes that look after the same schedules and clean up: each time is dealt with once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tiphys.controller.cleaning import Cleaner
from tiphys.controller.cron import CronScheduler
from tiphys.db.store import SqlStore
from tiphys.engine.model import Phase, WorkflowState
from tiphys.ports.clock import Clock
from tiphys.ports.store import WorkflowBatch
from tiphys.records.base import Query
from tiphys.records.objects import ObjectKind
from tiphys.records.workflows import WorkflowSummary
from tiphys.services.backend import LocalBackend
from tiphys.testing.playing import IdleHost
from tiphys.testing.store_tools import in_threads

PROCESSES = 3
#: Some full minute.
NOON = 1_900_000_020.0 - 1_900_000_020.0 % 60
SPEC = {
    "entrypoint": "main",
    "templates": [{"name": "main", "container": {"image": "busybox", "command": ["true"]}}],
    "ttlStrategy": {"secondsAfterCompletion": 30},
}


class Hands(Clock):
    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture(params=["sqlite", "postgres"])
def backends(
    request: pytest.FixtureRequest, open_and_close: Callable[[str], SqlStore], tmp_path: Path
) -> Iterator[list[LocalBackend]]:
    url: str = request.getfixturevalue(f"{request.param}_url")
    made = [LocalBackend(open_and_close(url), home=tmp_path, host=IdleHost()) for _ in range(PROCESSES)]
    made[0].objects.create(
        {
            "kind": "CronWorkflow",
            "metadata": {"name": "c"},
            "spec": {"schedules": ["* * * * *"], "workflowSpec": SPEC, "successfulJobsHistoryLimit": 0},
        }
    )
    yield made
    for backend in made:
        backend.close()


@pytest.fixture
def schedulers(backends: list[LocalBackend], clock: Hands) -> list[CronScheduler]:
    made = [CronScheduler(backend, Cleaner(backend, clock=clock), clock=clock) for backend in backends]
    for scheduler in made:
        scheduler.look()
    return made


def end_all(backend: LocalBackend, clock: Hands) -> int:
    rows = backend.find(Query.of(WorkflowSummary, finished_at=None))
    for row in rows:
        state = WorkflowState(row.id, row.name, Phase.SUCCEEDED, "", clock.time, clock.time)
        with backend.store.transaction() as transaction:
            transaction.save(WorkflowBatch(row.id, [], state))
    return len(rows)


def test_all_that_look_at_once_start_one_run_a_time(
    backends: list[LocalBackend], schedulers: list[CronScheduler], clock: Hands
) -> None:
    for minute in range(1, 6):
        clock.time = NOON + minute * 60
        in_threads(PROCESSES, lambda index: schedulers[index].look())
        names = [row.name for row in backends[0].find(Query.of(WorkflowSummary, finished_at=None))]
        assert names == [f"c-{int(clock.time)}"]
        assert end_all(backends[0], clock) == 1
    clock.time += 11
    in_threads(PROCESSES, lambda index: schedulers[index].synchronize())
    status = backends[0].objects.get(ObjectKind.CRON_WORKFLOW, "c")["status"]
    assert (status["succeeded"], status.get("failed") or 0, status.get("active") or []) == (5, 0, [])


def test_a_run_that_has_ended_and_is_gone_is_not_started_again_by_one_that_slept(
    backends: list[LocalBackend], schedulers: list[CronScheduler], clock: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one has decided to start it, and sleeps just before it does."""
    started: list[str] = []

    def sleep(*_: Any) -> str:
        schedulers[0].look()
        started.extend(row.name for row in backends[0].find(Query.of(WorkflowSummary)))
        end_all(backends[0], clock)
        for name in started:
            backends[0].workflows.delete(name)
        return ""

    clock.time = NOON + 60
    monkeypatch.setattr(schedulers[1], "_problems", sleep)
    schedulers[1].look()
    assert started == [f"c-{int(clock.time)}"]
    assert backends[0].find(Query.of(WorkflowSummary)) == []


def test_what_is_over_its_time_to_live_is_deleted_once(
    backends: list[LocalBackend],
    schedulers: list[CronScheduler],
    clock: Hands,
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock.time = NOON + 60
    schedulers[0].look()
    end_all(backends[0], clock)
    cleaners = [Cleaner(backend, clock=clock) for backend in backends]
    for cleaner in cleaners:
        cleaner.clean()
    assert len(backends[0].find(Query.of(WorkflowSummary))) == 1
    clock.time += 30
    with caplog.at_level(logging.INFO, "tiphys.controller"):
        in_threads(PROCESSES, lambda index: cleaners[index].clean())
    assert backends[0].find(Query.of(WorkflowSummary)) == []
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == ["deleted"]
