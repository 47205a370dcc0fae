"""Carries Python steps out in this process: in the thread that waits for the run, and in daemon threads beside it."""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from functools import partial
from types import FrameType

from tiphys.engine.events import TaskFinished
from tiphys.engine.model import Phase
from tiphys.errors import StepCancelledError
from tiphys.ports.runner import Report, Runner, Task
from tiphys.ports.step_result import StepResult
from tiphys.sdk.runtime import run_task

#: Seconds that a task waits for a thread to be lent before it goes to a thread of the runner: a run is submitted a
#: moment before its caller begins to wait, and its first step should find the caller's thread.
PATIENCE = 0.05
#: Seconds until a cancellation that had no effect is tried again, at first.
INSIST = 0.05
#: How many ended tasks are remembered, for a controller that lost their reports and asks again.
REMEMBERED = 512

#: Interrupts system calls of the main thread, and is ignored by default and by everybody.
_SIGNAL: int | None = getattr(signal, "SIGURG", None)


class _CancelledError(StepCancelledError):
    """Raised inside a step; without arguments, as the interpreter makes it."""

    def __init__(self) -> None:
        super().__init__("The step was cancelled.")


class _Job:
    """A task on its way."""

    __slots__ = ("cancelled", "interrupted", "report", "task", "thread")

    def __init__(self, task: Task, report: Report) -> None:
        self.task = task
        self.report = report
        self.cancelled = False
        #: Whether the exception that ends it is on its way for certain.
        self.interrupted = False
        #: The thread that carries it out, while it does.
        self.thread: int | None = None


#: Seconds after which a waiting thread lets Python handle signals.
_LOOK_UP = 0.5


class _Seat:
    """A thread that takes jobs: a worker of ours, or one that is lent while it waits for a run."""

    __slots__ = ("idle", "mailbox")

    def __init__(self) -> None:
        #: None asks the thread to look around.
        self.mailbox: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        #: Whether a job may be put into the mailbox: there is none in it, and none is carried out.
        self.idle = False


