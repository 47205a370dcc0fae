"""`tiphys tag`: tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tiphys.cli.lazy import HintingGroup
from tiphys.cli.options import confirm, limit_option, output_option, yes_option
from tiphys.cli.output import Column, ago, show_list
from tiphys.cli.session import backend
from tiphys.errors import AlreadyExistsError, NotFoundError
from tiphys.records.base import Query
from tiphys.records.tags import TagLink, TagRecord

if TYPE_CHECKING:
    from tiphys.ports.backend import Backend


@click.group(cls=HintingGroup)
def tag() -> None:
    """Tags."""


@tag.command("list", examples=["tiphys tag list"])
@limit_option(100)
@output_option
def list_tags(limit: int, output: str) -> None:
    """List tags and how many things have them."""
    session = backend()
    found = session.find(Query.of(TagRecord, order="name", limit=limit or None))
    columns: list[Column[TagRecord]] = [
        Column("NAME", lambda item: item.name),
        Column("COLOR", lambda item: item.color),
        Column("EXCLUSIVE", lambda item: "yes" if item.exclusive else ""),
        Column("CASCADE", lambda item: "yes" if item.cascade else ""),
        Column("USES", lambda item: str(session.count(Query.of(TagLink, tag_id=item.id)))),
        Column("AGE", lambda item: ago(item.created_at)),
        Column("ID", lambda item: item.id, wide=True),
    ]
    show_list(found, columns, output=output, limit=limit, empty="No tags.", name=lambda item: item.name)


def _find(session: Backend, name: str) -> TagRecord | None:
    found = session.find(Query.of(TagRecord, name=name, limit=1))
    return found[0] if found else None


def _require(session: Backend, name: str) -> TagRecord:
    found = _find(session, name)
    if found is None:
        raise NotFoundError(f"No tag '{name}'.", hint="tiphys tag list")
    return found


@tag.command(examples=["tiphys tag create best --exclusive --color green"])
@click.argument("name")
@click.option("--color", help="For people who look at it.")
@click.option("--exclusive", is_flag=True, help="At most one run of a pipeline has it: the newest takes it over.")
@click.option("--cascade", is_flag=True, help="A run's tag is put on its outputs too.")
def create(name: str, color: str | None, exclusive: bool, cascade: bool) -> None:
    """Create a tag."""
    from tiphys.ports.backend import TagRequest

    session = backend()
    if _find(session, name):
        raise AlreadyExistsError(f"There is a tag '{name}' already.", hint=f"tiphys tag update {name} …")
    session.labels.ensure_tag(TagRequest(name=name, color=color, exclusive=exclusive, cascade=cascade))
    click.echo(f"Created tag {name}.")


@tag.command(examples=["tiphys tag update best --color blue --not-exclusive"])
@click.argument("name")
@click.option("--color", help="For people who look at it.")
@click.option("--exclusive/--not-exclusive", default=None, help="Whether at most one run of a pipeline has it.")
@click.option("--cascade/--no-cascade", default=None, help="Whether a run's tag is put on its outputs too.")
def update(name: str, color: str | None, exclusive: bool | None, cascade: bool | None) -> None:
    """Change a tag; what is not given stays."""
    from tiphys.ports.backend import TagRequest

    session = backend()
    _require(session, name)
    session.labels.ensure_tag(TagRequest(name=name, color=color, exclusive=exclusive, cascade=cascade))
    click.echo(f"Updated tag {name}.")


@tag.command(examples=["tiphys tag delete best --yes"])
@click.argument("name")
@yes_option
def delete(name: str, yes: bool) -> None:
    """Delete a tag and take it off everything."""
    session = backend()
    found = _require(session, name)
    count = session.count(Query.of(TagLink, tag_id=found.id))
    confirm(f"Delete tag {name} and take it off {count} things?", yes=yes)
    session.labels.delete_tag(name)
    click.echo(f"Deleted tag {name}.")
