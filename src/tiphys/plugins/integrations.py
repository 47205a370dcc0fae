"""Finds integrations: Tiphys's own by the name of their folder, others by entry points (`tiphys.integrations`).

An integration's package says what it has and imports nothing of the system it is for, so that asking is cheap. Entry
points are looked at only where nothing else was found, and once in a process.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

from tiphys.errors import NotFoundError, TiphysError
from tiphys.plugins.loading import load
from tiphys.ports.component import Flavor, Integration
from tiphys.records.stacks import ComponentType

GROUP = "tiphys.integrations"
_PACKAGE = "tiphys.integrations"
_log = logging.getLogger("tiphys.plugins")


@cache
def built_in_names() -> frozenset[str]:
    """Names of the integrations that come with Tiphys."""
    spec = find_spec(_PACKAGE)
    folders = (spec.submodule_search_locations or []) if spec is not None else []
    return frozenset(
        path.name for folder in folders for path in Path(folder).iterdir() if (path / "__init__.py").is_file()
    )


@cache
def _entry_points() -> dict[str, Any]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=GROUP)}


@cache
def _built_in(name: str) -> Integration:
    found: Integration = import_module(f"{_PACKAGE}.{name}").INTEGRATION
    return found


@cache
def _from_entry_point(name: str) -> Integration:
    point = _entry_points()[name]
    try:
        found = load(point.value if ":" in point.value else f"{point.value}:INTEGRATION")
    except (ImportError, AttributeError) as error:
        raise TiphysError(
            f"The plugin '{name}' ({point.value}) cannot be loaded: {error}.",
            hint="Reinstall or remove the distribution that brings it.",
        ) from error
    if not isinstance(found, Integration):
        raise TiphysError(f"The plugin '{name}' ({point.value}) is not an Integration.")
    return found


def _plugins() -> Iterator[Integration]:
    for name in sorted(_entry_points().keys() - built_in_names()):
        try:
            yield _from_entry_point(name)
        except TiphysError as error:  # a broken plugin must not keep the others from working
            _log.warning("%s", error)


def _built_ins() -> Iterator[Integration]:
    return map(_built_in, sorted(built_in_names()))


def integration(name: str) -> Integration:
    """An integration by name.

    Raises:
        NotFoundError: there is none.
        TiphysError: it is a plugin that cannot be loaded.
    """
    if name in built_in_names():
        return _built_in(name)
    if name in _entry_points():
        return _from_entry_point(name)
    names = sorted({*built_in_names(), *_entry_points()})
    raise NotFoundError(f"There is no integration '{name}'.", hint=f"There are: {', '.join(names)}.")


def all_integrations() -> list[Integration]:
    """All integrations, by name; one of Tiphys's own hides a plugin of the same name."""
    return sorted([*_built_ins(), *_plugins()], key=lambda found: found.name)


def flavors(type: ComponentType) -> list[Flavor]:
    """All flavors of a component type."""
    return [flavor for found in all_integrations() for flavor in found.flavors if flavor.type == type]


def find_flavor(type: ComponentType, name: str) -> Flavor:
    """A flavor of a component type. The integration of the same name is asked first.

    Raises:
        NotFoundError: there is none.
    """
    first = [_built_in(name)] if name in built_in_names() else []
    for found in chain(first, _built_ins(), _plugins()):
        for flavor in found.flavors:
            if flavor.type == type and flavor.name == name:
                return flavor
    known = ", ".join(sorted(flavor.name for flavor in flavors(type))) or "none"
    raise NotFoundError(f"There is no flavor '{name}' of {type.value}.", hint=f"There are: {known}.")


def materializer_for_format(name: str) -> str:
    """`module:Class` of the materializer that writes a format.

    Raises:
        NotFoundError: no integration has it.
    """
    formats = {format_: path for found in chain(_plugins(), _built_ins()) for format_, path in found.formats.items()}
    if name not in formats:
        known = ", ".join(sorted(formats)) or "none"
        raise NotFoundError(f"There is no format '{name}'.", hint=f"There are: {known}.")
    return formats[name]


def materializer_for_type_name(type_name: str, *, plugins: bool = False) -> str | None:
    """`module:Class` of the materializer that an integration has for `module.qualname` of a type (not of its bases).

    The integration is the one named after the type's top-level module, or the one that the type itself belongs to; with
    `plugins` all that are not Tiphys's own are asked instead.
    """
    if plugins:
        return next((found.materializers[type_name] for found in _plugins() if type_name in found.materializers), None)
    parts = type_name.split(".")
    name = parts[2] if parts[:2] == ["tiphys", "integrations"] else parts[0]
    return _built_in(name).materializers.get(type_name) if name in built_in_names() else None
