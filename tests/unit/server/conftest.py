"""A backend on a fresh SQLite file, with an engine that does nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tiphys.db.store import open_store
from tiphys.services.backend import LocalBackend
from tiphys.testing.playing import IdleHost


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[LocalBackend]:
    made = LocalBackend(open_store(f"sqlite:///{tmp_path / 'tiphys.db'}"), home=tmp_path, host=IdleHost())
    yield made
    made.close()
