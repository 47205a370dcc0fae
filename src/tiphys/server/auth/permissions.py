"""What a request needs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from starlette.requests import Request


class Action(StrEnum):
    """What is done."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@dataclass(frozen=True)
class needs:  # noqa: N801  # reads as a verb
    """A dependency of a route."""

    resource: str
    action: Action

    def __call__(self, request: Request) -> None:
        """Nothing is checked yet."""
