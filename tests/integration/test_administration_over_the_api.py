"""`tiphys queue limit`, `argo retention`, `user` and `api-key` through a server, for those who may."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.contract.served import client_of, served
from tests.unit.cli.conftest import Invoke, backend, invoking, read
from tests.unit.cli.test_queue import *  # noqa: F403  # every test, on the fixtures below
from tests.unit.cli.test_retention import *  # noqa: F403

from tiphys.client.connection import Connection
from tiphys.errors import ForbiddenError, UnauthenticatedError
from tiphys.ports.wire import API, REQUEST_HEADER
from tiphys.records.access import Role
from tiphys.records.base import Query
from tiphys.records.servers import KeptAnswer
from tiphys.services.backend import LocalBackend

__all__ = ["backend", "read"]
PASSWORD = "correct horse\n"


@pytest.fixture
def url(backend: LocalBackend) -> Iterator[str]:
    backend.access.create_key("root", role=Role.ADMIN)
    with served(backend, authenticates=True) as found:
        yield found


@pytest.fixture
def root(backend: LocalBackend) -> str:
    return backend.access.create_key("root-2", role=Role.ADMIN).text


@pytest.fixture
def invoke(url: str, root: str, tmp_path: Path) -> Iterator[Invoke]:
    asked = client_of(Connection(url, api_key=root), tmp_path)
    yield invoking(asked)
    asked.close()


def test_users_are_made_and_changed(invoke: Invoke, read: Callable[..., Any], backend: LocalBackend) -> None:
    assert (
        "editor in the workspace team"
        in invoke("user", "create", "bob", "--role", "editor", "--workspace", "team", input=PASSWORD).output
    )
    assert "'bob'" in invoke("user", "create", "bob", input=PASSWORD, code=2).output
    invoke("user", "grant", "bob", "--role", "viewer")
    assert {one["name"]: one["roles"] for one in read("user", "list")}["bob"] == {"*": "viewer", "team": "editor"}
    invoke("user", "revoke", "bob")
    assert backend.access.by_password("bob", PASSWORD.strip(), address="here").roles == {"team": Role.EDITOR}
    invoke("user", "passwd", "bob", input="another horse\n")
    with pytest.raises(UnauthenticatedError):
        backend.access.by_password("bob", PASSWORD.strip(), address="here")
    assert "characters" in invoke("user", "passwd", "bob", input="short\n", code=2).output
    assert invoke("user", "delete", "bob", "--yes").output == "Deleted bob.\n"
    assert "'bob'" in invoke("user", "delete", "bob", "--yes", code=2).output


def test_who_deletes_their_own_account_is_told_that_it_is_done(invoke: Invoke, backend: LocalBackend) -> None:
    assert invoke("user", "delete", "root-2", "--yes").output == "Deleted root-2.\n"
    assert [one.account.name for one in backend.access.accounts()] == ["root"]
    assert "is none of this server" in invoke("user", "list", code=2).output


def test_keys_are_made_rotated_and_revoked(invoke: Invoke, read: Callable[..., Any], backend: LocalBackend) -> None:
    old = invoke("api-key", "create", "ci", "--role", "viewer", "--expires", "90d").stdout.strip()
    assert backend.access.by_key(old).roles == {"*": Role.VIEWER}
    new = invoke("api-key", "rotate", "ci", "--grace", "1h").stdout.strip()
    assert backend.access.by_key(old) == backend.access.by_key(new)
    assert [one["account"] for one in read("api-key", "list")].count("ci") == 2
    invoke("api-key", "revoke", old.rsplit("_", 1)[0], "--yes")
    with pytest.raises(UnauthenticatedError):
        backend.access.by_key(old)


def test_nothing_secret_is_answered_or_kept(url: str, root: str, backend: LocalBackend) -> None:
    with httpx2.Client(
        base_url=url + API, headers={"Authorization": f"Bearer {root}", REQUEST_HEADER: "one"}
    ) as client:
        user = client.post("/accounts", json={"name": "ada", "password": "correct horse"})
        key = client.post("/api-keys", json={"account": "ci", "role": "viewer"})
        listed = [client.get("/accounts").text, client.get("/api-keys").text]
    assert [user.status_code, key.status_code] == [201, 201]
    text = key.json()["text"]
    hashes = [one.account.password_hash for one in backend.access.accounts()]
    digests = [one.key.digest for one in backend.access.api_keys()]
    kept = [one.body for one in backend.find(Query.of(KeptAnswer))]
    assert any("ada" in one for one in kept)
    for said in (user.text, key.text.replace(text, ""), *listed, *kept):
        assert not [one for one in (*hashes, *digests, text.rsplit("_", 1)[1]) if one and one in said]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR, Role.ADMIN])
def test_it_takes_an_administrator_of_all_workspaces(
    url: str, backend: LocalBackend, tmp_path: Path, role: Role
) -> None:
    where = "team" if role is Role.ADMIN else "*"
    key = backend.access.create_key("somebody", role=role, workspace=where).text
    asked = client_of(Connection(url, api_key=key), tmp_path)
    assert asked.policies.queue_limits() == []
    assert asked.policies.retention().completed is None
    for forbidden in (
        lambda: asked.accounts.accounts(),
        lambda: asked.accounts.create_key("mine", role=Role.ADMIN),
        lambda: asked.accounts.grant("somebody", Role.ADMIN),
        lambda: asked.accounts.set_password("root", "correct horse"),
        lambda: asked.policies.set_queue_limit("queue/all", 0),
        lambda: asked.policies.change_retention({"completed": 0}),
        lambda: asked.policies.not_kept({"completed": 0}),
    ):
        with pytest.raises(ForbiddenError):
            forbidden()
    asked.close()


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("POST", "/api-keys", {"account": "ci", "role": "viewer", "lifetime": 1e300}),
        ("POST", "/api-keys", {"account": "ci", "role": "viewer", "lifetime": 1e12}),
        ("POST", "/api-keys", {"account": "ci", "role": "viewer", "lifetime": 0}),
        ("POST", "/api-keys", {"account": "ci", "role": "king"}),
        ("POST", "/accounts", {"name": "a/b", "password": "correct horse"}),
        ("POST", "/accounts", {"name": "a\nb", "password": "correct horse"}),
        ("PUT", "/queue-limits", {"key": "queue/nothing", "limit": 1}),
        ("PUT", "/queue-limits", {"key": "argo/Database/theirs", "limit": 1}),
        ("PUT", "/queue-limits", {"key": "queue/label/" + "x" * 9000 + "=y", "limit": 1}),
        ("PUT", "/queue-limits", {"key": "queue/all", "limit": -1}),
        ("PUT", "/queue-limits", {"key": "queue/all", "limit": 2**63}),
        ("PATCH", "/retention", {"nothing": 1}),
        ("PATCH", "/retention", {"completed": -1}),
        ("POST", "/retention/find", {"completed": 2**63}),
    ],
)
def test_what_is_wrong_is_refused_and_changes_nothing(
    url: str, root: str, backend: LocalBackend, verb: str, path: str, body: dict[str, Any]
) -> None:
    with httpx2.Client(base_url=url + API, headers={"Authorization": f"Bearer {root}"}) as client:
        answered = client.request(verb, path, json=body)
    assert answered.status_code == 400, answered.text
    assert {one.account.name for one in backend.access.accounts()} == {"root", "root-2"}
    assert backend.policies.queue_limits() == []
    assert backend.policies.retention() == type(backend.policies.retention())()


def test_a_limit_of_another_kind_is_not_deleted(url: str, root: str, backend: LocalBackend) -> None:
    backend.policies.change_retention({"completed": 7})
    with httpx2.Client(base_url=url + API, headers={"Authorization": f"Bearer {root}"}) as client:
        assert client.delete("/queue-limits", params={"key": "retention/completed"}).status_code == 404
    assert backend.policies.retention().completed == 7
