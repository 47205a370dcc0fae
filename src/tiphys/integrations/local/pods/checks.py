"""What of a template a runner of pods cannot carry out: found before anything runs, named by its field.

Ignored without a word, as nothing of a node's result depends on them here, are: nodeSelector, affinity, tolerations,
resources, securityContext, liveness and startup probes, lifecycle, imagePullPolicy and the pod's other placement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tiphys.integrations.local.pods.plan import Flavour, containers_of, main_of
from tiphys.integrations.local.pods.volumes import KINDS, kind_of

#: Names that Argo keeps for itself.
_RESERVED = ("wait", "supervisor")


def check(template: Mapping[str, Any], flavour: Flavour) -> list[str]:
    """What the flavour cannot give, each a sentence that names the field; a template may still have its tags."""
    found = list(_common(template))
    if flavour == "process":
        found += [f"{problem} Use the runner 'sandbox'." for problem in _shared(template)]
    return found


def _common(template: Mapping[str, Any]) -> Iterator[str]:
    name = template.get("name")
    where = f"templates.{name}"
    if template.get("podSpecPatch"):
        yield f"{where}.podSpecPatch: there is no pod on this machine that could be patched."
    for volume in template.get("volumes") or ():
        if kind_of(volume) is None:
            yield f"{where}.volumes.{volume.get('name')}: only {', '.join(KINDS)} can be had on this machine."
    known = {each.get("name") for _, each in containers_of(template)}
    for role, container in containers_of(template):
        here = f"{where}.{container.get('name')}"
        if role != "main" and container.get("name") in _RESERVED:
            yield f"{here}: the name is kept for Argo's own containers."
        for name in container.get("dependencies") or ():
            if name not in known:
                yield f"{here}.dependencies: there is no container '{name}'."
        if container.get("volumeDevices"):
            yield f"{here}.volumeDevices: there are no block devices on this machine."
        http = (container.get("readinessProbe") or {}).get("httpGet") or {}
        if str(http.get("scheme") or "HTTP").upper() != "HTTP":
            yield f"{here}.readinessProbe.httpGet.scheme: only HTTP can be asked."
        if (container.get("readinessProbe") or {}).get("grpc"):
            yield f"{here}.readinessProbe.grpc: only exec, httpGet and tcpSocket can be asked."


def _shared(template: Mapping[str, Any]) -> Iterator[str]:
    """What would be shared with other nodes, because host processes see this machine's own files."""
    where = f"templates.{template.get('name')}"
    for _, container in containers_of(template):
        here = f"{where}.{container.get('name')}"
        if container.get("volumeMounts"):
            yield f"{here}.volumeMounts: a host process cannot have volumes."
        if str(container.get("workingDir") or "").startswith("/"):
            yield f"{here}.workingDir: a host process works in a folder of its own."
    main = main_of(template)
    for side in ("inputs", "outputs"):
        values = template.get(side) or {}
        paths = [(each, each.get("path")) for each in values.get("artifacts") or ()]
        paths += [(each, (each.get("valueFrom") or {}).get("path")) for each in values.get("parameters") or ()]
        for each, path in paths:
            if str(path or "").startswith("/"):
                yield (
                    f"{where}.{side}.{each.get('name')}: '{path}' would be one file for all nodes that write it, "
                    f"as host processes of '{main}' see this machine's own files; a relative one is not."
                )
