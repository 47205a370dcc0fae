"""`tiphys integration`: what Tiphys can work with, and what is missing for it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from tiphys.cli.lazy import HintingGroup
from tiphys.cli.options import output_option
from tiphys.cli.output import Column, plain, show_list

if TYPE_CHECKING:
    from tiphys.ports.component import Integration


@click.group(cls=HintingGroup)
def integration() -> None:
    """Integrations and what they need."""


def _missing(item: Integration) -> list[str]:
    return [module for module in item.requires if find_spec(module) is None]


@integration.command("list", examples=["tiphys integration list"])
@output_option
def list_integrations(output: str) -> None:
    """List integrations, what each gives, and how to install what it needs."""
    from tiphys.plugins.integrations import all_integrations

    found = all_integrations()

    def gives(item: Integration) -> str:
        parts = [flavor.type.value.replace("_", " ") for flavor in item.flavors]
        if item.materializers:
            parts.append("materializers")
        return ", ".join(dict.fromkeys(parts))

    columns: list[Column[Integration]] = [
        Column("NAME", lambda item: item.name),
        Column(
            "INSTALLED",
            lambda item: "no" if _missing(item) else "yes",
            colour=lambda item: "yellow" if _missing(item) else "green",
        ),
        Column("GIVES", gives),
        Column("INSTALL", lambda item: f"pip install 'tiphys[{item.name}]'" if _missing(item) else ""),
    ]
    show_list(
        found,
        columns,
        output=output,
        empty="No integrations.",
        name=lambda item: item.name,
        data=lambda item: {**plain(item), "installed": not _missing(item)},
    )
