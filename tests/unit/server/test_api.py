"""Our API: what every route has, and what stands before them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from tiphys._util.times import utc_now
from tiphys._version import __version__
from tiphys.db.store import open_store
from tiphys.errors import ConflictError, NotFoundError
from tiphys.ports.backend import ModelRequest
from tiphys.ports.wire import API, OF_WORKSPACE, REQUEST_HEADER, SHARED, VERSION, VERSION_HEADER
from tiphys.records.access import Role
from tiphys.records.base import Query
from tiphys.records.models import ModelVersion
from tiphys.records.servers import ServerAddress
from tiphys.records.stacks import ComponentType
from tiphys.records.workflows import WorkflowRow
from tiphys.server.api.app import ROUTERS
from tiphys.server.api.records import RESOURCES
from tiphys.server.api.versions import refusal_of
from tiphys.server.app import make_app
from tiphys.server.auth.permissions import Permission
from tiphys.services.backend import LocalBackend
from tiphys.testing.playing import IdleHost, a_request

#: Routes that nobody needs a permission for.
OPEN = {f"{API}/info"}
HERE = f"{API}/workspaces/default"


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[LocalBackend]:
    made = LocalBackend(open_store(f"sqlite:///{tmp_path / 'tiphys.db'}"), home=tmp_path, host=IdleHost())
    yield made
    made.close()


@pytest.fixture
def client(backend: LocalBackend) -> TestClient:
    return TestClient(make_app(backend, hosts={"testserver"}), raise_server_exceptions=False)


def routes() -> list[APIRoute]:
    return [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


def test_every_route_declares_a_permission() -> None:
    found = routes()
    assert len(found) > 90
    for route in found:
        declared = [one.dependency for one in route.dependencies if isinstance(one.dependency, Permission)]
        assert len(declared) == (0 if API + route.path in OPEN else 1), route.path
        if route.methods == {"GET"}:
            takes_more = any(part in route.path for part in ("/components/", "/accounts", "/api-keys"))
            assert all(one.action == "read" or takes_more for one in declared), route.path


def test_every_collection_is_read_by_someone() -> None:
    assert RESOURCES.keys() == OF_WORKSPACE.keys() | SHARED.keys()


def test_operations_have_names_of_their_own(client: TestClient) -> None:
    described = client.get(f"{API}/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    names = [operation["operationId"] for path in described["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))
    inside = [path for path in described["paths"] if path.startswith("/workspaces/")]
    assert inside
    for path in inside:
        for operation in described["paths"][path].values():
            assert "workspace" in {one["name"] for one in operation["parameters"]}, path


def test_errors_tell_code_message_and_hint(client: TestClient) -> None:
    answer = client.get(f"{HERE}/models/lookup", params={"name": "x"})
    assert (answer.status_code, answer.json()) == (
        404,
        {"code": "not_found", "message": "There is no model 'x'.", "hint": "See them all: tiphys model list"},
    )
    for path, status, code in (
        (f"{HERE}/nothing", 404, "not_found"),
        (f"{HERE}/models/lookup", 400, "invalid"),
        (f"{API}/workspaces/-/models", 400, "invalid"),
        (f"{HERE}/models?filter=name", 400, "invalid"),
        (f"{HERE}/models?order=size", 400, "invalid"),
        (f"{HERE}/models?filter=name:eq:%22%5Cud800%22", 400, "invalid"),
        (f"{HERE}/models/%00", 404, "not_found"),
    ):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (status, code), path
    assert client.post(f"{HERE}/models", content="{").json()["code"] == "invalid"
    assert client.patch(f"{API}/info").status_code == 405


def test_records_come_page_by_page(client: TestClient, backend: LocalBackend) -> None:
    for name in "abcde":
        backend.models.ensure(ModelRequest(name=name))
    found, after = [], None
    while True:
        query: dict[str, Any] = {"order": "-name", "limit": 2, "filter": ['name:ne:"d"', 'name:ge:"b"']}
        page = client.get(f"{HERE}/models", params={**query, **({"after": after} if after else {})}).json()
        found += [one["name"] for one in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert found == ["e", "c", "b"]
    assert client.get(f"{HERE}/models/count", params={"filter": 'name:in:["a","z"]'}).json() == {"count": 1}


def test_a_record_that_is_known_is_not_sent_again(client: TestClient, backend: LocalBackend) -> None:
    model = backend.models.ensure(ModelRequest(name="m"))
    first = client.get(f"{HERE}/models/{model.id}")
    assert first.json()["name"] == "m"
    tag = {"If-None-Match": first.headers["ETag"]}
    known = client.get(f"{HERE}/models/{model.id}", headers=tag)
    assert (known.status_code, known.content) == (304, b"")
    backend.models.create_version("m")
    assert client.get(f"{HERE}/models/{model.id}", headers=tag).json()["last_number"] == 1


def test_a_write_that_is_made_twice_is_done_once(client: TestClient, backend: LocalBackend) -> None:
    backend.models.ensure(ModelRequest(name="m"))
    one, other = (
        {"Authorization": f"Bearer {backend.access.create_key(who, role=Role.EDITOR).text}"} for who in ("one", "other")
    )
    path, name = f"{HERE}/models/m/versions", {REQUEST_HEADER: "a", **one}
    first, second = (client.post(path, json={}, headers=name) for _ in range(2))
    assert (first.json()["number"], first.content) == (1, second.content)
    assert client.post(path, json={}, headers={**name, REQUEST_HEADER: "b"}).json()["number"] == 2
    assert client.post(path, json={}, headers={**name, **other}).json()["number"] == 3
    refused = [client.post(f"{HERE}/models/n/versions", json={}, headers=name).status_code for _ in range(2)]
    assert refused == [404, 404]
    assert backend.count(Query.of(ModelVersion)) == 3


def test_an_answer_that_failed_is_not_kept(
    client: TestClient, backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.models.ensure(ModelRequest(name="m"))
    with monkeypatch.context() as broken:
        broken.setattr("tiphys.services.models.create_version", None)
        answer = client.post(f"{HERE}/models/m/versions", json={}, headers={REQUEST_HEADER: "a"})
        assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    answer = client.post(f"{HERE}/models/m/versions", json={}, headers={REQUEST_HEADER: "a"})
    assert (answer.status_code, answer.json()["number"]) == (200, 1)


def test_clients_of_another_version_are_told_what_to_upgrade(client: TestClient) -> None:
    assert client.get(f"{API}/info").headers[VERSION_HEADER] == VERSION
    for says in ("", "0.0.1; api=1", "curl"):
        assert client.get(f"{API}/info", headers={VERSION_HEADER: says}).status_code == 200
    older = client.get(f"{API}/info", headers={VERSION_HEADER: "0.0.1; api=0"})
    assert (older.status_code, older.json()["code"]) == (426, "upgrade_required")
    assert older.json()["hint"] == f"Upgrade the client: pip install 'tiphys=={__version__}'"
    newer = client.get("/api/tiphys/v2/info", headers={VERSION_HEADER: "9.1.0; api=2"})
    assert (newer.status_code, newer.json()["hint"]) == (426, "Upgrade the server: pip install 'tiphys==9.1.0'")


def test_what_is_no_version_of_ours_is_let_through() -> None:
    assert refusal_of("x; api=") is None
    assert refusal_of("1.0; api=99999999999999999999") is None


def test_secrets_of_components_are_for_those_who_use_them(client: TestClient, backend: LocalBackend) -> None:
    secret = {"tracking_uri": "http://localhost:1", "token": "hush"}
    backend.stacks.register_component(ComponentType.EXPERIMENT_TRACKER, "t", "mlflow", secret)
    kind = {"type": "experiment_tracker", "name": "t"}
    (listed,) = client.get(f"{API}/components", params={"filter": 'name:eq:"t"'}).json()["items"]
    assert "hush" not in str(listed)
    assert "hush" not in client.get(f"{API}/components/{listed['id']}").text
    assert client.get(f"{API}/components/lookup", params=kind).json()["configuration"] == secret
    assert client.get(f"{API}/components/recipe", params=kind).json()["configuration"] == secret


def test_names_may_hold_what_addresses_hold(client: TestClient, backend: LocalBackend) -> None:
    run = backend.runs.submit(a_request(run_name="a/b c?%"))
    assert client.get(f"{HERE}/runs/a%2Fb%20c%3F%25/steps").json() == []
    assert client.get(f"{HERE}/runs/lookup", params={"name": run.name}).json()["id"] == run.id
    refused = client.delete(f"{HERE}/runs/a%2Fb%20c%3F%25")
    assert (refused.status_code, refused.json()["code"]) == (ConflictError.http_status, ConflictError.code)
    assert re.search("a/b", refused.json()["message"])
    assert client.get(f"{HERE}/runs/nothing/steps").status_code == NotFoundError.http_status


@pytest.mark.parametrize("headers", [{}, {"Tiphys-Handed-On": "1"}])
def test_a_run_of_a_server_that_cannot_be_asked(
    client: TestClient, backend: LocalBackend, headers: dict[str, str]
) -> None:
    run = backend.runs.submit(a_request(by_client=True))
    host = backend._connected()
    assert isinstance(host, IdleHost)
    host.alive.add("there:1:1")
    with backend.store.transaction() as transaction:
        transaction.update(WorkflowRow, run.workflow_uid, owner="there:1:1")
        # Nobody listens there.
        transaction.add(ServerAddress(id="there:1:1", url="http://127.0.0.1:1", created_at=utc_now()))
    told = {"session": "a-session"}
    answer = client.post(f"{HERE}/runs/{run.id}/work", json=told, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (503, "store")
    assert "Another server" in answer.json()["message"]
