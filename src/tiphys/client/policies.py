"""What holds for all workspaces of a server."""

from __future__ import annotations

from collections.abc import Mapping

from tiphys.client.connection import Connection
from tiphys.ports.policies import NotKept, Policies
from tiphys.ports.wire import API, read
from tiphys.records.retention import Retention
from tiphys.records.synchronization import LockLimit


class ClientPolicies(Policies):
    """Limits of a server's queue and its rules of retention; to change them takes an administrator of all workspaces.

    Args:
        connection: The server.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def queue_limits(self) -> list[LockLimit]:
        """All limits of the queue, by key."""
        return read(list[LockLimit], self._connection.ask("GET", f"{API}/queue-limits"))

    def set_queue_limit(self, key: str, limit: int) -> None:
        """Let at most so many workflows run at once."""
        self._connection.ask("PUT", f"{API}/queue-limits", body={"key": key, "limit": limit})

    def delete_queue_limit(self, key: str) -> None:
        """Let any number run."""
        self._connection.ask("DELETE", f"{API}/queue-limits", query={"key": key})

    def retention(self) -> Retention:
        """The rules by which ended workflows are kept."""
        return read(Retention, self._connection.ask("GET", f"{API}/retention"))

    def change_retention(self, changes: Mapping[str, int | None]) -> Retention:
        """Change rules; returns what holds then."""
        return read(Retention, self._connection.ask("PATCH", f"{API}/retention", body=dict(changes)))

    def not_kept(self, changes: Mapping[str, int | None]) -> NotKept:
        """What would go if the rules were changed so."""
        return read(NotKept, self._connection.ask("POST", f"{API}/retention/find", body=dict(changes), reads=True))
