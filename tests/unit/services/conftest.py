"""A backend on a fresh SQLite file, with an engine that does nothing, and runs that are carried out by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tiphys.db.store import open_store
from tiphys.ports.backend import RunRequest
from tiphys.services.backend import LocalBackend
from tiphys.services.recorder import MLRecorder
from tiphys.testing.playing import IdleHost, Played


@pytest.fixture
def host() -> IdleHost:
    return IdleHost()


@pytest.fixture
def backend(tmp_path: Path, host: IdleHost) -> Iterator[LocalBackend]:
    home = tmp_path / "home"
    home.mkdir()
    url = f"sqlite:///{home / 'tiphys.db'}"
    backend = LocalBackend(open_store(url), home=home, db_url=url, host=host)
    yield backend
    backend.close()


@pytest.fixture
def recorder(backend: LocalBackend) -> MLRecorder:
    return MLRecorder(backend)


@pytest.fixture
def play(backend: LocalBackend, recorder: MLRecorder) -> Callable[..., Played]:
    def start(request: RunRequest | None = None, *, recorder: MLRecorder = recorder) -> Played:
        return Played(backend, backend.store, recorder, request)

    return start
