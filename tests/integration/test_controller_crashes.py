"""A controller that dies between any two of its steps: whoever takes the run up finishes it as if nothing had happened.

The real controller, recorder and SQLite store; only the runner is a fake, whose world survives the crash as processes
would. A crash is an exception that nobody catches, raised in the thread that works for the controller (its own, or the
one that waits and reports the ends of tasks itself) before or after a commit, a launch or a cancellation.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiphys.controller.loop import Controller
from tiphys.db.store import open_store
from tiphys.ports.backend import RunRequest
from tiphys.ports.clock import SystemClock
from tiphys.ports.runner import Report, Task
from tiphys.ports.store import Reader, Store, Transaction
from tiphys.records.artifacts import ArtifactVersion
from tiphys.records.base import Query
from tiphys.records.runs import StepRun
from tiphys.sdk.compiler.run import request_of
from tiphys.sdk.config import ExecutionMode, StepRetryConfig
from tiphys.sdk.pipeline import pipeline
from tiphys.sdk.step import step
from tiphys.services.backend import LocalBackend
from tiphys.services.recorder import MLRecorder
from tiphys.testing.fake_runner import FAILURE, SUCCESS, WAITING, FakeRunner, Script, World


class Crash(BaseException):
    """The process dies here."""


class Fuse:
    """Counts the controller's steps, and blows at one of them."""

    def __init__(self, at: int | None) -> None:
        self.at = at
        self.steps = 0
        self.blown = threading.Event()
        #: Whether the waiting thread may be working for the controller just now.
        self.steered = False

    def burn(self) -> None:
        own = threading.current_thread().name == "tiphys-controller"
        if not own and not (self.steered and threading.current_thread() is threading.main_thread()):
            return
        self.steps += 1
        if self.blown.is_set() or self.steps == self.at:
            self.blown.set()
            raise Crash


class FusedStore(Store):
    """A store whose process dies just before or just after a commit."""

    def __init__(self, store: Store, fuse: Fuse) -> None:
        self.store = store
        self.fuse = fuse

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self.store.transaction() as transaction:
            yield transaction
            self.fuse.burn()
        self.fuse.burn()

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        with self.store.reader() as reader:
            yield reader

    def close(self) -> None:
        self.store.close()


class FusedRunner(FakeRunner):
    """A runner whose caller dies just before or just after a call."""

    def __init__(self, world: World, fuse: Fuse, *, lent: bool) -> None:
        super().__init__(world, immediate=not lent)
        self.fuse = fuse

    def launch(self, task: Task, report: Report) -> None:
        self.fuse.burn()
        super().launch(task, report)
        self.fuse.burn()

    def cancel(self, task_id: str, grace: float) -> None:
        self.fuse.burn()
        super().cancel(task_id, grace)
        self.fuse.burn()


