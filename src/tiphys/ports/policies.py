"""Port: what an administrator lays down for all workspaces: how many workflows run at once, and which are kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from tiphys.records.retention import Retention
from tiphys.records.synchronization import LockLimit


@dataclass(frozen=True, slots=True, kw_only=True)
class NotKept:
    """What rules of retention remove, as `workspace/name`, the oldest first."""

    #: Leave the list.
    listed: list[str]
    #: Leave the archive.
    archived: list[str]


class Policies(ABC):
    """Limits of the queue, and rules of retention."""

    @abstractmethod
    def queue_limits(self) -> list[LockLimit]:
        """All limits of the queue, by key."""

    @abstractmethod
    def set_queue_limit(self, key: str, limit: int) -> None:
        """Let at most so many workflows run at once; those that run already go on.

        Args:
            key: As `records.queue.limit_key`.
            limit: 0 for none.

        Raises:
            UsageError: it is no such key, or no such number.
        """

    @abstractmethod
    def delete_queue_limit(self, key: str) -> None:
        """Let any number run.

        Raises:
            NotFoundError: there is no such limit.
        """

    @abstractmethod
    def retention(self) -> Retention:
        """The rules by which ended workflows are kept."""

    @abstractmethod
    def change_retention(self, changes: Mapping[str, int | None]) -> Retention:
        """Change the rules of these names, None does away with one; returns what holds then.

        Raises:
            UsageError: there is no such rule, or no such number.
        """

    @abstractmethod
    def not_kept(self, changes: Mapping[str, int | None]) -> NotKept:
        """What would go if the rules were changed so."""
