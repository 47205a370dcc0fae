"""What of a template containers cannot carry out: found before anything runs, named by its field.

Ignored without a word, as nothing of a node's result depends on them here, are: nodeSelector, affinity, tolerations,
resource requests, liveness and startup probes, lifecycle, and the pod's other placement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tiphys.sdk.pods.checks import problems_of
from tiphys.sdk.pods.containers import containers_of

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
    yield from problems_of(template)
    where = f"templates.{template.get('name')}"
    if template.get("hostAliases"):
        yield f"{where}.hostAliases: containers here have their image's /etc/hosts."
    yield from _unknown_security(template, where)
    for _, container in containers_of(template):
        here = f"{where}.{container.get('name')}"
        if not container.get("image"):
            yield f"{here}.image: a container needs one."
        yield from _unknown_security(container, here)


def _unknown_security(owner: Mapping[str, Any], where: str) -> Iterator[str]:
    for name in owner.get("securityContext") or {}:
        if name not in _SECURITY:
            yield f"{where}.securityContext.{name}: only {', '.join(_SECURITY)} can be had on this machine."
