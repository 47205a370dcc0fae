"""The thread that waits for a run works for the controller, too: what may happen to it there."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from tests.scenarios.helpers import statuses

from tiphys import Client, pipeline, step
from tiphys.db.store import SqlStore
from tiphys.errors import RunFailedError, StoreError
from tiphys.ports.store import Transaction


@step(enable_cache=False)
def add(x: int) -> int:
    return x + 1


@pipeline
def chain() -> None:
    x = add(1)
    for _ in range(5):
        x = add(x)


class Trouble:
    """What goes wrong in the middle of a commit."""

    call: Callable[[], None] | None = None


@pytest.fixture
def in_commits(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the threads that committed; what is put behind "then" is called by the main thread's third commit."""
    commits: list[str] = []
    real = SqlStore.transaction

    @contextmanager
    def transaction(self: SqlStore) -> Iterator[Transaction]:
        with real(self) as inner:
            yield inner
            commits.append(threading.current_thread().name)
            if Trouble.call is not None and commits.count("MainThread") == 3:
                call, Trouble.call = Trouble.call, None
                call()

    monkeypatch.setattr(SqlStore, "transaction", transaction)
    yield commits
    Trouble.call = None


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def fail() -> None:
    raise StoreError("The disk is away.")


def test_a_chain_is_carried_on_by_the_thread_that_waits(in_commits: list[str]) -> None:
    assert str(chain().status) == "completed"
    assert in_commits.count("MainThread") >= 6


def test_ctrl_c_in_the_middle_of_a_commit_ends_the_run_after_it(in_commits: list[str]) -> None:
    Trouble.call = interrupt
    with pytest.raises(KeyboardInterrupt):
        chain()
    run = Client().list_pipeline_runs()[0]
    assert str(run.status) in ("stopped", "failed")
    assert "completed" in statuses(run).values()


def test_a_commit_that_fails_there_is_tried_again(in_commits: list[str]) -> None:
    Trouble.call = fail
    run = chain()
    assert str(run.status) == "completed"
    assert {attempt.version for attempt in Client().list_run_steps(pipeline_run_id=run.id)} == {1}


def test_a_timer_that_is_set_there_fires() -> None:
    @step(enable_cache=False, timeout=0.05)
    def slow(x: int) -> int:
        time.sleep(60)
        return x

    @pipeline
    def late() -> None:
        slow(add(1))

    with pytest.raises(RunFailedError, match="deadline"):
        late()
