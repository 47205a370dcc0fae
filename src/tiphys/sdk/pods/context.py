"""What a pod may know of its workflow, beside its own template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tiphys._util import tracing
from tiphys.ports.runner import Task
from tiphys.sdk.pods.containers import MAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class PodContext:
    """The keys of a task's `context` that pods need; all others are ignored."""

    #: Name of the workflow.
    workflow: str = ""
    namespace: str = "argo"
    #: The node's id in the workflow's status, and the pod's name there.
    node_id: str = ""
    pod_name: str = ""
    #: Name of the machine; for `spec.nodeName`.
    host_name: str = "localhost"
    service_account: str = "default"
    #: Of the pod.
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    #: The workflow's `volumes`, with those made for its `volumeClaimTemplates`.
    volumes: tuple[Mapping[str, Any], ...] = ()
    #: File for the log of `main`; another container's is `<this>.<container>`. None: in the task's folder.
    log: str | None = None
    #: Whether somebody refers to `outputs.result`: only then is standard output kept as a result.
    include_result: bool = True
    #: Whether the logs become artifacts, whatever the template says.
    archive_logs: bool = False
    #: Epoch seconds, for `ARGO_DEADLINE`.
    deadline: float | None = None
    #: Seconds between SIGTERM and SIGKILL for sidecars (`terminationGracePeriodSeconds`).
    grace: float = 30.0
    #: The node's span, for what its containers trace; empty if nothing does.
    traceparent: str = ""
    #: File that those who need the pod hold (`integrations.local.pods.leash`): it ends when nobody does any more.
    leash: str | None = None

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> PodContext:
        """Read it from a task's context."""
        known = {name: data[name] for name in _NAMES if data.get(name) is not None}
        if "volumes" in known:
            known["volumes"] = tuple(known["volumes"])
        return PodContext(**known)

    @staticmethod
    def of(task: Task) -> PodContext:
        """Read it from a task, whose own facts stand in for what the context does not say."""
        own = {"workflow": task.workflow_uid, "node_id": task.node_id, "deadline": task.deadline}
        own["pod_name"] = f"{task.node_id}-{task.attempt}" if task.attempt else task.node_id
        own["traceparent"] = tracing.parent_of(task.workflow_uid, task.node_id)
        return PodContext.from_json(own | {key: value for key, value in task.context.items() if value is not None})

    def log_of(self, container: str, beside: str) -> str:
        """Where a container's log is; `beside` is the beginning of its path where nobody named another place."""
        if self.log is None:
            return f"{beside}{container}.log"
        return self.log if container == MAIN else f"{self.log}.{container}"


_NAMES = tuple(PodContext.__dataclass_fields__)