class Waiter:
    """Waits as a thread that lends itself would.

    Args:
        fuse: Of the controller.
        runner: The runner whose tasks' ends this thread reports.
    """

    def __init__(self, fuse: Fuse, runner: FusedRunner) -> None:
        self.fuse = fuse
        self.runner = runner

    def work(self, until: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not self.fuse.blown.is_set():
            if not self.runner.immediate:
                self.runner.deliver()
            self.fuse.steered = True
            try:
                if until():
                    return
            except Crash:
                return
            finally:
                self.fuse.steered = False
            assert time.monotonic() < deadline, "the run does not end"
            time.sleep(0.0005)

    def wake(self) -> None:
        pass

    def is_free(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def crashes_are_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    report = threading.excepthook
    monkeypatch.setattr(
        threading, "excepthook", lambda args: None if issubclass(args.exc_type, Crash) else report(args)
    )


def make_request() -> RunRequest:
    """1 → (2, 3 [fails once], 4 [always fails]) → (5, 6) → 7, where 6 needs 4."""

    @step
    def work(x: list[int]) -> int:
        return len(x)

    retried = work.with_options(retry=StepRetryConfig(max_retries=2, delay=0))

    @pipeline(execution_mode=ExecutionMode.CONTINUE_ON_FAILURE, enable_cache=False, parallelism=2)
    def graph() -> None:
        one = work([], id="one")
        two, three, four = work([one], id="two"), retried([one], id="three"), retried([one], id="four")
        five = work([two, three], id="five")
        work([four], id="six")
        work([five], id="seven")

    return request_of(graph.compile())


def carry_out(
    home: Path, request: RunRequest, crashes: list[int], script: Script | None = None, *, lent: bool = False
) -> tuple[dict[str, Any], World, int]:
    """Carry a run out, dying at each of `crashes` (counted anew after each); returns what is recorded at the end."""
    home.mkdir(parents=True)
    url = f"sqlite:///{home / 'tiphys.db'}"
    world = World(script or {"three": [FAILURE, SUCCESS], "four": FAILURE})
    run = None
    for number, at in enumerate([*crashes, None]):
        fuse = Fuse(at)
        store = FusedStore(open_store(url), fuse)
        backend = LocalBackend(store, home=home)
        runner = FusedRunner(world, fuse, lent=lent)
        controller = Controller(
            store,
            MLRecorder(backend),
            runners=lambda _name, runner=runner: runner,  # type: ignore[misc]
            lender=Waiter(fuse, runner),
            clock=SystemClock(),
            # No such process: whoever comes next finds the run abandoned.
            owner=f"{socket.gethostname()}:{999_999_000 + number}:0",
        )
        backend.connect(controller)
        if run is None:
            run = backend.runs.submit(request)
        elif backend.runs.get(run.id).finished_at is None:
            assert controller.resume(run.workflow_uid)
        controller.wait(run.workflow_uid)
        backend.close()
        if not fuse.blown.is_set():
            break
    assert run is not None
    store = open_store(url)
    with store.reader() as reader:
        found = {
            "status": str(reader.get(type(run), run.id).status),  # type: ignore[union-attr]
            "steps": sorted(
                (step.name, step.version, str(step.status)) for step in reader.find(Query.of(StepRun, run_id=run.id))
            ),
            "outputs": sorted((version.name, version.version) for version in reader.find(Query.of(ArtifactVersion))),
        }
    store.close()
    return found, world, fuse.steps


def make_late_request() -> RunRequest:
    """One step whose first attempt passes its deadline."""

    @step
    def work() -> int:
        return 1

    late = work.with_options(retry=StepRetryConfig(max_retries=1, delay=0), timeout=0.02)

    @pipeline(enable_cache=False)
    def graph() -> None:
        late(id="late")

    return request_of(graph.compile())


EXPECTED_STEPS = [
    ("five", 1, "completed"),
    ("four", 1, "retried"),
    ("four", 2, "retried"),
    ("four", 3, "failed"),
    ("one", 1, "completed"),
    ("seven", 1, "completed"),
    ("six", 1, "skipped"),
    ("three", 1, "retried"),
    ("three", 2, "completed"),
    ("two", 1, "completed"),
]


def check(found: dict[str, Any], world: World) -> None:
    assert found["status"] == "failed"
    assert found["steps"] == EXPECTED_STEPS
    assert found["outputs"] == sorted(
        (f"graph::{name}::output", "1") for name in ("one", "two", "three", "five", "seven")
    )
    assert set(world.executions.values()) == {1}


@pytest.mark.parametrize("lent", [False, True])
def test_a_crash_at_any_one_step(tmp_path: Path, lent: bool) -> None:
    request = make_request()
    found, world, steps = carry_out(tmp_path / "calm", request, [], lent=lent)
    check(found, world)
    assert steps >= 20
    for at in range(1, steps + 1):
        found, world, _ = carry_out(tmp_path / f"crash-{at}", request, [at], lent=lent)
        check(found, world)


def test_a_cancellation_that_was_only_written_down_is_carried_out(tmp_path: Path) -> None:
    request = make_late_request()
    script = {"late": [WAITING, SUCCESS]}
    found, world, steps = carry_out(tmp_path / "calm", request, [], script)
    assert found["steps"] == [("late", 1, "retried"), ("late", 2, "completed")]
    first = next(iter(world.executions))
    assert world.cancelled == [first]
    for at in range(1, steps + 1):
        found, world, _ = carry_out(tmp_path / f"crash-{at}", request, [at], script)
        assert found["steps"] == [("late", 1, "retried"), ("late", 2, "completed")]
        assert len(set(world.cancelled)) == 1
        assert set(world.executions.values()) == {1}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(crashes=st.lists(st.integers(1, 25), min_size=2, max_size=8))
def test_crashes_while_recovering_from_crashes(tmp_path_factory: pytest.TempPathFactory, crashes: list[int]) -> None:
    found, world, _ = carry_out(tmp_path_factory.mktemp("crashes") / "home", make_request(), crashes)
    check(found, world)
