"""Artifacts and their versions, and the removal of stored data that no version points to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from tiphys._util.ids import new_id
from tiphys._util.times import to_epoch, utc_now
from tiphys.engine.model import ArtifactValue, Node
from tiphys.errors import AlreadyExistsError, NotFoundError, UsageError
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.ports.backend import Artifacts, NewArtifactVersion, TagRequest
from tiphys.ports.component import StackComponent
from tiphys.ports.store import Reader, Store, Transaction
from tiphys.records.artifacts import Artifact, ArtifactUse, ArtifactVersion
from tiphys.records.base import DEFAULT_WORKSPACE, EntityType, Query, R, Where
from tiphys.records.logs import LogPart
from tiphys.records.models import ModelLink
from tiphys.records.runs import ExecutionStatus, Run, StepRun
from tiphys.records.stacks import Component, ComponentType
from tiphys.records.synchronization import Memo
from tiphys.records.workflows import WorkflowRow
from tiphys.services.labels import find_in, forget_entities, put_metadata, put_tags
from tiphys.services.stacks import StackService

#: Seconds that stored data is kept although no version points to it: a step that runs may be about to record it.
GC_GRACE = 3600.0
#: Seconds that the times of files may be behind the clock.
CLOCK_STEP = 1.0
#: Seconds after which an interrupted run is not expected to be taken up again: what its steps stored is not waited for.
ABANDONED = 7 * 86400.0
#: Records that one query of a walk through a whole table returns.
PAGE = 1000


def number_of(version: str) -> int | None:
    """A version as a number, where it is one."""
    return int(version) if version.isdigit() else None


def version_is_taken(reader: Reader, workspace: str, name: str, version: str) -> bool:
    """Whether an artifact has a version of that name."""
    artifact = reader.find(Query.of(Artifact, workspace=workspace, name=name, limit=1))
    return bool(artifact) and bool(reader.count(Query.of(ArtifactVersion, artifact_id=artifact[0].id, version=version)))


def claim_number(transaction: Transaction, artifact: Artifact, version: str) -> None:
    """See to it that later numbers come after an explicit version that is a number."""
    number = number_of(version)
    if number is not None and number > artifact.last_number:
        transaction.next_number(Artifact, artifact.id, number - artifact.last_number)


def find_version(reader: Reader, workspace: str, name_or_id: str, version: str | int | None) -> ArtifactVersion:
    """By id, or by the artifact's name and version (the newest by default)."""
    artifacts = reader.find(Query.of(Artifact, workspace=workspace, name=name_or_id, limit=1))
    if not artifacts:
        by_id = reader.get(ArtifactVersion, name_or_id) if version is None else None
        if by_id is None and version is None and len(name_or_id) >= 8:
            beginning = Query(ArtifactVersion, (Where("id", name_or_id, "prefix"),), limit=2)
            found = reader.find(beginning)
            by_id = found[0] if len(found) == 1 else None
        if by_id is None:
            raise NotFoundError(f"There is no artifact '{name_or_id}'.", hint="See them all: tiphys artifact list")
        return by_id
    query = Query.of(ArtifactVersion, artifact_id=artifacts[0].id, limit=1)
    if version is not None:
        query = Query.of(ArtifactVersion, artifact_id=artifacts[0].id, version=str(version), limit=1)
    versions = reader.find(query)
    if not versions:
        raise NotFoundError(
            f"The artifact '{name_or_id}' has no version {version}."
            if version is not None
            else f"The artifact '{name_or_id}' has no versions.",
            hint=f"See them all: tiphys artifact versions {name_or_id}",
        )
    return versions[0]


