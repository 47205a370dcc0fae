"""Artifacts in Artifactory: files by HTTP with a user name and a password.

Fields mean what they mean in Argo's `workflow/artifacts/http/http.go`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import httpx2

from tiphys.integrations.http.driver import check_is_file
from tiphys.integrations.http.transfer import download, new_client, telling, upload
from tiphys.ports.artifact_driver import ArtifactDriver, Located, arriving
from tiphys.spec.artifacts import ArtifactoryArtifact


class ArtifactoryDriver(ArtifactDriver):
    """Reads what an artifact's `artifactory` names, by GET, and saves it, by PUT."""

    location: ClassVar[str] = "artifactory"

    def load(self, artifact: Located, into: Path) -> None:
        """As the port says; always a file."""
        with self._asking(artifact, "load") as (client, url), arriving(into) as staged:
            download(client, url, staged)

    def save(self, path: Path, artifact: Located) -> None:
        """As the port says; a file only."""
        check_is_file(path, artifact)
        with self._asking(artifact, "save") as (client, url):
            upload(client, url, path)

    @contextmanager
    def _asking(self, artifact: Located, doing: str) -> Iterator[tuple[httpx2.Client, str]]:
        artifactory = self.at(artifact, ArtifactoryArtifact)
        url = self.required(artifact, "url", artifactory.url)
        user = self.required_secret(artifact, "usernameSecret", artifactory.username_secret)
        password = self.required_secret(artifact, "passwordSecret", artifactory.password_secret)
        with telling(artifact, doing, url), new_client(auth=(user, password)) as client:
            yield client, url
