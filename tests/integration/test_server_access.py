"""A server that asks who sends requests: Hera with keys and passwords, streams of revoked keys, other addresses."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from hera.exceptions import Forbidden, Unauthorized
from hera.workflows import AsyncWorkflowsService, Container, Workflow
from tests.integration.server_desk import PATIENCE, RunningServer, running_server, workflow

# Hera's own use of pydantic and of httpx.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20"),
    pytest.mark.filterwarnings("ignore:`verify=<str>` is deprecated"),
]

PASSWORD = "correct horse"


def tiphys(home: Path, *arguments: str, text: str = "") -> str:
    command = [sys.executable, "-m", "tiphys", *arguments]
    environment = {**os.environ, "TIPHYS_HOME": str(home)}
    done = subprocess.run(command, input=text, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def basic(name: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("access") / "home"
    tiphys(made, "user", "create", "ada", "--role", "editor", "--workspace", "team", text=f"{PASSWORD}\n")
    return made


@pytest.fixture(scope="module")
def asking(home: Path) -> Iterator[RunningServer]:
    with running_server(home) as started:
        yield started
        assert "Traceback" not in started.end()


def run(server: RunningServer, token: str, namespace: str = "team") -> str:
    service = server.hera(namespace, token)
    with Workflow(generate_name="who-", entrypoint="main", namespace=namespace, workflows_service=service) as made:
        Container(name="main", image="busybox", command=["true"])
    name = made.create().metadata.name
    assert name
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = service.get_workflow(name, namespace)
        if found.status and found.status.phase in ("Succeeded", "Failed", "Error"):
            return str(found.status.phase)
        time.sleep(0.1)
    raise AssertionError(name)


def test_hera_works_with_a_key_and_with_a_password(asking: RunningServer, home: Path) -> None:
    assert "Clients log in" in asking.said
    key = tiphys(home, "api-key", "create", "hera", "--role", "editor", "--workspace", "team", "--expires", "1d")
    for token in (key, f"Bearer {key}", basic("ada", PASSWORD)):
        assert run(asking, token) == "Succeeded"
    assert asking.hera("team", key).get_user_info().service_account_name == "hera"
    assert asking.hera("team", basic("ada", PASSWORD)).get_user_info().name == "ada"


def test_hera_is_told_what_is_wrong(asking: RunningServer, home: Path) -> None:
    key = tiphys(home, "api-key", "create", "looker", "--role", "viewer", "--workspace", "team")
    for token in (None, "wrong", key[:-1], basic("ada", "wrong horse"), "Basic ada"):
        with pytest.raises(Unauthorized, match=r"."):
            asking.hera("team", token).list_workflows("team")
    assert asking.hera("team", key).list_workflows("team") is not None
    with pytest.raises(Forbidden, match="looker may not read workflows in the workspace 'other'"):
        asking.hera("other", key).list_workflows("other")
    with pytest.raises(Forbidden, match="looker may not write workflows"):
        run(asking, key)


def test_heras_asynchronous_client_works_too(asking: RunningServer, home: Path) -> None:
    key = tiphys(home, "api-key", "create", "async", "--role", "viewer", "--workspace", "team")

    async def version(token: str | None) -> str:
        given = {"verify_ssl": asking.authority, "namespace": "team", "token": token}
        async with AsyncWorkflowsService(host=asking.url, **given) as service:
            return str((await service.get_version()).version)

    assert asyncio.run(version(key)).startswith("v4.")
    with pytest.raises(Unauthorized):
        asyncio.run(version(None))


def test_a_stream_ends_when_its_key_is_revoked(asking: RunningServer, home: Path) -> None:
    key = tiphys(home, "api-key", "create", "watcher", "--role", "viewer")
    headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream"}
    with asking.client(headers=headers) as client:
        with client.stream("GET", "/api/v1/workflow-events/") as stream:
            assert stream.status_code == 200
            tiphys(home, "api-key", "revoke", "watcher", "--yes")
            # It has no end of its own.
            for _ in stream.iter_lines():
                pass
        assert client.get("/api/v1/version").status_code == 401


def test_an_open_server_asks_from_the_first_user_on(tmp_path: Path) -> None:
    with running_server(tmp_path / "home") as server, server.client() as client:
        assert client.get("/api/v1/userinfo").json() == {}
        tiphys(tmp_path / "home", "user", "create", "ada", "--role", "admin", text=f"{PASSWORD}\n")
        deadline = time.monotonic() + PATIENCE
        while client.get("/api/v1/userinfo").status_code == 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        answer = client.get("/api/v1/userinfo", headers={"Authorization": basic("ada", PASSWORD)})
        assert answer.json()["groups"] == ["*:admin"]
        said = server.end()
    assert re.search(r"refused GET '/api/v1/userinfo' from 127\.0\.0\.1: 'This server asks who you are.'", said)


def test_a_server_that_others_reach_asks_them_and_says_how_to_make_a_user(tmp_path: Path) -> None:
    options = ("--host", "0.0.0.0", "--name", "Tiphys.Example")
    with running_server(tmp_path / "home", *options) as server, server.client() as client:
        assert "there is no user yet: tiphys user create NAME --role admin" in server.said
        assert client.post("/api/v1/workflows/w", json={"workflow": workflow("true")}).status_code == 401
        port = httpx2.URL(server.url).port
        key = tiphys(tmp_path / "home", "api-key", "create", "ci", "--role", "viewer")
        given = {"Authorization": f"Bearer {key}"}
        asked = {
            host: client.get("/api/v1/version", headers={**given, "Host": f"{host}:{port}"}).status_code
            for host in ("127.0.0.1", "tiphys.example", "TIPHYS.example", "evil.example", "192.0.2.7")
        }
        assert list(asked.values()) == [200, 200, 200, 403, 403]
        # The certificate is for that name.
        connection = socket.create_connection(("127.0.0.1", port or 0))
        context = ssl.create_default_context(cafile=server.authority)
        with context.wrap_socket(connection, server_hostname="tiphys.example") as secured:
            assert secured.version() is not None


def test_authentication_can_be_demanded_on_loopback(tmp_path: Path) -> None:
    with running_server(tmp_path / "home", "--auth", "--insecure") as server:
        assert "there is no user yet" in server.said
        assert httpx2.get(f"{server.url}/api/v1/version").status_code == 401
        # Nobody can say that they come from another address than they do.
        forged = {"X-Forwarded-For": "192.0.2.9", "Authorization": "Bearer x"}
        assert httpx2.get(f"{server.url}/api/v1/version", headers=forged).status_code == 401
        said = server.end()
    assert ("from 127.0.0.1" in said, "192.0.2.9" in said) == (True, False)
