"""The default repository, which is a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiphys.errors import ArtifactMissingError
from tiphys.integrations.local.repository_driver import RepositoryDriver, key_only
from tiphys.ports.artifact_driver import ArtifactDriver
from tiphys.spec.artifacts import Artifact
from tiphys.testing.artifact_driver_contract import FolderDriverContract


class TestRepository(FolderDriverContract):
    @pytest.fixture
    def driver(self, tmp_path: Path) -> ArtifactDriver:
        return RepositoryDriver(tmp_path / "repository")

    def test_a_missing_secret_is_named(self, driver: ArtifactDriver, tmp_path: Path) -> None:
        """There are no credentials that could be missing."""
        with pytest.raises(ArtifactMissingError):
            driver.load(self.artifact("file"), tmp_path / "into")

    def artifact(self, key: str) -> Artifact:
        return Artifact.from_json({"name": "mine", "s3": {"key": key}})


def test_what_names_a_bucket_is_not_the_repositorys() -> None:
    assert key_only(Artifact.from_json({"name": "a", "s3": {"key": "k"}})) == "k"
    assert key_only(Artifact.from_json({"name": "a", "azure": {"blob": "k"}})) == "k"
    assert key_only(Artifact.from_json({"name": "a", "s3": {"key": "k", "bucket": "b"}})) is None
    assert key_only(Artifact.from_json({"name": "a", "raw": {"data": "x"}})) is None
