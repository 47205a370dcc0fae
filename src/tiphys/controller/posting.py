"""Posts to URLs that users gave, and connects to no other address than one that was looked at.

A library that resolves names itself would ask a second time, and might be given another answer. Redirections are not
followed: they lead wherever the receiver likes.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress

from tiphys._version import __version__
from tiphys.errors import ServiceError
from tiphys.services.events.targets import Target, addresses_of, read_target

#: Seconds that each step may take: to connect, to send, to be answered.
TIMEOUT = 5.0


class _Connection(http.client.HTTPConnection):
    """A connection to one of some addresses, whatever name it is for."""

    def __init__(self, target: Target, addresses: Sequence[str], timeout: float) -> None:
        super().__init__(target.host, target.port, timeout=timeout)
        self._target = target
        self._addresses = addresses
        self._patience = timeout

    def connect(self) -> None:
        """Connect to the first address that answers."""
        failure: OSError | None = None
        for address in self._addresses:
            try:
                plain = socket.create_connection((address, self._target.port), self._patience)
            except OSError as error:
                failure = error
                continue
            self.sock = plain
            if self._target.secure:
                self.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=self._target.host)
            return
        raise failure or OSError("it has no address")

    def cut(self) -> None:
        """Have all that waits for the other side fail."""
        if self.sock is not None:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)


def post(url: str, headers: Mapping[str, str], body: bytes, *, private: bool = False, timeout: float = TIMEOUT) -> None:
    """Post a body.

    Args:
        url: Where to.
        headers: Of the request, but for Host, Content-Length and User-Agent.
        body: What.
        private: Whether it may go to this machine, or to a private network.
        timeout: Seconds that each step may take.

    Raises:
        UsageError: the URL may not be posted to.
        ServiceError: it was not taken: no connection, no answer, or another status than 2xx.
    """
    target = read_target(url)
    connection = _Connection(target, addresses_of(target, private=private), timeout)
    # A receiver that sends a byte now and then would never let a step take too long.
    cut = threading.Timer(2 * timeout, connection.cut)
    cut.daemon = True
    cut.start()
    try:
        connection.request("POST", target.path, body, {"User-Agent": f"tiphys/{__version__}", **headers})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise ServiceError(f"'{target.host}' does not answer: {str(error) or type(error).__name__}.") from error
    finally:
        cut.cancel()
        connection.close()
    if not 200 <= status < 300:
        raise ServiceError(f"'{target.host}' answered with the status {status}.")
