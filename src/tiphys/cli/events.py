"""`tiphys event`: events that came in, and where news of runs are posted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from tiphys.cli.argo.session import ArgoGroup, namespace
from tiphys.cli.options import confirm, output_option, yes_option
from tiphys.cli.output import Column, ago, describe, emit, heading, plain, show_list, when
from tiphys.cli.session import backend
from tiphys.errors import NotFoundError
from tiphys.records.events import EventState, EventSummary, RunNotice

if TYPE_CHECKING:
    from tiphys.ports.events import Events, SubscriptionStatus

#: What was taken is removed.
_NEWS_STATES = [EventState.QUEUED.value, EventState.DEAD.value]
_COLOURS = {EventState.QUEUED: "yellow", EventState.DONE: "green", EventState.DEAD: "red"}


@click.group(cls=ArgoGroup)
def event() -> None:
    """Events: what came in, what is posted to others."""


def events() -> Events:
    """Events of the workspace that was asked for."""
    service, wanted = backend().events, namespace()
    return service.in_namespace(wanted) if wanted else service


@event.command("list", examples=["tiphys event list --state dead", "tiphys event list -A -o json"])
@click.option(
    "--state",
    "states",
    type=click.Choice([state.value for state in EventState]),
    multiple=True,
    help="Only these (repeat it).",
)
@click.option("-A", "--all-namespaces", is_flag=True, help="Events of all namespaces.")
@click.option("--limit", type=click.IntRange(min=0), default=50, show_default=True, help="At most so many; 0: all.")
@output_option
def list_events(states: tuple[str, ...], all_namespaces: bool, limit: int, output: str) -> None:
    """List events that came in, newest first; they are kept for a week."""
    found = events().find(
        states=[EventState(one) for one in states], limit=limit or None, all_namespaces=all_namespaces
    )
    columns: list[Column[EventSummary]] = [
        Column("ID", lambda item: item.id),
        Column("NAMESPACE", lambda item: item.workspace, wide=not all_namespaces),
        Column("DISCRIMINATOR", lambda item: _shown(item.discriminator)),
        Column("STATE", lambda item: item.state.value, colour=lambda item: _COLOURS[item.state]),
        Column("WORKFLOWS", lambda item: ",".join(one["workflow"] for one in _submitted(item))),
        Column("AGE", lambda item: ago(item.created_at)),
        Column("ATTEMPTS", lambda item: str(item.attempts), wide=True),
        Column("DELIVERY", lambda item: _shown(item.delivery), wide=True),
    ]
    show_list(found, columns, output=output, limit=limit, empty="No events.", name=lambda item: item.id)


@event.command(examples=["tiphys event show 4f0c12", "tiphys event show 4f0c12 -o json"])
@click.argument("id")
@output_option
def show(id: str, output: str) -> None:
    """Show an event: what it brought, and what became of it. The end of its id will do."""
    found = events().get(id)
    if output in ("json", "yaml"):
        emit(found, output)
        return
    if output == "name":
        click.echo(found.id)
        return
    describe(
        [
            ("Event", found.id),
            ("Namespace", found.workspace),
            ("Discriminator", _shown(found.discriminator)),
            ("Delivery", _shown(found.delivery)),
            ("Sender", found.sender),
            ("State", found.state.value),
            ("Attempts", str(found.attempts)),
            ("Message", _shown(found.message)),
            ("Came", when(found.created_at)),
            ("Ended", when(found.finished_at)),
        ]
    )
    if found.outcomes:
        heading("Bindings")
        describe(
            (
                (name, f"workflow {one['workflow']}" if "workflow" in one else _shown(one["error"]))
                for name, one in _all(found)
            ),
            indent=2,
        )
    heading("Metadata")
    describe(((name, _shown(", ".join(values))) for name, values in sorted(found.metadata.items())), indent=2)
    heading("Payload")
    click.echo(_json(found.payload))


@event.command(examples=["tiphys event retry 4f0c12"])
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
def retry(ids: tuple[str, ...]) -> None:
    """Carry dead events out again; bindings that submitted a workflow are left out."""
    for one in ids:
        click.echo(f"The event {events().retry(one).id} waits again.")


@event.group(cls=ArgoGroup)
def subscription() -> None:
    """Where news of runs and steps are posted, as CloudEvents."""


@subscription.command(
    examples=[
        "tiphys event subscription create chat --url https://example.com/hook --type dev.tiphys.run.failed",
        "tiphys event subscription create local --url http://127.0.0.1:9000/ --private",
    ]
)
@click.argument("name")
@click.option("--url", required=True, help="Where to: http or https.")
@click.option("--type", "types", multiple=True, help="Beginning of the types that are wanted (repeat it); else all.")
@click.option("--secret", default="", help="Key of the signatures; made if none is given.")
@click.option("--private", is_flag=True, help="It may be an address of this machine or of a private network.")
def create(name: str, url: str, types: tuple[str, ...], secret: str, private: bool) -> None:
    """Have news of runs that begin from now on posted to a URL."""
    made = events().subscribe(name, url, types=types, secret=secret, private=private)
    click.echo(f"Created the subscription {made.name}.")
    if not secret:
        click.echo(f"Its secret, which is not shown again: {made.secret}")
    _say_who_posts()


@subscription.command("list", examples=["tiphys event subscription list"])
@output_option
def list_subscriptions(output: str) -> None:
    """List subscriptions, and how many news wait for each."""
    found = events().subscriptions()
    columns: list[Column[SubscriptionStatus]] = [
        Column("NAME", lambda item: item.subscription.name),
        Column("URL", lambda item: item.subscription.url),
        Column("TYPES", lambda item: ",".join(item.subscription.types) or "all"),
        Column("WAITING", lambda item: str(item.waiting)),
        Column("DEAD", lambda item: str(item.dead)),
        Column("LAST ERROR", lambda item: item.subscription.message),
        Column("AGE", lambda item: ago(item.subscription.created_at)),
    ]
    show_list(
        found,
        columns,
        output=output,
        empty="No subscriptions.",
        name=lambda item: item.subscription.name,
        data=_without_secret,
    )
    if any(one.waiting for one in found):
        _say_who_posts()


@subscription.command(examples=["tiphys event subscription news chat --state dead"])
@click.argument("name")
@click.option("--state", "states", type=click.Choice(_NEWS_STATES), multiple=True, help="Only these (repeat it).")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many.")
@output_option
def news(name: str, states: tuple[str, ...], limit: int, output: str) -> None:
    """List news that wait for a subscription or were given up, oldest first; what was taken is removed."""
    columns: list[Column[RunNotice]] = [
        Column("ID", lambda item: item.id),
        Column("TYPE", lambda item: item.type),
        Column("SUBJECT", lambda item: item.subject),
        Column("STATE", lambda item: item.state.value, colour=lambda item: _COLOURS[item.state]),
        Column("ATTEMPTS", lambda item: str(item.attempts)),
        Column("HAPPENED", lambda item: ago(item.happened_at)),
        Column("LAST ERROR", lambda item: _shown(item.message)),
    ]
    found = events().news(name, states=[EventState(one) for one in states], limit=limit)
    show_list(found, columns, output=output, limit=limit, empty="No news.", name=lambda item: item.id)


@subscription.command(
    examples=["tiphys event subscription resend chat", "tiphys event subscription resend chat 4f0c12"]
)
@click.argument("name")
@click.argument("ids", metavar="[ID]...", nargs=-1)
def resend(name: str, ids: tuple[str, ...]) -> None:
    """Post news again that were given up: those of some ids (their ends will do), or all of a subscription."""
    number = events().resend(name, ids)
    click.echo(f"{number} news of {name} wait again." if number else f"No news of {name} was given up.")
    if number:
        _say_who_posts()


@subscription.command(examples=["tiphys event subscription delete chat --yes"])
@click.argument("name")
@yes_option
def delete(name: str, yes: bool) -> None:
    """Delete a subscription, and the news that wait for it."""
    found = [one for one in events().subscriptions() if one.subscription.name == name]
    if not found:
        raise NotFoundError(f"There is no subscription '{name}'.", hint="tiphys event subscription list")
    confirm(f"Delete the subscription {name} and {found[0].waiting} news that wait for it?", yes=yes)
    events().unsubscribe(name)
    click.echo(f"Deleted the subscription {name}.")


def _say_who_posts() -> None:
    """Without a server nothing is posted, which who works on the database alone may not know."""
    from tiphys.services.backend import LocalBackend

    if isinstance(backend(), LocalBackend):
        click.echo("News are posted by a server on this database alone: tiphys server", err=True)


def _submitted(found: EventSummary) -> list[dict[str, Any]]:
    return [one for _, one in _all(found) if "workflow" in one]


def _all(found: EventSummary) -> list[tuple[str, dict[str, Any]]]:
    return sorted(found.outcomes.items())


def _shown(text: str) -> str:
    """What a sender wrote, without what would steer a terminal."""
    return "".join(one if one.isprintable() or one == "\n" else f"\\u{ord(one):04x}" for one in text)


def _json(value: Any) -> str:
    return _shown(json.dumps(plain(value), ensure_ascii=False, indent=2))


def _without_secret(item: SubscriptionStatus) -> dict[str, Any]:
    shown: dict[str, Any] = plain(item)
    del shown["subscription"]["secret"]
    return shown
