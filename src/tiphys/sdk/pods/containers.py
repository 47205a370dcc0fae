"""The containers of a template, and how one of them ended: light, as a process that starts containers needs it too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from tiphys.errors import SpecError
from tiphys.lang.duration import parse_duration

MAIN = "main"
#: Where a script's source is, as in Argo.
SCRIPT_FILE = "/argo/staging/script"
#: Exit code of a container whose program could not be started, as Argo's emissary has it.
CANNOT_START = 64
#: Most bytes of standard output that become a result; of more the last are kept, as Argo does.
LONGEST_RESULT = 256 * 1024


class ContainerEnd(TypedDict):
    """How a container ended."""

    name: str
    #: "init", "main" or "sidecar".
    role: str
    #: Exit code; 128 + n after signal n; None if it was never started.
    code: int | None
    #: What kept it from being started.
    error: str | None


def main_of(template: Mapping[str, Any]) -> str:
    """Name of the container that has the inputs and outputs: `main`, or of a set without one its first."""
    names = [each.get("name") for each in (template.get("containerSet") or {}).get("containers") or ()]
    return MAIN if not names or MAIN in names else str(names[0])


def containers_of(template: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """(role, container) of all containers, in the order in which they start; each has a name.

    Raises:
        SpecError: the template has no containers.
    """
    found: list[tuple[str, Mapping[str, Any]]] = [("init", each) for each in template.get("initContainers") or ()]
    group = template.get("containerSet")
    if group:
        shared = group.get("volumeMounts") or []
        found += [
            ("main", {**each, "volumeMounts": [*shared, *(each.get("volumeMounts") or ())]})
            for each in group.get("containers") or ()
        ]
    else:
        body = template.get("container") or template.get("script")
        if body is None:
            raise SpecError(
                f"The template '{template.get('name')}' is neither container, script nor containerSet, so it cannot "
                "be carried out as a pod."
            )
        found.append(("main", {**body, "name": MAIN}))
    for each in template.get("sidecars") or ():
        if each.get("mirrorVolumeMounts"):
            mounts = next(container for role, container in found if role == "main").get("volumeMounts") or []
            each = {**each, "volumeMounts": [*mounts, *(each.get("volumeMounts") or ())]}
        found.append(("sidecar", each))
    return found


def tries_of(template: Mapping[str, Any]) -> tuple[int, float]:
    """How often a main container is executed at most, and seconds between (Argo's `retries` counts executions)."""
    group = (template.get("containerSet") or {}).get("retryStrategy") or {}
    tries = max(1, int(group.get("retries") or 1))
    return tries, parse_duration(group["duration"]) if group.get("duration") else 0.0


def port_of(port: Any, container: Mapping[str, Any]) -> int:
    """The number of a port that a readiness probe names.

    Raises:
        SpecError: the container has no port of that name.
    """
    if isinstance(port, int) or str(port).isdigit():
        return int(port)
    for each in container.get("ports") or ():
        if each.get("name") == port:
            return int(each["containerPort"])
    raise SpecError(f"readinessProbe of '{container['name']}': there is no port '{port}'.")
