"""Accounts, roles and keys in a store."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError

from tiphys._util.times import utc_now
from tiphys.errors import (
    AlreadyExistsError,
    NotFoundError,
    TooManyAttemptsError,
    UnauthenticatedError,
    UsageError,
)
from tiphys.ports.access import Access, PrincipalKind
from tiphys.records.access import Role
from tiphys.services import access as module
from tiphys.services.attempts import OF_ALL_NAMES, OF_ONE_NAME, WINDOW, Attempts
from tiphys.services.backend import LocalBackend

PASSWORD = "correct horse"
HERE = "127.0.0.1"


@pytest.fixture
def access(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> Access:
    """With passwords that are hashed in no time."""
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(module, "_hasher", quick)
    monkeypatch.setattr(module, "_NOBODYS", f"$argon2id$v=19$m=8,t=1,p=1${'A' * 22}${'A' * 43}")
    return backend.access


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Move the clock of the services."""

    def move(by: timedelta) -> None:
        now = module.utc_now() + by
        monkeypatch.setattr(module, "utc_now", lambda: now)

    return move


def is_known(access: Access, key: str) -> bool:
    try:
        access.by_key(key)
    except UnauthenticatedError:
        return False
    return True


def test_a_user_is_known_by_the_password_alone_that_was_given(access: Access) -> None:
    assert not access.has_accounts()
    access.create_user("ada", PASSWORD, role=Role.ADMIN)
    assert access.has_accounts()
    for _ in range(2):
        found = access.by_password("ada", PASSWORD, address=HERE)
        assert (found.name, found.kind, found.roles) == ("ada", PrincipalKind.USER, {"*": Role.ADMIN})
    for name, password in (("ada", "correct horsE"), ("ada", ""), ("bob", PASSWORD), ("", ""), ("ada\0", PASSWORD)):
        with pytest.raises(UnauthenticatedError, match="No user has this name and password"):
            access.by_password(name, password, address=HERE)


def test_another_password_and_another_role_hold_at_once(access: Access) -> None:
    access.create_user("ada", PASSWORD, role=Role.VIEWER, workspace="team")
    access.by_password("ada", PASSWORD, address=HERE)
    access.set_password("ada", "another horse")
    with pytest.raises(UnauthenticatedError):
        access.by_password("ada", PASSWORD, address=HERE)
    access.grant("ada", Role.EDITOR, workspace="team")
    access.grant("ada", Role.VIEWER)
    found = access.by_password("ada", "another horse", address=HERE)
    assert found.roles == {"team": Role.EDITOR, "*": Role.VIEWER}
    access.revoke("ada", workspace="team")
    assert access.by_password("ada", "another horse", address=HERE).roles == {"*": Role.VIEWER}
    with pytest.raises(NotFoundError, match="no role in the workspace 'team'"):
        access.revoke("ada", workspace="team")
    access.delete_account("ada")
    with pytest.raises(UnauthenticatedError):
        access.by_password("ada", "another horse", address=HERE)


@pytest.mark.parametrize(
    "name", ["", "a b", "a\nb", "a\x1b[31m", "ada\0", "a:b", "ädä", "-a", "a" * 64, "a/b", "*", "\u202eada"]
)
def test_names_that_could_deceive_are_refused(access: Access, name: str) -> None:
    for make in (
        lambda: access.create_user(name, PASSWORD),
        lambda: access.create_key(name, role=Role.VIEWER),
    ):
        with pytest.raises(UsageError) as caught:
            make()
        assert caught.value.message.isprintable()
    access.create_user("ada", PASSWORD)
    if name != "*" and name != "a" * 64:
        with pytest.raises(UsageError):
            access.grant("ada", Role.VIEWER, workspace=name)
    assert [one.roles for one in access.accounts()] == [{}]


@pytest.mark.parametrize("password", ["", "seven77", "x" * 1025])
def test_passwords_that_are_too_short_or_too_long_are_refused(access: Access, password: str) -> None:
    with pytest.raises(UsageError, match="8 to 1024"):
        access.create_user("ada", password)
    assert not access.has_accounts()


