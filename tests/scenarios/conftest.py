"""Each scenario twice: on a database of its own, and connected to a server that has one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.served import served
from tiphys.bootstrap import Settings, make_backend


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    alone = metafunc.definition.get_closest_marker("own_disk")
    metafunc.parametrize("_connected", ["embedded"] if alone else ["embedded", "connected"], indirect=True)


@pytest.fixture(autouse=True)
def _connected(
    request: pytest.FixtureRequest, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    if request.param == "embedded":
        yield
        return
    place = tmp_path / "server-home"
    backend = make_backend(Settings(place, f"sqlite:///{place / 'tiphys.db'}"))
    with served(backend) as url:
        monkeypatch.setenv("TIPHYS_URL", url)
        yield
    backend.close()
