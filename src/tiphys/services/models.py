"""Models, their versions and stages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from tiphys._util.ids import new_id
from tiphys._util.times import utc_now
from tiphys.errors import AlreadyExistsError, ConflictError, NotFoundError, UsageError
from tiphys.ports.backend import ModelRequest, Models, TagRequest
from tiphys.ports.store import Reader, Store, Transaction
from tiphys.records.base import DEFAULT_WORKSPACE, EntityType, Query
from tiphys.records.models import ModelLink, ModelStage, ModelVersion, RegisteredModel
from tiphys.services.labels import find_in, forget_entities, put_tags

_STAGES = frozenset(stage.value for stage in ModelStage)
#: Stages that at most one version of a model has.
_SINGLE = (ModelStage.STAGING, ModelStage.PRODUCTION)


def find_model(reader: Reader, workspace: str, name_or_id: str) -> RegisteredModel:
    """A model by name or id."""
    found = reader.find(Query.of(RegisteredModel, workspace=workspace, name=name_or_id, limit=1))
    model = found[0] if found else reader.get(RegisteredModel, name_or_id)
    if model is None:
        raise NotFoundError(f"There is no model '{name_or_id}'.", hint="See them all: tiphys model list")
    return model


def find_version(reader: Reader, model: RegisteredModel, version: str | int | None) -> ModelVersion:
    """A version by number, stage, "latest" (also None), name or id, in this order."""
    wanted = "latest" if version is None else str(version)
    of_model = Query.of(ModelVersion, model_id=model.id, order="-number", limit=1)
    if wanted == ModelStage.LATEST:
        found = reader.find(of_model)
    elif wanted.isdigit():
        found = reader.find(Query.of(ModelVersion, model_id=model.id, number=int(wanted), limit=1))
    elif wanted in _STAGES:
        found = reader.find(Query.of(ModelVersion, model_id=model.id, stage=wanted, order="-number", limit=1))
    else:
        found = reader.find(Query.of(ModelVersion, model_id=model.id, name=wanted, limit=1))
        by_id = None if found else reader.get(ModelVersion, wanted)
        if by_id is not None and by_id.model_id == model.id:
            return by_id
    if not found:
        raise NotFoundError(
            f"The model '{model.name}' has no version '{wanted}'.",
            hint=f"See them all: tiphys model versions {model.name}",
        )
    return found[0]


def ensure_model(transaction: Transaction, workspace: str, request: ModelRequest, *, now: datetime) -> RegisteredModel:
    """The model of that name, created with the request's card if there is none."""
    fresh = RegisteredModel(
        id=new_id(),
        name=request.name,
        workspace=workspace,
        card=dict(request.card),
        save_models_to_registry=request.save_models_to_registry,
        created_at=now,
    )
    model = transaction.ensure(fresh, "workspace", "name")
    if model.id == fresh.id and request.tags:
        tags = [TagRequest(name=name) for name in request.tags]
        put_tags(transaction, workspace, tags, EntityType.MODEL, model.id, now=now)
    return model


def create_version(
    transaction: Transaction,
    model: RegisteredModel,
    name: str | None,
    *,
    description: str,
    tags: Iterable[str],
    now: datetime,
) -> ModelVersion:
    """A new version, with the next number; the number is its name unless one is given."""
    if name is not None and (name.isdigit() or name in _STAGES):
        raise UsageError(
            f"A version of the model '{model.name}' cannot be named '{name}'.",
            hint="Numbers are given in order, and stages are names of their own; choose another name or none.",
        )
    number = transaction.next_number(RegisteredModel, model.id)
    if name is not None and transaction.count(Query.of(ModelVersion, model_id=model.id, name=name)):
        raise AlreadyExistsError(f"The model '{model.name}' has a version '{name}' already.")
    version = ModelVersion(
        id=new_id(),
        model_id=model.id,
        model_name=model.name,
        workspace=model.workspace,
        name=name or str(number),
        number=number,
        description=description,
        created_at=now,
    )
    transaction.add(version)
    put_tags(
        transaction,
        model.workspace,
        [TagRequest(name=tag) for tag in tags],
        EntityType.MODEL_VERSION,
        version.id,
        now=now,
    )
    return version


def resolve_request(transaction: Transaction, workspace: str, request: ModelRequest, *, now: datetime) -> ModelVersion:
    """The version that a Model in code means: a new one (no version, or a name not yet there), or the one named."""
    wanted = request.version
    if wanted is None:
        model = ensure_model(transaction, workspace, request, now=now)
        return create_version(transaction, model, None, description=request.description, tags=request.tags, now=now)
    if str(wanted).isdigit() or wanted in _STAGES:
        return find_version(transaction, find_model(transaction, workspace, request.name), wanted)
    model = ensure_model(transaction, workspace, request, now=now)
    found = transaction.find(Query.of(ModelVersion, model_id=model.id, name=wanted, limit=1))
    if found:
        return found[0]
    return create_version(transaction, model, wanted, description=request.description, tags=request.tags, now=now)


