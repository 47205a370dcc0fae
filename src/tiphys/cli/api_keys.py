"""`tiphys api-key`: keys by which programs use a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tiphys._util.times import utc_now
from tiphys.cli.lazy import HintingGroup
from tiphys.cli.options import confirm, output_option, parse_span, yes_option
from tiphys.cli.output import Column, ago, show_list, when
from tiphys.cli.session import backend
from tiphys.cli.users import role_option, workspace_option
from tiphys.records.access import Role

if TYPE_CHECKING:
    from datetime import datetime

    from tiphys.ports.access import NewKey, OwnedKey


@click.group("api-key", cls=HintingGroup)
def api_key() -> None:
    """API keys of users and service accounts."""


@api_key.command(
    examples=[
        "tiphys api-key create ci --role editor --workspace team --expires 90d   with a service account",
        "tiphys api-key create ada                                               of a user, who is there",
    ]
)
@click.argument("name")
@role_option(required=False)
@workspace_option
@click.option("--expires", default=None, help="How long it holds, such as 12h or 90d; if not given until revoked.")
def create(name: str, role: str | None, workspace: str, expires: str | None) -> None:
    """Create a key of an account; if there is none of that name, a service account with a role.

    A key may do what its account may. It is shown this once.
    """
    lifetime = None if expires is None else parse_span(expires)
    made = backend().accounts.create_key(
        name, role=Role(role) if role else None, workspace=workspace, lifetime=lifetime
    )
    _show(made, f"The API key of {name}")


@api_key.command("list", examples=["tiphys api-key list"])
@output_option
def list_keys(output: str) -> None:
    """List keys, without what is secret in them."""
    columns: list[Column[OwnedKey]] = [
        Column("KEY", lambda item: f"tiphys_{item.key.prefix}"),
        Column("ACCOUNT", lambda item: item.account),
        Column("EXPIRES", lambda item: _until(item.key.expires_at)),
        Column("LAST USED", lambda item: when(item.key.last_used_at) or "never"),
        Column("AGE", lambda item: ago(item.key.created_at)),
    ]

    def fields(item: OwnedKey) -> dict[str, object]:
        key = item.key
        return {
            "key": f"tiphys_{key.prefix}",
            "account": item.account,
            "created_at": key.created_at,
            "expires_at": key.expires_at,
            "last_used_at": key.last_used_at,
        }

    show_list(
        backend().accounts.api_keys(),
        columns,
        output=output,
        limit=0,
        empty="No API keys.",
        name=lambda item: f"tiphys_{item.key.prefix}",
        data=fields,
    )


@api_key.command(examples=["tiphys api-key rotate ci --grace 1h", "tiphys api-key rotate tiphys_0123456789ab"])
@click.argument("key")
@click.option("--grace", default="0s", show_default=True, help="How long the old key holds yet, such as 1h or 2d.")
def rotate(key: str, grace: str) -> None:
    """Create a key in the place of another one: KEY is its beginning, or an account that has one alone."""
    _show(backend().accounts.rotate_key(key, grace=parse_span(grace)), f"The API key in the place of {key}")


@api_key.command(examples=["tiphys api-key revoke tiphys_0123456789ab --yes"])
@click.argument("key")
@yes_option
def revoke(key: str, yes: bool) -> None:
    """Revoke a key at once: KEY is its beginning, or an account that has one alone."""
    confirm(f"Revoke the key {key}?", yes=yes)
    click.echo(f"Revoked tiphys_{backend().accounts.revoke_key(key).prefix}.")


def _show(made: NewKey, said: str) -> None:
    until = f", until {made.key.expires_at:%Y-%m-%d %H:%M} UTC" if made.key.expires_at else ""
    click.echo(f"{said}{until}; it is shown this once:", err=True)
    click.echo(made.text)


def _until(moment: datetime | None) -> str:
    if moment is None:
        return "never"
    return "expired" if moment <= utc_now() else f"{moment:%Y-%m-%d %H:%M} UTC"
