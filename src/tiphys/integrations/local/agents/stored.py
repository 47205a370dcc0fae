"""Stored objects, changed as kubectl and Kubernetes' API change those of a cluster."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tiphys.errors import ConflictError, NotFoundError
from tiphys.integrations.local.agents.annotations import annotated, annotation
from tiphys.integrations.local.agents.kinds import own_kind
from tiphys.integrations.local.agents.outside import ObjectActions
from tiphys.lang.gojson import go_json
from tiphys.ports.object_keeper import Deletion, Kind, Manifest, ObjectKeeper
from tiphys.spec.merge import apply_patch

#: What was applied last, as kubectl writes it: what it has and the next one has not is removed.
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
#: How often a change is tried whose object was changed by somebody else in between, as Kubernetes' API does.
_TRIES = 5


class StoredObjects(ObjectKeeper):
    """The objects that are kept here; whoever removes them has nothing to wait for.

    Args:
        actions: Where they are.
    """

    has_workflows = True

    def __init__(self, actions: ObjectActions) -> None:
        self._actions = actions

    def kind(self, named: Kind) -> Kind:
        """The kind that is meant."""
        found = own_kind(named)
        if found is None:
            raise NotFoundError(f"Objects of the kind {named} are not kept here.")
        return found

    def get(self, kind: Kind, namespace: str, name: str) -> Manifest:
        """An object."""
        return self._actions.get(kind.name, namespace, name)

    def find(self, kind: Kind, namespace: str, labels: str) -> list[Manifest]:
        """Objects that a label selector means."""
        return self._actions.find(kind.name, namespace, labels)

    def create(self, kind: Kind, namespace: str, manifest: Mapping[str, Any]) -> Manifest:
        """Store a new object."""
        return self._actions.create(namespace, manifest)

    def replace(self, kind: Kind, namespace: str, manifest: Mapping[str, Any]) -> Manifest:
        """Store an object in the place of one."""
        return self._actions.update(namespace, manifest)

    def apply(self, kind: Kind, namespace: str, manifest: Mapping[str, Any], *, force: bool = True) -> Manifest:
        """`kubectl apply` as for custom kinds: a merge patch, with what was applied last as the third party."""
        name = str(manifest["metadata"]["name"])
        try:
            return self._change(kind, namespace, name, lambda present: _applied(manifest, present))
        except NotFoundError:
            return self._actions.create(namespace, _noted(manifest))

    def patch(self, kind: Kind, namespace: str, name: str, patch: Any, strategy: str) -> Manifest:
        """Change an object by a patch."""
        return self._change(kind, namespace, name, lambda present: apply_patch(present, patch, strategy))

    def delete(self, kind: Kind, namespace: str, name: str, how: Deletion) -> Manifest | None:
        """Remove an object."""
        self._actions.delete(kind.name, namespace, name)
        return None

    def _change(self, kind: Kind, namespace: str, name: str, changed: Callable[[Manifest], Manifest]) -> Manifest:
        """Replace an object by what `changed` makes of it."""
        number = 0
        while True:
            number += 1
            present = self._actions.get(kind.name, namespace, name)
            wanted = changed(present)
            if wanted == present:
                return present
            try:
                return self._actions.update(namespace, wanted)
            except ConflictError:
                if number == _TRIES:
                    raise


def _applied(manifest: Mapping[str, Any], present: Manifest) -> Manifest:
    noted = annotation(present, LAST_APPLIED)
    last = json.loads(noted) if noted else {}
    if last == manifest and manifest["kind"] == "Workflow":
        return present  # its values may be written differently where it is kept, and it cannot be changed anyhow
    removed = _removed(last, manifest)
    found: Manifest = apply_patch(apply_patch(present, removed, "merge"), _noted(manifest), "merge")
    return found


def _noted(manifest: Mapping[str, Any]) -> Manifest:
    """The manifest with itself among its annotations."""
    return annotated(manifest, LAST_APPLIED, go_json(manifest) + "\n")


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