class InlineRunner(Runner):
    """Steps run in threads of this process.

    One ready step runs in the thread that is lent by `work`, so that `breakpoint()` and Ctrl-C do what they do without
    Tiphys; more than one are spread over daemon threads, made as needed.

    Args:
        workers: Most steps at the same time. With 1 only lent threads are used.
        run_task: Carries out one task.
    """

    name = "inline"

    def __init__(self, workers: int | None = None, *, run_task: Callable[[Task], TaskFinished] = run_task) -> None:
        self._most = workers or max(32, 4 * (os.cpu_count() or 1))
        self._run_task = run_task
        self._lock = threading.Lock()
        self._jobs: dict[str, _Job] = {}
        self._ended: OrderedDict[str, TaskFinished] = OrderedDict()
        self._backlog: deque[_Job] = deque()
        #: Innermost last: a step may itself wait for a pipeline, in the same thread.
        self._lent: list[_Seat] = []
        self._idle_workers: list[_Seat] = []
        self._workers = 0
        self._working = 0
        #: Thread → the jobs in it, innermost last.
        self._stacks: dict[int, list[_Job]] = {}
        self._patience: threading.Timer | None = None
        #: Nobody lent a thread when one was waited for, so the next task need not wait again.
        self._alone = False
        self._closed = False

    def launch(self, task: Task, report: Report) -> None:
        """Give the task to a free thread, or have it wait for one."""
        with self._lock:
            if self._closed or task.id in self._jobs:
                return
            ended = self._ended.get(task.id)
            if ended is None:
                job = self._jobs[task.id] = _Job(task, report)
                self._hand_over(job)
        if ended is not None:
            report(ended)

    def cancel(self, task_id: str, grace: float) -> None:
        """Raise `StepCancelledError` in the task's thread, and once more after `grace` seconds if it goes on.

        A thread cannot be killed: a step that catches the exception, or stays in native code, keeps its thread. It is
        not heard any more.
        """
        with self._lock:
            job = self._jobs.pop(task_id, None)
            if job is None or job.cancelled:
                return
            job.cancelled = True
            if job.thread is None:
                if job in self._backlog:
                    self._backlog.remove(job)
                return
            self._interrupt(job)
        threading.Thread(target=self._insist, args=[job, grace], name="tiphys-cancel", daemon=True).start()

    def reattach(self, tasks: Iterable[Task], report: Report) -> set[str]:
        """Steps end with their process, so only those that this very object was asked for are known."""
        found = set()
        ended = []
        with self._lock:
            for task in tasks:
                if task.id in self._jobs:
                    self._jobs[task.id].report = report
                elif task.id in self._ended:
                    ended.append(self._ended[task.id])
                else:
                    continue
                found.add(task.id)
        for finished in ended:
            report(finished)
        return found

    def close(self) -> None:
        """Cancel what runs and let the threads end."""
        with self._lock:
            self._closed = True
            ids = list(self._jobs)
        for task_id in ids:
            self.cancel(task_id, 0)
        with self._lock:
            for seat in [*self._idle_workers, *self._lent]:
                seat.mailbox.put(None)
            self._idle_workers.clear()
            if self._patience is not None:
                self._patience.cancel()

    def work(self, until: Callable[[], bool]) -> None:
        """Carry out tasks in the calling thread until `until()` is true, which is looked at after each task and `wake`.

        Raises:
            KeyboardInterrupt: as it came; a step that was interrupted by it is reported as failed.
            StepCancelledError: the caller is itself a step, which was cancelled.
        """
        seat = _Seat()
        restore = self._expect_signals()
        with self._lock:
            self._alone = False
            self._lent.append(seat)
            seat.idle = True
            self._hand_out_backlog()
        try:
            while not until() and not self._closed:
                job = self._next(seat) or _await(seat)
                if job is not None and self._carry_out(job, seat):
                    raise KeyboardInterrupt
                self._end_if_cancelled()
        finally:
            with self._lock:
                self._lent.remove(seat)
                while not seat.mailbox.empty():
                    left = seat.mailbox.get_nowait()
                    if left is not None:
                        self._hand_over(left)
            restore()

    def wake(self) -> None:
        """Have lent threads look at their `until` again."""
        with self._lock:
            self._wake_lent()

    def is_free(self) -> bool:
        """Whether the calling thread carries out no task."""
        return threading.get_ident() not in self._stacks

    def _wake_lent(self) -> None:
        for seat in self._lent:
            seat.mailbox.put(None)

    def _hand_over(self, job: _Job) -> None:
        """Find a thread for a job; the lock is held."""
        for seat in reversed(self._lent):
            if seat.idle:
                seat.idle = False
                seat.mailbox.put(job)
                return
        if self._lent or self._alone:
            if not self._give_to_worker(job):
                self._backlog.append(job)
            return
        self._backlog.append(job)
        if self._patience is None:
            self._patience = threading.Timer(PATIENCE, self._lose_patience)
            self._patience.daemon = True
            self._patience.start()

    def _give_to_worker(self, job: _Job) -> bool:
        if self._most == 1 or self._working + len(self._lent) >= self._most:
            return False
        self._working += 1
        if self._idle_workers:
            self._idle_workers.pop().mailbox.put(job)
        else:
            self._workers += 1
            seat = _Seat()
            seat.mailbox.put(job)
            threading.Thread(target=self._serve, args=[seat], name=f"tiphys-step-{self._workers}", daemon=True).start()
        return True

    def _lose_patience(self) -> None:
        with self._lock:
            self._patience = None
            self._alone = not self._lent
            self._hand_out_backlog()

    def _hand_out_backlog(self) -> None:
        """Give waiting jobs to all threads that may take one; the lock is held."""
        waiting, self._backlog = self._backlog, deque()
        for job in waiting:
            self._hand_over(job)

    def _next(self, seat: _Seat) -> _Job | None:
        """The next waiting job, unless one is in the mailbox already."""
        with self._lock:
            if not seat.idle or not self._backlog:
                return None
            seat.idle = False
            return self._backlog.popleft()

    def _serve(self, seat: _Seat) -> None:
        """A worker's life."""
        while True:
            job = seat.mailbox.get()
            while job is not None:
                self._carry_out(job, seat)
                with self._lock:
                    job = self._backlog.popleft() if self._backlog else None
                    if job is None:
                        self._working -= 1
                        self._idle_workers.append(seat)
            if self._closed:
                return

    def _carry_out(self, job: _Job, seat: _Seat) -> bool:
        """Run a job in this thread and report its end, unless it was cancelled. True if Ctrl-C ended it."""
        finished: TaskFinished | None = None
        try:
            if self._begin(job):
                finished = self._run_task(job.task)
        except StepCancelledError:
            pass  # between the step and its report, which nobody waits for
        except BaseException as error:  # noqa: BLE001  # reported: the thread must not die of a step
            finished = _failed(job.task, error)
        while True:
            try:
                wanted = self._settle(job, finished, seat)
                break
            except _CancelledError:  # was on its way when the step ended
                continue
        if finished is None or not wanted:
            return False
        job.report(finished)
        return not finished.retryable and _was_interrupted(finished)

    def _begin(self, job: _Job) -> bool:
        with self._lock:
            if job.cancelled:
                return False
            thread = threading.get_ident()
            self._stacks.setdefault(thread, []).append(job)
            job.thread = thread
            return True

    def _settle(self, job: _Job, finished: TaskFinished | None, seat: _Seat) -> bool:
        """End a job: nothing more is raised in its thread, which is free for what follows. Is a report wanted?"""
        with self._lock:
            # A cancellation that was on its way may raise between any two of these lines, and they come again.
            if job.thread is not None:
                stack = self._stacks.get(job.thread, [])
                if job in stack:
                    stack.remove(job)
                if not stack:
                    self._stacks.pop(job.thread, None)
                job.thread = None
            seat.idle = True
            if job.cancelled or finished is None:
                return False
            del self._jobs[job.task.id]
            self._ended[job.task.id] = finished
            if len(self._ended) > REMEMBERED:
                self._ended.popitem(last=False)
            return True

    def _end_if_cancelled(self) -> None:
        """If the lent thread is itself carrying out a step that waits for another run, its end may be asked for."""
        stack = self._stacks.get(threading.get_ident())
        if stack and stack[-1].cancelled:
            stack[-1].interrupted = True
            raise _CancelledError

    def _interrupt(self, job: _Job) -> None:
        """Raise `_CancelledError` in the job's thread; the lock is held."""
        thread = job.thread
        if thread is None:
            return
        self._wake_lent()
        if self._stacks[thread][-1] is not job:
            return  # it waits for a run whose step is carried out in its thread just now, and notices when that ends
        if thread == threading.main_thread().ident and _SIGNAL is not None:
            # Unlike an asynchronous exception, a signal also ends a sleep or a wait for input.
            signal.pthread_kill(thread, _SIGNAL)
        else:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(_CancelledError))
            job.interrupted = True

    def _insist(self, job: _Job, grace: float) -> None:
        """See to it that a job is interrupted, and once more if it goes on after `grace` seconds."""
        pause = INSIST
        while job.thread is not None and not job.interrupted:
            # A signal that comes just before the main thread enters a system call does not interrupt that.
            time.sleep(pause)
            pause = min(2 * pause, 1.0)
            with self._lock:
                if not job.interrupted:
                    self._interrupt(job)
        if grace > 0 and job.thread is not None:
            time.sleep(grace)
            with self._lock:
                self._interrupt(job)

    def _expect_signals(self) -> Callable[[], object]:
        """In the main thread: make it possible to interrupt it. Returns what undoes that."""
        if _SIGNAL is None or threading.current_thread() is not threading.main_thread():
            return _do_nothing
        previous = signal.getsignal(_SIGNAL)
        if previous == self._on_signal:
            return _do_nothing
        signal.signal(_SIGNAL, self._on_signal)
        return partial(signal.signal, _SIGNAL, signal.SIG_DFL if previous is None else previous)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        # Takes no lock: this runs between two instructions of the main thread, which may hold it.
        self._end_if_cancelled()


def _await(seat: _Seat) -> _Job | None:
    """Wait for a job or a call. A signal that came just before the wait would not end it: look up now and then."""
    while True:
        try:
            return seat.mailbox.get(timeout=_LOOK_UP)
        except queue.Empty:
            continue


def _do_nothing() -> None:
    """There is nothing to undo."""


def _failed(task: Task, error: BaseException) -> TaskFinished:
    """The report of a task whose carrying out itself broke."""
    text = f"{type(error).__qualname__}: {error}".removesuffix(": ")
    details = StepResult(
        started_at=time.time(),
        finished_at=time.time(),
        exception={"type": type(error).__qualname__, "message": str(error), "traceback": "", "location": None},
    )
    return TaskFinished(task.id, Phase.ERROR, text, retryable=isinstance(error, Exception), details=details)


def _was_interrupted(finished: TaskFinished) -> bool:
    exception = getattr(finished.details, "exception", None) or {}
    return bool(exception.get("type") == "KeyboardInterrupt")