def create_version(
    transaction: Transaction, workspace: str, request: NewArtifactVersion, *, now: datetime
) -> ArtifactVersion:
    """Record a version of stored data."""
    _check_visualizations(request)
    fresh = Artifact(
        id=new_id(), name=request.name, workspace=workspace, has_custom_name=request.has_custom_name, created_at=now
    )
    artifact = transaction.ensure(fresh, "workspace", "name")
    version = request.version
    if version is None:
        version = str(transaction.next_number(Artifact, artifact.id))
    else:
        if transaction.count(Query.of(ArtifactVersion, artifact_id=artifact.id, version=version)):
            raise AlreadyExistsError(
                f"The artifact '{request.name}' has a version '{version}' already.",
                hint="Leave the version out to get the next number.",
            )
        claim_number(transaction, artifact, version)
    record = ArtifactVersion(
        id=new_id(),
        artifact_id=artifact.id,
        name=request.name,
        workspace=workspace,
        version=version,
        number=number_of(version),
        type=request.type,
        digest=request.digest,
        size=request.size,
        uri=request.uri,
        store=request.store,
        materializer=request.materializer,
        data_type=request.data_type,
        save_type=request.save_type,
        visualizations=dict(request.visualizations),
        producer_step_run_id=request.step_run_id,
        run_id=request.run_id,
        created_at=now,
    )
    transaction.add(record)
    put_metadata(
        transaction,
        request.metadata,
        EntityType.ARTIFACT_VERSION,
        record.id,
        now=now,
        step_run_id=request.step_run_id,
    )
    tags = [TagRequest(name=name) for name in request.tags]
    put_tags(transaction, workspace, tags, EntityType.ARTIFACT_VERSION, record.id, now=now)
    return record


def _check_visualizations(request: NewArtifactVersion) -> None:
    """What removes data nobody points to relies on their digests, whoever recorded them."""
    for name, picture in request.visualizations.items():
        if not isinstance(picture, Mapping) or not isinstance(picture.get("digest"), str):
            raise UsageError(f"The visualization '{name}' of a version of '{request.name}' has no digest.")


def walk(reader: Reader, kind: type[R]) -> Iterator[R]:
    """All records of a kind, page by page."""
    last: R | None = None
    while True:
        page = reader.find(Query(kind, order="id", after=last, limit=PAGE))
        yield from page
        if len(page) < PAGE:
            return
        last = page[-1]


