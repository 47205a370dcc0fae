"""`tiphys argo carry`: what a detached process runs to carry workflows out."""

from __future__ import annotations

import os

import click

from tiphys.cli.session import local_backend

#: Where the process that started this one waits to hear that the workflow is taken up.
_READY = 3


@click.command(hidden=True)
@click.argument("uids", nargs=-1, required=True)
def carry(uids: tuple[str, ...]) -> None:
    """Carry out the stored workflows UIDS in this process."""

    def ready() -> None:
        os.write(_READY, b"1")
        os.close(_READY)

    local_backend().workflows.carry_out(uids, ready)
