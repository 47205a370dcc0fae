from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tiphys.engine.events import TaskFinished
from tiphys.engine.model import Phase
from tiphys.integrations.local import inline
from tiphys.integrations.local.inline import InlineRunner, _CancelledError
from tiphys.integrations.local.process import ProcessRunner
from tiphys.ports.runner import Runner, Task
from tiphys.testing.runner_contract import Desk, RunnerContract, add, result, wait_until


class TestInlineRunner(RunnerContract):
    def make_runner(self, home: Path) -> Runner:
        return InlineRunner()


class TestProcessRunner(RunnerContract):
    def make_runner(self, home: Path) -> Runner:
        return ProcessRunner(home)


class Lender:
    """Lends the present thread to a runner while the rest of a test goes on in another."""

    def __init__(self, runner: InlineRunner) -> None:
        self.runner = runner
        self.error: BaseException | None = None

    def while_doing(self, rest: Callable[[], None]) -> None:
        over = threading.Event()

        def do() -> None:
            try:
                rest()
            except BaseException as error:  # noqa: BLE001  # raised again in the test's own thread
                self.error = error
            finally:
                over.set()
                self.runner.wake()

        thread = threading.Thread(target=do)
        thread.start()
        try:
            self.runner.work(over.is_set)
        finally:
            thread.join()
        if self.error is not None:
            raise self.error


