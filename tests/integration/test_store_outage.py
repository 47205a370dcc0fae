"""A store that fails for a moment delays a run and does not end it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tiphys.controller.loop import POLL, Controller
from tiphys.controller.owner import this_process
from tiphys.db.store import open_store
from tiphys.errors import StoreError
from tiphys.integrations.local.inline import InlineRunner
from tiphys.ports.clock import SystemClock
from tiphys.ports.store import Reader, Store, Transaction
from tiphys.sdk.compiler.run import request_of
from tiphys.sdk.pipeline import pipeline
from tiphys.sdk.step import step
from tiphys.services.backend import LocalBackend
from tiphys.services.recorder import MLRecorder
from tiphys.testing.fake_runner import WAITING, FakeRunner, World


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


def test_a_run_outlives_a_failing_store(tmp_path: Path) -> None:
    @step
    def work() -> int:
        return 1

    @pipeline(enable_cache=False)
    def p() -> None:
        work()

    store = FailingStore(open_store(f"sqlite:///{tmp_path / 'tiphys.db'}"), reads=2, transactions=2)
    backend = LocalBackend(store, home=tmp_path)
    runner = FakeRunner(World({"work": WAITING}))
    lender = InlineRunner()
    controller = Controller(
        store,
        MLRecorder(backend),
        runners=lambda _name: runner,
        lender=lender,
        clock=SystemClock(),
        owner=this_process(),
    )
    backend.connect(controller)
    run = backend.runs.submit(request_of(p.compile()))
    deadline = time.monotonic() + 30
    while not runner.world.running:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    store.on = True
    while store.failed["read"] < 2:
        assert time.monotonic() < deadline, "the controller no longer looks"
        time.sleep(POLL / 5)
    runner.world.finish("work")
    runner.deliver()
    assert str(backend.runs.wait(run.id).status) == "completed"
    assert store.failed == {"read": 2, "transaction": 2}
    lender.close()
    backend.close()
