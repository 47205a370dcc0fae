"""Accounts, roles and keys of a server."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tiphys.client.connection import Connection
from tiphys.client.place import segment
from tiphys.ports.access import AccountRoles, Accounts, NewKey, OwnedKey
from tiphys.ports.wire import API, read
from tiphys.records.access import ALL_WORKSPACES, Account, ApiKey, Role


class ClientAccounts(Accounts):
    """Accounts of a server, for an administrator of all workspaces. Nobody is told hashes of passwords or keys.

    Args:
        connection: The server.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def accounts(self) -> list[AccountRoles]:
        """All accounts, by name."""
        return read(list[AccountRoles], self._ask("GET", "/accounts"))

    def create_user(
        self, name: str, password: str, *, role: Role | None = None, workspace: str = ALL_WORKSPACES
    ) -> Account:
        """Create a user."""
        body = {"name": name, "password": password, "role": role, "workspace": workspace}
        return read(Account, self._ask("POST", "/accounts", body))

    def set_password(self, name: str, password: str) -> None:
        """Give a user another password."""
        self._ask("PUT", f"/accounts/{segment(name)}/password", {"password": password})

    def delete_account(self, name: str) -> None:
        """Remove an account with its roles and keys."""
        self._ask("DELETE", f"/accounts/{segment(name)}")

    def grant(self, name: str, role: Role, *, workspace: str = ALL_WORKSPACES) -> None:
        """Give an account a role."""
        self._ask("PUT", f"/accounts/{segment(name)}/roles/{segment(workspace)}", {"role": role})

    def revoke(self, name: str, *, workspace: str = ALL_WORKSPACES) -> None:
        """Take an account's role in a workspace, or the one it has in all."""
        self._ask("DELETE", f"/accounts/{segment(name)}/roles/{segment(workspace)}")

    def api_keys(self) -> list[OwnedKey]:
        """All keys, the oldest first."""
        return read(list[OwnedKey], self._ask("GET", "/api-keys"))

    def create_key(
        self,
        account: str,
        *,
        role: Role | None = None,
        workspace: str = ALL_WORKSPACES,
        lifetime: timedelta | None = None,
    ) -> NewKey:
        """Create a key of an account, or of a service account that is made."""
        seconds = None if lifetime is None else lifetime.total_seconds()
        body = {"account": account, "role": role, "workspace": workspace, "lifetime": seconds}
        return read(NewKey, self._ask("POST", "/api-keys", body))

    def rotate_key(self, name: str, *, grace: timedelta) -> NewKey:
        """Create a key in the place of another one."""
        return read(NewKey, self._ask("POST", f"/api-keys/{segment(name)}/rotate", {"grace": grace.total_seconds()}))

    def revoke_key(self, name: str) -> ApiKey:
        """Remove a key."""
        return read(ApiKey, self._ask("DELETE", f"/api-keys/{segment(name)}"))

    def _ask(self, verb: str, path: str, body: Any = None) -> Any:
        return self._connection.ask(verb, API + path, body=body)
