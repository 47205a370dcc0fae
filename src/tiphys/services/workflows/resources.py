"""What a node used, as Argo estimates it: how long its containers ran, times what they asked for.

Semantics: Argo, util/resource/duration.go and summary.go. A container that asks for nothing counts as 100m of a
processor and 100Mi of memory; processors are told in seconds of one, memory in seconds of 100Mi. Here the containers of
a pod are taken to have run as long as the pod, and the two that Argo itself adds are not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from tiphys.engine.model import Node
from tiphys.lang.quantity import parse_quantity
from tiphys.spec.template import Template

_LEAST = {"cpu": "100m", "memory": "100Mi"}
#: How much of a resource is one second of it in a second.
_UNITS = {"memory": "100Mi", "storage": "10Gi", "ephemeral-storage": "10Gi"}


def resources_duration(template: Template, node: Node) -> Counter[str]:
    """Seconds of each resource that one pod used; none of a pod that did not run.

    Raises:
        ExpressionError: an amount is not a quantity.
    """
    found: Counter[str] = Counter()
    if node.started_at is None or node.finished_at is None:
        return found
    age = int(node.finished_at - node.started_at)
    for amounts in _asked(template):
        for name, amount in amounts.items():
            found[name] += int(parse_quantity(str(amount)) * age / _unit(name))
    return found


def _unit(name: str) -> Decimal:
    return parse_quantity(_UNITS.get(name, "1"))


def _asked(template: Template) -> Iterator[dict[str, Any]]:
    """What each container asks for; what the whole pod asks for is the first one's that asks for nothing."""
    several = template.container_set.containers if template.container_set is not None else None
    main = template.container or template.script
    containers = [*(template.init_containers or ()), *((main,) if main else several or ()), *(template.sidecars or ())]
    whole = template.pod_resources
    for container in containers:
        own = container.resources or {}
        if whole and not own.get("limits") and not own.get("requests"):
            own, whole = whole, None
        yield {**_LEAST, **(own.get("limits") or {}), **(own.get("requests") or {})}
