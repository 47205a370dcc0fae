"""Listens, and serves the application until it is told to end."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection

import uvicorn

from tiphys.errors import UsageError
from tiphys.server.app import make_app
from tiphys.server.certificate import Certificate, host_names
from tiphys.services.backend import LocalBackend

#: Seconds that requests have to end in.
_GRACE = 5
#: Clients that may wait to be let in.
_BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """A socket on an address of this machine.

    Raises:
        UsageError: the address cannot be had.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise UsageError(f"'{host}' is no address of this machine: {error.strerror}.") from error
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        # From now on clients wait instead of being refused.
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        raise UsageError(
            f"Port {port} of {host} cannot be had: {error.strerror}.", hint="Choose another one with --port."
        ) from error
    return made


def is_reached_by_others(listener: socket.socket) -> bool:
    """Whether others than this machine can reach an address that is listened on."""
    return not ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


def serve(
    backend: LocalBackend,
    listener: socket.socket,
    certificate: Certificate | None,
    *,
    names: Collection[str] = (),
    authenticates: bool = False,
    runner: str | None = None,
) -> None:
    """Answer requests until SIGINT or SIGTERM, which then have their usual effect.

    Args:
        backend: The services.
        listener: Where requests arrive.
        certificate: None for plain HTTP.
        names: Names and addresses under which it may be asked, beside those that it has on this machine.
        authenticates: Whether it asks who sends requests even while there is no account.
        runner: What carries submitted workflows out; None for the default.
    """
    app = make_app(
        backend,
        hosts={*host_names(), *names, listener.getsockname()[0]},
        authenticates=authenticates,
        runner=runner,
        ending=lambda: server.should_exit,
    )
    config = uvicorn.Config(
        app,
        ssl_certfile=certificate.chain if certificate else None,
        ssl_keyfile=certificate.key if certificate else None,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        # Whoever sends a request could else say that it came from another address.
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE,
    )
    server = uvicorn.Server(config)
    server.run(sockets=[listener])
