"""`tiphys artifact kept`: what this machine keeps of a server's data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tiphys._util import human
from tiphys._util.times import from_epoch
from tiphys.cli.lazy import Command
from tiphys.cli.options import confirm, output_option, yes_option
from tiphys.cli.output import Column, ago, show_list

if TYPE_CHECKING:
    from tiphys.client.kept import KeptStore


@click.command(cls=Command, examples=["tiphys artifact kept", "tiphys artifact kept --remove --yes"])
@click.option("--remove", is_flag=True, help="Remove what was not used within the last hour.")
@yes_option
@output_option
def kept(remove: bool, yes: bool, output: str) -> None:
    """Show what this machine keeps of a server's artifacts; it is fetched again when it is needed.

    At most TIPHYS_KEPT_MB megabytes of each artifact store (10240) are kept; what was not used for longest goes first.
    """
    from tiphys.bootstrap import home
    from tiphys.client.kept import kept_in

    stores = kept_in(home())
    if remove:
        size = human.size(sum(one.describe().size for one in stores))
        confirm(f"Remove what was not used within the last hour of {size}?", yes=yes)
        click.echo(f"Removed {human.size(sum(one.trim(0) for one in stores))}.", err=output != "table")
    columns: list[Column[KeptStore]] = [
        Column("STORE", lambda item: item.name),
        Column("TREES", lambda item: str(item.trees)),
        Column("SIZE", lambda item: human.size(item.size)),
        Column("LAST USED", lambda item: "" if item.last_used is None else ago(from_epoch(item.last_used))),
    ]
    found = [one.describe() for one in stores]
    show_list(found, columns, output=output, empty="Nothing is kept here.", name=lambda item: item.name)
