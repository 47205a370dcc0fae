"""Kubernetes' Events, as Argo's controller would have made them, told from what happens to workflows.

Nothing of them is stored: a workflow's status says when each of its phases began. Each has a name that follows from
what it tells, so whoever hears of it twice knows it again.

Semantics: argo-workflows 4.1, workflow/controller/operator.go (`recordWorkflowPhaseChange`,
`recordNodePhaseChangeEvents`), docs/workflow-events.md.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tiphys._util.times import to_epoch
from tiphys.engine.settling import EXCEEDED
from tiphys.lang.selectors import Selector
from tiphys.ports.workflows import ChangeType, Manifest, WorkflowChange

_PREFIX = "workflows.argoproj.io"
_CONTROLLER = "workflow-controller"
_COMPLETED = ("Succeeded", "Failed", "Error", "Skipped", "Omitted")
_NORMAL = ("Succeeded", "Running")
#: Workflows that have ended of which it is remembered that their events were told.
_REMEMBERED = 10_000


@dataclass(slots=True)
class _Seen:
    """What was told of a workflow."""

    phase: str = ""
    #: By node id.
    nodes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, order=True)
class _News:
    """An event that is to be made."""

    #: RFC 3339.
    at: str
    #: Of what happened in one second: the workflow runs, its nodes run, they end, it ends.
    rank: int
    reason: str
    message: str
    is_normal: bool
    annotations: tuple[tuple[str, str], ...] = ()


class EventTeller:
    """Tells events for one who watches.

    Args:
        fields: Which events are wanted, by their fields.
        labels: The same by labels, of which events have none.
        since: Of workflows that were not seen before, what happened before this moment is not told (RFC 3339).
    """

    def __init__(self, *, fields: Selector, labels: Selector, since: str) -> None:
        self._fields = fields
        self._any = labels.matches({})
        self._since = since
        self._seen: dict[str, _Seen] = {}
        #: uid → the end that was told.
        self._ended: OrderedDict[str, str] = OrderedDict()

    def events(self, change: WorkflowChange) -> Iterator[Manifest]:
        """The events of a change."""
        workflow = change.object
        uid, status = workflow["metadata"]["uid"], workflow.get("status") or {}
        if change.type is ChangeType.DELETED:
            self._seen.pop(uid, None)
            self._ended.pop(uid, None)
            return
        end = status.get("finishedAt") or ""
        if end and self._ended.get(uid) == end:
            return
        before = self._seen.get(uid)
        spec = status.get("storedWorkflowTemplateSpec") or workflow.get("spec") or {}
        has_deadline = spec.get("activeDeadlineSeconds") is not None
        news = sorted(_news(before or _Seen(), status, has_deadline=has_deadline))
        for one in news:
            if before is None and one.at < self._since:
                continue
            event = _event(workflow, one)
            if self._any and self._fields.matches(_fields_of(event)):
                yield event
        self._note(uid, status, end)

    def _note(self, uid: str, status: Mapping[str, Any], end: str) -> None:
        if end:
            self._seen.pop(uid, None)
            self._ended[uid] = end
            if len(self._ended) > _REMEMBERED:
                self._ended.popitem(last=False)
            return
        nodes = {node_id: node.get("phase", "") for node_id, node in (status.get("nodes") or {}).items()}
        self._seen[uid] = _Seen(status.get("phase") or "", nodes)


def _news(before: _Seen, status: Mapping[str, Any], *, has_deadline: bool) -> Iterator[_News]:
    """What has happened since a workflow was seen so."""
    phase, message = status.get("phase") or "", status.get("message") or ""
    start, end = status.get("startedAt") or "", status.get("finishedAt") or ""
    if start and phase != before.phase and before.phase != "Running":
        yield _News(start, 0, "WorkflowRunning", "Workflow Running", is_normal=True)
    for node_id, node in (status.get("nodes") or {}).items():
        yield from _news_of_node(before.nodes.get(node_id), node_id, node)
    if end and phase != before.phase:
        if has_deadline and message == EXCEEDED:
            yield _News(end, 3, "WorkflowTimedOut", "Workflow timed out", is_normal=False)
        if phase == "Succeeded":
            yield _News(end, 4, "WorkflowSucceeded", "Workflow completed", is_normal=True)
        else:
            yield _News(end, 4, "WorkflowFailed", message or f"Workflow {phase.lower()}", is_normal=False)


def _news_of_node(before: str | None, node_id: str, node: Mapping[str, Any]) -> Iterator[_News]:
    phase = node.get("phase") or ""
    if phase == before:
        return
    completed = phase in _COMPLETED
    # One that was not seen running ran all the same.
    if phase == "Running" or (completed and before in (None, "", "Pending")):
        yield _of_node(node_id, node, "Running", "", node.get("startedAt") or "")
    if completed:
        yield _of_node(node_id, node, phase, node.get("message") or "", node.get("finishedAt") or "")


def _of_node(node_id: str, node: Mapping[str, Any], phase: str, message: str, at: str) -> _News:
    text = f"{phase} node {node.get('name', '')}" + (f": {message}" if message else "")
    annotations = {
        f"{_PREFIX}/node-type": node.get("type", ""),
        f"{_PREFIX}/node-name": node.get("name", ""),
        f"{_PREFIX}/node-id": node_id,
        f"{_PREFIX}/node-start-time": _nanoseconds(node.get("startedAt")),
        f"{_PREFIX}/node-end-time": _nanoseconds(node.get("finishedAt")),
    }
    return _News(
        at, 1 if phase == "Running" else 2, f"WorkflowNode{phase}", text, phase in _NORMAL, tuple(annotations.items())
    )


def _nanoseconds(moment: str | None) -> str:
    return str(round(to_epoch(datetime.fromisoformat(moment)) * 1_000_000_000)) if moment else ""


def _event(workflow: Manifest, news: _News) -> Manifest:
    metadata = workflow["metadata"]
    told = hashlib.sha256(repr((metadata["uid"], news)).encode()).hexdigest()
    return {
        "metadata": {
            "name": f"{metadata['name']}.{told[:16]}",
            "namespace": metadata["namespace"],
            "uid": f"{told[:8]}-{told[8:12]}-{told[12:16]}-{told[16:20]}-{told[20:32]}",
            "creationTimestamp": news.at,
            **({"annotations": dict(news.annotations)} if news.annotations else {}),
        },
        "involvedObject": {
            "kind": "Workflow",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "apiVersion": "argoproj.io/v1alpha1",
        },
        "reason": news.reason,
        "message": news.message,
        "source": {"component": _CONTROLLER},
        "firstTimestamp": news.at,
        "lastTimestamp": news.at,
        "count": 1,
        "type": "Normal" if news.is_normal else "Warning",
        "eventTime": None,
        "reportingComponent": _CONTROLLER,
        "reportingInstance": "",
    }


def _fields_of(event: Manifest) -> dict[str, str]:
    """What field selectors of Events can name."""
    fields = {"reason": event["reason"], "type": event["type"], "source": _CONTROLLER}
    fields |= {"reportingComponent": _CONTROLLER}
    fields |= {f"metadata.{name}": event["metadata"][name] for name in ("name", "namespace")}
    return fields | {f"involvedObject.{name}": value for name, value in event["involvedObject"].items()}
