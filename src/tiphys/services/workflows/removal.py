"""What goes with a workflow that is removed, and what the archive keeps of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from tiphys._util.ids import new_id
from tiphys._util.times import utc_now
from tiphys.errors import ArtifactError, NotFoundError
from tiphys.ports.store import Store
from tiphys.records.base import Query
from tiphys.records.runs import Run
from tiphys.records.workflows import WorkflowRemoval, WorkflowRequest, WorkflowRow, WorkflowSummary
from tiphys.services.runs import delete_run
from tiphys.services.workflows.garbage import ON_COMPLETION, ON_DELETION, Garbage, claims_of
from tiphys.services.workflows.pods import logs_folder
from tiphys.services.workflows.submission import whole_spec


def delete_leftovers(store: Store, row: WorkflowSummary, garbage: Callable[[], Garbage], *, force: bool) -> None:
    """Delete the artifacts and claims that go with an ended workflow.

    Args:
        store: The database.
        row: The workflow.
        garbage: What deletes them.
        force: Leave artifacts where they are.

    Raises:
        ArtifactError: artifacts cannot be deleted, so the workflow is kept.
    """
    with store.reader() as reader:
        stored = reader.load_workflow(row.id)
    if stored is None:
        return
    manifest = json.loads(stored.row.manifest)
    hands = garbage()
    if not force:
        _, problems = hands.delete_artifacts(stored, {ON_COMPLETION, ON_DELETION})
        if problems and not (whole_spec(manifest).get("artifactGC") or {}).get("forceFinalizerRemoval"):
            raise ArtifactError(
                f"The workflow {row.name} is kept, as its artifacts cannot be deleted: {'; '.join(problems)}",
                hint=f"Delete it and leave them where they are: tiphys argo delete --force {row.name}",
            )
    hands.delete_claims(row.id, claims_of(manifest))


def remove(store: Store, row: WorkflowSummary, home: Path, *, archive: bool) -> None:
    """Take an ended workflow off the list.

    Args:
        store: The database.
        row: The workflow.
        home: Where its logs are.
        archive: Whether the archive keeps it, with its records and its logs.

    Raises:
        NotFoundError: another process was first.
    """
    gone = NotFoundError(f"The workflow '{row.name}' was deleted by another process meanwhile.")
    with store.transaction() as transaction:
        if archive:
            if not transaction.update_found(Query.of(WorkflowRow, id=row.id, archived=False), archived=True):
                raise gone
        else:
            for run in transaction.find(Query.of(Run, workflow_uid=row.id)):
                delete_run(transaction, run)
            transaction.delete_found(Query.of(WorkflowRequest, workflow_uid=row.id))
            if not transaction.delete(WorkflowRow, [row.id]):
                raise gone
        if not row.archived:
            transaction.add(WorkflowRemoval.of(row, id=new_id(), now=utc_now()))
    if not archive:
        shutil.rmtree(logs_folder(home, row.id), ignore_errors=True)
