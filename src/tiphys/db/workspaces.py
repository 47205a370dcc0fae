"""The condition that rows belong to a workspace, through as many owners as it takes."""

from __future__ import annotations

from tiphys.db.schema import table_of
from tiphys.errors import UsageError
from tiphys.records.base import Record
from tiphys.records.ownership import OWNERS, Reference, workspace_field

_made: dict[tuple[type[Record], str], tuple[str, int]] = {}


def inside(kind: type[Record], mark: str) -> tuple[str, int]:
    """The SQL that holds for rows of one workspace, and how often it takes the workspace as a parameter.

    Raises:
        UsageError: records of this kind belong to no workspace.
    """
    found = _made.get((kind, mark))
    if found is None:
        found = _made[kind, mark] = _inside(kind, table_of(kind).name, mark, 0)
    return found


def _inside(kind: type[Record], name: str, mark: str, depth: int) -> tuple[str, int]:
    field = workspace_field(kind)
    if field is not None:
        return f'{name}."{field}" = {mark}', 1
    if kind not in OWNERS:
        raise UsageError(f"A {kind.__name__} belongs to no workspace.")
    parts = [_owned(owner, name, mark, depth) for owner in OWNERS[kind]]
    return f"({' OR '.join(sql for sql, _ in parts)})", sum(count for _, count in parts)


def _owned(owner: Reference, name: str, mark: str, depth: int) -> tuple[str, int]:
    alias = f"owner_{depth}"
    condition, count = _inside(owner.kind, alias, mark, depth + 1)
    found = (
        f"EXISTS (SELECT 1 FROM {table_of(owner.kind).name} AS {alias} "
        f'WHERE {alias}."id" = {name}."{owner.field}" AND {condition})'
    )
    if owner.type_field:
        found = f"({name}.\"{owner.type_field}\" = '{owner.entity}' AND {found})"
    return found, count
