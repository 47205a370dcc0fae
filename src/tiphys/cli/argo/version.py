"""`tiphys argo version`."""

from __future__ import annotations

import click

from tiphys._version import __version__
from tiphys.cli.argo.session import argo_command
from tiphys.spec.release import ARGO


@argo_command(examples=["tiphys argo version --short"])
@click.option("--short", is_flag=True, help="Print just the version number.")
def version(short: bool) -> None:
    """Print version information."""
    click.echo(f"argo: v{__version__} (Tiphys)")
    if not short:
        click.echo(f"  Follows: Argo Workflows {ARGO}")
