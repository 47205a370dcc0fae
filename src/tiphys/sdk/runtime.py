"""Carries out one attempt of one step: the same in every runner, on any machine.

Load the inputs, call the function with its context and hooks, keep what it prints, check and store what it returns, and
report all of it in one `TaskFinished`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from types import CoroutineType
from typing import Any

from tiphys._util import tracing
from tiphys.engine.events import TaskFinished
from tiphys.engine.model import Phase, Reason, Values
from tiphys.errors import StepCancelledError, StepTimeoutError, TiphysError
from tiphys.plugins.loading import load
from tiphys.ports.ml_components import ExperimentTracker, StepInfo
from tiphys.ports.runner import Task
from tiphys.ports.step_result import OutputVersion, StepResult
from tiphys.sdk.components import Components, components_of
from tiphys.sdk.context import StepContext, enter_step_context, leave_step_context
from tiphys.sdk.hooks import call_hook
from tiphys.sdk.logs.capture import Capture, capture
from tiphys.sdk.logs.files import path_of, store_log
from tiphys.sdk.plain import plain_values
from tiphys.sdk.registry import resolve
from tiphys.sdk.step_inputs import load_inputs, signature_of
from tiphys.sdk.step_outputs import Saved, check_outputs, record_outputs, save_outputs
from tiphys.sdk.tracebacks import describe, headline


def run_task(task: Task) -> TaskFinished:
    """Carry out `task` in this thread.

    Whatever the step raises is part of the report, KeyboardInterrupt and SystemExit too: nothing is raised but a
    cancellation that arrives while the report is put together.
    """
    started = time.time()
    try:
        components = components_of(task.context)
    except Exception as error:  # noqa: BLE001  # reported
        return _without_store(task, started, error)
    return _Attempt(task, components, started).run()


def report_lost(task: Task, message: str, *, started_at: float, retryable: bool = True) -> TaskFinished:
    """The report of a task whose process died without one; what it had logged so far is stored.

    Args:
        task: The task.
        message: How it ended.
        started_at: When it began; epoch seconds.
        retryable: Whether another attempt may end otherwise.
    """
    digest, problems = None, {}
    log = path_of(task.context, task.attempt)
    try:
        if log is not None and log.is_file():
            in_parts = bool(task.context.get("logs_in_parts"))
            digest = store_log(log, components_of(task.context).store, in_parts=in_parts)
    except (OSError, TiphysError) as error:
        problems["log"] = headline(error)
    result = StepResult(
        started_at=started_at,
        finished_at=time.time(),
        exception={"type": "StepLost", "message": message, "traceback": "", "location": None},
        log_digest=digest,
        hook_errors=problems,
    )
    return TaskFinished(task.id, Phase.ERROR, message, retryable=retryable, details=result)


class _Attempt:
    """One execution of one step."""

    def __init__(self, task: Task, components: Components, started: float) -> None:
        self.task = task
        self.body = task.body
        self.components = components
        self.started = started
        self.context = StepContext(task, components.store)
        self.problems: dict[str, str] = {}
        self.tracker_metadata: dict[str, Any] = {}
        self.saved: list[Saved] = []
        self.passed = Values()
        #: Whether the step's own code was reached: what fails before is not the step's failure.
        self.called = False

    def run(self) -> TaskFinished:
        """Carry it out."""
        log: Capture | None = None
        if self.body.get("enable_step_logs") is not False:
            log = capture(self.task.context, attempt=self.task.attempt)
        token = enter_step_context(self.context)
        try:
            with log or nullcontext(), _environment(self.body.get("environment") or {}):
                with tracing.beneath(self.task.workflow_uid, self.task.node_id):
                    error = self._carry_out()
                digest = self._store_log(log, error) if log is not None else None
        finally:
            leave_step_context(token)
        return self._report(error, digest)

    def _carry_out(self) -> BaseException | None:
        """Function, outputs, hooks and trackers; returns what the step raised."""
        trackers: list[ExperimentTracker] = []
        info = self._info()
        error: BaseException | None = None
        try:
            self._execute(trackers, info)
        except BaseException as raised:  # noqa: BLE001  # reported: the engine decides what follows
            error = raised
        try:
            self._call_hooks(error)
        except BaseException as raised:  # noqa: BLE001  # reported: Ctrl-C or a cancellation in a hook
            error = error or raised
        for tracker in trackers:
            try:
                tracker.end(info, failed=error is not None)
            except Exception as problem:  # noqa: BLE001  # recorded; the step's results are stored already
                self.problems[f"experiment_tracker {tracker.name}"] = headline(problem)
        return error

    def _execute(self, trackers: list[ExperimentTracker], info: StepInfo) -> None:
        body, task = self.body, self.task
        if "code" in task.context:
            load("tiphys.sdk.shipped_code:enter")(task.context, self.components)
        function = resolve(body["source"], body.get("code_digest") or "")
        for tracker in self.components.trackers(body.get("experiment_tracker") or ()):
            self.tracker_metadata |= plain_values(tracker.start(info))
            trackers.append(tracker)
        signature = signature_of(function, task.step_name)
        arguments = load_inputs(task, signature, self.components)
        self.called = True
        call_hook(body.get("hooks") or {}, "on_start", problems=self.problems)
        returned = function(**arguments)
        if type(returned) is CoroutineType:
            returned = load("tiphys.sdk.coroutines:run")(returned)
        values = check_outputs(returned, task, signature)
        self.saved, self.passed = save_outputs(values, task, self.components.store)

    def _call_hooks(self, error: BaseException | None) -> None:
        hooks = self.body.get("hooks") or {}
        if not hooks:
            return
        if error is None:
            call_hook(hooks, "on_success", problems=self.problems)
        elif self._reason(error) is not Reason.STOPPED and (self.task.last_attempt or not self._is_retryable(error)):
            call_hook(hooks, "on_failure", error=error, problems=self.problems)
        call_hook(hooks, "on_end", error=error, problems=self.problems)

    def _store_log(self, log: Capture, error: BaseException | None) -> str | None:
        if isinstance(error, StepCancelledError):
            return None  # the engine no longer listens, so the log must be found without the report: where it is live
        try:
            return log.finish(self.components.store)
        except (OSError, TiphysError) as problem:
            self.problems["log"] = headline(problem)
            return None

    def _report(self, error: BaseException | None, log_digest: str | None) -> TaskFinished:
        outputs: list[OutputVersion] = []
        if error is None:
            outputs = record_outputs(self.saved, self.context, self.components.store_name, self.passed)
        context = self.context
        result = StepResult(
            started_at=self.started,
            finished_at=time.time(),
            outputs=tuple(outputs),
            metadata={**self.tracker_metadata, **context.step_metadata},
            other_metadata=tuple((*entity, values) for entity, values in context.other_metadata.items()),
            tags=tuple(context.other_tags),
            exception=None if error is None else describe(error),
            log_digest=log_digest,
            hook_errors=self.problems,
        )
        if error is None:
            return TaskFinished(self.task.id, Phase.SUCCEEDED, outputs=self.passed, details=result)
        return TaskFinished(
            self.task.id,
            Phase.FAILED if self.called else Phase.ERROR,
            headline(error),
            reason=self._reason(error),
            retryable=self._is_retryable(error),
            details=result,
        )

    def _reason(self, error: BaseException) -> Reason:
        if not isinstance(error, StepCancelledError | StepTimeoutError):
            return Reason.NONE
        if self.task.deadline is not None and time.time() >= self.task.deadline:
            return Reason.TIMED_OUT
        return Reason.STOPPED if isinstance(error, StepCancelledError) else Reason.NONE

    def _is_retryable(self, error: BaseException) -> bool:
        if not isinstance(error, Exception) or self._reason(error) is Reason.STOPPED:
            return False
        retry = self.body.get("retry") or {}
        only, never = retry.get("only"), retry.get("never")
        if not only and not never:
            return True
        names = _names_of(type(error))
        return not names.intersection(never or ()) and (not only or bool(names.intersection(only)))

    def _info(self) -> StepInfo:
        context, settings = self.task.context, self.body.get("settings") or {}
        return StepInfo(
            pipeline_name=self.context.pipeline_name,
            run_name=context.get("run_name", ""),
            run_id=context.get("run_id", ""),
            step_name=self.context.step_name,
            step_run_id=context.get("step_run_id", ""),
            tags=tuple(context.get("tags") or ()),
            settings=settings.get("experiment_tracker") or {},
        )


@contextmanager
def _environment(variables: Mapping[str, Any]) -> Iterator[None]:
    """Environment variables of a step. They are the process's: steps that run beside it in threads see them too."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update({name: str(value) for name, value in variables.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _without_store(task: Task, started: float, error: Exception) -> TaskFinished:
    result = StepResult(started_at=started, finished_at=time.time(), exception=describe(error))
    return TaskFinished(task.id, Phase.ERROR, headline(error), details=result)


def _names_of(kind: type[BaseException]) -> set[str]:
    """All names that an exception filter may use for a class and its bases."""
    names: set[str] = set()
    for each in kind.__mro__:
        names |= {each.__qualname__, f"{each.__module__}.{each.__qualname__}", f"{each.__module__}:{each.__qualname__}"}
    return names
