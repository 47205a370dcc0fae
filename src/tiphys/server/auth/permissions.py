"""What a route needs: every route of our API declares one of these."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from starlette.requests import Request


class Action(StrEnum):
    """What is done with a resource."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Permission:
    """A permission that a request must have; called as a dependency of the route."""

    resource: str
    action: Action

    def __call__(self, request: Request) -> None:  # asked of everyone alike
        """Let the request through: the server listens on loopback alone, and asks nobody who they are."""


def needs(resource: str, action: Action) -> Permission:
    """The permission to do `action` with a resource."""
    return Permission(resource, action)
