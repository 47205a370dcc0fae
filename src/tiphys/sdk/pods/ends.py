"""How a pod ended, and what that means for its node (as in argo-workflows, operator.go: inferFailedReason)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tiphys.engine.events import TaskFinished
from tiphys.engine.model import Phase, Values
from tiphys.ports.runner import Task
from tiphys.sdk.pods.containers import ContainerEnd
from tiphys.sdk.wire import finished_from_text, finished_to_text

#: Exit codes after SIGKILL and SIGTERM: of a sidecar that was told to end.
_TOLD_TO_END = (137, 143)
_ORDER = {"init": 0, "main": 1, "sidecar": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class PodDetails:
    """What a pod left beside its outputs: `TaskFinished.details`."""

    #: Epoch seconds.
    started_at: float
    finished_at: float
    #: How each container ended.
    containers: tuple[ContainerEnd, ...] = ()
    #: Container → file of its log.
    logs: Mapping[str, str] = field(default_factory=dict)


def verdict(ends: Sequence[ContainerEnd], *, daemon: bool) -> tuple[Phase, str]:
    """Phase and message of a pod: init containers come before mains, mains before sidecars."""
    for end in sorted(ends, key=lambda end: _ORDER[end["role"]]):
        if end["code"] and not (end["role"] == "sidecar" and end["code"] in _TOLD_TO_END):
            return Phase.FAILED, _failure(end)
    if any(end["role"] == "main" and end["code"] is None for end in ends):
        return Phase.FAILED, "the main container did not run"
    if daemon:
        return Phase.FAILED, "the daemon ended by itself: it should run until it is stopped"
    return Phase.SUCCEEDED, ""


def exit_code(ends: Sequence[ContainerEnd], main: str) -> int | None:
    """The node's: of the first main that failed, else that of `main`."""
    mains = [end for end in ends if end["role"] == "main"]
    failed = next((end["code"] for end in mains if end["code"]), None)
    return failed if failed is not None else next((end["code"] for end in mains if end["name"] == main), None)


def ends_of_mains(ends: Sequence[ContainerEnd]) -> dict[str, tuple[Phase, str, int | None]]:
    """Phase, message and exit code of each container of a set."""
    found: dict[str, tuple[Phase, str, int | None]] = {}
    for end in ends:
        if end["role"] == "main":
            code = end["code"]
            phase = Phase.OMITTED if code is None else Phase.FAILED if code else Phase.SUCCEEDED
            found[end["name"]] = (phase, _failure(end) if code else "", code)
    return found


def _failure(end: ContainerEnd) -> str:
    return f"{end['name']}: Error (exit code {end['code']})" + (f": {end['error']}" if end["error"] else "")


def report_problem(task: Task, phase: Phase, message: str, *, at: float) -> TaskFinished:
    """The report about a task of which nothing ran, or nothing is known."""
    return TaskFinished(task.id, phase, message, outputs=Values(), details=PodDetails(started_at=at, finished_at=at))


def report_to_text(finished: TaskFinished) -> str:
    """A report as JSON text."""
    details: PodDetails = finished.details
    data: dict[str, Any] = json.loads(finished_to_text(replace(finished, details=None)))
    data["pod"] = {
        "started_at": details.started_at,
        "finished_at": details.finished_at,
        "containers": details.containers,
        "logs": dict(details.logs),
    }
    data["containers"] = finished.containers
    return json.dumps(data)


def report_from_text(text: bytes) -> TaskFinished:
    """Read what `report_to_text` wrote."""
    data = json.loads(text)
    pod = data.pop("pod")
    containers = {name: (Phase(end[0]), end[1], end[2]) for name, end in data.pop("containers").items()}
    details = PodDetails(**{**pod, "containers": tuple(pod["containers"])})
    return replace(finished_from_text(json.dumps(data)), details=details, containers=containers)
