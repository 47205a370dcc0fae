"""`tiphys argo sync`: how many may hold a semaphore."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from tiphys.cli.argo.session import ArgoGroup, namespace, workflows
from tiphys.errors import UsageError
from tiphys.records.base import DEFAULT_WORKSPACE

F = TypeVar("F", bound=Callable[..., Any])


@click.group(cls=ArgoGroup)
def sync() -> None:
    """Limits of semaphores, which workflows name by `synchronization`."""


def _place_options(function: F) -> F:
    kind = click.option(
        "--type",
        "kind",
        type=click.Choice(("database", "configmap"), case_sensitive=False),
        required=True,
        help="Where the limit stands.",
    )
    return kind(click.option("--cm-name", default="", help="Name of the ConfigMap (for the type configmap).")(function))


_limit_option = click.option("--limit", type=click.IntRange(min=0), required=True, help="How many may hold it.")


def _config_map(kind: str, cm_name: str) -> str:
    if (kind == "configmap") != bool(cm_name):
        raise UsageError("--cm-name belongs to --type configmap, which needs it.")
    return cm_name


@sync.command(
    examples=[
        "tiphys argo sync create gpu --type database --limit 2",
        "tiphys argo sync create gpu --type configmap --cm-name limits --limit 2",
    ]
)
@click.argument("key")
@_limit_option
@_place_options
def create(key: str, limit: int, kind: str, cm_name: str) -> None:
    """Set the limit of a semaphore that has none."""
    workflows().set_limit(key, limit, config_map=_config_map(kind, cm_name), new=True)
    click.echo("Sync limit created")
    _show(key, cm_name, limit, kind)


@sync.command(examples=["tiphys argo sync update gpu --type database --limit 3"])
@click.argument("key")
@_limit_option
@_place_options
def update(key: str, limit: int, kind: str, cm_name: str) -> None:
    """Change the limit of a semaphore."""
    workflows().set_limit(key, limit, config_map=_config_map(kind, cm_name))
    click.echo("Sync limit updated")
    _show(key, cm_name, limit, kind)


@sync.command(examples=["tiphys argo sync get gpu --type database"])
@click.argument("key")
@_place_options
def get(key: str, kind: str, cm_name: str) -> None:
    """Show the limit of a semaphore."""
    _show(key, cm_name, workflows().limit(key, config_map=_config_map(kind, cm_name)), kind)


@sync.command(examples=["tiphys argo sync delete gpu --type database"])
@click.argument("key")
@_place_options
def delete(key: str, kind: str, cm_name: str) -> None:
    """Remove the limit of a semaphore."""
    workflows().delete_limit(key, config_map=_config_map(kind, cm_name))
    click.echo("Sync limit deleted")


def _show(key: str, cm_name: str, limit: int, kind: str) -> None:
    click.echo(f"Key: {key}\nType: {kind}")
    if cm_name:
        click.echo(f"ConfigMap Name: {cm_name}")
    click.echo(f"Namespace: {namespace() or DEFAULT_WORKSPACE}\nLimit: {limit}")
