"""Accounts, roles and keys in a store, and who is known by them."""

from __future__ import annotations

import hmac
import logging
import re
import secrets
import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tiphys._util.ids import new_id
from tiphys._util.times import utc_now
from tiphys.errors import AlreadyExistsError, NotFoundError, StoreError, UnauthenticatedError, UsageError
from tiphys.ports.access import Access, AccountRoles, NewKey, OwnedKey, Principal, PrincipalKind
from tiphys.ports.store import Reader, Store, Transaction
from tiphys.records.access import ALL_WORKSPACES, Account, AccountKind, ApiKey, Role, RoleBinding, SigningKey
from tiphys.records.base import Query
from tiphys.records.workflows import WorkflowSummary
from tiphys.services.attempts import Attempts

#: ASCII alone: no two names look alike, and none can break a header or a line of a log.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}")
_KEY = re.compile(r"tiphys_([0-9a-f]{12})_([0-9a-f]{64})")
#: Characters of a password. Longer ones would have the server hash them for long.
_SHORTEST, _LONGEST = 8, 1024
#: How often a key's last use is written at most.
_USE_WRITTEN = timedelta(minutes=1)
#: How long a signing key signs, and how long it verifies after that: tokens do not live longer.
SIGNS, VERIFIES = timedelta(days=30), timedelta(days=30)
#: Passwords that are checked at once: each takes 64 MiB.
_AT_ONCE = 2
#: Passwords that are known to be right, at most.
_REMEMBERED = 1000

_hasher = PasswordHasher()
#: What the password of somebody unknown is compared with, so that it takes as long as another.
_NOBODYS = f"$argon2id$v=19$m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}${'A' * 22}${'A' * 43}"
_log = logging.getLogger("tiphys.server.access")


