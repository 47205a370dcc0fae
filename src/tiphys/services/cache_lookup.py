"""Finds step runs whose result can be used again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from tiphys.engine.events import TaskFinished
from tiphys.engine.model import Phase, Reason, Values
from tiphys.ports.runner import Task
from tiphys.ports.store import Reader
from tiphys.records.base import Query
from tiphys.records.runs import ExecutionStatus, StepRun
from tiphys.services.labels import find_in
from tiphys.services.run_memory import RunMemory, StepMemory

#: Step runs of one key that are looked at: the newest ones.
CANDIDATES = 20


def find_candidates(reader: Reader, keys: Iterable[str]) -> dict[str, list[StepRun]]:
    """Completed step runs by key, the newest first."""
    wanted = set(keys)
    if len(wanted) == 1:
        (key,) = wanted
        query = Query.of(StepRun, cache_key=key, status=ExecutionStatus.COMPLETED, order="-id", limit=CANDIDATES)
        return {key: reader.find(query)}
    found: dict[str, list[StepRun]] = {key: [] for key in wanted}
    for step in find_in(reader, StepRun, "cache_key", wanted, status=ExecutionStatus.COMPLETED):
        if step.cache_key is not None:
            found[step.cache_key].append(step)
    return {key: steps[: -CANDIDATES - 1 : -1] for key, steps in found.items()}


def choose(candidates: list[StepRun], memory: RunMemory, step: StepMemory, now: datetime) -> StepRun | None:
    """The step run whose result can be used, if there is one.

    It is the newest of the same name, else the newest, of those that have not expired and whose data is in the run's
    artifact store.
    """
    for candidate in sorted(candidates, key=lambda one: one.name != step.name) if len(candidates) > 1 else candidates:
        if _is_usable(candidate, memory, step, now):
            return candidate
    return None


def _is_usable(candidate: StepRun, memory: RunMemory, step: StepMemory, now: datetime) -> bool:
    expires_at = candidate.cache_expires_at
    return (expires_at is None or expires_at > now) and has_outputs(candidate, memory, step)


def has_outputs(candidate: StepRun, memory: RunMemory, step: StepMemory) -> bool:
    """Whether all that a step would give can be taken from `candidate`."""
    outputs = candidate.outputs
    return (
        outputs.get("store") == memory.store_name
        and step.plan.exposed <= outputs["parameters"].keys()
        and all(memory.store.exists(ref["digest"]) for ref in outputs["artifacts"].values())
    )


def hit_event(task: Task, hit: StepRun) -> TaskFinished:
    """The end of a task whose result is taken from `hit`."""
    artifacts: Mapping[str, Mapping[str, object]] = hit.outputs["artifacts"]
    return TaskFinished(
        task.id,
        Phase.SUCCEEDED,
        outputs=Values(parameters=dict(hit.outputs["parameters"]), artifacts=dict(artifacts)),
        reason=Reason.CACHED,
    )
