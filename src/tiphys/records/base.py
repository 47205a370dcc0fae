"""What all records share, and how they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, Literal, TypeVar

#: The workspace of a single user.
DEFAULT_WORKSPACE = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A row of metadata. Ids are UUIDs of version 7, so their order is the order of creation."""

    id: str


R = TypeVar("R", bound=Record)

Operator = Literal["eq", "ne", "in", "prefix", "contains", "lt", "le", "gt", "ge", "has", "lacks"]


@dataclass(frozen=True, slots=True)
class Where:
    """One condition on a field; `value` None with eq or ne asks for (not) null; `in` takes a list.

    Null is a value other than all others for `ne`, and obeys no other operator. Text is compared by code points; case
    matters. JSON fields know `eq`, `ne` and `in` only, but for the labels of workflows: `has` and `lacks` take a tuple
    (key, values) and ask whether a label has one of these values; with None for the values, whether there is one.
    """

    field: str
    value: Any
    op: Operator = "eq"


@dataclass(frozen=True, slots=True)
class Query(Generic[R]):
    """Which records, in which order, how many. All conditions hold together."""

    kind: type[R]
    where: tuple[Where, ...] = ()
    #: Field to sort by (the id breaks ties); a leading '-' for descending.
    order: str = "-id"
    #: Keyset paging: only what comes after this record in that order.
    after: R | None = None
    #: At most so many; None for all.
    limit: int | None = None
    #: Only what belongs to this workspace, by itself or through its owner (`records.ownership`); None for all.
    within: str | None = None

    @staticmethod
    def of(kind: type[R], *, order: str = "-id", limit: int | None = None, **equal: Any) -> Query[R]:
        """Records whose named fields have these values (a list or tuple as value means any of them)."""
        where = tuple(
            Where(name, list(value), "in") if isinstance(value, (list, tuple)) else Where(name, value)
            for name, value in equal.items()
        )
        return Query(kind, where, order, None, limit)


class EntityType(StrEnum):
    """What metadata and tags can be put on."""

    PIPELINE = "pipeline"
    RUN = "run"
    STEP_RUN = "step_run"
    ARTIFACT = "artifact"
    ARTIFACT_VERSION = "artifact_version"
    MODEL = "model"
    MODEL_VERSION = "model_version"
    SCHEDULE = "schedule"
