"""Requests that Schemathesis makes of our API's own description: whatever is sent, the server has no defect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from starlette.applications import Starlette

from tiphys.db.store import open_store
from tiphys.ports.backend import ModelRequest
from tiphys.ports.wire import API
from tiphys.records.access import Role
from tiphys.server.app import make_app
from tiphys.services.backend import LocalBackend
from tiphys.testing.backend_contract import a_version
from tiphys.testing.playing import IdleHost, a_request


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Starlette]:
    backend = LocalBackend(open_store(f"sqlite:///{tmp_path / 'tiphys.db'}"), home=tmp_path, host=IdleHost())
    # Something that the requests may find.
    there = backend.in_workspace("0")
    there.runs.submit(a_request(run_name="0", model=ModelRequest(name="0")))
    there.artifacts.create_version(a_version("0"))
    yield make_app(backend, hosts={"testserver", "localhost"})
    backend.close()


@pytest.fixture
def key(app: Starlette) -> str:
    """Of somebody who may do all: the requests make accounts, and then nobody is let in without one."""
    made: str = app.state.backend.access.create_key("root", role=Role.ADMIN).text
    return made


def test_no_request_meets_a_defect(app: Starlette, key: str) -> None:
    # Answers to these may never end.
    schema = schemathesis.openapi.from_asgi(f"{API}/openapi.json", app).exclude(path_regex="/(events|logs)$")
    statuses: set[int] = set()
    asked = 0
    for found in schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy())
        @settings(
            max_examples=8,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: schemathesis.Case) -> None:
            answer = case.call(headers={"Authorization": f"Bearer {key}"})
            statuses.add(answer.status_code)
            assert answer.status_code < 500, (case.method, case.path, answer.text)

        ask()
        asked += 1
    assert asked > 110
    assert {200, 201, 204, 400, 404} <= statuses
    assert 401 not in statuses
