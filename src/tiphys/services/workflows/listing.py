"""Which workflows a filter means: what the database can tell is asked there, the selectors are applied here."""

from __future__ import annotations

from collections.abc import Iterator

from tiphys.lang.selectors import parse_field_selector, parse_selector
from tiphys.ports.store import Reader
from tiphys.ports.workflows import WorkflowFilter, WorkflowPage
from tiphys.records.base import Query, Where
from tiphys.records.workflows import WorkflowSummary
from tiphys.services.workflows.submission import LABEL_COMPLETED, LABEL_PHASE, LABEL_RESUBMITTED

#: Rows that are read at once.
_CHUNK = 500


def find_workflows(reader: Reader, wanted: WorkflowFilter, namespace: str, *, limit: int, after: str) -> WorkflowPage:
    """Workflows of a namespace that obey the filter, newest first.

    Args:
        reader: The database.
        wanted: The filter.
        namespace: Where they are.
        limit: At most so many; 0 for all.
        after: `next` of the page before.

    Raises:
        UsageError: a selector cannot be read.
    """
    labels, fields = parse_selector(wanted.labels), parse_field_selector(wanted.fields)
    found: list[WorkflowSummary] = []
    following = 0
    for row in _rows(reader, _conditions(wanted, namespace), after):
        if wanted.contains not in row.name or (wanted.resubmitted and LABEL_RESUBMITTED not in row.labels):
            continue
        if labels.matches(labels_of(row)) and fields.matches(fields_of(row)):
            if not limit or len(found) < limit:
                found.append(row)
                continue
            following += 1
            if not wanted.counted:
                break
    return WorkflowPage(
        items=found, next=found[-1].id if following else "", remaining=following if wanted.counted else None
    )


def labels_of(row: WorkflowSummary) -> dict[str, str]:
    """A workflow's labels, with those that tell how it stands."""
    return {
        **row.labels,
        LABEL_PHASE: row.phase,
        LABEL_COMPLETED: "true" if row.finished_at is not None else "false",
    }


def fields_of(row: WorkflowSummary) -> dict[str, str]:
    """What field selectors may ask for."""
    return {
        "metadata.name": row.name,
        "metadata.namespace": row.workspace,
        "metadata.uid": row.id,
        "status.phase": row.phase,
    }


def _conditions(wanted: WorkflowFilter, namespace: str) -> list[Where]:
    conditions = []
    if not wanted.all_namespaces:
        conditions.append(Where("workspace", namespace))
    if wanted.archive:
        conditions.append(Where("finished_at", None, "ne"))
    else:
        conditions.append(Where("archived", value=False))
    if wanted.names:
        conditions.append(Where("name", list(wanted.names), "in"))
    if wanted.prefix:
        conditions.append(Where("name", wanted.prefix, "prefix"))
    if wanted.phases:
        conditions.append(Where("phase", list(wanted.phases), "in"))
    if wanted.completed is not None:
        conditions.append(Where("finished_at", None, "ne" if wanted.completed else "eq"))
    if wanted.created_after is not None:
        conditions.append(Where("created_at", wanted.created_after, "ge"))
    if wanted.finished_before is not None:
        conditions.append(Where("finished_at", wanted.finished_before, "lt"))
    if wanted.started_after is not None:
        conditions.append(Where("started_at", wanted.started_after, "gt"))
    if wanted.started_before is not None:
        conditions.append(Where("started_at", wanted.started_before, "lt"))
    return conditions


def _rows(reader: Reader, conditions: list[Where], after: str) -> Iterator[WorkflowSummary]:
    while True:
        later = [Where("id", after, "lt")] if after else []
        chunk = reader.find(Query(WorkflowSummary, (*conditions, *later), limit=_CHUNK))
        yield from chunk
        if len(chunk) < _CHUNK:
            return
        after = chunk[-1].id