class AccessService(Access):
    """Accounts, roles and keys in a store. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._attempts = Attempts()
        self._checking = threading.BoundedSemaphore(_AT_ONCE)
        #: Of a name and password that were right, under a key of this process → the hash that they were right for.
        self._right: dict[bytes, str] = {}
        self._remembers_by = secrets.token_bytes(32)

    # Accounts ---------------------------------------------------------------------------------------------------------

    def has_accounts(self) -> bool:
        """Whether there is any account."""
        with self._store.reader() as reader:
            return bool(reader.find(Query.of(Account, limit=1)))

    def accounts(self) -> list[AccountRoles]:
        """All accounts, by name."""
        with self._store.reader() as reader:
            found = reader.find(Query.of(Account, order="name"))
            bindings = reader.find(Query.of(RoleBinding, order="workspace"))
        roles: dict[str, dict[str, Role]] = {account.id: {} for account in found}
        for binding in bindings:
            roles.setdefault(binding.account_id, {})[binding.workspace] = binding.role
        return [AccountRoles(account=account, roles=roles[account.id]) for account in found]

    def create_user(
        self, name: str, password: str, *, role: Role | None = None, workspace: str = ALL_WORKSPACES
    ) -> Account:
        """Create a user."""
        _expect_password(password)
        hashed = _hasher.hash(password)
        with self._store.transaction() as transaction:
            return _add_account(transaction, name, AccountKind.USER, hashed, role=role, workspace=workspace)

    def set_password(self, name: str, password: str) -> None:
        """Give a user another password."""
        _expect_password(password)
        hashed = _hasher.hash(password)
        with self._store.transaction() as transaction:
            account = _account(transaction, name)
            if account.kind is not AccountKind.USER:
                raise UsageError(f"'{name}' is a service account: it has keys alone.")
            transaction.update(Account, account.id, password_hash=hashed)

    def delete_account(self, name: str) -> None:
        """Remove an account with its roles and keys."""
        with self._store.transaction() as transaction:
            account = _account(transaction, name)
            transaction.delete_found(Query.of(RoleBinding, account_id=account.id))
            transaction.delete_found(Query.of(ApiKey, account_id=account.id))
            transaction.delete(Account, [account.id])

    def grant(self, name: str, role: Role, *, workspace: str = ALL_WORKSPACES) -> None:
        """Give an account a role in a workspace or in all."""
        with self._store.transaction() as transaction:
            transaction.put(_binding(_account(transaction, name), role, workspace), "account_id", "workspace")

    def revoke(self, name: str, *, workspace: str = ALL_WORKSPACES) -> None:
        """Take an account's role in a workspace, or the one it has in all."""
        with self._store.transaction() as transaction:
            account = _account(transaction, name)
            if not transaction.delete_found(Query.of(RoleBinding, account_id=account.id, workspace=workspace)):
                where = "all workspaces together" if workspace == ALL_WORKSPACES else f"the workspace '{workspace}'"
                raise NotFoundError(f"'{name}' has no role in {where}.", hint="See them all: tiphys user list")

    # Keys -------------------------------------------------------------------------------------------------------------

    def api_keys(self) -> list[OwnedKey]:
        """All keys, the oldest first."""
        with self._store.reader() as reader:
            found = reader.find(Query.of(ApiKey, order="id"))
            accounts = reader.get_many(Account, {key.account_id for key in found})
        return [OwnedKey(key=key, account=accounts[key.account_id].name) for key in found if key.account_id in accounts]

    def create_key(
        self,
        account: str,
        *,
        role: Role | None = None,
        workspace: str = ALL_WORKSPACES,
        lifetime: timedelta | None = None,
    ) -> NewKey:
        """Create a key of an account; a service account is made if there is none of that name."""
        with self._store.transaction() as transaction:
            found = transaction.find(Query.of(Account, name=account, limit=1))
            if found and role is not None:
                raise UsageError(
                    f"The account '{account}' is there already, and a key may do what its account may.",
                    hint=f"Leave the role out, or change the account's: tiphys user grant {account} --role {role}",
                )
            if not found and role is None:
                raise UsageError(
                    f"There is no account '{account}', and one that is made for a key needs a role.",
                    hint=f"tiphys api-key create {account} --role viewer|editor|admin [--workspace WORKSPACE]",
                )
            owner = (
                found[0]
                if found
                else _add_account(transaction, account, AccountKind.SERVICE, "", role=role, workspace=workspace)
            )
            return _add_key(transaction, owner.id, lifetime)

    def rotate_key(self, name: str, *, grace: timedelta) -> NewKey:
        """Create a key in the place of one that holds for `grace` yet."""
        now = utc_now()
        with self._store.transaction() as transaction:
            old = _key_named(transaction, name, now)
            lifetime = None if old.expires_at is None else old.expires_at - old.created_at
            made = _add_key(transaction, old.account_id, lifetime)
            if grace > timedelta(0):
                ends = now + grace
                transaction.update(ApiKey, old.id, expires_at=min(old.expires_at or ends, ends))
            else:
                transaction.delete(ApiKey, [old.id])
            return made

    def revoke_key(self, name: str) -> ApiKey:
        """Remove a key."""
        with self._store.transaction() as transaction:
            found = _key_named(transaction, name, utc_now())
            transaction.delete(ApiKey, [found.id])
            return found

    # Who is known -----------------------------------------------------------------------------------------------------

    def by_password(self, name: str, password: str, *, address: str) -> Principal:
        """Who has this name and password."""
        with self._store.reader() as reader:
            accounts = reader.find(Query.of(Account, name=name, limit=1)) if _NAME.fullmatch(name) else []
            found = [_principal(reader, account) for account in accounts]
        stored = accounts[0].password_hash if accounts else ""
        if not self._is_right(name, password, stored, address):
            raise UnauthenticatedError("No user has this name and password.")
        return found[0]

    def _is_right(self, name: str, password: str, stored: str, address: str) -> bool:
        mark = hmac.digest(self._remembers_by, f"{name}\0{password}".encode("utf-8", "surrogatepass"), "sha256")
        if self._remembers(mark, stored):
            return True
        with self._checking:
            # Of many requests that come at once with the same password only the first has it checked.
            if self._remembers(mark, stored):
                return True
            known_name = name if _NAME.fullmatch(name) else ""
            self._attempts.begin(known_name, address)
            right = _matches(stored or _NOBODYS, password) and bool(stored)
            if right:
                self._attempts.succeeded(known_name, address)
                if len(self._right) >= _REMEMBERED:
                    self._right.clear()
                self._right[mark] = stored
            return right

    def _remembers(self, mark: bytes, stored: str) -> bool:
        known = self._right.get(mark)
        return known is not None and bool(stored) and hmac.compare_digest(known, stored)

    def by_key(self, text: str) -> Principal:
        """Who has this key."""
        parts = _KEY.fullmatch(text)
        if parts is None:
            raise UnauthenticatedError("The API key is malformed.")
        now = utc_now()
        with self._store.reader() as reader:
            keys = reader.find(Query.of(ApiKey, prefix=parts[1], limit=1))
            same = hmac.compare_digest(keys[0].digest if keys else "0" * 64, _digest(parts[2]))
            account = reader.get(Account, keys[0].account_id) if keys and same else None
            if account is None:
                raise UnauthenticatedError(f"The API key tiphys_{parts[1]} is none of this server, or was revoked.")
            if _has_expired(keys[0], now):
                raise UnauthenticatedError(f"The API key tiphys_{parts[1]} has expired.")
            found = _principal(reader, account)
        self._write_use(keys[0], now)
        return found

    def _write_use(self, key: ApiKey, now: datetime) -> None:
        if key.last_used_at is not None and now - key.last_used_at < _USE_WRITTEN:
            return
        try:
            with self._store.transaction() as transaction:
                transaction.update(ApiKey, key.id, last_used_at=now)
        except NotFoundError:
            raise UnauthenticatedError(f"The API key tiphys_{key.prefix} was revoked.") from None
        except StoreError as error:
            _log.warning("the last use of the key tiphys_%s was not written: %s", key.prefix, error.message)

    def by_run(self, uid: str, workspace: str) -> Principal:
        """The tasks of a run that has not ended."""
        with self._store.reader() as reader:
            row = reader.get(WorkflowSummary, uid)
        if row is None or row.workspace != workspace or row.finished_at is not None:
            raise UnauthenticatedError("The run that the token is for has ended.")
        return Principal(name=f"run:{uid}", kind=PrincipalKind.RUN, roles={workspace: Role.EDITOR})

    # Signing ----------------------------------------------------------------------------------------------------------

    def signing_key(self) -> SigningKey:
        """The newest key; a new one takes its place when it is old, and those that no token can name any more go."""
        now = utc_now()
        with self._store.reader() as reader:
            newest = reader.find(Query.of(SigningKey, limit=1))
        if newest and now - newest[0].created_at < SIGNS:
            return newest[0]
        with self._store.transaction() as transaction:
            past = [key.id for key in transaction.find(Query.of(SigningKey)) if now - key.created_at > SIGNS + VERIFIES]
            transaction.delete(SigningKey, past)
            made = SigningKey(id=new_id(), secret=secrets.token_hex(32), created_at=now)
            transaction.add(made)
            return made

    def verifying_key(self, id: str) -> SigningKey | None:
        """What a token says that it was signed with."""
        with self._store.reader() as reader:
            return reader.get(SigningKey, id)


