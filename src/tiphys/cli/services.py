"""`tiphys model-deployer models` and its short forms: the services that model deployers run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tiphys.cli.lazy import Command, HintingGroup
from tiphys.cli.options import confirm, limit_option, output_option, yes_option
from tiphys.cli.output import Column, ago, describe, emit, mapping, plain, show_list, when
from tiphys.cli.session import backend
from tiphys.errors import NotFoundError
from tiphys.plugins.integrations import find_flavor
from tiphys.plugins.loading import load
from tiphys.records.base import Query
from tiphys.records.stacks import Component, ComponentType, Service

if TYPE_CHECKING:
    from tiphys.ports.backend import Backend
    from tiphys.ports.ml_components import ModelDeployer

#: Seconds to wait for a service to start or to end.
_TIMEOUT = 60.0


def add_service_commands(deployers: click.Group) -> None:
    """Add what concerns services to a group: `models …`; `logs`, `start`, `stop` and `delete-service` for short."""
    models = HintingGroup(name="models", help="Models that are served.")
    for command in (list_services, describe_service, logs, start, stop, delete_service, get_url):
        models.add_command(command)
    models.add_command(delete_service, "delete")
    deployers.add_command(models)
    for command in (logs, start, stop, delete_service):
        deployers.add_command(command)


def find_service(session: Backend, name: str) -> Service:
    """A service by name (the newest of that name) or id.

    Raises:
        NotFoundError: there is none.
    """
    found = session.find(Query.of(Service, name=name, limit=1)) or session.find(Query.of(Service, id=name, limit=1))
    if not found:
        known = ", ".join(service.name for service in session.find(Query.of(Service, limit=10)))
        raise NotFoundError(f"No service '{name}'.", hint=f"Known: {known}." if known else "No model is served.")
    return found[0]


def deployer_of(session: Backend, service: Service) -> ModelDeployer:
    """The deployer that manages a service: one of its flavor, from the active stack if that has one.

    A service that was started without a registered deployer is managed by its flavor's defaults, as it was then.

    Raises:
        NotFoundError: the flavor is not known (any more).
    """
    kind = ComponentType.MODEL_DEPLOYER
    registered = session.find(Query.of(Component, type=kind.value, flavor=service.flavor, order="name"))
    if not registered:
        flavor = find_flavor(kind, service.flavor)
        deployer: ModelDeployer = load(flavor.implementation)(name=service.flavor, config=load(flavor.config)())
        return deployer
    active = session.stacks.active().components.get(kind.value, [])
    chosen = next((item for item in registered if item.id in active), registered[0])
    component: ModelDeployer = session.stacks.component(kind, chosen.name)  # type: ignore[assignment]  # this type of component is a ModelDeployer
    return component


def _state(session: Backend, service: Service) -> str:
    try:
        running = deployer_of(session, service).is_running(service)
    except NotFoundError:
        return "unknown"
    if running:
        return "running"
    return "stopped" if service.status == "stopped" else "failed"


def _url(session: Backend, service: Service) -> str:
    try:
        return deployer_of(session, service).prediction_url(service) or ""
    except NotFoundError:
        return ""


@click.command("list", cls=Command, examples=["tiphys model-deployer models list"])
@limit_option(50)
@output_option
def list_services(limit: int, output: str) -> None:
    """List served models."""
    show_services(backend(), limit=limit, output=output)


def show_services(session: Backend, *, limit: int, output: str) -> None:
    """Print the services of all deployers."""
    found = session.find(Query.of(Service, limit=limit or None))
    columns: list[Column[Service]] = [
        Column("NAME", lambda item: item.name),
        Column("MODEL", lambda item: item.model_name),
        Column("STATUS", lambda item: _state(session, item)),
        Column("PIPELINE", lambda item: item.pipeline_name),
        Column("STEP", lambda item: item.step_name),
        Column("URL", lambda item: _url(session, item)),
        Column("AGE", lambda item: ago(item.created_at)),
        Column("FLAVOR", lambda item: item.flavor, wide=True),
        Column("ID", lambda item: item.id, wide=True),
    ]
    show_list(
        found,
        columns,
        output=output,
        limit=limit,
        empty="No model is served.",
        name=lambda item: item.name,
        data=lambda item: {**plain(item), "running": _state(session, item) == "running"},
    )


@click.command("describe", cls=Command, examples=["tiphys model-deployer models describe churn"])
@click.argument("name")
@output_option
def describe_service(name: str, output: str) -> None:
    """Show a served model."""
    session = backend()
    found = find_service(session, name)
    if output in ("json", "yaml"):
        emit({**plain(found), "running": _state(session, found) == "running", "url": _url(session, found)}, output)
        return
    if output == "name":
        click.echo(found.name)
        return
    describe(
        [
            ("Name", found.name),
            ("Id", found.id),
            ("Status", _state(session, found)),
            ("URL", _url(session, found)),
            ("Model", found.model_name),
            ("Pipeline", found.pipeline_name),
            ("Step", found.step_name),
            ("Flavor", found.flavor),
            ("Made", when(found.created_at)),
        ]
    )
    mapping("State", found.state)


@click.command(
    "get-url",
    cls=Command,
    examples=["curl -H 'Content-Type: application/json' -d @rows.json $(tiphys model-deployer models get-url churn)"],
)
@click.argument("name")
def get_url(name: str) -> None:
    """Print where a served model answers."""
    session = backend()
    found = find_service(session, name)
    url = deployer_of(session, found).prediction_url(found)
    if url is None:
        raise NotFoundError(
            f"Service {found.name} does not run.", hint=f"tiphys model-deployer models start {found.name}"
        )
    click.echo(url)


@click.command(cls=Command, examples=["tiphys model-deployer logs churn -f"])
@click.argument("name")
@click.option("-f", "--follow", is_flag=True, help="Go on until it ends.")
def logs(name: str, follow: bool) -> None:
    """Print the log of a served model."""
    session = backend()
    found = find_service(session, name)
    for line in deployer_of(session, found).logs(found, follow=follow):
        click.echo(line)


@click.command(cls=Command, examples=["tiphys model-deployer start churn"])
@click.argument("name")
@click.option("--timeout", default=_TIMEOUT, show_default=True, help="Seconds to wait.")
def start(name: str, timeout: float) -> None:
    """Serve a model again."""
    session = backend()
    found = find_service(session, name)
    deployer = deployer_of(session, found)
    started = session.stacks.save_service(deployer.start(found, timeout=timeout))
    click.echo(f"Service {started.name} runs: {deployer.prediction_url(started) or 'no address'}")


@click.command(cls=Command, examples=["tiphys model-deployer stop churn"])
@click.argument("name")
@click.option("--timeout", default=_TIMEOUT, show_default=True, help="Seconds until it is forced.")
def stop(name: str, timeout: float) -> None:
    """Stop serving a model."""
    session = backend()
    found = find_service(session, name)
    stopped = session.stacks.save_service(deployer_of(session, found).stop(found, timeout=timeout))
    click.echo(f"Service {stopped.name} is stopped.")


@click.command("delete-service", cls=Command, examples=["tiphys model-deployer delete-service churn --yes"])
@click.argument("name")
@yes_option
def delete_service(name: str, yes: bool) -> None:
    """Stop a served model and forget its service."""
    session = backend()
    found = find_service(session, name)
    confirm(f"Stop and delete service {found.name}?", yes=yes)
    if found.status != "stopped":
        deployer_of(session, found).stop(found, timeout=_TIMEOUT)
    session.stacks.delete_service(found.id)
    click.echo(f"Deleted service {found.name}.")
