"""Metadata and tags. The functions work inside a caller's transaction; `LabelService` gives each call its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from tiphys._util.ids import new_id
from tiphys._util.times import utc_now
from tiphys.errors import NotFoundError, UsageError
from tiphys.ports.backend import Labels, TagRequest
from tiphys.ports.store import Reader, Store, Transaction
from tiphys.records.artifacts import ArtifactUse, ArtifactVersion
from tiphys.records.base import DEFAULT_WORKSPACE, EntityType, Query, R
from tiphys.records.runs import Metadata, Run, StepRun
from tiphys.records.tags import TagLink, TagRecord

#: Values of one `in` condition at most: databases limit the variables of a statement.
CHUNK = 500


def find_in(reader: Reader, kind: type[R], field: str, values: Iterable[Any], **equal: Any) -> list[R]:
    """Records whose `field` is one of any number of values, oldest first within a chunk."""
    found: list[R] = []
    rest = iter(values)
    while chunk := list(islice(rest, CHUNK)):
        conditions: dict[str, Any] = {field: chunk, **equal}
        found += reader.find(Query.of(kind, order="id", **conditions))
    return found


def put_metadata(
    transaction: Transaction,
    values: Mapping[str, Any],
    entity_type: str,
    entity_id: str,
    *,
    now: datetime,
    step_run_id: str | None = None,
) -> None:
    """Set keys of one entity; a key that is there gets the new value."""
    for key, value in values.items():
        transaction.put(
            Metadata(
                id=new_id(),
                entity_type=str(entity_type),
                entity_id=entity_id,
                key=key,
                value=value,
                step_run_id=step_run_id,
                created_at=now,
            ),
            "entity_type",
            "entity_id",
            "key",
        )


def ensure_tag(transaction: Transaction, workspace: str, request: TagRequest, *, now: datetime) -> TagRecord:
    """The tag of that name, created or changed where the request says something about it."""
    given: dict[str, Any] = {
        name: value
        for name, value in (("color", request.color), ("exclusive", request.exclusive), ("cascade", request.cascade))
        if value is not None
    }
    fresh = TagRecord(id=new_id(), name=request.name, workspace=workspace, created_at=now, **given)
    tag = transaction.ensure(fresh, "workspace", "name")
    if tag.id != fresh.id and any(getattr(tag, name) != value for name, value in given.items()):
        transaction.update(TagRecord, tag.id, **given)
        tag = transaction.get(TagRecord, tag.id) or tag
    return tag


def put_tags(
    transaction: Transaction,
    workspace: str,
    requests: Iterable[TagRequest],
    entity_type: EntityType,
    entity_id: str,
    *,
    now: datetime,
) -> list[TagRecord]:
    """Put tags on one entity; returns them."""
    tags = [ensure_tag(transaction, workspace, request, now=now) for request in requests]
    for tag in tags:
        if tag.exclusive:
            _take_over(transaction, tag, entity_type, entity_id)
        link_tag(transaction, tag, entity_type, (entity_id,), now=now)
        if tag.cascade and entity_type == EntityType.RUN:
            link_tag(transaction, tag, EntityType.ARTIFACT_VERSION, outputs_of_run(transaction, entity_id), now=now)
    return tags


def link_tag(
    transaction: Transaction, tag: TagRecord, entity_type: EntityType, entity_ids: Iterable[str], *, now: datetime
) -> None:
    """Put a tag on entities that may have it already."""
    for entity_id in entity_ids:
        transaction.ensure(tag_link(tag, entity_type, entity_id, now), "tag_id", "entity_type", "entity_id")


def tag_link(tag: TagRecord, entity_type: EntityType, entity_id: str, now: datetime) -> TagLink:
    """The row that puts a tag on an entity."""
    return TagLink(
        id=new_id(),
        tag_id=tag.id,
        tag_name=tag.name,
        entity_type=entity_type.value,
        entity_id=entity_id,
        created_at=now,
    )


def outputs_of_run(reader: Reader, run_id: str) -> list[str]:
    """Ids of the artifact versions that a run's steps gave, cached ones included."""
    steps = reader.find(Query.of(StepRun, run_id=run_id))
    uses = find_in(reader, ArtifactUse, "step_run_id", (step.id for step in steps), direction="out")
    return list(dict.fromkeys(use.artifact_version_id for use in uses))


