"""Listens, and serves the application until it is told to end."""

from __future__ import annotations

import ipaddress
import socket

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
    """A socket on an address of this machine for itself.

    Raises:
        UsageError: others could reach the address, or it cannot be had.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise UsageError(f"'{host}' is no address of this machine: {error.strerror}.") from error
    if not ipaddress.ip_address(address[0]).is_loopback:
        raise UsageError(
            f"The server does not listen on '{host}': it cannot ask yet who its clients are, and they run programs.",
            hint="Use --host 127.0.0.1, and for others a tunnel: ssh -L 2746:127.0.0.1:2746 HOST",
        )
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


def serve(
    backend: LocalBackend, listener: socket.socket, certificate: Certificate | None, *, runner: str | None
) -> None:
    """Answer requests until SIGINT or SIGTERM, which then have their usual effect.

    Args:
        backend: The services.
        listener: Where requests arrive.
        certificate: None for plain HTTP.
        runner: What carries submitted workflows out; None for the default.
    """
    app = make_app(
        backend, hosts={*host_names(), listener.getsockname()[0]}, runner=runner, ending=lambda: server.should_exit
    )
    config = uvicorn.Config(
        app,
        ssl_certfile=certificate.chain if certificate else None,
        ssl_keyfile=certificate.key if certificate else None,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=_GRACE,
    )
    server = uvicorn.Server(config)
    server.run(sockets=[listener])
