"""Readiness probes that do not block the pod server: a program, a connection, or an HTTP request to this machine.

Defaults are those of Kubernetes' Probe, but for the period: a cluster spares its nodes, here nobody waits ten seconds.
"""

from __future__ import annotations

import contextlib
import errno
import selectors
import signal
import socket
from collections.abc import Callable
from typing import Any, Protocol

from tiphys.integrations.local.pods.orders import ContainerOrder, ProbeOrder
from tiphys.integrations.local.pods.processes import signal_group, spawn


class Loop(Protocol):
    """What a probe asks of the pod server."""

    def adopt(self, pid: int, ended: Callable[[int], None]) -> None:
        """Call `ended` with the exit code when the process has ended."""

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call `call` later."""

    def watch(self, source: Any, events: int, call: Callable[[], object]) -> None:
        """Call `call` whenever `source` is ready."""

    def forget(self, source: Any) -> None:
        """Undo `watch`."""


class Probing:
    """Probes until it has succeeded often enough in a row.

    Args:
        order: What to do, and when.
        container: Whose probe it is.
        loop: The pod server.
        succeeded: Called once.
    """

    def __init__(self, order: ProbeOrder, container: ContainerOrder, loop: Loop, succeeded: Callable[[], None]) -> None:
        self._order = order
        self._container = container
        self._loop = loop
        self._succeeded = succeeded
        self._row = 0
        self._over = False
        #: Number of the attempt that is under way: what belongs to an earlier one is ignored.
        self._attempt = 0
        self._socket: socket.socket | None = None
        loop.after(order["delay"], self._probe)

    def stop(self) -> None:
        """Probe no more."""
        self._over = True
        self._close()

    def _probe(self) -> None:
        if self._over:
            return
        self._attempt += 1
        attempt = self._attempt
        if self._order["argv"] is not None:
            self._execute(self._order["argv"], attempt)
        else:
            self._loop.after(self._order["timeout"], lambda: self._tell(attempt, success=False))
            self._connect(attempt)

    def _tell(self, attempt: int, *, success: bool) -> None:
        if self._over or attempt != self._attempt:
            return
        self._attempt += 1
        self._close()
        self._row = self._row + 1 if success else 0
        if self._row >= self._order["successes"]:
            self._over = True
            self._succeeded()
        else:
            self._loop.after(self._order["period"], self._probe)

    def _execute(self, argv: list[str], attempt: int) -> None:
        order = self._container
        try:
            pid = spawn(self._order["program"], argv, order["env"], folder=order["folder"], log=order["log"])
        except OSError:
            self._tell(attempt, success=False)
            return
        running = [pid]

        def ended(code: int) -> None:
            running.clear()
            self._tell(attempt, success=code == 0)

        self._loop.adopt(pid, ended)
        self._loop.after(self._order["timeout"], lambda: signal_group(pid, signal.SIGKILL) if running else None)

    def _connect(self, attempt: int) -> None:
        self._socket = connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.setblocking(False)
        number = connection.connect_ex((self._order["host"], self._order["port"]))
        if number not in (0, errno.EINPROGRESS):
            self._tell(attempt, success=False)
            return
        self._loop.watch(connection, selectors.EVENT_WRITE, lambda: self._connected(connection, attempt))

    def _connected(self, connection: socket.socket, attempt: int) -> None:
        self._loop.forget(connection)
        failed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        path = self._order["path"]
        if failed or path is None:
            self._tell(attempt, success=not failed)
            return
        fields = {"Host": self._order["host"], "User-Agent": "tiphys-probe", "Connection": "close"}
        lines = [f"{name}: {value}" for name, value in (fields | self._order["headers"]).items()]
        request = f"GET {path} HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n"
        try:
            connection.sendall(request.encode())
        except OSError:
            self._tell(attempt, success=False)
            return
        self._loop.watch(connection, selectors.EVENT_READ, lambda: self._answered(connection, attempt))

    def _answered(self, connection: socket.socket, attempt: int) -> None:
        try:
            words = connection.recv(4096).split(None, 2)
        except OSError:
            words = []
        good = len(words) >= 2 and words[0].startswith(b"HTTP/") and words[1].isdigit() and 200 <= int(words[1]) < 400
        self._tell(attempt, success=good)

    def _close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(KeyError):
                self._loop.forget(self._socket)
            self._socket.close()
            self._socket = None
