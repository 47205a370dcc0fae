"""What all commands of `tiphys argo` share: the namespace, and the services that look there."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tiphys.cli.lazy import Command, HintingGroup
from tiphys.cli.session import backend

if TYPE_CHECKING:
    from tiphys.ports.workflows import Objects, Workflows

F = TypeVar("F", bound=Callable[..., Any])

#: Environment variable that names the namespace, as Argo's.
NAMESPACE = "ARGO_NAMESPACE"
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
    service, wanted = backend().workflows, namespace()
    return service.in_namespace(wanted) if wanted else service


def objects() -> Objects:
    """Objects of the namespace that was asked for."""
    service, wanted = backend().objects, namespace()
    return service.in_namespace(wanted) if wanted else service