def model_link(version_id: str, target_type: EntityType, target_id: str, now: datetime) -> ModelLink:
    """The row that links a run or artifact version to a model version."""
    return ModelLink(
        id=new_id(), model_version_id=version_id, target_type=target_type.value, target_id=target_id, created_at=now
    )


def link_targets(
    transaction: Transaction, version_id: str, target_type: EntityType, target_ids: Iterable[str], *, now: datetime
) -> None:
    """Link what may be linked already."""
    for target_id in target_ids:
        transaction.ensure(
            model_link(version_id, target_type, target_id, now), "model_version_id", "target_type", "target_id"
        )


class ModelService(Models):
    """Models in a store."""

    def __init__(self, store: Store, *, workspace: str = DEFAULT_WORKSPACE) -> None:
        self._store = store
        self._workspace = workspace

    def get(self, name_or_id: str) -> RegisteredModel:
        """A model."""
        with self._store.reader() as reader:
            return find_model(reader, self._workspace, name_or_id)

    def get_version(self, model: str, version: str | int | None = None) -> ModelVersion:
        """A version by number, stage, "latest", name or id."""
        with self._store.reader() as reader:
            return find_version(reader, find_model(reader, self._workspace, model), version)

    def ensure(self, request: ModelRequest) -> RegisteredModel:
        """The model of that name, created if there is none."""
        with self._store.transaction() as transaction:
            return ensure_model(transaction, self._workspace, request, now=utc_now())

    def create_version(
        self, model: str, name: str | None = None, *, description: str = "", tags: Iterable[str] = ()
    ) -> ModelVersion:
        """A new version of an existing model."""
        with self._store.transaction() as transaction:
            found = find_model(transaction, self._workspace, model)
            return create_version(transaction, found, name, description=description, tags=tags, now=utc_now())

    def ensure_version(self, request: ModelRequest) -> ModelVersion:
        """The version that `request` means, created if that is what it means."""
        with self._store.transaction() as transaction:
            return resolve_request(transaction, self._workspace, request, now=utc_now())

    def set_stage(self, version_id: str, stage: ModelStage, *, force: bool = False) -> ModelVersion:
        """Move a version to a stage."""
        if stage is ModelStage.LATEST:
            raise UsageError("'latest' is not a stage: it is always the newest version.")
        with self._store.transaction() as transaction:
            version = self._version(transaction, version_id)
            if stage in _SINGLE:
                holders = transaction.find(Query.of(ModelVersion, model_id=version.model_id, stage=stage.value))
                for other in holders:
                    if other.id == version_id:
                        continue
                    if not force:
                        raise ConflictError(
                            f"Version {other.name} of the model '{other.model_name}' is in stage {stage.value}.",
                            hint="With force (--force) it is archived, and this version takes its place.",
                        )
                    transaction.update(ModelVersion, other.id, stage=ModelStage.ARCHIVED)
            transaction.update(ModelVersion, version_id, stage=stage)
            return replace(version, stage=stage)

    def link(self, version_id: str, target_type: EntityType, target_ids: Iterable[str]) -> None:
        """Link artifact versions or runs."""
        with self._store.transaction() as transaction:
            self._version(transaction, version_id)
            link_targets(transaction, version_id, target_type, target_ids, now=utc_now())

    def delete_version(self, version_id: str) -> None:
        """Remove a version and its links."""
        with self._store.transaction() as transaction:
            self._version(transaction, version_id)
            _delete_versions(transaction, [version_id])

    def delete(self, name_or_id: str) -> None:
        """Remove a model, its versions and links."""
        with self._store.transaction() as transaction:
            model = find_model(transaction, self._workspace, name_or_id)
            versions = transaction.find(Query.of(ModelVersion, model_id=model.id))
            _delete_versions(transaction, [version.id for version in versions])
            forget_entities(transaction, EntityType.MODEL, [model.id])
            transaction.delete(RegisteredModel, [model.id])

    def _version(self, reader: Reader, version_id: str) -> ModelVersion:
        version = reader.get(ModelVersion, version_id)
        if version is None:
            raise NotFoundError(f"There is no model version with the id {version_id}.")
        return version


def _delete_versions(transaction: Transaction, ids: list[str]) -> None:
    links = find_in(transaction, ModelLink, "model_version_id", ids)
    transaction.delete(ModelLink, [link.id for link in links])
    forget_entities(transaction, EntityType.MODEL_VERSION, ids)
    transaction.delete(ModelVersion, ids)
