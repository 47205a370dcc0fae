"""`tiphys user` and `tiphys api-key`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from argon2 import PasswordHasher
from tests.unit.cli.conftest import Invoke

from tiphys.errors import UnauthenticatedError
from tiphys.records.access import Role
from tiphys.services import access as service
from tiphys.services.backend import LocalBackend

PASSWORD = "correct horse\n"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


def test_users_and_their_roles(invoke: Invoke, read: Callable[..., Any], backend: LocalBackend) -> None:
    assert invoke("user", "list").stderr == "No users.\n"
    made = invoke("user", "create", "ada", "--role", "admin", input=PASSWORD)
    assert made.output == "Created user ada, admin in all workspaces.\n"
    assert "without a role" in invoke("user", "create", "bob", input=PASSWORD).output
    invoke("user", "grant", "bob", "--role", "viewer", "--workspace", "team")
    assert [(one["name"], one["roles"]) for one in read("user", "list")] == [
        ("ada", {"*": "admin"}),
        ("bob", {"team": "viewer"}),
    ]
    assert "team:viewer" in invoke("user", "list").output
    invoke("user", "revoke", "bob", "--workspace", "team")
    assert read("user", "list")[1]["roles"] == {}
    invoke("user", "passwd", "ada", input="another horse\n")
    assert backend.access.by_password("ada", "another horse", address="here").name == "ada"


def test_the_last_user_is_not_deleted_in_silence(invoke: Invoke) -> None:
    for name in ("ada", "bob"):
        invoke("user", "create", name, input=PASSWORD)
    assert "asks nobody" not in invoke("user", "delete", "bob", "--yes").output
    assert "asks nobody" in invoke("user", "delete", "ada", "--yes").output
    assert "no terminal" in invoke("user", "delete", "ada", code=2).stderr


def test_keys_are_shown_once(invoke: Invoke, read: Callable[..., Any], backend: LocalBackend) -> None:
    made = invoke("api-key", "create", "ci", "--role", "editor", "--workspace", "team", "--expires", "90d")
    text = made.stdout.strip()
    assert backend.access.by_key(text).roles == {"team": Role.EDITOR}
    (key,) = backend.access.api_keys()
    assert key.key.expires_at is not None
    assert key.key.expires_at - key.key.created_at == timedelta(days=90)
    secret = text.rsplit("_", 1)[1]
    for output in ("table", "wide", "json", "yaml", "name"):
        listed = invoke("api-key", "list", "-o", output).output
        assert (text.rsplit("_", 1)[0] in listed, secret in listed) == (True, False)
    assert key.key.digest not in invoke("api-key", "list", "-o", "json").output


def test_a_key_is_rotated_and_revoked(invoke: Invoke, backend: LocalBackend) -> None:
    old = invoke("api-key", "create", "ci", "--role", "viewer").stdout.strip()
    new = invoke("api-key", "rotate", "ci", "--grace", "1h").stdout.strip()
    assert backend.access.by_key(old) == backend.access.by_key(new)
    invoke("api-key", "revoke", old.rsplit("_", 1)[0], "--yes")
    with pytest.raises(UnauthenticatedError):
        backend.access.by_key(old)
    newest = invoke("api-key", "rotate", "ci").stdout.strip()
    with pytest.raises(UnauthenticatedError):
        backend.access.by_key(new)
    assert backend.access.by_key(newest).name == "ci"


@pytest.mark.parametrize("span", ["", "90", "d", "-1d", "1y", "1.5h", "9999999d"])
def test_a_span_of_time_is_a_number_and_a_unit(invoke: Invoke, backend: LocalBackend, span: str) -> None:
    done = invoke("api-key", "create", "ci", "--role", "viewer", "--expires", span, code=2)
    assert "is not a span of time" in done.stderr
    assert not backend.access.has_accounts()


def test_what_is_not_there_is_named(invoke: Invoke) -> None:
    for arguments in (("user", "delete", "x", "-y"), ("api-key", "revoke", "x", "-y"), ("api-key", "rotate", "x")):
        assert "'x'" in invoke(*arguments, code=2).stderr


def test_what_is_not_installed_is_named(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "argon2", None)
    monkeypatch.delitem(sys.modules, "tiphys.services.access")
    assert "pip install 'tiphys[server]'" in invoke("user", "list", code=2).stderr
