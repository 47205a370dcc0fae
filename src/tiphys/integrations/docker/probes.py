"""Readiness probes of daemons: a program of the container, a connection, or an HTTP request to the pod."""

from __future__ import annotations

import http.client
import socket
import threading

from tiphys.errors import TiphysError
from tiphys.integrations.docker.engine import ContainerEngine
from tiphys.sdk.pods.probe import Probe


def await_ready(probe: Probe, container: str, address: str, engine: ContainerEngine, over: threading.Event) -> bool:
    """Probe until it has succeeded often enough in a row; False if `over` came before.

    Args:
        probe: What to do.
        container: Id of the container.
        address: Of the pod.
        engine: Where it runs.
        over: Set when nobody wants to know any more.
    """
    row = 0
    over.wait(probe.delay)
    while not over.is_set():
        row = row + 1 if _succeeds(probe, container, address, engine) else 0
        if row >= probe.successes:
            return True
        over.wait(probe.period)
    return False


def _succeeds(probe: Probe, container: str, address: str, engine: ContainerEngine) -> bool:
    try:
        if probe.command:
            return engine.execute(container, list(probe.command)) == 0
        host = probe.host or address
        if probe.path is None:
            socket.create_connection((host, probe.port), probe.timeout).close()
            return True
        connection = http.client.HTTPConnection(host, probe.port, timeout=probe.timeout)
        try:
            connection.request("GET", probe.path, headers={"User-Agent": "tiphys-probe", **probe.headers})
            return 200 <= connection.getresponse().status < 400
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, TiphysError):
        return False
