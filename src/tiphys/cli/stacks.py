"""`tiphys stack`: what pipelines run on and with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from tiphys.cli.lazy import HintingGroup
from tiphys.cli.options import confirm, output_option, yes_option
from tiphys.cli.output import Column, ago, describe, emit, heading, plain, show_list, table, value_text
from tiphys.cli.session import backend
from tiphys.errors import UsageError
from tiphys.records.base import Query
from tiphys.records.stacks import Component, ComponentType, StackRecord

if TYPE_CHECKING:
    from tiphys.ports.backend import Backend

#: ZenML's short options.
_SHORT = {
    ComponentType.ORCHESTRATOR: "-o",
    ComponentType.ARTIFACT_STORE: "-a",
    ComponentType.EXPERIMENT_TRACKER: "-e",
    ComponentType.MODEL_DEPLOYER: "-d",
    ComponentType.MODEL_REGISTRY: "-r",
    ComponentType.DATA_VALIDATOR: "-dv",
    ComponentType.STEP_OPERATOR: "-s",
    ComponentType.CONTAINER_REGISTRY: "-c",
    ComponentType.IMAGE_BUILDER: "-i",
    ComponentType.ALERTER: "-al",
    ComponentType.FEATURE_STORE: "-f",
    ComponentType.ANNOTATOR: "-an",
    ComponentType.LOG_STORE: "-l",
    ComponentType.DEPLOYER: "-D",
}


@click.group(
    cls=HintingGroup,
    examples=[
        "tiphys experiment-tracker register mlflow --flavor=mlflow",
        "tiphys stack register tracked -e mlflow --set",
    ],
)
def stack() -> None:
    """Stacks: what pipelines run on and with."""


def _component_options(command: Callable[..., None]) -> Callable[..., None]:
    for kind, short in reversed(_SHORT.items()):
        name = kind.value
        command = click.option(
            short,
            *dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}")),
            name,
            multiple=True,
            metavar="NAME",
            help=f"A registered {name.replace('_', ' ')}.",
        )(command)
    return command


@stack.command(examples=["tiphys stack register tracked -e mlflow -d mlflow --set"])
@click.argument("name")
@_component_options
@click.option("--set", "activate", is_flag=True, help="Use it from now on.")
def register(name: str, activate: bool, **components: tuple[str, ...]) -> None:
    """Put registered components together.

    Without an orchestrator or artifact store the default one is taken. Trackers, alerters and step operators may be
    given several times.
    """
    chosen = {ComponentType(kind): names for kind, names in components.items() if names}
    made = backend().stacks.register(name, chosen, activate=activate)
    click.echo(f"Registered stack {made.name}" + (" and made it active." if activate else "."))
    if not activate:
        click.echo(f"Use it: tiphys stack set {made.name}", err=True)


@stack.command("set", examples=["tiphys stack set tracked"])
@click.argument("name")
def set_active(name: str) -> None:
    """Use a stack from now on."""
    click.echo(f"Active stack: {backend().stacks.activate(name).name}.")


@stack.command(examples=["tiphys stack active"])
@output_option
def active(output: str) -> None:
    """Say which stack is in use."""
    found = backend().stacks.active()
    if output in ("json", "yaml"):
        emit(found, output)
    else:
        click.echo(found.name)


@stack.command("describe", examples=["tiphys stack describe", "tiphys stack describe tracked -o yaml"])
@click.argument("name", required=False)
@output_option
def describe_stack(name: str | None, output: str) -> None:
    """Show a stack (the active one by default) with its components."""
    found = backend().stacks.describe(name)
    if output in ("json", "yaml"):
        emit(found, output)
        return
    if output == "name":
        click.echo(found["name"])
        return
    describe([("Name", found["name"]), ("Id", found["id"]), ("Active", "yes" if found["active"] else "no")])
    heading("Components")
    rows = [(kind, component) for kind, components in found["components"].items() for component in components]
    columns: list[Column[tuple[str, Mapping[str, Any]]]] = [
        Column("TYPE", lambda row: row[0]),
        Column("NAME", lambda row: row[1]["name"]),
        Column("FLAVOR", lambda row: row[1]["flavor"]),
        Column("CONFIGURATION", lambda row: configuration_text(row[1]["configuration"])),
    ]
    table(columns, rows, indent=2)


def configuration_text(configuration: Mapping[str, Any]) -> str:
    """A configuration on one line."""
    return ", ".join(f"{key}={value_text(value)}" for key, value in configuration.items())


@stack.command("list", examples=["tiphys stack list"])
@output_option
def list_stacks(output: str) -> None:
    """List stacks."""
    session = backend()
    session.stacks.active()  # a fresh home gets its default stack now
    found = session.find(Query.of(StackRecord, order="name"))
    names = {component.id: component.name for component in session.find(Query.of(Component))}

    def components(type: ComponentType) -> Callable[[StackRecord], str]:
        return lambda item: ", ".join(names.get(one, one) for one in item.components.get(type.value, ()))

    used = [kind for kind in ComponentType if any(item.components.get(kind.value) for item in found)]
    columns: list[Column[StackRecord]] = [
        Column("NAME", lambda item: item.name, colour=lambda item: "green" if item.active else None),
        Column("ACTIVE", lambda item: "*" if item.active else ""),
        *(Column(kind.value.replace("_", " ").upper(), components(kind)) for kind in used),
        Column("AGE", lambda item: ago(item.created_at), wide=True),
        Column("ID", lambda item: item.id, wide=True),
    ]
    show_list(found, columns, output=output, empty="No stacks.", name=lambda item: item.name, data=plain)


@stack.command(examples=["tiphys stack copy default tracked"])
@click.argument("source")
@click.argument("target")
@click.option("--set", "activate", is_flag=True, help="Use the copy from now on.")
def copy(source: str, target: str, activate: bool) -> None:
    """Make a new stack with the components of another."""
    session = backend()
    made = session.stacks.register(target, component_names(session, session.stacks.get(source)), activate=activate)
    click.echo(f"Copied stack {source} to {made.name}.")


def component_names(session: Backend, found: StackRecord) -> dict[ComponentType, list[str]]:
    """A stack's components by name, as they are given to register one."""
    ids = sorted(chain.from_iterable(found.components.values()))
    names = {component.id: component.name for component in session.find(Query.of(Component, id=ids))}
    return {ComponentType(kind): [names[one] for one in ones] for kind, ones in found.components.items()}


@stack.command(examples=["tiphys stack delete tracked"])
@click.argument("name")
@yes_option
def delete(name: str, yes: bool) -> None:
    """Delete a stack; its components stay."""
    session = backend()
    found = session.stacks.get(name)
    if found.active:
        raise UsageError(f"Stack {found.name} is active.", hint="Use another one first: tiphys stack set NAME")
    confirm(f"Delete stack {found.name}?", yes=yes)
    session.stacks.delete(found.id)
    click.echo(f"Deleted stack {found.name}.")
