"""Which workflows a filter means: asked of the database as a whole, or of one workflow that is at hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tiphys.errors import UsageError
from tiphys.lang.selectors import Requirement, parse_field_selector, parse_selector
from tiphys.ports.store import Reader
from tiphys.ports.workflows import WorkflowFilter, WorkflowPage
from tiphys.records.base import Query, Where
from tiphys.records.workflows import WorkflowSummary
from tiphys.services.workflows.submission import LABEL_COMPLETED, LABEL_PHASE, LABEL_RESUBMITTED

#: Rows that are read at once where a requirement is not one that the database can answer.
_CHUNK = 500
#: What no workflow obeys.
_NOTHING = Where("id", [], "in")
#: Fields that selectors may ask for, and the columns that they are.
_FIELDS = {
    "metadata.name": "name",
    "metadata.namespace": "workspace",
    "metadata.uid": "id",
    "status.phase": "phase",
}


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
    conditions, left = _conditions(wanted, namespace), []
    for requirement in parse_selector(wanted.labels).requirements:
        known = _of_label(requirement)
        if known is None:
            left.append(requirement)
        conditions += known or []
    for requirement in parse_field_selector(wanted.fields).requirements:
        conditions += _of_field(requirement)
    found: list[WorkflowSummary] = []
    chunk = _CHUNK if left else limit + 1 if limit else None
    while True:
        later = [Where("id", after, "lt")] if after else []
        rows = reader.find(Query(WorkflowSummary, (*conditions, *later), limit=chunk))
        found += (row for row in rows if all(requirement.holds(row.labels.get) for requirement in left))
        if limit and len(found) > limit:
            last = found[limit - 1].id
            remaining = _following(reader, conditions, left, last) if wanted.counted else None
            return WorkflowPage(items=found[:limit], next=last, remaining=remaining)
        if chunk is None or len(rows) < chunk:
            return WorkflowPage(items=found, remaining=0 if wanted.counted else None)
        after = rows[-1].id


def _following(reader: Reader, conditions: list[Where], left: Sequence[Requirement], after: str) -> int:
    """How many workflows come after one."""
    query = Query(WorkflowSummary, (*conditions, Where("id", after, "lt")))
    if not left:
        return reader.count(query)
    return sum(all(requirement.holds(row.labels.get) for requirement in left) for row in reader.find(query))


def matcher(wanted: WorkflowFilter, namespace: str) -> Callable[[WorkflowSummary], bool]:
    """Tells of a workflow that is at hand whether `find_workflows` would find it; not for filters of the archive.

    Raises:
        UsageError: a selector cannot be read.
    """
    if wanted.archive:
        raise UsageError("The archive cannot be watched.")
    labels, fields = parse_selector(wanted.labels), parse_field_selector(wanted.fields)
    names, phases = frozenset(wanted.names), frozenset(wanted.phases)

    def is_among(workspace: str) -> bool:
        return wanted.among is None or workspace in wanted.among

    def matches(row: WorkflowSummary) -> bool:
        return (
            not row.archived
            and (row.workspace == namespace if not wanted.all_namespaces else is_among(row.workspace))
            and (not names or row.name in names)
            and (not phases or row.phase in phases)
            and row.name.startswith(wanted.prefix)
            and wanted.contains in row.name
            and (wanted.completed is None or wanted.completed == (row.finished_at is not None))
            and (not wanted.resubmitted or LABEL_RESUBMITTED in row.labels)
            and (wanted.created_after is None or row.created_at >= wanted.created_after)
            and (
                wanted.finished_before is None
                or (row.finished_at is not None and row.finished_at < wanted.finished_before)
            )
            and labels.matches(labels_of(row))
            and fields.matches(fields_of(row))
        )

    return matches


def labels_of(row: WorkflowSummary) -> dict[str, str]:
    """A workflow's labels, with those that tell how it stands."""
    return {
        **row.labels,
        LABEL_PHASE: row.phase,
        LABEL_COMPLETED: "true" if row.finished_at is not None else "false",
    }


def fields_of(row: WorkflowSummary) -> dict[str, str]:
    """What field selectors may ask for."""
    return {field: getattr(row, column) for field, column in _FIELDS.items()}


def _of_label(requirement: Requirement) -> list[Where] | None:
    """A requirement of a label as conditions; None if no database can answer it."""
    if requirement.key == LABEL_COMPLETED:
        ended = requirement.holds({LABEL_COMPLETED: "true"}.get)
        not_ended = requirement.holds({LABEL_COMPLETED: "false"}.get)
        if ended and not_ended:
            return []
        return [Where("finished_at", None, "ne" if ended else "eq")] if ended or not_ended else [_NOTHING]
    if requirement.operator in (">", "<"):
        return None
    if requirement.key == LABEL_PHASE:
        return _of_column("phase", requirement)
    present = requirement.operator in ("exists", "=", "in")
    values = None if requirement.operator in ("exists", "!") else requirement.values
    return [Where("labels", (requirement.key, values), "has" if present else "lacks")]


def _of_field(requirement: Requirement) -> list[Where]:
    """A requirement of a field as conditions; fields that there are not are empty."""
    column = _FIELDS.get(requirement.key)
    if column is not None:
        return _of_column(column, requirement)
    return [] if requirement.holds(lambda _: "") else [_NOTHING]


def _of_column(column: str, requirement: Requirement) -> list[Where]:
    """The same of a column that is never null."""
    match requirement.operator:
        case "=" | "in":
            return [Where(column, list(requirement.values), "in")]
        case "!=" | "notin":
            return [Where(column, value, "ne") for value in requirement.values]
        case "exists":
            return []
        case _:
            return [_NOTHING]


def _conditions(wanted: WorkflowFilter, namespace: str) -> list[Where]:
    conditions = []
    if not wanted.all_namespaces:
        conditions.append(Where("workspace", namespace))
    elif wanted.among is not None:
        conditions.append(Where("workspace", list(wanted.among), "in"))
    if wanted.archive:
        conditions.append(Where("finished_at", None, "ne"))
    else:
        conditions.append(Where("archived", value=False))
    if wanted.names:
        conditions.append(Where("name", list(wanted.names), "in"))
    if wanted.prefix:
        conditions.append(Where("name", wanted.prefix, "prefix"))
    if wanted.contains:
        conditions.append(Where("name", wanted.contains, "contains"))
    if wanted.phases:
        conditions.append(Where("phase", list(wanted.phases), "in"))
    if wanted.completed is not None:
        conditions.append(Where("finished_at", None, "ne" if wanted.completed else "eq"))
    if wanted.resubmitted:
        conditions.append(Where("labels", (LABEL_RESUBMITTED, None), "has"))
    if wanted.created_after is not None:
        conditions.append(Where("created_at", wanted.created_after, "ge"))
    if wanted.finished_before is not None:
        conditions.append(Where("finished_at", wanted.finished_before, "lt"))
    if wanted.started_after is not None:
        conditions.append(Where("started_at", wanted.started_after, "gt"))
    if wanted.started_before is not None:
        conditions.append(Where("started_at", wanted.started_before, "lt"))
    return conditions
