"""What all commands of `tiphys argo` share: the namespace, and the services that look there."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tiphys.cli.lazy import Command, HintingGroup
from tiphys.cli.session import backend
from tiphys.errors import MissingExtraError

if TYPE_CHECKING:
    from tiphys.ports.workflows import Objects, Workflows

F = TypeVar("F", bound=Callable[..., Any])

#: Environment variable that names the namespace, as Argo's.
NAMESPACE = "ARGO_NAMESPACE"
#: Environment variable that names a server, as Argo's: `host:port`.
SERVER = "ARGO_SERVER"
_SERVER_KEY = "tiphys.cli.argo.server"
_KEY = "tiphys.cli.argo.namespace"


def _remember(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value:
        ctx.meta[_KEY] = value


def namespace_option(function: F) -> F:
    """`-n`, kept for the whole call wherever it stands."""
    decorated: F = click.option(
        "-n",
        "--namespace",
        expose_value=False,
        callback=_remember,
        help="Namespace to look in (default: the workspace).",
    )(function)
    return decorated


class ArgoCommand(Command):
    """A command that takes `-n`, too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(["-n", "--namespace"], expose_value=False, callback=_remember, help="Namespace to look in.")
        )


class ArgoGroup(HintingGroup):
    """A group of commands that take `-n`."""

    command_class = ArgoCommand


def argo_command(name: str | None = None, **attributes: Any) -> Callable[[Callable[..., Any]], ArgoCommand]:
    """Makes a function a command of `tiphys argo`."""
    decorator: Callable[[Callable[..., Any]], ArgoCommand] = click.command(name, cls=ArgoCommand, **attributes)
    return decorator


def namespace() -> str:
    """The namespace that was asked for; empty for the backend's own."""
    return str(click.get_current_context().meta.get(_KEY) or os.environ.get(NAMESPACE) or "")


def workflows() -> Workflows:
    """Workflows of the namespace that was asked for."""
    server, wanted = _argo_server(), namespace()
    service: Workflows = server.workflows if server else backend().workflows
    return service.in_namespace(wanted) if wanted else service


def objects() -> Objects:
    """Objects of the namespace that was asked for."""
    server, wanted = _argo_server(), namespace()
    service: Objects = server.objects if server else backend().objects
    return service.in_namespace(wanted) if wanted else service


@dataclass(frozen=True, slots=True)
class _Server:
    """What the server offers that Argo's own variables name."""

    workflows: Workflows
    objects: Objects


def _argo_server() -> _Server | None:
    """The server that Argo's variables name, if nothing of ours names a server or a database."""
    context = click.get_current_context()
    if context.find_root().obj is not None or not os.environ.get(SERVER) or os.environ.get("TIPHYS_DB_URL"):
        return None
    if _SERVER_KEY not in context.meta:
        from tiphys.bootstrap import read_settings

        context.meta[_SERVER_KEY] = None if read_settings().server else _connected()
    found: _Server | None = context.meta[_SERVER_KEY]
    return found


def _connected() -> _Server:
    from tiphys.records.base import DEFAULT_WORKSPACE

    try:
        from tiphys.client.argo_environment import connection_from
        from tiphys.client.objects import ClientObjects
        from tiphys.client.workflows import ClientWorkflows
    except ModuleNotFoundError as error:
        raise MissingExtraError("client", error.name or "") from error
    connection = connection_from(os.environ, lambda line: click.echo(line, err=True))
    click.get_current_context().find_root().call_on_close(connection.close)
    return _Server(
        ClientWorkflows(connection, namespace=DEFAULT_WORKSPACE), ClientObjects(connection, namespace=DEFAULT_WORKSPACE)
    )
