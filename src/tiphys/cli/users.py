"""`tiphys user`: who may use a server, and what they may do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from tiphys.cli.lazy import HintingGroup
from tiphys.cli.options import confirm, output_option, yes_option
from tiphys.cli.output import Column, ago, show_list
from tiphys.cli.session import backend
from tiphys.records.access import ALL_WORKSPACES, Role

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tiphys.ports.access import AccountRoles

workspace_option = click.option("--workspace", default=ALL_WORKSPACES, help="Where it has the role; all if not given.")


def role_option(*, required: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--role ROLE`."""
    return click.option("--role", type=click.Choice([one.value for one in Role]), required=required, help="Role.")


def where(workspace: str) -> str:
    """A workspace, for people."""
    return "all workspaces" if workspace == ALL_WORKSPACES else f"the workspace {workspace}"


@click.group(cls=HintingGroup)
def user() -> None:
    """Users and service accounts of a server, and their roles."""


@user.command("list", examples=["tiphys user list"])
@output_option
def list_users(output: str) -> None:
    """List users and service accounts with their roles."""
    columns: list[Column[AccountRoles]] = [
        Column("NAME", lambda item: item.account.name),
        Column("KIND", lambda item: item.account.kind.value),
        Column("ROLES", lambda item: " ".join(f"{place}:{role}" for place, role in item.roles.items())),
        Column("AGE", lambda item: ago(item.account.created_at)),
    ]

    def fields(item: AccountRoles) -> dict[str, object]:
        account = item.account
        return {"name": account.name, "kind": account.kind, "roles": item.roles, "created_at": account.created_at}

    show_list(
        backend().accounts.accounts(),
        columns,
        output=output,
        limit=0,
        empty="No users.",
        name=lambda item: item.account.name,
        data=fields,
    )


@user.command(examples=["tiphys user create ada --role admin", "tiphys user create bob --role editor --workspace team"])
@click.argument("name")
@role_option(required=False)
@workspace_option
def create(name: str, role: str | None, workspace: str) -> None:
    """Create a user; the password is asked for, or the first line of the standard input."""
    backend().accounts.create_user(name, _new_password(), role=Role(role) if role else None, workspace=workspace)
    click.echo(f"Created user {name}{f', {role} in {where(workspace)}' if role else ', without a role'}.")


@user.command(examples=["tiphys user passwd ada"])
@click.argument("name")
def passwd(name: str) -> None:
    """Give a user another password; asked for, or the first line of the standard input."""
    backend().accounts.set_password(name, _new_password())
    click.echo(f"Changed the password of {name}.")


@user.command(examples=["tiphys user delete bob --yes"])
@click.argument("name")
@yes_option
def delete(name: str, yes: bool) -> None:
    """Delete a user or a service account, with its keys; it is let in no more at once."""
    confirm(f"Delete {name} and all its keys?", yes=yes)
    service = backend().accounts
    is_last = len(service.accounts()) == 1
    service.delete_account(name)
    click.echo(f"Deleted {name}.")
    if is_last:
        click.echo("There is no account left: a server that starts on loopback now asks nobody.", err=True)


@user.command(examples=["tiphys user grant bob --role viewer --workspace other"])
@click.argument("name")
@role_option(required=True)
@workspace_option
def grant(name: str, role: str, workspace: str) -> None:
    """Give a user or a service account a role, instead of the one it has there."""
    backend().accounts.grant(name, Role(role), workspace=workspace)
    click.echo(f"{name} is {role} in {where(workspace)}.")


@user.command(examples=["tiphys user revoke bob --workspace other"])
@click.argument("name")
@workspace_option
def revoke(name: str, workspace: str) -> None:
    """Take the role that a user or a service account has in a workspace, or the one for all."""
    backend().accounts.revoke(name, workspace=workspace)
    click.echo(f"{name} has no role of its own in {where(workspace)} any more.")


def _new_password() -> str:
    if sys.stdin.isatty():
        entered: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return entered
    return sys.stdin.readline().rstrip("\r\n")
