"""One group for each type of component: `tiphys experiment-tracker register …`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from tiphys.cli.lazy import Command, HintingGroup
from tiphys.cli.options import confirm, output_option, yes_option
from tiphys.cli.output import Column, ago, describe, emit, mapping, plain, show_list, when
from tiphys.cli.services import add_service_commands, show_services
from tiphys.cli.session import backend
from tiphys.errors import UsageError
from tiphys.records.base import Query
from tiphys.records.stacks import Component, ComponentType, Service, StackRecord

if TYPE_CHECKING:
    from tiphys.ports.component import Flavor


def group(name: str) -> click.Group:
    """The group of commands of one component type."""
    kind = ComponentType(name)
    option = name.replace("_", "-")
    words = name.replace("_", " ")
    made = HintingGroup(name=option, help=f"{words.capitalize()}s: register, list, describe, delete.")
    made.add_command(_register(kind, option))
    made.add_command(_list(kind, option))
    made.add_command(_describe(kind, option))
    made.add_command(_delete(kind, option))
    made.add_command(_flavors(kind, option))
    if kind is ComponentType.MODEL_DEPLOYER:
        add_service_commands(made)
    return made


def parse_settings(arguments: Sequence[str]) -> dict[str, Any]:
    """`--key=value`, `--key value` and a bare `--key` (true) as a configuration.

    Values stay text, which the flavor's model turns into what it needs; lists and objects are JSON.

    Raises:
        UsageError: an argument is none of these.
    """
    settings: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        key, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or not key:
            raise UsageError(f"Unexpected argument '{argument}'.", hint="Configuration is written as --key=value.")
        if not equals:
            value = rest.pop(0) if rest and not rest[0].startswith("--") else "true"
        settings[key.replace("-", "_")] = _setting(key, value)
    return settings


def _setting(key: str, value: str) -> Any:
    if value[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise UsageError(f"The value of --{key} begins like JSON but is not: {error}.") from error


def _register(type: ComponentType, option: str) -> click.Command:
    @click.command(
        "register",
        cls=Command,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
        examples=[f"tiphys {option} register NAME --flavor=FLAVOR --key=value"],
    )
    @click.argument("name")
    @click.option("-f", "--flavor", required=True, help=f"One of: tiphys {option} flavors.")
    @click.pass_context
    def register(ctx: click.Context, name: str, flavor: str) -> None:
        """Register a component; what the flavor can be told is given as --key=value."""
        made = backend().stacks.register_component(type, name, flavor, parse_settings(ctx.args))
        click.echo(f"Registered {option} {made.name} ({made.flavor}).")
        click.echo(f"Put it into a stack: tiphys stack register STACK --{option} {made.name} --set", err=True)

    return register


def _list(type: ComponentType, option: str) -> click.Command:
    @click.command("list", cls=Command, examples=[f"tiphys {option} list -o json"])
    @output_option
    def list_components(output: str) -> None:
        """List the registered components."""
        session = backend()
        session.stacks.active()  # a fresh home gets its default components now
        found = session.find(Query.of(Component, type=type.value, order="name"))
        stacks = session.find(Query.of(StackRecord, order="name"))

        def used_in(item: Component) -> str:
            return ", ".join(stack.name for stack in stacks if item.id in stack.components.get(type.value, ()))

        columns: list[Column[Component]] = [
            Column("NAME", lambda item: item.name),
            Column("FLAVOR", lambda item: item.flavor),
            Column("STACKS", used_in),
            Column("AGE", lambda item: ago(item.created_at)),
            Column("ID", lambda item: item.id, wide=True),
        ]
        if type is ComponentType.MODEL_DEPLOYER:
            services = session.find(Query.of(Service, status="running"))
            columns.insert(
                3, Column("SERVICES", lambda item: str(sum(service.flavor == item.flavor for service in services)))
            )
        show_list(
            found,
            columns,
            output=output,
            empty=f"None is registered. Flavors: tiphys {option} flavors",
            name=lambda item: item.name,
            data=_data,
        )
        if type is ComponentType.MODEL_DEPLOYER and output in ("table", "wide"):
            click.echo()
            show_services(session, limit=50, output=output)

    return list_components


def _data(item: Component) -> dict[str, Any]:
    from tiphys.services.stacks import masked

    return {**plain(item), "configuration": masked(item.configuration)}


def _describe(type: ComponentType, option: str) -> click.Command:
    @click.command("describe", cls=Command, examples=[f"tiphys {option} describe NAME"])
    @click.argument("name")
    @output_option
    def describe_component(name: str, output: str) -> None:
        """Show a component and its configuration."""
        session = backend()
        found = session.stacks.component_record(type, name)
        if output in ("json", "yaml"):
            emit(_data(found), output)
        elif output == "name":
            click.echo(found.name)
        else:
            describe(
                [
                    ("Name", found.name),
                    ("Id", found.id),
                    ("Flavor", found.flavor),
                    ("Registered", when(found.created_at)),
                ]
            )
            mapping("Configuration", _data(found)["configuration"])

    return describe_component


def _delete(type: ComponentType, option: str) -> click.Command:
    @click.command("delete", cls=Command, examples=[f"tiphys {option} delete NAME --yes"])
    @click.argument("name")
    @yes_option
    def delete(name: str, yes: bool) -> None:
        """Delete a component that no stack has."""
        session = backend()
        found = session.stacks.component_record(type, name)
        confirm(f"Delete {option} {found.name}?", yes=yes)
        session.stacks.delete_component(type, found.name)
        click.echo(f"Deleted {option} {found.name}.")

    return delete


def _flavors(type: ComponentType, option: str) -> click.Command:
    @click.command("flavors", cls=Command, examples=[f"tiphys {option} flavors"])
    @output_option
    def flavors(output: str) -> None:
        """List the flavors there are."""
        from tiphys.plugins.integrations import all_integrations

        found: list[tuple[str, Flavor]] = [
            (integration.name, flavor)
            for integration in all_integrations()
            for flavor in integration.flavors
            if flavor.type is type
        ]
        columns: list[Column[tuple[str, Flavor]]] = [
            Column("FLAVOR", lambda row: row[1].name),
            Column("INTEGRATION", lambda row: row[0]),
            Column("DESCRIPTION", lambda row: row[1].description),
            Column("CONFIGURATION", lambda row: row[1].config, wide=True),
        ]
        show_list(
            found,
            columns,
            output=output,
            empty=f"No integration has a flavor of {option}.",
            name=lambda row: row[1].name,
            data=lambda row: {"integration": row[0], **plain(row[1])},
        )

    return flavors
