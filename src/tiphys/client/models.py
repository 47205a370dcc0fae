"""Models of a server."""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.client.place import Place, segment
from tiphys.ports.backend import ModelRequest, Models
from tiphys.records.base import EntityType
from tiphys.records.models import ModelStage, ModelVersion, RegisteredModel


class ClientModels(Models):
    """Models and their versions in a workspace of a server."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def get(self, name_or_id: str) -> RegisteredModel:
        """A model."""
        return self._place.get(RegisteredModel, "/models/lookup", name=name_or_id)

    def get_version(self, model: str, version: str | int | None = None) -> ModelVersion:
        """A version by number, stage, "latest", name or id."""
        return self._place.get(ModelVersion, "/model-versions/lookup", model=model, version=version)

    def ensure(self, request: ModelRequest) -> RegisteredModel:
        """The model of that name, created if there is none."""
        return self._place.post(RegisteredModel, "/models", request)

    def create_version(
        self, model: str, name: str | None = None, *, description: str = "", tags: Iterable[str] = ()
    ) -> ModelVersion:
        """A new version of an existing model."""
        body = {"name": name, "description": description, "tags": list(tags)}
        return self._place.post(ModelVersion, f"/models/{segment(model)}/versions", body)

    def ensure_version(self, request: ModelRequest) -> ModelVersion:
        """The version that `request` means, created if that is what it means."""
        return self._place.post(ModelVersion, "/model-versions", request)

    def set_stage(self, version_id: str, stage: ModelStage, *, force: bool = False) -> ModelVersion:
        """Move a version."""
        path = f"/model-versions/{segment(version_id)}/stage"
        return self._place.post(ModelVersion, path, {"stage": stage, "force": force}, verb="PUT")

    def link(self, version_id: str, target_type: EntityType, target_ids: Iterable[str]) -> None:
        """Link artifact versions or runs."""
        body = {"target_type": target_type, "target_ids": list(target_ids)}
        self._place.write(f"/model-versions/{segment(version_id)}/links", body)

    def delete_version(self, version_id: str) -> None:
        """Remove a version and its links."""
        self._place.delete(f"/model-versions/{segment(version_id)}")

    def delete(self, name_or_id: str) -> None:
        """Remove a model, its versions and links; artifacts stay."""
        self._place.delete(f"/models/{segment(name_or_id)}")
