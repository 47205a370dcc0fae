"""`tiphys server`."""

from __future__ import annotations

import ipaddress
import signal
import socket
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tiphys.cli.lazy import Command
from tiphys.cli.session import close_backend, local_backend
from tiphys.controller.caretaker import Caretaker
from tiphys.controller.events import Courier, EventDesk
from tiphys.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from tiphys.server.certificate import Certificate
    from tiphys.server.log_format import LogFormat
    from tiphys.services.backend import LocalBackend

#: Seconds that the round that is being done has to end in.
_PATIENCE = 10.0


@click.command(
    cls=Command,
    examples=[
        "tiphys server                       on https://127.0.0.1:2746, until Ctrl-C",
        "tiphys server --port 0 --insecure   on any free port, without TLS",
        "tiphys server --host 0.0.0.0 --name tiphys.example.org   for others too, who log in",
    ],
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=2746, show_default=True, help="Port; 0 for a free one.")
@click.option("--tls-cert", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Certificate (PEM).")
@click.option("--tls-key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Its key (PEM).")
@click.option("--insecure", is_flag=True, help="Plain HTTP.")
@click.option("--name", "names", multiple=True, help="Name or address under which clients reach it (repeat it).")
@click.option("--auth", is_flag=True, help="Ask who sends requests, also on loopback and before there is a user.")
@click.option(
    "--runner",
    type=click.Choice(("sandbox", "process", "container")),
    default=None,
    help="What carries pods out: processes with a file view of their own (the default), plain ones, or containers.",
)
@click.option(
    "--private-targets",
    is_flag=True,
    help="Post news also to addresses of this machine and of private networks (tiphys event subscription).",
)
@click.option("--max-body", type=click.IntRange(1), default=20, show_default=True, help="Megabytes of a request.")
@click.option("--rate-limit", type=click.FloatRange(0, min_open=True), help="Requests a second of one client.")
@click.option(
    "--drain", type=click.FloatRange(0), default=0.0, help="Seconds for which /readyz says that it ends before it does."
)
@click.option("--log-format", type=click.Choice(("text", "json")), help="Tell of each request and workflow, like this.")
def server(
    host: str,
    port: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    insecure: bool,
    runner: str | None,
    private_targets: bool,
    max_body: int,
    rate_limit: float | None,
    drain: float,
    log_format: LogFormat | None,
    names: tuple[str, ...],
    auth: bool,
) -> None:
    """Serve Argo's REST API, and carry out the workflows that are submitted by it.

    It works on the database of this machine (TIPHYS_DB_URL, or that of the home), also after `tiphys login`.

    This process also does what `tiphys argo controller` does: schedules, taking up what nobody carries out, cleaning
    up. When it ends, workflows that are not finished wait for the next one.

    It asks who sends requests as soon as there is a user (tiphys user create), and always where others can reach it.
    """
    if bool(tls_cert) != bool(tls_key) or (insecure and tls_cert):
        raise UsageError("--tls-cert and --tls-key belong together, and not to --insecure.")
    service = local_backend()
    try:
        from tiphys.server.bounds import Limits
        from tiphys.server.certificate import Certificate, local_certificate
        from tiphys.server.log_format import tell
        from tiphys.server.serve import address_of, is_reached_by_others, listen, serve, shown_by
    except ModuleNotFoundError as error:
        raise MissingExtraError("server", error.name or "") from error
    limits = Limits(body=max_body * 1024 * 1024, rate=rate_limit)
    names = tuple(name.lower() for name in names)
    with listen(host, port) as listener:
        authenticates = auth or is_reached_by_others(listener)
        certificate: Certificate | None = None
        if tls_cert and tls_key:
            certificate = Certificate(tls_cert, tls_key)
        elif not insecure:
            certificate = local_certificate(service.home / "tls", [*names, *_address(listener)])
        service.announce(address_of(listener, certificate, service.db_url), shown_by(certificate))
        # What ends it after the server has put its own handlers away again.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        tell(log_format)
        ending = threading.Event()
        caretaker = Caretaker(service, look_back=timedelta(0))
        events, courier = EventDesk(service, runner=runner), Courier(service, private=private_targets)
        threads = [
            threading.Thread(target=caretaker.run, args=(ending,), name="tiphys-caretaker", daemon=True),
            threading.Thread(target=events.run, args=(ending,), name="tiphys-events", daemon=True),
            threading.Thread(target=courier.run, args=(ending,), name="tiphys-courier", daemon=True),
        ]
        for thread in threads:
            thread.start()
        _announce_users(service, authenticates=authenticates)
        _announce(host, listener.getsockname()[1], certificate)
        try:
            serve(
                service,
                listener,
                certificate,
                names=names,
                authenticates=authenticates,
                runner=runner,
                limits=limits,
                drain=drain,
            )
        except KeyboardInterrupt:
            pass
        finally:
            ending.set()
            for thread in threads:
                thread.join(_PATIENCE)
        left = len(caretaker.carried())
        close_backend(service.home)
        click.echo(f"The server has ended; {left} workflows go on when one runs again.")


def _address(listener: socket.socket) -> list[str]:
    """The address that is listened on, if it is one address."""
    address = listener.getsockname()[0].partition("%")[0]
    return [] if ipaddress.ip_address(address).is_unspecified else [address]


def _announce_users(service: LocalBackend, *, authenticates: bool) -> None:
    if service.access.has_accounts():
        click.echo("Clients log in: tiphys user list")
    elif authenticates:
        click.echo("Clients log in, and there is no user yet: tiphys user create NAME --role admin")


def _announce(host: str, port: int, certificate: Certificate | None) -> None:
    scheme = "https" if certificate else "http"
    shown = f"[{host}]" if ":" in host else host
    if certificate and certificate.authority:
        click.echo(f"Certificate of its authority: {certificate.authority}")
        click.echo(f"To trust it: export REQUESTS_CA_BUNDLE={certificate.authority}")
    url = f"{scheme}://{shown}:{port}"
    click.echo(f"Argo's API: {url} (Ctrl-C ends). For pipelines: tiphys login {url}")