def test_a_name_is_given_once(access: Access) -> None:
    access.create_user("ada", PASSWORD)
    with pytest.raises(AlreadyExistsError):
        access.create_user("ada", PASSWORD)


def test_it_takes_as_long_to_refuse_somebody_unknown() -> None:
    """The password is compared with a hash of the same cost, which no password has."""
    real = PasswordHasher().hash(PASSWORD)
    assert extract_parameters(module._NOBODYS) == extract_parameters(real)
    with pytest.raises(VerifyMismatchError):
        PasswordHasher().verify(module._NOBODYS, PASSWORD)


def test_a_key_is_known_until_it_is_revoked(access: Access) -> None:
    made = access.create_key("ci", role=Role.EDITOR, workspace="team")
    found = access.by_key(made.text)
    assert (found.name, found.kind, found.roles) == ("ci", PrincipalKind.SERVICE, {"team": Role.EDITOR})
    assert access.revoke_key("ci").id == made.key.id
    assert not is_known(access, made.text)
    assert access.api_keys() == []


def test_keys_that_are_not_as_they_were_made_are_refused(access: Access) -> None:
    text = access.create_key("ci", role=Role.EDITOR).text
    head, prefix, secret = text.split("_")
    other = "0" if secret[-1] != "0" else "1"
    for wrong in (
        "",
        head,
        f"{head}_{prefix}_",
        f"{head}_{prefix}_{secret[:-1]}",
        f"{head}_{prefix}_{secret[:-1]}{other}",
        f"{head}_{'0' * 12}_{secret}",
        f"{text}\n",
        text.upper(),
        text + "0",
        "tiphys_' OR 1=1 --_x",
    ):
        assert not is_known(access, wrong), wrong
    assert is_known(access, text)


def test_a_key_of_a_user_does_what_the_user_may_and_ends_with_it(access: Access) -> None:
    access.create_user("ada", PASSWORD, role=Role.VIEWER)
    made = access.create_key("ada")
    assert access.by_key(made.text).kind is PrincipalKind.USER
    with pytest.raises(UsageError, match="may do what its account may"):
        access.create_key("ada", role=Role.ADMIN)
    access.delete_account("ada")
    assert not is_known(access, made.text)


def test_a_service_account_needs_a_role_and_has_no_password(access: Access) -> None:
    with pytest.raises(UsageError, match="needs a role"):
        access.create_key("ci")
    access.create_key("ci", role=Role.VIEWER)
    with pytest.raises(UsageError, match="service account"):
        access.set_password("ci", PASSWORD)
    with pytest.raises(UnauthenticatedError):
        access.by_password("ci", "", address=HERE)


def test_keys_expire(access: Access, later: Callable[[timedelta], None]) -> None:
    made = access.create_key("ci", role=Role.VIEWER, lifetime=timedelta(hours=1))
    assert is_known(access, made.text)
    later(timedelta(hours=1))
    with pytest.raises(UnauthenticatedError, match=r"tiphys_[0-9a-f]{12} has expired"):
        access.by_key(made.text)


def test_an_old_key_holds_for_the_grace_after_its_rotation(access: Access, later: Callable[[timedelta], None]) -> None:
    old = access.create_key("ci", role=Role.VIEWER, lifetime=timedelta(days=90))
    later(timedelta(days=1))
    new = access.rotate_key("ci", grace=timedelta(hours=1))
    assert new.key.expires_at is not None
    assert new.key.expires_at - new.key.created_at == timedelta(days=90)
    assert (is_known(access, old.text), is_known(access, new.text)) == (True, True)
    with pytest.raises(UsageError, match="several keys"):
        access.rotate_key("ci", grace=timedelta(0))
    later(timedelta(hours=1))
    assert (is_known(access, old.text), is_known(access, new.text)) == (False, True)
    newest = access.rotate_key(f"tiphys_{new.key.prefix}", grace=timedelta(0))
    assert (is_known(access, new.text), is_known(access, newest.text)) == (False, True)


