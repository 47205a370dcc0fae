"""A store that fails for a moment delays a run and does not end it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tiphys.controller.loop import Controller
from tiphys.controller.owner import this_process
from tiphys.db.store import open_store
from tiphys.errors import StoreError
from tiphys.integrations.local.inline import InlineRunner
from tiphys.ports.clock import SystemClock
from tiphys.ports.store import Reader, Store, Transaction
from tiphys.sdk.compiler.run import request_of
from tiphys.sdk.config import StepRetryConfig
from tiphys.sdk.pipeline import pipeline
from tiphys.sdk.step import step
from tiphys.services.backend import LocalBackend
from tiphys.services.recorder import MLRecorder
from tiphys.testing.fake_runner import FAILURE, SUCCESS, WAITING, FakeRunner, World


class FailingStore(Store):
    """Fails the controller's next reads and its next transactions, a given number of each."""

    def __init__(self, store: Store, *, reads: int, transactions: int) -> None:
        self.store = store
        self.left = {"read": reads, "transaction": transactions}
        self.failed = {"read": 0, "transaction": 0}
        self.on = False

    def _fail(self, what: str) -> None:
        if self.on and self.left[what] and threading.current_thread().name == "tiphys-controller":
            self.left[what] -= 1
            self.failed[what] += 1
            raise StoreError("away for a moment")

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        self._fail("transaction")
        with self.store.transaction() as transaction:
            yield transaction

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        self._fail("read")
        with self.store.reader() as reader:
            yield reader

    def close(self) -> None:
        self.store.close()


@step(retry=StepRetryConfig(max_retries=1, delay=1), enable_cache=False)
def work() -> int:
    return 1


@pipeline
def p() -> None:
    work()


Start = Callable[..., tuple[FailingStore, LocalBackend, FakeRunner]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A backend on a store that will fail, and a runner that does what a script says."""
    lender = InlineRunner()
    made: list[LocalBackend] = []

    def start(outcomes: Any, *, reads: int, transactions: int) -> tuple[FailingStore, LocalBackend, FakeRunner]:
        inner = open_store(f"sqlite:///{tmp_path / 'tiphys.db'}")
        store = FailingStore(inner, reads=reads, transactions=transactions)
        backend = LocalBackend(store, home=tmp_path)
        runner = FakeRunner(World({"work": outcomes}))
        controller = Controller(
            store,
            MLRecorder(backend),
            runners=lambda _name: runner,
            lender=lender,
            clock=SystemClock(),
            owner=this_process(),
        )
        backend.connect(controller)
        made.append(backend)
        return store, backend, runner

    yield start
    lender.close()
    for backend in made:
        backend.close()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_while_it_looks_for_requests_and_when_a_step_ends(start: Start) -> None:
    store, backend, runner = start(WAITING, reads=2, transactions=2)
    run = backend.runs.submit(request_of(p.compile()))
    wait_until(lambda: bool(runner.world.running))
    store.on = True
    wait_until(lambda: store.failed["read"] == 2)
    runner.world.finish("work")
    runner.deliver()
    assert str(backend.runs.wait(run.id).status) == "completed"
    assert store.failed == {"read": 2, "transaction": 2}


def test_when_a_timer_fires(start: Start) -> None:
    store, backend, runner = start([FAILURE, SUCCESS], reads=0, transactions=1)
    run = backend.runs.submit(request_of(p.compile()))
    wait_until(lambda: [str(found.status) for found in backend.runs.steps(run.id)] == ["retried"])
    store.on = True
    wait_until(lambda: backend.runs.get(run.id).status.is_finished)
    assert str(backend.runs.get(run.id).status) == "completed"
    assert store.failed["transaction"] == 1
    assert runner.world.attempts("work") == 2


def test_who_waits_is_told_to_go_if_it_lasts(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tiphys.controller.loop.PATIENCE", 0.2)
    store, backend, runner = start(WAITING, reads=0, transactions=1_000_000)
    run = backend.runs.submit(request_of(p.compile()))
    wait_until(lambda: bool(runner.world.running))
    store.on = True
    runner.world.finish("work")
    runner.deliver()
    with pytest.raises(StoreError, match="cannot be stored: away for a moment"):
        backend.runs.wait(run.id)
    store.on = False
    wait_until(lambda: backend.runs.get(run.id).status.is_finished)
    assert str(backend.runs.get(run.id).status) == "completed"
