"""Workflows that run again: taken up where they failed, or submitted anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tiphys._util.times import to_epoch, utc_now
from tiphys.engine import operations
from tiphys.engine.model import Phase
from tiphys.ports.store import StoredWorkflow, Transaction, WorkflowBatch
from tiphys.ports.workflows import SubmitOptions
from tiphys.records.workflows import WorkflowRow
from tiphys.services.workflows.submission import Submitted, generate_name, prepare
from tiphys.spec.workflow import Workflow


def retried(
    stored: StoredWorkflow, *, restart_successful: bool, selector: str, parameters: Mapping[str, str] | None
) -> tuple[WorkflowRow, WorkflowBatch, list[str]]:
    """A workflow as it is to be stored anew: its row, the nodes and status it goes on with, and ids of nodes that go.

    Raises:
        UsageError: its phase, or the options, do not allow it.
    """
    result = operations.retry(
        Workflow.from_json_text(stored.row.manifest),
        stored.state,
        stored.nodes,
        now=to_epoch(utc_now()),
        restart_successful=restart_successful,
        selector=selector,
        parameters=parameters,
    )
    row = replace(
        stored.row, manifest=result.workflow.to_json_text(), archived=False, finished_at=None, owner="", request=""
    )
    return row, WorkflowBatch(row.id, result.nodes, result.state), result.removed


def resubmitted(
    transaction: Transaction,
    stored: StoredWorkflow,
    *,
    memoized: bool,
    parameters: Mapping[str, str] | None,
    priority: int | None,
) -> tuple[Submitted, WorkflowBatch]:
    """A new workflow like an old one, and the nodes that it takes over.

    Raises:
        UsageError: it is to take over what succeeded, and the old one did not fail.
    """
    now = utc_now()
    old = Workflow.from_json_text(stored.row.manifest)
    metadata = old.metadata
    prefix = (metadata.generate_name if metadata else None) or f"{stored.row.name}-"
    workflow, nodes = operations.resubmit(
        old,
        stored.state,
        stored.nodes,
        name=generate_name(transaction, stored.row.workspace, prefix),
        now=to_epoch(now),
        memoized=memoized,
        parameters=parameters,
    )
    options = SubmitOptions(runner=stored.row.runner, priority=priority, strict=False)
    submitted = prepare(
        transaction, workflow.to_json(), options, namespace=stored.row.workspace, now=now, keep=memoized
    )
    state = replace(
        stored.state,
        uid=submitted.row.id,
        name=submitted.row.name,
        phase=Phase.RUNNING if nodes else Phase.PENDING,
        message="",
        started_at=to_epoch(now) if nodes else None,
        finished_at=None,
        shutdown="",
        suspended=submitted.row.suspended,
    )
    return submitted, WorkflowBatch(submitted.row.id, nodes, state if nodes else None)
