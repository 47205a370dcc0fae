"""Artifacts of a server."""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.client.place import Place
from tiphys.ports.backend import Artifacts, NewArtifactVersion
from tiphys.ports.wire import API
from tiphys.records.artifacts import ArtifactVersion


class ClientArtifacts(Artifacts):
    """Artifacts and their versions in a workspace of a server."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def create_version(self, request: NewArtifactVersion) -> ArtifactVersion:
        """Record a version whose data is stored."""
        return self._place.post(ArtifactVersion, "/artifact-versions", request)

    def get_version(self, name_or_id: str, version: str | int | None = None) -> ArtifactVersion:
        """By id, or by name and version (the newest by default)."""
        return self._place.get(ArtifactVersion, "/artifact-versions/lookup", name=name_or_id, version=version)

    def delete_versions(self, ids: Iterable[str]) -> int:
        """Remove versions that no run uses."""
        return self._place.post(dict[str, int], "/artifact-versions/delete", {"ids": list(ids)})["removed"]

    def gc(self, *, dry_run: bool) -> list[tuple[str, int]]:
        """Remove from the stores what no version points to."""
        trees = self._place.connection.ask("POST", f"{API}/artifact-data/gc", body={"dry_run": dry_run})
        return [(tree["digest"], tree["size"]) for tree in trees]
