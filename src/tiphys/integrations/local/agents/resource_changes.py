"""What the actions of a `resource` template do to stored objects, as kubectl's commands of these names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from tiphys.errors import AlreadyExistsError, ConflictError, NotFoundError
from tiphys.integrations.local.agents.outside import Manifest, ObjectActions
from tiphys.integrations.local.agents.resource_order import Order
from tiphys.lang.gojson import go_json
from tiphys.spec.merge import apply_patch

#: Says which task created an object, so that the task knows it again when it is launched once more after a crash.
CREATED_BY = "tiphys.dev/created-by"
#: What was applied last, as kubectl writes it: what it has and the next one has not is removed.
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
#: How often a change is tried whose object was changed by somebody else in between, as Kubernetes' API does.
_TRIES = 5
#: Names that are tried where one is generated.
_NAMES = 100
#: What Kubernetes makes names of (k8s.io/apimachinery, util/rand), and the longest beginning of one.
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_MAX_PREFIX = 58


def perform(
    order: Order, actions: ObjectActions, *, task_id: str, usable: Callable[[Manifest], bool]
) -> Manifest | None:
    """Carry out an action.

    Args:
        order: What to do.
        actions: Where the objects are.
        task_id: Who does it.
        usable: Whether an object that this task created before it was launched again may stand for a new one.

    Returns:
        The object as it is then; None if it was deleted, or is not there and need not be.

    Raises:
        UsageError, NotFoundError, AlreadyExistsError, ConflictError: the answer was no.
    """
    if order.action == "get":
        return _get(order, actions)
    if order.action == "create":
        return _create(order, actions, task_id, usable)
    if order.action == "delete":
        _delete(order, actions)
        return None
    if order.action == "replace":
        return actions.update(order.namespace, order.content)
    return _change(order, actions, _applied if order.action == "apply" else _patched)


def _get(order: Order, actions: ObjectActions) -> Manifest | None:
    try:
        return actions.get(order.kind.name, order.namespace, order.name)
    except NotFoundError:
        if order.ignore_missing:
            return None
        raise


def _create(order: Order, actions: ObjectActions, task_id: str, usable: Callable[[Manifest], bool]) -> Manifest:
    """Create the object, or find that this very task has done so already."""
    number = 0
    while True:
        number += 1
        metadata = order.content["metadata"]
        name = order.name or _generated(metadata["generateName"], f"{task_id}/{number}")
        manifest = {**order.content, "metadata": {**metadata, "name": name}}
        try:
            return actions.create(order.namespace, _annotated(manifest, CREATED_BY, task_id))
        except AlreadyExistsError:
            present = actions.get(order.kind.name, order.namespace, name)
            if _annotation(present, CREATED_BY) == task_id and usable(present):
                return present
            if order.name or number == _NAMES:
                raise


def _generated(prefix: str, seed: str) -> str:
    """A name whose last five characters are those of this seed, so that a task always finds the same."""
    digest = hashlib.sha256(seed.encode()).digest()
    return prefix[:_MAX_PREFIX] + "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:5])


def _delete(order: Order, actions: ObjectActions) -> None:
    kind, namespace = order.kind.name, order.namespace
    names = [order.name]
    if order.selector is not None:
        names = [found["metadata"]["name"] for found in actions.find(kind, namespace, order.selector)]
    for name in names:
        with suppress(NotFoundError):
            actions.delete(kind, namespace, name)


def _change(order: Order, actions: ObjectActions, changed: Callable[[Order, Manifest], Manifest]) -> Manifest:
    """Replace an object by what `changed` makes of it; where there is none to apply something to, create it."""
    number = 0
    while True:
        number += 1
        try:
            present = actions.get(order.kind.name, order.namespace, order.name)
        except NotFoundError:
            if order.action != "apply":
                raise
            return actions.create(order.namespace, _noted(order.content))
        wanted = changed(order, present)
        if wanted == present:
            return present
        try:
            return actions.update(order.namespace, wanted)
        except ConflictError:
            if number == _TRIES:
                raise


def _patched(order: Order, present: Manifest) -> Manifest:
    found: Manifest = apply_patch(present, order.content, order.strategy)
    return found


def _applied(order: Order, present: Manifest) -> Manifest:
    """`kubectl apply` as for custom kinds: a merge patch, with what was applied last as the third party."""
    wanted = _noted(order.content)
    noted = _annotation(present, LAST_APPLIED)
    last = json.loads(noted) if noted else {}
    if last == order.content and order.kind.name == "Workflow":
        return present  # its values may be written differently where it is kept, and it cannot be changed anyhow
    removed = _removed(last, order.content)
    found: Manifest = apply_patch(apply_patch(present, removed, "merge"), wanted, "merge")
    return found


def _noted(manifest: Mapping[str, Any]) -> Manifest:
    """The manifest with itself among its annotations."""
    return _annotated(manifest, LAST_APPLIED, go_json(manifest) + "\n")


def _removed(last: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """A merge patch that takes away what was in `last` and is not in `wanted`."""
    patch: dict[str, Any] = {}
    for key, value in last.items():
        if key not in wanted:
            patch[key] = None
        elif isinstance(value, dict) and isinstance(wanted[key], dict):
            below = _removed(value, wanted[key])
            if below:
                patch[key] = below
    return patch


def _annotation(manifest: Manifest, key: str) -> str | None:
    found: str | None = (manifest["metadata"].get("annotations") or {}).get(key)
    return found


def _annotated(manifest: Mapping[str, Any], key: str, value: str) -> Manifest:
    metadata = manifest["metadata"]
    annotations = {**(metadata.get("annotations") or {}), key: value}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}