def test_a_rotation_makes_no_key_hold_longer(access: Access) -> None:
    old = access.create_key("ci", role=Role.VIEWER, lifetime=timedelta(minutes=1))
    access.rotate_key("ci", grace=timedelta(days=1))
    assert {one.key.id: one.key.expires_at for one in access.api_keys()}[old.key.id] == old.key.expires_at


def test_the_last_use_is_written_once_a_minute(access: Access, later: Callable[[timedelta], None]) -> None:
    text = access.create_key("ci", role=Role.VIEWER).text

    def used() -> object:
        access.by_key(text)
        return access.api_keys()[0].key.last_used_at

    later(timedelta(0))
    first = used()
    assert first is not None
    later(timedelta(seconds=59))
    assert used() == first
    later(timedelta(seconds=1))
    assert used() != first


def test_nothing_that_lets_somebody_in_is_in_the_database(access: Access, tmp_path: Path) -> None:
    access.create_user("ada", PASSWORD)
    text = access.create_key("ada").text
    with sqlite3.connect(tmp_path / "home" / "tiphys.db") as connection:
        rows = [connection.execute(f"SELECT * FROM {table}").fetchall() for table in ("accounts", "api_keys")]
    connection.close()
    stored = json.dumps(rows)
    assert PASSWORD not in stored
    assert text.rsplit("_", 1)[1] not in stored


def test_after_many_failures_even_the_right_password_is_not_tried(access: Access) -> None:
    access.create_user("ada", PASSWORD)
    access.create_user("bob", PASSWORD)
    access.by_password("bob", PASSWORD, address=HERE)
    for _ in range(OF_ONE_NAME):
        with pytest.raises(UnauthenticatedError):
            access.by_password("ada", "wrong horse", address=HERE)
    with pytest.raises(TooManyAttemptsError):
        access.by_password("ada", PASSWORD, address=HERE)
    assert access.by_password("ada", PASSWORD, address="192.0.2.1").name == "ada"
    # Whoever is known here already goes on.
    assert access.by_password("bob", PASSWORD, address=HERE).name == "bob"


class TestAttempts:
    @pytest.fixture
    def clock(self) -> list[float]:
        return [0.0]

    @pytest.fixture
    def attempts(self, clock: list[float]) -> Attempts:
        return Attempts(lambda: clock[0])

    @staticmethod
    def fail(attempts: Attempts, times: int, name: str = "ada") -> None:
        for _ in range(times):
            attempts.begin(name, HERE)

    def test_failures_are_forgotten_after_a_while(self, attempts: Attempts, clock: list[float]) -> None:
        self.fail(attempts, OF_ONE_NAME)
        with pytest.raises(TooManyAttemptsError, match="Too many logins failed"):
            attempts.begin("ada", HERE)
        clock[0] = WINDOW + 1
        attempts.begin("ada", HERE)

    def test_a_success_forgets_what_failed_before(self, attempts: Attempts) -> None:
        for _ in range(3):
            self.fail(attempts, OF_ONE_NAME)
            attempts.succeeded("ada", HERE)
        attempts.begin("ada", HERE)

    def test_many_names_from_one_address_are_counted_together(self, attempts: Attempts) -> None:
        for number in range(OF_ALL_NAMES):
            attempts.begin(f"name{number}", HERE)
        with pytest.raises(TooManyAttemptsError):
            attempts.begin("another", HERE)
        attempts.begin("another", "192.0.2.1")


def test_signing_keys_are_changed_and_go_when_no_token_can_name_them(
    access: Access, later: Callable[[timedelta], None]
) -> None:
    first = access.signing_key()
    assert access.signing_key() == first
    later(module.SIGNS)
    second = access.signing_key()
    assert second.secret != first.secret
    assert access.verifying_key(first.id) == first
    later(module.VERIFIES + timedelta(days=1))
    access.signing_key()
    assert access.verifying_key(first.id) is None
    assert utc_now() < second.created_at
