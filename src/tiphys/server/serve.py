"""Listens, and serves the application until it is told to end."""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import socket
import time
from collections.abc import Collection
from types import FrameType
from urllib.parse import urlsplit

import uvicorn

from tiphys.errors import UsageError
from tiphys.server.app import make_app
from tiphys.server.bounds import Limits
from tiphys.server.certificate import Certificate, host_names
from tiphys.server.patience import HEAD_SIZE, PatientProtocol
from tiphys.services.backend import LocalBackend

#: Seconds that requests have to end in.
_GRACE = 5
#: Seconds for which a connection is kept that is not used.
_KEPT = 75
#: Clients that may wait to be let in.
_BACKLOG = 2048
#: Of glibc's mallopt: how many heaps threads spread over, of which each keeps what it once needed.
_M_ARENA_MAX, _HEAPS = -8, 2


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


class DrainingServer(uvicorn.Server):
    """Says for a while that it will end before it does, so that no more requests are sent to it.

    Args:
        config: As uvicorn's.
        drain: Seconds.
    """

    def __init__(self, config: uvicorn.Config, drain: float) -> None:
        super().__init__(config)
        self._drain = drain
        self._ends_at: float | None = None

    @property
    def is_ending(self) -> bool:
        """Whether it is not to be asked any more."""
        return self.should_exit or self._ends_at is not None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end, or on the second signal do it at once."""
        if self._drain and self._ends_at is None:
            self._ends_at = time.monotonic() + self._drain
            self._captured_signals.append(sig)
        else:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Look whether it is time; called ten times a second."""
        if self._ends_at is not None and time.monotonic() >= self._ends_at:
            self.should_exit = True
        return await super().on_tick(counter)


def is_reached_by_others(listener: socket.socket) -> bool:
    """Whether others than this machine can reach an address that is listened on."""
    return not ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


def address_of(listener: socket.socket, certificate: Certificate | None, db_url: str) -> str:
    """Where others on the same database reach what listens; of all addresses, the one towards the database is told."""
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host.partition("%")[0]).is_unspecified:
        host = _own_address(urlsplit(db_url).hostname or "localhost")
    return f"{'https' if certificate else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def shown_by(certificate: Certificate | None) -> str:
    """What a server with such a certificate shows; empty for none."""
    return certificate.chain.read_text() if certificate else ""


def _own_address(towards: str) -> str:
    try:
        family, kind, _, _, address = socket.getaddrinfo(towards, 1, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(address)  # nothing is sent
            return str(probe.getsockname()[0])
    except OSError:
        return socket.gethostname()


def serve(
    backend: LocalBackend,
    listener: socket.socket,
    certificate: Certificate | None,
    *,
    names: Collection[str],
    authenticates: bool,
    runner: str | None,
    limits: Limits,
    drain: float,
) -> None:
    """Answer requests until SIGINT or SIGTERM, which then have their usual effect.

    Args:
        backend: The services.
        listener: Where requests arrive.
        certificate: None for plain HTTP.
        names: Names and addresses under which it may be asked, beside those that it has on this machine.
        authenticates: Whether it asks who sends requests even while there is no account.
        runner: What carries submitted workflows out; None for the default.
        limits: What one client may ask for.
        drain: Seconds for which it says that it will end before it does.
    """
    _keep_memory_together()
    address = listener.getsockname()[0]
    server: DrainingServer
    app = make_app(
        backend,
        hosts={*host_names(), *names, address},
        limits=limits,
        strict_transport=certificate is not None and is_reached_by_others(listener),
        authenticates=authenticates,
        runner=runner,
        ending=lambda: server.should_exit,
    )
    app.state.draining = lambda: server.is_ending
    config = uvicorn.Config(
        app,
        ssl_certfile=certificate.chain if certificate else None,
        ssl_keyfile=certificate.key if certificate else None,
        http=PatientProtocol,
        h11_max_incomplete_event_size=HEAD_SIZE,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        # Whoever sends a request could else say that it came from another address.
        proxy_headers=False,
        # Clients that ask every few seconds must not find the connection closed just as they do.
        timeout_keep_alive=_KEPT,
        timeout_graceful_shutdown=_GRACE,
    )
    server = DrainingServer(config, drain)
    server.run(sockets=[listener])


def _keep_memory_together() -> None:
    """Have all threads take memory from the same few heaps: dozens of them would each keep pieces of their own."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _HEAPS)
