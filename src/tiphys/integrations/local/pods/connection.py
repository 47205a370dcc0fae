"""The connection to a pod server, and its start."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tiphys.integrations.local.messages import Unpacker, pack
from tiphys.integrations.local.pods.folder import pods_folder


class Connection:
    """A pod server of this process.

    Args:
        home: Where it writes what goes wrong.
    """

    def __init__(self, home: str) -> None:
        self.socket, theirs = socket.socketpair()
        # Many tasks may be ordered at once; the server reads between two starts.
        for each in (self.socket, theirs):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        pods = pods_folder(home)
        Path(pods).mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        with log_of_server(home).open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # this interpreter and our own module
                [sys.executable, "-P", "-m", "tiphys.integrations.local.pods.server", str(theirs.fileno()), pods],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        theirs.close()
        self._unpacker = Unpacker()
        self._sending = threading.Lock()

    @property
    def pid(self) -> int:
        """Id of the guard, whose child the server is."""
        return self._process.pid

    def send(self, message: dict[str, Any]) -> None:
        """Send a message; if the server died, its end is noticed by who listens."""
        data = pack(message)
        with contextlib.suppress(OSError), self._sending:
            self.socket.sendall(data)

    def receive(self) -> Iterator[dict[str, Any]] | None:
        """Messages that have come; None if the server is gone."""
        try:
            data = self.socket.recv(1 << 16)
        except OSError:
            data = b""
        return (message for message, _ in self._unpacker.feed(data)) if data else None

    def disconnect(self) -> None:
        """Have the server end once its pods have."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def wait(self) -> None:
        """Wait until the server has ended and all its containers with it."""
        self._process.wait()
        self.socket.close()


def log_of_server(home: str) -> Path:
    """Where pod servers write what goes wrong."""
    return Path(pods_folder(home), "server.log")
