"""`tiphys login` and `tiphys logout`: which server is asked."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import click

from tiphys.cli.lazy import Command
from tiphys.errors import MissingExtraError, UsageError
from tiphys.records.base import DEFAULT_WORKSPACE


@click.command(
    cls=Command,
    examples=[
        "tiphys login https://localhost:2746 --ca FILE   the file is what `tiphys server` prints",
        "tiphys login https://ml.example.org -w churn    asks for the API key",
        "echo KEY | tiphys login https://ml.example.org  reads it",
    ],
)
@click.argument("url")
@click.option("--api-key", default="", help="Who asks. Without it, it is asked for where the server wants one.")
@click.option("-w", "--workspace", default=DEFAULT_WORKSPACE, show_default=True, help="Workspace to work in.")
@click.option(
    "--ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Certificates to trust (PEM); the system's are trusted without it.",
)
def login(url: str, api_key: str, workspace: str, ca: Path | None) -> None:
    """Use the server at URL from now on, instead of this machine's database.

    What is typed here is noted in the home, readable for you alone. TIPHYS_URL, TIPHYS_API_KEY, TIPHYS_WORKSPACE and
    TIPHYS_CA do the same for one process.
    """
    from dataclasses import replace

    from tiphys.bootstrap import home
    from tiphys.client.login import Login, write_login

    try:
        from tiphys.client.meeting import check_access, meet
    except ModuleNotFoundError as error:
        raise MissingExtraError("client", error.name or "") from error
    place = home()
    wanted = Login(url=_address(url), api_key=api_key, workspace=workspace, authority=str(ca.absolute()) if ca else "")
    info = meet(wanted, local_authority=place / "tls" / "authority.pem")
    if info.authentication and not api_key:
        wanted = replace(wanted, api_key=_ask_for_key())
    check_access(wanted)
    path = write_login(place, wanted)
    click.echo(f"Logged in to {wanted.url} (Tiphys {info.version}), workspace {workspace}; noted in {path}.")
    for name in ("TIPHYS_DB_URL", "TIPHYS_URL"):
        if os.environ.get(name):
            click.echo(f"{name} is set in this shell, and goes first.", err=True)


@click.command(cls=Command, examples=["tiphys logout"])
def logout() -> None:
    """Use this machine's database again, and forget the server and the API key."""
    from tiphys.bootstrap import home
    from tiphys.client.login import delete_login

    place = home()
    click.echo(f"Logged out; the home is {place}." if delete_login(place) else f"{place} was not logged in anywhere.")


def _address(url: str) -> str:
    whole = url if "://" in url else f"https://{url}"
    parts = urlsplit(whole)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
        raise UsageError(f"'{url}' is not the address of a server.", hint="Write https://host:port.")
    return whole.rstrip("/")


def _ask_for_key() -> str:
    key = click.prompt("API key", hide_input=True, type=str) if sys.stdin.isatty() else sys.stdin.readline()
    found = str(key).strip()
    if not found:
        raise UsageError("The server wants to know who asks.", hint="Give a key: --api-key KEY")
    return found
