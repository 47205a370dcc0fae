"""Fills a database with workflows that have ended, quickly: what lists are measured on."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from tiphys._util.ids import new_id
from tiphys._util.times import to_epoch
from tiphys.db.store import open_store
from tiphys.engine.model import Node, NodeType, Phase, WorkflowState
from tiphys.ports.store import WorkflowBatch
from tiphys.records.runs import ExecutionStatus, Run
from tiphys.records.workflows import WorkflowRow

_CHUNK = 2_000


def fill(db_url: str, count: int, *, namespace: str = "bench") -> None:
    """Store so many workflows of one node, of ten teams; each hundredth failed, and each ten thousandth is `rare`."""
    store = open_store(db_url)
    start = datetime.now(UTC) - timedelta(seconds=count)
    try:
        for first in range(0, count, _CHUNK):
            with store.transaction() as transaction:
                for number in range(first, min(first + _CHUNK, count)):
                    row, run, batch = _stored(number, namespace, start + timedelta(seconds=number))
                    transaction.add(row, run)
                    transaction.save(batch)
    finally:
        store.close()


def _stored(number: int, namespace: str, at: datetime) -> tuple[WorkflowRow, Run, WorkflowBatch]:
    uid, name = new_id(), f"stored-{number:06d}"
    phase = Phase.FAILED if number % 100 == 0 else Phase.SUCCEEDED
    labels = {"team": f"t{number % 10}"}
    if number % 10_000 == 0:
        labels["rare"] = "yes"
    template = {"name": "main", "container": {"image": "busybox", "command": ["true"]}}
    manifest = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name, "namespace": namespace, "uid": uid, "labels": labels},
        "spec": {"entrypoint": "main", "templates": [template]},
    }
    row = WorkflowRow(
        id=uid,
        name=name,
        workspace=namespace,
        labels=labels,
        phase=phase,
        runner="process",
        created_at=at,
        started_at=at,
        finished_at=at,
        manifest=json.dumps(manifest),
    )
    run = Run(
        id=new_id(),
        name=name,
        workspace=namespace,
        workflow_uid=uid,
        status=ExecutionStatus.FAILED if phase is Phase.FAILED else ExecutionStatus.COMPLETED,
        created_at=at,
        finished_at=at,
    )
    now = to_epoch(at)
    node = Node(
        id=name,
        name=name,
        display_name=name,
        type=NodeType.POD,
        phase=phase,
        template="main",
        started_at=now,
        finished_at=now,
    )
    state = WorkflowState(uid=uid, name=name, phase=phase, started_at=now, finished_at=now)
    return row, run, WorkflowBatch(uid, nodes=[node], state=state)