class ArtifactService(Artifacts):
    """Artifacts in a store.

    Args:
        store: The database.
        stacks: Gives the artifact stores.
        is_alive: Whether the process that owns a workflow still runs.
        workspace: Where names are looked up.
        everything: The store of all workspaces, if `store` is not: they keep their data in the same artifact stores.
    """

    def __init__(
        self,
        store: Store,
        stacks: StackService,
        *,
        is_alive: Callable[[str], bool],
        workspace: str = DEFAULT_WORKSPACE,
        everything: Store | None = None,
    ) -> None:
        self._store = store
        self._everything = everything or store
        self._stacks = stacks
        self._is_alive = is_alive
        self._workspace = workspace

    def create_version(self, request: NewArtifactVersion) -> ArtifactVersion:
        """Record a version; numbers are given in order, without gaps, also to parallel callers."""
        with self._store.transaction() as transaction:
            return create_version(transaction, self._workspace, request, now=utc_now())

    def get_version(self, name_or_id: str, version: str | int | None = None) -> ArtifactVersion:
        """By id, or by name and version (the newest by default)."""
        with self._store.reader() as reader:
            return find_version(reader, self._workspace, name_or_id, version)

    def delete_versions(self, ids: Iterable[str]) -> int:
        """Remove versions that no run uses; the others are left. Returns how many were removed."""
        with self._store.transaction() as transaction:
            wanted = list(ids)
            uses = transaction.find(Query.of(ArtifactUse, artifact_version_id=wanted, order="id"))
            used = {use.artifact_version_id for use in uses}
            unused = [version_id for version_id in wanted if version_id not in used]
            links = find_in(transaction, ModelLink, "target_id", unused)
            transaction.delete(ModelLink, [link.id for link in links])
            forget_entities(transaction, EntityType.ARTIFACT_VERSION, unused)
            return transaction.delete(ArtifactVersion, unused)

    def gc(self, *, dry_run: bool, grace: float = GC_GRACE) -> list[tuple[str, int]]:
        """Remove from every registered artifact store what no version, visualization or log points to.

        What was stored (or stored again) in the last `grace` seconds is kept, and since the oldest run began that goes
        on: steps record their outputs after they stored them. Each tree is judged when the store names it, so runs may
        go on meanwhile.
        """
        removed: list[tuple[str, int]] = []
        stores = self._artifact_stores()
        now = to_epoch(utc_now())
        # In this order: a run that ends between the two has its outputs recorded when they are looked at.
        oldest_kept = min([now - grace - CLOCK_STEP, *self._beginnings_of_runs(now)])
        kept = self._referenced()
        for store in stores:
            for digest, size, used_at in store.list_trees():
                if digest in kept or used_at > oldest_kept:
                    continue
                if not dry_run:
                    store.delete(digest, unused_since=oldest_kept)
                removed.append((digest, size))
            if not dry_run:
                store.sweep(before=oldest_kept)
        return removed

    def _beginnings_of_runs(self, now: float) -> Iterator[float]:
        """When those runs began that may have stored what they did not record yet; epoch seconds."""
        unfinished = [status for status in ExecutionStatus if not status.is_finished]
        with self._everything.reader() as reader:
            runs = reader.find(Query.of(Run, status=unfinished))
            rows = reader.get_many(WorkflowRow, [run.workflow_uid for run in runs])
        for run in runs:
            began = to_epoch(run.created_at)
            row = rows.get(run.workflow_uid)
            if now - began < ABANDONED or (row is not None and self._is_alive(row.owner)):
                yield began - CLOCK_STEP

    def _referenced(self) -> set[str]:
        digests: set[str] = set()
        with self._everything.reader() as reader:
            for version in walk(reader, ArtifactVersion):
                digests.add(version.digest)
                digests.update(picture["digest"] for picture in version.visualizations.values())
            for step in walk(reader, StepRun):
                if step.log_digest:
                    digests.add(step.log_digest)
            digests.update(part.digest for part in walk(reader, LogPart))
            # What pods of plain workflows stored has no versions: their nodes say where it is.
            for run in reader.find(Query.of(Run, pipeline_id=None)):
                for node in reader.load_nodes(run.workflow_uid):
                    digests.update(_digests_of(node))
            unfinished = [status for status in ExecutionStatus if not status.is_finished]
            for run in reader.find(Query.of(Run, status=unfinished)):
                if run.config.get("code_tree"):
                    digests.add(run.config["code_tree"]["digest"])
            for memo in walk(reader, Memo):
                digests.update(_digests_in(memo.outputs.get("artifacts") or {}))
        return digests

    def _artifact_stores(self) -> list[ArtifactStore]:
        self._stacks.active()  # registers the default components of a fresh home
        with self._everything.reader() as reader:
            components = reader.find(Query.of(Component, type=ComponentType.ARTIFACT_STORE, order="id"))
        by_root: dict[str, ArtifactStore] = {}
        for component in components:
            store = as_artifact_store(self._stacks.component(ComponentType.ARTIFACT_STORE, component.name))
            by_root.setdefault(store.root, store)
        return list(by_root.values())


def _digests_of(node: Node) -> Iterator[str]:
    """Trees that a node's inputs and outputs name."""
    for values in (node.inputs, node.outputs):
        if values is not None:
            yield from _digests_in(values.artifacts)


def _digests_in(artifacts: Mapping[str, ArtifactValue]) -> Iterator[str]:
    for value in artifacts.values():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, Mapping) and each.get("digest") and not each.get("deleted"):
                yield str(each["digest"])


def as_artifact_store(component: StackComponent) -> ArtifactStore:
    """A component that is known to be an artifact store, as one."""
    if not isinstance(component, ArtifactStore):
        raise NotFoundError(f"The component '{component.name}' is not an artifact store.")
    return component