def _take_over(transaction: Transaction, tag: TagRecord, entity_type: EntityType, entity_id: str) -> None:
    """Remove an exclusive tag from whatever else has it in the same scope (pipeline or artifact)."""
    links = transaction.find(Query.of(TagLink, tag_id=tag.id, entity_type=entity_type.value))
    others = {link.entity_id: link.id for link in links if link.entity_id != entity_id}
    if entity_type == EntityType.RUN:
        scope: Mapping[str, str | None] = {
            run.id: run.pipeline_name for run in transaction.get_many(Run, [*others, entity_id]).values()
        }
    elif entity_type == EntityType.ARTIFACT_VERSION:
        scope = {
            version.id: version.artifact_id
            for version in transaction.get_many(ArtifactVersion, [*others, entity_id]).values()
        }
    else:
        raise UsageError(
            f"The tag '{tag.name}' is exclusive and cannot be put on a {entity_type.value}.",
            hint="Exclusive tags go on runs and artifact versions.",
        )
    mine = scope.get(entity_id)
    transaction.delete(TagLink, [link for other, link in others.items() if scope.get(other) == mine])


def tag_names(reader: Reader, entity_type: EntityType, ids: Iterable[str]) -> dict[str, list[str]]:
    """Tag names by entity id, in the order they were put on."""
    names: dict[str, list[str]] = {entity_id: [] for entity_id in ids}
    for link in find_in(reader, TagLink, "entity_id", list(names), entity_type=entity_type.value):
        names[link.entity_id].append(link.tag_name)
    return names


def forget_entities(transaction: Transaction, entity_type: EntityType, ids: Sequence[str]) -> None:
    """Remove metadata and tags of entities that are about to be deleted."""
    for kind in (Metadata, TagLink):
        rows = find_in(transaction, kind, "entity_id", ids, entity_type=entity_type.value)
        transaction.delete(kind, [row.id for row in rows])


class LabelService(Labels):
    """Metadata and tags in a store."""

    def __init__(self, store: Store, *, workspace: str = DEFAULT_WORKSPACE) -> None:
        self._store = store
        self._workspace = workspace

    def log_metadata(
        self, metadata: Mapping[str, Any], entities: Iterable[tuple[EntityType, str]], *, step_run_id: str | None = None
    ) -> None:
        """Set keys on entities."""
        now = utc_now()
        with self._store.transaction() as transaction:
            for entity_type, entity_id in entities:
                put_metadata(transaction, metadata, entity_type, entity_id, now=now, step_run_id=step_run_id)

    def metadata_of(self, entity_type: EntityType, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Metadata by entity id."""
        found: dict[str, dict[str, Any]] = {entity_id: {} for entity_id in ids}
        with self._store.reader() as reader:
            for row in find_in(reader, Metadata, "entity_id", list(found), entity_type=entity_type.value):
                found[row.entity_id][row.key] = row.value
        return found

    def ensure_tag(self, tag: TagRequest) -> TagRecord:
        """Create a tag, or change the fields that are given."""
        with self._store.transaction() as transaction:
            return ensure_tag(transaction, self._workspace, tag, now=utc_now())

    def delete_tag(self, name: str) -> None:
        """Remove a tag from everything that has it, and the tag itself."""
        with self._store.transaction() as transaction:
            found = transaction.find(Query.of(TagRecord, workspace=self._workspace, name=name, limit=1))
            if not found:
                raise NotFoundError(f"There is no tag '{name}'.", hint="See them all: tiphys tag list")
            links = transaction.find(Query.of(TagLink, tag_id=found[0].id))
            transaction.delete(TagLink, [link.id for link in links])
            transaction.delete(TagRecord, [found[0].id])

    def add_tags(self, tags: Iterable[TagRequest], entity_type: EntityType, entity_id: str) -> None:
        """Put tags on an entity."""
        with self._store.transaction() as transaction:
            put_tags(transaction, self._workspace, tags, entity_type, entity_id, now=utc_now())

    def remove_tags(self, names: Iterable[str], entity_type: EntityType, entity_id: str) -> None:
        """Take tags off.

        Raises:
            NotFoundError: the entity does not have one of them; none is taken off.
        """
        wanted = set(names)
        with self._store.transaction() as transaction:
            links = transaction.find(
                Query.of(TagLink, entity_type=entity_type.value, entity_id=entity_id, tag_name=sorted(wanted))
            )
            missing = wanted - {link.tag_name for link in links}
            if missing:
                raise NotFoundError(f"The {entity_type.value} {entity_id} has no tag {', '.join(sorted(missing))}.")
            transaction.delete(TagLink, [link.id for link in links])

    def tags_of(self, entity_type: EntityType, ids: Iterable[str]) -> dict[str, list[str]]:
        """Tag names by entity id."""
        with self._store.reader() as reader:
            return tag_names(reader, entity_type, ids)
