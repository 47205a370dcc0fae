"""From a pod's end to the report about its task (as in argo-workflows, operator.go: inferFailedReason)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tiphys.engine.events import TaskFinished
from tiphys.engine.model import Phase, Values
from tiphys.integrations.local.pods.collecting import collect_artifacts, collect_logs, collect_parameters
from tiphys.integrations.local.pods.objects import ArtifactDrivers
from tiphys.integrations.local.pods.orders import CANNOT_START, ContainerEnd, PodResult
from tiphys.integrations.local.pods.plan import Plan
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.ports.runner import Task
from tiphys.sdk.wire import finished_from_text, finished_to_text

#: Exit codes after SIGKILL and SIGTERM: of a sidecar that was told to end.
_TOLD_TO_END = (137, 143)
_IN_SANDBOX = b"bwrap: "


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


def report_of(plan: Plan, result: PodResult, store: ArtifactStore, drivers: ArtifactDrivers) -> TaskFinished:
    """The report about a pod that has ended; its outputs are stored. It may be made again."""
    phase, message = verdict(plan, result)
    parameters, problems = collect_parameters(plan)
    artifacts, more = collect_artifacts(plan, store, drivers)
    problems += more
    artifacts |= collect_logs(plan, store)
    if problems and phase is Phase.SUCCEEDED:
        phase, message = Phase.ERROR, f"{plan.main}: {'; '.join(problems)}"
    mains = [end for end in result["containers"] if end["role"] == "main"]
    code = next((end["code"] for end in mains if end["code"]), None)
    code = code if code is not None else next((end["code"] for end in mains if end["name"] == plan.main), None)
    values = Values(parameters=parameters, artifacts=artifacts, result=result["result"], exit_code=code)
    return TaskFinished(plan.task.id, phase, message, outputs=values, details=_details(plan, result))


def verdict(plan: Plan, result: PodResult) -> tuple[Phase, str]:
    """Phase and message: init containers come before mains, mains before sidecars."""
    order = {"init": 0, "main": 1, "sidecar": 2}
    for end in sorted(result["containers"], key=lambda end: order[end["role"]]):
        code = end["code"]
        if not code or (end["role"] == "sidecar" and code in _TOLD_TO_END):
            continue
        why = end["error"] or _why_not_started(plan, end)
        return Phase.FAILED, f"{end['name']}: Error (exit code {code})" + (f": {why}" if why else "")
    if any(end["role"] == "main" and end["code"] is None for end in result["containers"]):
        return Phase.FAILED, "the main container did not run"
    if plan.task.body.get("daemon"):
        return Phase.FAILED, "the daemon ended by itself: it should run until it is stopped"
    return Phase.SUCCEEDED, ""


def _why_not_started(plan: Plan, end: ContainerEnd) -> str | None:
    """What bubblewrap said if it could not start the program."""
    if end["code"] not in (1, CANNOT_START) or plan.flavour != "sandbox":
        return None
    try:
        with Path(plan.log_of(end["name"])).open("rb") as log:
            first = log.readline(4096)
    except OSError:
        return None
    return first.decode("utf-8", "replace").strip() if first.startswith(_IN_SANDBOX) else None


def report_problem(task: Task, phase: Phase, message: str, *, at: float, retryable: bool = True) -> TaskFinished:
    """The report about a task of which nothing ran, or nothing is known."""
    details = PodDetails(started_at=at, finished_at=at)
    return TaskFinished(task.id, phase, message, outputs=Values(), retryable=retryable, details=details)


def _details(plan: Plan, result: PodResult) -> PodDetails:
    return PodDetails(
        started_at=result["started"],
        finished_at=result["finished"],
        containers=tuple(result["containers"]),
        logs={end["name"]: plan.log_of(end["name"]) for end in result["containers"] if end["code"] is not None},
    )


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
    return json.dumps(data)


def report_from_text(text: bytes) -> TaskFinished:
    """Read what `report_to_text` wrote."""
    data = json.loads(text)
    pod = data.pop("pod")
    details = PodDetails(**{**pod, "containers": tuple(pod["containers"])})
    return replace(finished_from_text(json.dumps(data)), details=details)
