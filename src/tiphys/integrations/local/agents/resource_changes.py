"""What the actions of a `resource` template do to objects, as kubectl's commands of these names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from tiphys.errors import AlreadyExistsError, NotFoundError
from tiphys.integrations.local.agents.annotations import annotated, annotation
from tiphys.integrations.local.agents.resource_order import Order
from tiphys.ports.object_keeper import Manifest, ObjectKeeper

#: Says which task created an object, so that the task knows it again when it is launched once more after a crash.
CREATED_BY = "tiphys.dev/created-by"
#: Names that are tried where one is generated.
_NAMES = 100
#: What Kubernetes makes names of (k8s.io/apimachinery, util/rand), and the longest beginning of one.
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_MAX_PREFIX = 58


def perform(order: Order, keeper: ObjectKeeper, *, task_id: str, usable: Callable[[Manifest], bool]) -> Manifest | None:
    """Carry out any action but delete.

    Args:
        order: What to do.
        keeper: Where the objects are.
        task_id: Who does it.
        usable: Whether an object that this task created before it was launched again may stand for a new one.

    Returns:
        The object as it is then; None if it is not there and need not be.

    Raises:
        UsageError, NotFoundError, AlreadyExistsError, ConflictError: the answer was no.
    """
    kind, namespace = order.kind, order.namespace
    if order.action == "get":
        return _get(order, keeper)
    if order.action == "create":
        return _create(order, keeper, task_id, usable)
    if order.action == "replace":
        return keeper.replace(kind, namespace, order.content)
    if order.action == "apply":
        return keeper.apply(kind, namespace, order.content, force=order.force)
    return keeper.patch(kind, namespace, order.name, order.content, order.strategy)


def delete(order: Order, keeper: ObjectKeeper) -> list[Manifest]:
    """Remove the objects that are meant, if they are there; returns those that stay for a while.

    Raises:
        UsageError, ConflictError: the answer was no.
    """
    kind, namespace = order.kind, order.namespace
    names = [order.name]
    if order.selector is not None:
        names = [found["metadata"]["name"] for found in keeper.find(kind, namespace, order.selector)]
    staying = []
    for name in names:
        try:
            left = keeper.delete(kind, namespace, name, order.deletion)
        except NotFoundError:
            continue
        if left is not None:
            staying.append(left)
    return staying


def _get(order: Order, keeper: ObjectKeeper) -> Manifest | None:
    try:
        return keeper.get(order.kind, order.namespace, order.name)
    except NotFoundError:
        if order.ignore_missing:
            return None
        raise


def _create(order: Order, keeper: ObjectKeeper, task_id: str, usable: Callable[[Manifest], bool]) -> Manifest:
    """Create the object, or find that this very task has done so already."""
    number = 0
    while True:
        number += 1
        metadata = order.content["metadata"]
        name = order.name or _generated(metadata["generateName"], f"{task_id}/{number}")
        manifest = {**order.content, "metadata": {**metadata, "name": name}}
        try:
            return keeper.create(order.kind, order.namespace, annotated(manifest, CREATED_BY, task_id))
        except AlreadyExistsError:
            present = keeper.get(order.kind, order.namespace, name)
            if annotation(present, CREATED_BY) == task_id and usable(present):
                return present
            if order.name or number == _NAMES:
                raise


def _generated(prefix: str, seed: str) -> str:
    """A name whose last five characters are those of this seed, so that a task always finds the same."""
    digest = hashlib.sha256(seed.encode()).digest()
    return prefix[:_MAX_PREFIX] + "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:5])
