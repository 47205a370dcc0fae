"""Shared by the tests of materializers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tiphys.integrations.local.artifact_store import LocalArtifactStore
from tiphys.integrations.local.config import LocalArtifactStoreConfig
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.testing.materializer_contract import MaterializerContract


class InLocalStore(MaterializerContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> ArtifactStore:
        config = LocalArtifactStoreConfig(path=str(tmp_path / "store"))
        return LocalArtifactStore(name="default", config=config)


def cases(**makers: Callable[[], Any]) -> Any:
    """A fixture that gives each maker in turn."""

    @pytest.fixture(params=list(makers.values()), ids=list(makers))
    def make(self: Any, request: pytest.FixtureRequest) -> Any:
        return request.param

    return make
