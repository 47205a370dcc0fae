"""The backend of one call of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tiphys.ports.backend import Backend
    from tiphys.services.backend import LocalBackend


def backend() -> Backend:
    """The process's backend, opened at the first use; one that was given as the root context's `obj` goes first."""
    root = click.get_current_context().find_root()
    if root.obj is None:
        from tiphys.bootstrap import default_backend

        root.obj = default_backend()
    found: Backend = root.obj
    return found


def local_backend() -> LocalBackend:
    """The backend on this machine's database, for commands that carry out what others ask for."""
    from tiphys.services.backend import LocalBackend

    root = click.get_current_context().find_root()
    if not isinstance(root.obj, LocalBackend):
        from tiphys.bootstrap import local_backend, read_settings

        settings = read_settings()
        if settings.server is not None:
            click.echo(f"This works on the database of {settings.home}; the login is for other commands.", err=True)
        root.obj = local_backend()
    found: LocalBackend = root.obj
    return found


def close_backend(home: Path) -> None:
    """Close the process's backend of a home now.

    At the end of the interpreter it is too late for containers that run: threads that collect what ended start no more.
    """
    from tiphys.bootstrap import close_backends

    close_backends(home)
