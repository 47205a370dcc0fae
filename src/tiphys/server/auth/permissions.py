"""What each role may do with each kind of thing, and what a route needs.

docs/server.md has the same as a table; a test walks all routes against it.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from casbin import Enforcer
from starlette.requests import Request

from tiphys.errors import ForbiddenError, InvariantError, NotFoundError, UnauthenticatedError
from tiphys.ports.access import Principal
from tiphys.records.access import ALL_WORKSPACES, Role
from tiphys.records.base import Query
from tiphys.records.workflows import WorkflowSummary

_log = logging.getLogger("tiphys.server.access")


class Action(StrEnum):
    """What is done with a thing."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


class HiddenError(NotFoundError):
    """It is there, in a workspace that who asks may not see: they are told that it is not."""


#: What everybody has who is known, in every workspace; a viewer has it too.
_KNOWN = "known"
#: Things of a workspace.
IN_WORKSPACES = frozenset(
    {
        "workflows",
        "templates",
        "cron-workflows",
        "archive",
        "artifacts",
        "sync",
        "events",
        "objects",
        "pipelines",
        "runs",
        "models",
        "tags",
        "metadata",
    }
)
#: Things that all workspaces of a server share: who has a role anywhere may read and write them as that role may; what
#: takes an administrator takes one of all workspaces.
SHARED = frozenset({"cluster-templates", "stacks", "services", "users", "server", "metrics", "policies"})

_MODEL = """
[request_definition]
r = role, resource, action
[policy_definition]
p = role, resource, action
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = g(r.role, p.role) && r.resource == p.resource && r.action == p.action
"""
#: Each role may do all that the second one may.
_ABOVE: list[tuple[str, str]] = [(Role.ADMIN, Role.EDITOR), (Role.EDITOR, Role.VIEWER), (Role.VIEWER, _KNOWN)]
_POLICY: list[tuple[str, str, str]] = [
    (_KNOWN, "server", Action.READ),
    *((Role.VIEWER, resource, Action.READ) for resource in IN_WORKSPACES | SHARED - {"users"}),
    *((Role.EDITOR, resource, Action.WRITE) for resource in IN_WORKSPACES | SHARED - {"users"}),
    *((Role.ADMIN, resource, Action.ADMIN) for resource in IN_WORKSPACES | SHARED),
]


@functools.cache
def _enforcer() -> Any:
    made = Enforcer(Enforcer.new_model(text=_MODEL))
    made.add_policies([[str(word) for word in rule] for rule in _POLICY])
    for above, below in _ABOVE:
        made.add_grouping_policy(str(above), str(below))
    return made


@functools.cache
def role_may(role: str, resource: str, action: Action) -> bool:
    """Whether a role may do something with a kind of thing."""
    return bool(_enforcer().enforce(str(role), resource, str(action)))


@dataclass(frozen=True, slots=True)
class Permission:
    """What a route needs who asks to have: FastAPI calls it as a dependency, `endpoint` before the handler."""

    resource: str
    action: Action

    def __call__(self, request: Request) -> None:
        """Let a request through.

        Raises:
            UnauthenticatedError: it is not known who asks.
            ForbiddenError: they may not.
            NotFoundError: what it is about is in no workspace that they may see.
        """
        with refusals_told(request):
            principal = principal_of(request)
            self.expect(principal, self._workspace(request, principal))

    @staticmethod
    def asks_database(request: Request) -> bool:
        """Whether the workspace of what a request is about is to be looked up: its path has a uid alone."""
        path = request.path_params
        return "uid" in path and not (path.get("namespace") or path.get("workspace"))

    def expect(self, principal: Principal, workspace: str | None) -> None:
        """Let somebody do it in a workspace; None for where no workspace is named.

        Raises:
            ForbiddenError: they may not.
        """
        if not self.allows(principal, workspace):
            where = f" in the workspace '{workspace}'" if workspace and self.resource in IN_WORKSPACES else ""
            raise ForbiddenError(
                f"{principal.name or 'This account'} may not {self.action} {self.resource}{where}.",
                hint="An administrator can grant a role: tiphys user grant NAME --role ROLE [--workspace WORKSPACE]",
            )

    def visible(self, principal: Principal) -> frozenset[str] | None:
        """The workspaces in which somebody may do it; None for all."""
        found = frozenset(where for where, role in principal.roles.items() if self._role_may(role))
        return None if ALL_WORKSPACES in found else found

    def allows(self, principal: Principal, workspace: str | None) -> bool:
        """Whether somebody may do it in a workspace; None for where no workspace is named."""
        if self._role_may(_KNOWN):
            return True
        visible = self.visible(principal)
        if visible is None:
            return True
        if self.resource in SHARED:
            return self.action is not Action.ADMIN and bool(visible)
        if workspace is not None:
            return workspace in visible
        # A list of all workspaces has what may be seen of it.
        return self.action is Action.READ and bool(visible)

    def _role_may(self, role: str) -> bool:
        return role_may(role, self.resource, self.action)

    def _workspace(self, request: Request, principal: Principal) -> str | None:
        path = request.path_params
        if not self.asks_database(request):
            return path.get("namespace") or path.get("workspace")
        # A workflow that the path names by its uid alone.
        found = request.app.state.backend.find(Query.of(WorkflowSummary, id=path["uid"], limit=1))
        if not found:
            raise NotFoundError(f"There is no workflow '{path['uid']}'.")
        if not Permission(self.resource, Action.READ).allows(principal, found[0].workspace):
            raise HiddenError(f"There is no workflow '{path['uid']}'.")
        workspace: str = found[0].workspace
        return workspace


def needs(resource: str, action: Action) -> Permission:
    """What a route needs.

    Raises:
        InvariantError: no role says anything about such a thing.
    """
    if resource not in IN_WORKSPACES | SHARED:
        raise InvariantError(f"Permissions know nothing of '{resource}'.")
    return Permission(resource, action)


def principal_of(request: Request) -> Principal:
    """Who asks.

    Raises:
        UnauthenticatedError: it is not known.
    """
    found: Principal | None = request.scope.get("principal")
    if found is None:
        raise UnauthenticatedError(
            "This server asks who you are.",
            hint="Send an API key (Authorization: Bearer …), or a user's name and password (Basic).",
        )
    return found


@contextmanager
def refusals_told(request: Request) -> Iterator[None]:
    """Write a line about what refuses a request."""
    try:
        yield
    except (UnauthenticatedError, ForbiddenError, HiddenError) as error:
        tell(request, error.message)
        raise


def tell(request: Request, why: str, what: str = "refused") -> None:
    """Write one line about a request; nothing in it can begin another, and no secret is in it."""
    address = request.client.host if request.client else "-"
    _log.warning("%s %s %a from %s: %a", what, request.method, request.url.path[:200], address, why[:300])
