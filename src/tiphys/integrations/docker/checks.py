"""What of a template containers cannot carry out: found before anything runs, named by its field.

Ignored without a word, as nothing of a node's result depends on them here, are: nodeSelector, affinity, tolerations,
resource requests, liveness and startup probes, lifecycle, and the pod's other placement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tiphys.integrations.docker.plan import containers_of
from tiphys.integrations.docker.pods.volumes import KINDS, kind_of

#: Names that Argo keeps for itself.
_RESERVED = ("wait", "supervisor")
#: Parts of a securityContext that are honoured, or that containers here obey anyway.
_SECURITY = (
    "runAsUser",
    "runAsGroup",
    "privileged",
    "readOnlyRootFilesystem",
    "allowPrivilegeEscalation",
    "capabilities",
)


def check(template: Mapping[str, Any]) -> list[str]:
    """What cannot be had, each a sentence that names the field; a template may still have its tags."""
    return list(_problems(template))


def _problems(template: Mapping[str, Any]) -> Iterator[str]:
    where = f"templates.{template.get('name')}"
    if template.get("podSpecPatch"):
        yield f"{where}.podSpecPatch: there is no pod on this machine that could be patched."
    if template.get("hostAliases"):
        yield f"{where}.hostAliases: containers here have their image's /etc/hosts."
    for volume in template.get("volumes") or ():
        if kind_of(volume) is None:
            yield f"{where}.volumes.{volume.get('name')}: only {', '.join(KINDS)} can be had on this machine."
    yield from _unknown_security(template, where)
    known = {each.get("name") for _, each in containers_of(template)}
    for role, container in containers_of(template):
        here = f"{where}.{container.get('name')}"
        if role != "main" and container.get("name") in _RESERVED:
            yield f"{here}: the name is kept for Argo's own containers."
        if not container.get("image"):
            yield f"{here}.image: a container needs one."
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
        yield from _unknown_security(container, here)


def _unknown_security(owner: Mapping[str, Any], where: str) -> Iterator[str]:
    for name in owner.get("securityContext") or {}:
        if name not in _SECURITY:
            yield f"{where}.securityContext.{name}: only {', '.join(_SECURITY)} can be had on this machine."
