"""The stack's components that a step uses, built from the task's context once and kept for the steps that follow."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from tiphys._util.canonical import canonical_json
from tiphys.errors import ArtifactMissingError, StackError
from tiphys.plugins.loading import load
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.ports.component import StackComponent
from tiphys.ports.ml_components import ExperimentTracker

#: How many different sets of components are kept.
MOST = 16

T = TypeVar("T")


class Components:
    """The components of one stack, as they stand in a task's context.

    Args:
        described: Component type → [{name, implementation, config_class, config}, …].
    """

    def __init__(self, described: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        self._described = described
        stores = [(str(each["name"]), _build(each)) for each in described.get("artifact_store", ())]
        if not stores:
            raise StackError("The step was started without an artifact store.")
        self.stores: list[tuple[str, ArtifactStore]] = [
            (name, store) for name, store in stores if isinstance(store, ArtifactStore)
        ]
        self.store_name, self.store = self.stores[0]

    def trackers(self, names: Sequence[str]) -> list[ExperimentTracker]:
        """The experiment trackers of those names.

        Raises:
            StackError: the stack has none of that name.
        """
        known = {str(each["name"]): each for each in self._described.get("experiment_tracker", ())}
        found = []
        for name in names:
            tracker = _build(known[name]) if name in known else None
            if not isinstance(tracker, ExperimentTracker):
                raise StackError(
                    f"The stack has no experiment tracker '{name}'.",
                    hint=f"It has: {', '.join(known) or 'none'}. Put one into a stack with `tiphys stack register`.",
                )
            found.append(tracker)
        return found

    def from_stores(self, read: Callable[[ArtifactStore], T]) -> T:
        """What `read` gets from the first store that has the data."""
        for _, store in self.stores[:-1]:
            try:
                return read(store)
            except ArtifactMissingError:
                continue
        return read(self.stores[-1][1])


_lock = threading.Lock()
_by_identity: dict[int, tuple[object, Components]] = {}
_by_content: dict[str, Components] = {}
_built: dict[str, StackComponent] = {}


def components_of(context: Mapping[str, Any]) -> Components:
    """The components of a task's context.

    Raises:
        StackError: there is no artifact store among them.
        MissingExtraError: a component's libraries are not installed.
    """
    described = context.get("components") or {}
    known = _by_identity.get(id(described))
    if known is not None and known[0] is described:
        return known[1]
    key = canonical_json(described)
    with _lock:
        found = _by_content.get(key)
        if found is None:
            _trim(_by_content)
            found = _by_content[key] = Components(described)
        _trim(_by_identity)
        _by_identity[id(described)] = described, found
    return found


def _build(described: Mapping[str, Any]) -> StackComponent:
    key = canonical_json(described)
    component = _built.get(key)
    if component is None:
        config = described.get("config") or {}
        config_class = described.get("config_class")
        made: StackComponent = load(described["implementation"])(
            name=described["name"], config=load(config_class)(**config) if config_class else config
        )
        _trim(_built)
        component = _built[key] = made
    return component


def _trim(cache: dict[Any, Any]) -> None:
    while len(cache) >= MOST:
        cache.pop(next(iter(cache)))
