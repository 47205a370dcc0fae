"""What pods need from elsewhere: Kubernetes' small objects, and artifacts that lie elsewhere than in our own store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Objects(Protocol):
    """Looks up ConfigMaps, Secrets and claims by namespace and name; called from several threads."""

    def config_map(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """Content of a ConfigMap by key, or None if there is none of that name."""

    def secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """Content of a Secret by key (decoded), or None."""

    def claim_folder(self, namespace: str, name: str) -> Path | None:
        """The folder that stands for a PersistentVolumeClaim, or None."""


class ArtifactDrivers(Protocol):
    """Fetches from and saves to places that Argo knows (s3, http, git, …); called from several threads."""

    def fetch(self, artifact: Mapping[str, Any], into: Path) -> None:
        """Make what an artifact's location says the file or folder `into`, which does not exist.

        Raises:
            ArtifactMissingError: there is nothing in that place.
            TiphysError: it cannot be fetched.
        """

    def save(self, path: Path, artifact: Mapping[str, Any]) -> Mapping[str, Any]:
        """Save a file or folder to an artifact's location; returns the artifact with its location complete.

        Raises:
            TiphysError: it cannot be saved.
        """
