"""Requests that Schemathesis makes of descriptions of both APIs: whatever is sent, the server has no defect."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from tests.integration.argo_description import THERE, described
from tests.integration.server_desk import workflow

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
    argo = backend.in_workspace(THERE)
    argo.workflows.submit(workflow("true") | {"metadata": {"name": THERE}})
    spec = workflow("true")["spec"]
    argo.objects.create({"kind": "WorkflowTemplate", "metadata": {"name": THERE}, "spec": spec})
    schedule = {"schedules": ["0 0 1 1 *"], "workflowSpec": spec}
    argo.objects.create({"kind": "CronWorkflow", "metadata": {"name": THERE}, "spec": schedule})
    # Streams end after their first look.
    yield make_app(backend, hosts={"testserver", "localhost"}, ending=lambda: True)
    backend.close()


@pytest.fixture
def key(app: Starlette) -> str:
    """Of somebody who may do all: the requests make accounts, and then nobody is let in without one."""
    made: str = app.state.backend.access.create_key("root", role=Role.ADMIN).text
    return made


@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def ask(operation: Any, key: str, statuses: set[int], tolerated: Collection[int], data: st.DataObject) -> None:
    case = data.draw(operation.as_strategy())
    answer = case.call(headers={"Authorization": f"Bearer {key}"})
    statuses.add(answer.status_code)
    assert answer.status_code < 500 or answer.status_code in tolerated, (case.method, case.path, answer.text)


def ask_all(schema: Any, key: str, tolerated: Collection[int] = ()) -> tuple[int, set[int]]:
    """Ask for all that a description has; returns for how many operations, and what statuses came."""
    statuses: set[int] = set()
    operations = [found.ok() for found in schema.get_all_operations()]
    for operation in operations:
        ask(operation, key, statuses, tolerated)
    return len(operations), statuses


def test_no_request_meets_a_defect(app: Starlette, key: str) -> None:
    schema = schemathesis.openapi.from_asgi(f"{API}/openapi.json", app)
    asked, statuses = ask_all(schema, key)
    assert asked > 110
    assert {200, 201, 204, 400, 404} <= statuses
    assert 401 not in statuses


def test_no_request_to_argos_api_meets_a_defect(app: Starlette, key: str) -> None:
    schema = schemathesis.openapi.from_dict(described())
    schema.app = app
    asked, statuses = ask_all(schema, key, tolerated=[501])  # of what is Argo Events'
    assert asked > 70
    assert {200, 400, 404} <= statuses
    assert 401 not in statuses
