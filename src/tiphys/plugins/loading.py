"""Loads an object by its `module:name`, so that nothing is imported before it is used."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from tiphys._util.collector import no_collections
from tiphys.errors import MissingExtraError


def load(path: str) -> Any:
    """The object that `module:qualname` names.

    Raises:
        MissingExtraError: the module belongs to an integration whose libraries are not installed.
    """
    module_name, _, qualname = path.partition(":")
    try:
        found: Any = _import(module_name)
    except ModuleNotFoundError as error:
        parts = module_name.split(".")
        missing = error.name or ""
        if parts[:2] == ["tiphys", "integrations"] and len(parts) > 2 and not missing.startswith("tiphys"):
            raise MissingExtraError(parts[2], missing) from error
        raise
    for part in qualname.split("."):
        found = getattr(found, part)
    return found


def _import(name: str) -> Any:
    if name in sys.modules:
        return import_module(name)
    with no_collections(lasting=True):
        return import_module(name)
