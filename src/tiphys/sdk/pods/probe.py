"""When a daemon counts as ready.

Defaults are those of Kubernetes' Probe, but for the period: a cluster spares its nodes, here nobody waits ten seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tiphys.errors import SpecError
from tiphys.sdk.pods.containers import port_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """When a container counts as ready; exactly one of `command`, `port` is set."""

    #: A program of the container that ends with 0 if it is.
    command: tuple[str, ...] = ()
    #: A port of the pod that takes connections,
    port: int = 0
    #: and, if not None, answers a GET of this path with 200 to 399.
    path: str | None = None
    #: Empty: the pod's.
    host: str = ""
    headers: Mapping[str, str]
    #: Seconds.
    delay: float
    period: float
    timeout: float
    #: Successes in a row that it takes.
    successes: int


def probe_of(container: Mapping[str, Any]) -> Probe | None:
    """A container's readiness probe, if it has one.

    Raises:
        SpecError: it says nothing that can be asked.
    """
    probe = container.get("readinessProbe")
    if not probe:
        return None
    http, tcp = probe.get("httpGet") or {}, probe.get("tcpSocket") or {}
    where = http or tcp
    command = (probe.get("exec") or {}).get("command")
    if not command and not where:
        raise SpecError(f"readinessProbe of '{container['name']}' needs one of exec, httpGet and tcpSocket.")
    return Probe(
        command=tuple(command or ()),
        port=0 if command else port_of(where.get("port"), container),
        path=(http.get("path") or "/") if http else None,
        host=where.get("host") or "",
        headers={each["name"]: each.get("value") or "" for each in http.get("httpHeaders") or ()},
        delay=float(probe.get("initialDelaySeconds") or 0),
        period=float(probe.get("periodSeconds") or 1),
        timeout=float(probe.get("timeoutSeconds") or 1),
        successes=int(probe.get("successThreshold") or 1),
    )