class TestLentThread:
    @pytest.fixture
    def runner(self, monkeypatch) -> Iterator[InlineRunner]:
        monkeypatch.setattr(inline, "PATIENCE", 60.0)
        runner = InlineRunner()
        yield runner
        runner.close()

    @pytest.fixture
    def desk(self, runner, tmp_path) -> Desk:
        return Desk(runner, tmp_path)

    @pytest.fixture
    def lend(self, runner) -> Callable[[Callable[[], None]], None]:
        return Lender(runner).while_doing

    def test_a_single_step_runs_in_the_lent_thread(self, desk, lend):
        seen = []

        def step() -> None:
            seen.append(threading.current_thread() is threading.main_thread())

        def chain() -> None:
            for _ in range(20):
                desk.run(step, outputs=())

        lend(chain)
        assert seen == [True] * 20

    def test_a_step_that_came_first_waits_for_the_thread(self, desk, runner):
        seen = []

        def step() -> None:
            seen.append(threading.current_thread() is threading.main_thread())

        desk.launch(step, outputs=())
        runner.work(lambda: bool(seen))
        assert seen == [True]

    def test_more_steps_go_to_other_threads(self, desk, lend):
        seen = set()
        meeting = threading.Barrier(3)

        def step() -> None:
            meeting.wait(30)
            seen.add(threading.current_thread() is threading.main_thread())

        def burst() -> None:
            for _ in range(3):
                desk.launch(step, outputs=())
            for _ in range(3):
                desk.next_report()

        lend(burst)
        assert seen == {True, False}

    def test_with_one_worker_only_the_lent_thread_is_used(self, tmp_path):
        runner = InlineRunner(1)
        desk = Desk(runner, tmp_path)
        seen = []

        def step() -> None:
            seen.append(threading.current_thread() is threading.main_thread())

        for _ in range(3):
            desk.launch(step, outputs=())
        time.sleep(0.1)
        assert seen == []
        runner.work(lambda: len(seen) == 3)
        assert seen == [True] * 3
        runner.close()

    def test_a_cancellation_that_comes_while_a_step_is_settled_leaves_nothing(self, desk, runner):
        class Stack(list):  # type: ignore[type-arg]
            def remove(self, job):
                super().remove(job)
                raise _CancelledError  # as one that was on its way: the interpreter raises it between two lines

        def step() -> None:
            thread = threading.get_ident()
            runner._stacks[thread] = Stack(runner._stacks[thread])

        desk.launch(step, outputs=())
        runner.work(lambda: not desk.no_more_reports())
        assert desk.next_report().phase is Phase.SUCCEEDED
        assert runner.is_free()

    def test_no_more_threads_than_allowed(self, tmp_path):
        runner = InlineRunner(3)
        desk = Desk(runner, tmp_path)
        running, most, lock = 0, 0, threading.Lock()

        def step() -> None:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.01)
            with lock:
                running -= 1

        def burst() -> None:
            for _ in range(20):
                desk.launch(step, outputs=())
            for _ in range(20):
                desk.next_report()

        Lender(runner).while_doing(burst)
        runner.close()
        assert most == 3

    def test_a_sleep_of_the_main_thread_is_cut_short(self, desk, runner, lend):
        started = threading.Event()
        ended = []

        def step() -> None:
            try:
                started.set()
                time.sleep(3600)
            finally:
                ended.append(threading.current_thread() is threading.main_thread())

        def cancel() -> None:
            task = desk.launch(step, outputs=())
            started.wait(30)
            runner.cancel(task.id, 60)
            wait_until(lambda: ended)
            assert desk.value(desk.run(add, parameters={"a": 1})) == 2

        lend(cancel)
        assert ended == [True]
        assert desk.no_more_reports()

    def test_a_cancellation_that_comes_late_hits_nobody(self, desk, runner, lend):
        def step(x: int) -> int:
            return x

        def race() -> None:
            for number in range(300):
                task = desk.launch(step, parameters={"x": number})
                runner.cancel(task.id, 0)
                desk.launch(add, parameters={"a": number})
                finished = desk.next_report()
                if finished.task_id == task.id:  # it was quicker than the cancellation
                    finished = desk.next_report()
                assert desk.value(finished) == number + 1

        lend(race)

    def test_ctrl_c_is_reported_and_raised(self, desk, runner):
        def step() -> None:
            signal.raise_signal(signal.SIGINT)

        launched: list[Task] = []

        def until() -> bool:
            if not launched:  # not before the thread is lent: a runner that nobody works for takes one of its own
                launched.append(desk.launch(step, outputs=()))
            return False

        with pytest.raises(KeyboardInterrupt):
            runner.work(until)
        finished = desk.next_report()
        assert (finished.phase, finished.retryable) == (Phase.FAILED, False)

    def test_ctrl_c_while_waiting_is_raised(self, runner):
        main = threading.main_thread().ident
        assert main is not None
        threading.Timer(0.05, signal.pthread_kill, [main, signal.SIGINT]).start()
        with pytest.raises(KeyboardInterrupt):
            runner.work(lambda: False)

    def test_signals_are_left_as_they_were(self, runner):
        before = signal.getsignal(signal.SIGURG)
        runner.work(lambda: True)
        assert signal.getsignal(signal.SIGURG) == before

    def test_a_step_may_wait_for_steps_of_its_own(self, desk, runner, lend):
        inner = Desk(runner, desk.home)

        def outer() -> int:
            done = []

            def report(finished: TaskFinished) -> None:
                done.append(finished)
                runner.wake()

            runner.launch(inner.task(add, parameters={"a": 4}), report)
            runner.work(lambda: bool(done))
            value: int = inner.value(done[0])
            return value

        lend(lambda: _equals(desk.value(desk.run(outer)), 5))

    def test_cancelling_a_step_that_waits_for_another(self, desk, runner, lend):
        entered, ended = threading.Event(), threading.Event()

        def outer() -> None:
            try:
                entered.set()
                runner.work(lambda: False)
            finally:
                ended.set()

        def cancel() -> None:
            task = desk.launch(outer, outputs=())
            entered.wait(30)
            time.sleep(0.05)
            runner.cancel(task.id, 60)
            assert ended.wait(30)

        lend(cancel)

    def test_a_runner_whose_step_breaks_the_runtime_goes_on(self, tmp_path):
        def broken(task):
            raise RuntimeError("defect")

        runner = InlineRunner(run_task=broken)
        desk = Desk(runner, tmp_path)
        for _ in range(2):
            finished = desk.run(add)
            assert (finished.phase, finished.message) == (Phase.ERROR, "RuntimeError: defect")
            assert result(finished).exception is not None
        runner.close()

    def test_a_fresh_runner_knows_no_task(self, desk):
        assert InlineRunner().reattach([desk.task(add)], desk.reports.put) == set()


def _equals(left: object, right: object) -> None:
    assert left == right
