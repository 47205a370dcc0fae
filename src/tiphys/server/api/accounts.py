"""Who may use the server: accounts, their roles and keys. What would help to guess a secret is never answered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Annotated

from fastapi import Body, Depends
from starlette.responses import Response

from tiphys.errors import UsageError
from tiphys.ports.access import AccountRoles, NewKey, OwnedKey
from tiphys.records.access import ALL_WORKSPACES, Account, ApiKey, Role
from tiphys.server.api.answers import answer, nothing, once
from tiphys.server.api.here import Here, of_server
from tiphys.server.auth.permissions import Action, needs

router = of_server("accounts")
_ADMIN = [Depends(needs("users", Action.ADMIN))]
Given = Annotated[str, Body()]
GivenRole = Annotated[Role | None, Body()]


@router.get("/accounts", response_model=list[AccountRoles], dependencies=_ADMIN)
def find_accounts(backend: Here) -> Response:
    """Users and service accounts with their roles, by name."""
    return answer([replace(one, account=_shown(one.account)) for one in backend.accounts.accounts()])


@router.post("/accounts", response_model=Account, status_code=201, dependencies=_ADMIN)
def create_user(
    backend: Here, name: Given, password: Given, role: GivenRole = None, workspace: Given = ALL_WORKSPACES
) -> Response:
    """Create a user, with a role in a workspace or in all (`*`)."""
    made = backend.accounts.create_user(name, password, role=role, workspace=workspace)
    return answer(_shown(made), status=201)


@router.put("/accounts/{name}/password", status_code=204, dependencies=_ADMIN)
def set_password(backend: Here, name: str, password: Annotated[str, Body(embed=True)]) -> Response:
    """Give a user another password."""
    backend.accounts.set_password(name, password)
    return nothing()


@router.delete("/accounts/{name}", status_code=204, dependencies=_ADMIN)
def delete_account(backend: Here, name: str) -> Response:
    """Remove an account with its roles and keys; it is let in no more at once."""
    backend.accounts.delete_account(name)
    return nothing()


@router.put("/accounts/{name}/roles/{place}", status_code=204, dependencies=_ADMIN)
def grant_role(backend: Here, name: str, place: str, role: Annotated[Role, Body(embed=True)]) -> Response:
    """Give an account a role in a workspace or in all (`*`), instead of the one that it had there."""
    backend.accounts.grant(name, role, workspace=place)
    return nothing()


@router.delete("/accounts/{name}/roles/{place}", status_code=204, dependencies=_ADMIN)
def revoke_role(backend: Here, name: str, place: str) -> Response:
    """Take an account's role in a workspace, or the one it has in all (`*`)."""
    backend.accounts.revoke(name, workspace=place)
    return nothing()


@router.get("/api-keys", response_model=list[OwnedKey], dependencies=_ADMIN)
def find_api_keys(backend: Here) -> Response:
    """Keys with the names of their accounts, the oldest first."""
    return answer([replace(one, key=_shown_key(one.key)) for one in backend.accounts.api_keys()])


@router.post("/api-keys", response_model=NewKey, status_code=201, dependencies=_ADMIN)
def create_api_key(
    backend: Here,
    account: Given,
    role: GivenRole = None,
    workspace: Given = ALL_WORKSPACES,
    lifetime: Annotated[float | None, Body(gt=0, description="Seconds; until it is revoked if not given.")] = None,
) -> Response:
    """Create a key of an account, or of a service account that is made with a role; its text is told this once."""
    with _dates_fit():
        span = None if lifetime is None else timedelta(seconds=lifetime)
        made = backend.accounts.create_key(account, role=role, workspace=workspace, lifetime=span)
    return once(replace(made, key=_shown_key(made.key)), status=201)


@router.post("/api-keys/{name}/rotate", response_model=NewKey, status_code=201, dependencies=_ADMIN)
def rotate_api_key(backend: Here, name: str, grace: Annotated[float, Body(embed=True, ge=0)] = 0.0) -> Response:
    """Create a key in the place of one that holds for `grace` seconds yet; its text is told this once."""
    with _dates_fit():
        made = backend.accounts.rotate_key(name, grace=timedelta(seconds=grace))
    return once(replace(made, key=_shown_key(made.key)), status=201)


@router.delete("/api-keys/{name}", response_model=ApiKey, dependencies=_ADMIN)
def revoke_api_key(backend: Here, name: str) -> Response:
    """Remove a key, by its beginning or the name of an account that has one key alone; it is refused at once."""
    return answer(_shown_key(backend.accounts.revoke_key(name)))


def _shown(account: Account) -> Account:
    return replace(account, password_hash="")


def _shown_key(key: ApiKey) -> ApiKey:
    return replace(key, digest="")


@contextmanager
def _dates_fit() -> Iterator[None]:
    try:
        yield
    except OverflowError:  # a key's end would be after the year 9999
        raise UsageError(
            "A key does not hold for so long.", hint="Leave the time out for one that holds until it is revoked."
        ) from None
