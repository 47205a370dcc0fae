"""A controller that was cut off from its database, and whose workflow another one took up, commits nothing for it.

Real controllers on PostgreSQL; the runners are fakes, each with the world that its machine is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.contract.conftest import open_and_close, postgres, postgres_template, postgres_url

from tiphys.controller.loop import Controller
from tiphys.db.store import SqlStore, open_store
from tiphys.integrations.local.inline import InlineRunner
from tiphys.ports.clock import Clock, SystemClock
from tiphys.ports.store import Reader, Store, Transaction
from tiphys.records.artifacts import ArtifactVersion
from tiphys.records.base import Query
from tiphys.records.workflows import WorkflowRow
from tiphys.sdk.compiler.run import request_of
from tiphys.sdk.pipeline import pipeline
from tiphys.sdk.step import step
from tiphys.services.backend import LocalBackend
from tiphys.services.recorder import MLRecorder
from tiphys.testing.fake_runner import WAITING, FakeRunner, World

__all__ = ["open_and_close", "postgres", "postgres_template", "postgres_url"]


class CutStore(Store):
    """A store that can be cut off: whoever asks it waits."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.shared = store.shared
        self.reached = threading.Event()
        self.reached.set()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        self.reached.wait()
        with self.store.transaction() as transaction:
            yield transaction

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        self.reached.wait()
        with self.store.reader() as reader:
            yield reader

    def close(self) -> None:
        self.store.close()


class Jumping(Clock):
    """A clock that jumps."""

    def __init__(self) -> None:
        self.off = 0.0

    def now(self) -> float:
        return time.time() + self.off


@dataclass
class Replica:
    store: CutStore
    backend: LocalBackend
    controller: Controller
    runner: FakeRunner


Make = Callable[..., Replica]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Replica] = []

    def replica(url: str, world: World, *, place: str, owner: str | None = None, clock: Clock | None = None) -> Replica:
        store = CutStore(open_store(url))
        backend = LocalBackend(store, home=tmp_path)
        runner = FakeRunner(world, immediate=False)
        controller = Controller(
            store,
            MLRecorder(backend),
            runners=lambda _name: runner,
            lender=InlineRunner(),
            clock=clock or SystemClock(),
            # Of other machines, so that nobody can see whether they live.
            owner=owner or f"machine-{len(made)}:1:1",
            place=place,
        )
        backend.connect(controller)
        made.append(Replica(store, backend, controller, runner))
        return made[-1]

    yield replica
    for one in made:
        one.store.reached.set()
        one.backend.close()


@step(enable_cache=False)
def work() -> int:
    return 1


@pipeline
def p() -> None:
    work()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("same_place", [False, True])
def test_who_lost_a_workflow_commits_nothing_and_ends_its_tasks(
    postgres_url: str, make: Make, open_and_close: Callable[[str], SqlStore], same_place: bool
) -> None:
    here = World({"work": WAITING})
    there = here if same_place else World({"work": WAITING})
    first = make(postgres_url, here, place="a")
    second = make(postgres_url, there, place="a" if same_place else "b")
    store = open_and_close(postgres_url)
    run = first.backend.runs.submit(request_of(p.compile()))
    wait_until(lambda: bool(here.running))
    assert second.controller.resume(run.workflow_uid) is False

    first.store.reached.clear()
    with store.transaction() as transaction:
        transaction.end_leases([first.controller.owner])
    wait_until(lambda: not second.controller.is_alive(first.controller.owner))
    assert second.controller.resume(run.workflow_uid)
    wait_until(lambda: bool(there.running) and bool(second.runner._reports))
    if not same_place:
        here.finish("work")
        first.runner.deliver()  # its end waits for the database
    first.store.reached.set()
    wait_until(lambda: not first.controller._works)
    assert str(second.backend.runs.get(run.id).status) == "running"

    there.finish("work")
    second.runner.deliver()
    for replica in (first, second):
        assert str(replica.backend.runs.wait(run.id).status) == "completed"
    assert [str(found.status) for found in second.backend.runs.steps(run.id)] == ["completed"]
    with store.reader() as reader:
        assert reader.count(Query.of(ArtifactVersion)) == 1
        row = reader.get(WorkflowRow, run.workflow_uid)
    assert row is not None
    assert (row.phase, row.owner) == ("Succeeded", "")
    assert set(here.executions.values()) == set(there.executions.values()) == {1}
    assert here.cancelled == []


def test_tasks_of_another_home_are_ended_by_who_lost_them(
    postgres_url: str, make: Make, open_and_close: Callable[[str], SqlStore]
) -> None:
    here, there = World({"work": WAITING}), World({"work": WAITING})
    first, second = make(postgres_url, here, place="a"), make(postgres_url, there, place="b")
    run = first.backend.runs.submit(request_of(p.compile()))
    wait_until(lambda: bool(here.running))
    (task,) = here.running
    with open_and_close(postgres_url).transaction() as transaction:
        assert transaction.claim(run.workflow_uid, second.controller.owner, expected=first.controller.owner)
        transaction.renew(second.controller.owner, place="b", serving=False, seconds=60)
    wait_until(lambda: here.cancelled == [task])
    second.controller.start(run.workflow_uid)
    wait_until(lambda: list(there.running) == [task])
    there.finish("work")
    second.runner.deliver()
    assert str(first.backend.runs.wait(run.id).status) == "completed"


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_a_clock_that_jumps_changes_nothing(postgres_url: str, make: Make, jump: float) -> None:
    clock, world = Jumping(), World({"work": WAITING})
    first = make(postgres_url, world, place="a", clock=clock)
    second = make(postgres_url, World(), place="b")
    second.controller.serve()
    run = first.backend.runs.submit(request_of(p.compile()))
    wait_until(lambda: bool(world.running))
    time.sleep(0.6)  # it has looked for requests, and set the time of its next look
    clock.off = jump
    second.backend.runs.stop(run.id)
    assert str(first.backend.runs.wait(run.id).status) in ("stopped", "cancelled", "failed")
    assert len(world.cancelled) == 1
    assert set(world.executions.values()) == {1}