def _principal(reader: Reader, account: Account) -> Principal:
    bindings = reader.find(Query.of(RoleBinding, account_id=account.id))
    roles: Mapping[str, Role] = {binding.workspace: binding.role for binding in bindings}
    return Principal(name=account.name, kind=PrincipalKind(account.kind.value), roles=roles)


def _add_account(
    transaction: Transaction, name: str, kind: AccountKind, hashed: str, *, role: Role | None, workspace: str
) -> Account:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!a} cannot be the name of an account.",
            hint="Up to 63 letters without accents, digits, '.', '_', '@' and '-', the first a letter or digit.",
        )
    if transaction.find(Query.of(Account, name=name, limit=1)):
        raise AlreadyExistsError(f"There is an account '{name}' already.", hint="See them all: tiphys user list")
    made = Account(id=new_id(), name=name, kind=kind, password_hash=hashed, created_at=utc_now())
    transaction.add(made)
    if role is not None:
        transaction.add(_binding(made, role, workspace))
    return made


def _binding(account: Account, role: Role, workspace: str) -> RoleBinding:
    if workspace != ALL_WORKSPACES and not _NAME.fullmatch(workspace):
        raise UsageError(f"{workspace!a} is not the name of a workspace, nor * for all.")
    return RoleBinding(id=new_id(), account_id=account.id, workspace=workspace, role=role, created_at=utc_now())


def _add_key(transaction: Transaction, account_id: str, lifetime: timedelta | None) -> NewKey:
    now, prefix, secret = utc_now(), secrets.token_hex(6), secrets.token_hex(32)
    made = ApiKey(id=new_id(), account_id=account_id, prefix=prefix, digest=_digest(secret), created_at=now)
    made = replace(made, expires_at=now + lifetime) if lifetime is not None else made
    transaction.add(made)
    return NewKey(key=made, text=f"tiphys_{prefix}_{secret}")


def _account(reader: Reader, name: str) -> Account:
    found = reader.find(Query.of(Account, name=name, limit=1))
    if not found:
        raise NotFoundError(f"There is no account {name!a}.", hint="See them all: tiphys user list")
    return found[0]


def _key_named(reader: Reader, name: str, now: datetime) -> ApiKey:
    """A key by its prefix, or by the account that has no other key that holds."""
    found = reader.find(Query.of(ApiKey, prefix=name.removeprefix("tiphys_"), limit=1))
    if found:
        return found[0]
    accounts = reader.find(Query.of(Account, name=name, limit=1))
    held: Iterable[ApiKey] = reader.find(Query.of(ApiKey, account_id=accounts[0].id)) if accounts else ()
    holding = [key for key in held if not _has_expired(key, now)]
    if len(holding) == 1:
        return holding[0]
    if holding:
        known = ", ".join(f"tiphys_{key.prefix}" for key in holding)
        raise UsageError(f"The account '{name}' has several keys.", hint=f"Name one of them: {known}")
    raise NotFoundError(f"There is no API key {name!a}.", hint="See them all: tiphys api-key list")


def _has_expired(key: ApiKey, now: datetime) -> bool:
    return key.expires_at is not None and key.expires_at <= now


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def _expect_password(password: str) -> None:
    if not _SHORTEST <= len(password) <= _LONGEST:
        raise UsageError(f"A password has {_SHORTEST} to {_LONGEST} characters.")


def _matches(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password[: _LONGEST + 1].encode("utf-8", "surrogatepass"))
    except (VerificationError, InvalidHashError):
        return False
