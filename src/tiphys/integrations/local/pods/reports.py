"""From a pod's end to the report about its task.

It may be made again after a crash: nothing is taken away from the task's folder.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from tiphys.engine.events import TaskFinished
from tiphys.integrations.local.pods.orders import PodResult
from tiphys.integrations.local.pods.plan import Plan
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.sdk.pods.containers import CANNOT_START, ContainerEnd
from tiphys.sdk.pods.ends import PodDetails
from tiphys.sdk.pods.objects import ArtifactDrivers
from tiphys.sdk.pods.outputs import report_of as shared_report_of

_IN_SANDBOX = b"bwrap: "


def report_of(plan: Plan, result: PodResult, store: ArtifactStore, drivers: ArtifactDrivers) -> TaskFinished:
    """The report about a pod that has ended; its outputs are stored."""

    def find(path: str) -> AbstractContextManager[Path | None]:
        found = Path(plan.views[plan.main].locate(path))
        return nullcontext(found if found.exists() else None)

    details = PodDetails(
        started_at=result["started"],
        finished_at=result["finished"],
        containers=tuple({**end, "error": end["error"] or _why_not_started(plan, end)} for end in result["containers"]),
        logs={end["name"]: plan.log_of(end["name"]) for end in result["containers"] if end["code"] is not None},
    )
    return shared_report_of(plan.task, details, result["result"], find, store, drivers)


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
