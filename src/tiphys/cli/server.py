"""`tiphys server`."""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tiphys.cli.argo.controller import telling
from tiphys.cli.lazy import Command
from tiphys.cli.session import backend, close_backend
from tiphys.controller.caretaker import Caretaker
from tiphys.errors import MissingExtraError, UsageError
from tiphys.services.backend import LocalBackend

if TYPE_CHECKING:
    from tiphys.server.certificate import Certificate

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
def server(
    host: str,
    port: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    insecure: bool,
    names: tuple[str, ...],
    auth: bool,
    runner: str | None,
) -> None:
    """Serve Argo's REST API, and carry out the workflows that are submitted by it.

    This process also does what `tiphys argo controller` does: schedules, taking up what nobody carries out, cleaning
    up. When it ends, workflows that are not finished wait for the next one.

    It asks who sends requests as soon as there is a user (tiphys user create), and always where others can reach it.
    """
    if bool(tls_cert) != bool(tls_key) or (insecure and tls_cert):
        raise UsageError("--tls-cert and --tls-key belong together, and not to --insecure.")
    service = backend()
    if not isinstance(service, LocalBackend):
        raise UsageError("The server works on a database, not through another server.")
    try:
        from tiphys.server.certificate import Certificate, local_certificate
        from tiphys.server.serve import is_reached_by_others, listen, serve
    except ModuleNotFoundError as error:
        raise MissingExtraError("server", error.name or "") from error
    names = tuple(name.lower() for name in names)
    with listen(host, port) as listener:
        authenticates = auth or is_reached_by_others(listener)
        certificate: Certificate | None = None
        if tls_cert and tls_key:
            certificate = Certificate(tls_cert, tls_key)
        elif not insecure:
            certificate = local_certificate(service.home / "tls", [*names, *_address(listener)])
        # What ends it after the server has put its own handlers away again.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        logging.getLogger("tiphys.server").addHandler(telling())
        ending = threading.Event()
        caretaker = Caretaker(service, look_back=timedelta(0))
        rounds = threading.Thread(target=caretaker.run, args=(ending,), name="tiphys-caretaker", daemon=True)
        rounds.start()
        _announce_users(service, authenticates=authenticates)
        _announce(host, listener.getsockname()[1], certificate)
        try:
            serve(service, listener, certificate, names=names, authenticates=authenticates, runner=runner)
        except KeyboardInterrupt:
            pass
        finally:
            ending.set()
            rounds.join(_PATIENCE)
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
    click.echo(f"Argo's API: {scheme}://{shown}:{port} (Ctrl-C ends)")
