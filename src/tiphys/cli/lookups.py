"""Questions to the backend that several commands ask."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tiphys.errors import NotFoundError
from tiphys.records.artifacts import Artifact, ArtifactUse, ArtifactVersion
from tiphys.records.base import Query, R
from tiphys.records.runs import ExecutionStatus, Pipeline, Run, StepRun

if TYPE_CHECKING:
    from tiphys.ports.backend import Backend

UNFINISHED = tuple(status for status in ExecutionStatus if not status.is_finished)


def find_run(backend: Backend, name: str | None) -> Run:
    """A run by name or id; None or `latest` for the newest.

    Raises:
        NotFoundError: there is none.
    """
    if name is not None and name != "latest":
        return backend.runs.get(name)
    found = backend.find(Query.of(Run, limit=1))
    if not found:
        raise NotFoundError("Nothing was run yet.", hint="tiphys run FILE")
    return found[0]


def find_pipeline(backend: Backend, name: str) -> Pipeline:
    """A pipeline by name or id.

    Raises:
        NotFoundError: there is none.
    """
    found = backend.find(Query.of(Pipeline, name=name, limit=1)) or backend.find(Query.of(Pipeline, id=name, limit=1))
    if not found:
        known = ", ".join(pipeline.name for pipeline in backend.find(Query.of(Pipeline, order="name", limit=10)))
        raise NotFoundError(f"No pipeline '{name}'.", hint=f"Known: {known}." if known else "tiphys run FILE")
    return found[0]


def find_version(backend: Backend, name: str) -> ArtifactVersion:
    """A version by `name`, `name:version` or id. Names may themselves hold `::`."""
    head, colon, tail = name.rpartition(":")
    if colon and head and not head.endswith(":") and "::" not in name[len(head) - 1 :]:
        try:
            return backend.artifacts.get_version(head, tail)
        except NotFoundError:
            if not backend.find(Query.of(Artifact, name=name, limit=1)):
                raise
    return backend.artifacts.get_version(name)


def by_id(backend: Backend, kind: type[R], ids: Iterable[str]) -> dict[str, R]:
    """Records of these ids, those that exist."""
    wanted = sorted(set(ids))
    return {record.id: record for record in backend.find(Query.of(kind, id=wanted))} if wanted else {}


def run_status(backend: Backend, run: Run) -> str:
    """A run's status; `interrupted` where nobody works on it though it did not end."""
    if not run.status.is_finished and run.status is not ExecutionStatus.PAUSED and backend.runs.is_interrupted(run):
        return "interrupted"
    return run.status.value


@dataclass(frozen=True, slots=True)
class StepView:
    """The last attempt of a step with the artifact versions it used and made, by the names of its signature."""

    step: StepRun
    inputs: dict[str, list[ArtifactVersion]] = field(default_factory=dict)
    outputs: dict[str, list[ArtifactVersion]] = field(default_factory=dict)


def step_views(backend: Backend, steps: Sequence[StepRun]) -> dict[str, StepView]:
    """Steps by name, each by its last attempt, in the order they were started."""
    views = {step.name: StepView(step) for step in steps}
    by_step = {view.step.id: view for view in views.values()}
    if not by_step:
        return {}
    uses = backend.find(Query.of(ArtifactUse, order="id", step_run_id=sorted(by_step)))
    versions = by_id(backend, ArtifactVersion, (use.artifact_version_id for use in uses))
    for use in uses:
        version = versions.get(use.artifact_version_id)
        if version is not None:
            view = by_step[use.step_run_id]
            (view.inputs if use.direction == "in" else view.outputs).setdefault(use.name, []).append(version)
    return views
