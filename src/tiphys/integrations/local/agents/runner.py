"""Carries out templates that need no container, in threads of this process (Argo's agent: workflow/executor/agent.go).

A crash loses what was on its way, and the controller launches it again, so it may happen twice:

- `data` reads only.
- `http` repeats the request: harmless where the method is idempotent (GET, PUT, DELETE), not for POST.
- `resource`: get, apply, replace and delete may be repeated. So may create: the object bears the id of the task that
  made it, and is taken up again unless the failure condition holds for it. A patch may be repeated if its strategy is
  merge or strategic; one of the strategy json may not (it may add to a list).
- `plugin` asks the executor plugin again, which must know by itself whether it has done the work.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from functools import partial

from tiphys.engine.events import TaskFinished, TaskProgressed
from tiphys.engine.model import Phase, Values
from tiphys.errors import SpecError, TiphysError
from tiphys.integrations.local.agents.answers import Answer, Pause, Work, exceeded
from tiphys.integrations.local.agents.data import list_paths
from tiphys.integrations.local.agents.http import call
from tiphys.integrations.local.agents.keepers import Keepers
from tiphys.integrations.local.agents.outside import ArtifactSources, ObjectActions, Secrets
from tiphys.integrations.local.agents.plugin import PluginAgent
from tiphys.integrations.local.agents.plugin_host import PluginHost
from tiphys.integrations.local.agents.resource import carry_out
from tiphys.integrations.local.agents.stored import StoredObjects
from tiphys.integrations.local.agents.workers import Workers
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.ports.object_keeper import ObjectKeeper
from tiphys.ports.runner import Report, Runner, Task
from tiphys.sdk.pods.context import PodContext

#: Most tasks that work at the same time, as Argo's agent has it; tasks that wait for an object do not count.
THREADS = 16


class _Job:
    """A task that was launched and has not ended."""

    __slots__ = ("report", "task", "what", "work")

    def __init__(self, task: Task, report: Report) -> None:
        self.task = task
        self.report = report
        self.work: Work | None = None
        #: What it waits for.
        self.what = ""


class AgentRunner(Runner):
    """HTTP requests, lists of files, operations on objects, and what executor plugins do.

    Args:
        actions: Where the objects are that are kept here.
        cluster: Connects to a cluster, for the objects of all other kinds; raises `UsageError` if there is none.
        secrets: For the headers of requests.
        store: Where artifacts are that name no other place.
        sources: For artifacts in other places, by the namespace whose Secrets open them.
        plugins: What runs executor plugins; it is closed with this object.
        confined: Tells whether `resource` templates are kept to the objects of their workflow's own namespace.
        threads: Most tasks that work at the same time.
    """

    name = "agent"

    def __init__(
        self,
        *,
        actions: ObjectActions,
        cluster: Callable[[], ObjectKeeper],
        secrets: Secrets,
        store: ArtifactStore,
        sources: Callable[[str], ArtifactSources],
        plugins: PluginHost,
        confined: Callable[[], bool] = lambda: False,
        threads: int = THREADS,
    ) -> None:
        self._keepers = Keepers(StoredObjects(actions), cluster)
        self._secrets, self._store, self._sources = secrets, store, sources
        self._confined = confined
        self._plugins = PluginAgent(actions, plugins)
        self._workers = Workers(threads, "tiphys-agent")
        self._lock = threading.Lock()
        self._jobs: dict[str, _Job] = {}

    def launch(self, task: Task, report: Report) -> None:
        """Have the task carried out, unless it is on its way."""
        with self._lock:
            if task.id in self._jobs:
                return
            job = self._jobs[task.id] = _Job(task, report)
        self._workers.submit(partial(self._go_on, job))

    def cancel(self, task_id: str, grace: float) -> None:
        """Forget the task: a request that is on its way is not called back, but its answer is not heard any more."""
        with self._lock:
            self._jobs.pop(task_id, None)

    def reattach(self, tasks: Iterable[Task], report: Report) -> set[str]:
        """Only what this very object has on its way is known; after a crash it is nothing."""
        with self._lock:
            found = {task.id for task in tasks if task.id in self._jobs}
            for task_id in found:
                self._jobs[task_id].report = report
        return found

    def close(self) -> None:
        """Forget all tasks; threads end as soon as they have done what they are at."""
        with self._lock:
            self._jobs.clear()
        self._workers.close()
        self._plugins.close()

    # The threads

    def _go_on(self, job: _Job) -> None:
        """Work on a task until it has ended or must wait."""
        if not self._is_wanted(job):
            return
        deadline = job.task.deadline
        try:
            if deadline is not None and time.time() >= deadline:
                outcome: Answer | Pause = exceeded(f"while waiting for {job.what or 'a thread'}")
            else:
                outcome = self._advance(job)
        except TiphysError as error:
            outcome = Answer(Phase.ERROR, str(error))
        except Exception as error:  # noqa: BLE001  # reported: a template may be malformed in any way
            outcome = Answer(Phase.ERROR, f"'{job.task.name}' could not be carried out: {error!r}")
        if isinstance(outcome, Answer):
            self._finish(job, outcome)
            return
        if outcome.progress or outcome.message:
            job.report(TaskProgressed(job.task.id, outcome.progress, outcome.message))
        job.what = outcome.what
        rest = outcome.seconds if deadline is None else min(outcome.seconds, max(0.0, deadline - time.time()))
        self._workers.submit(partial(self._go_on, job), after=rest)

    def _advance(self, job: _Job) -> Answer | Pause:
        if job.work is None:
            begun = self._begin(job.task)
            if isinstance(begun, Answer):
                return begun
            job.work = begun
        try:
            return next(job.work)
        except StopIteration as end:
            answer: Answer = end.value
            return answer

    def _begin(self, task: Task) -> Answer | Work:
        context = PodContext.of(task)
        if "http" in task.body:
            return call(task, namespace=context.namespace, secrets=self._secrets)
        if "data" in task.body:
            return list_paths(task, store=self._store, sources=self._sources(context.namespace))
        if "resource" in task.body:
            return carry_out(
                task,
                context,
                keepers=self._keepers,
                store=self._store,
                sources=self._sources(context.namespace),
                confined=self._confined(),
            )
        if "plugin" in task.body:
            return self._plugins.carry_out(task, context)
        raise SpecError(f"The template '{task.body.get('name')}' is not one of http, data, resource and plugin.")

    def _is_wanted(self, job: _Job) -> bool:
        with self._lock:
            return self._jobs.get(job.task.id) is job

    def _finish(self, job: _Job, answer: Answer) -> None:
        with self._lock:
            if self._jobs.get(job.task.id) is not job:
                return
            del self._jobs[job.task.id]
        values = Values(dict(answer.parameters), dict(answer.artifacts), answer.result, answer.exit_code)
        job.report(TaskFinished(job.task.id, answer.phase, answer.message, outputs=values, reason=answer.reason))
