"""What of a template no runner of pods on one machine can carry out: found before anything runs, named by its field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tiphys.sdk.pods.containers import containers_of
from tiphys.sdk.pods.volumes import KINDS, kind_of

#: Names that Argo keeps for itself.
_RESERVED = ("wait", "supervisor")


def problems_of(template: Mapping[str, Any]) -> Iterator[str]:
    """What cannot be had, each a sentence that names the field; a template may still have its tags."""
    where = f"templates.{template.get('name')}"
    for volume in template.get("volumes") or ():
        if kind_of(volume) is None:
            yield f"{where}.volumes.{volume.get('name')}: only {', '.join(KINDS)} can be had on this machine."
    containers = containers_of(template)
    known = {each.get("name") for _, each in containers}
    for role, container in containers:
        here = f"{where}.{container.get('name')}"
        if role != "main" and container.get("name") in _RESERVED:
            yield f"{here}: the name is kept for Argo's own containers."
        for name in container.get("dependencies") or ():
            if name not in known:
                yield f"{here}.dependencies: there is no container '{name}'."
        if container.get("volumeDevices"):
            yield f"{here}.volumeDevices: block devices cannot be had on this machine."
        probe = container.get("readinessProbe") or {}
        if str((probe.get("httpGet") or {}).get("scheme") or "HTTP").upper() != "HTTP":
            yield f"{here}.readinessProbe.httpGet.scheme: only HTTP can be asked."
        if probe.get("grpc"):
            yield f"{here}.readinessProbe.grpc: only exec, httpGet and tcpSocket can be asked."
