"""Where a running step finds its function: alive in this process, by import, or unpacked from a payload.

A step's body in a workflow names code only by text. Functions of scripts, notebooks and other functions cannot be
imported by another process; for those a payload travels along.
"""

from __future__ import annotations

import functools
import sys
from types import FunctionType, ModuleType
from typing import Any

from tiphys.errors import NotFoundError
from tiphys.plugins.loading import load

#: Loaded when it is needed: it takes longer to import than all of this.
_CLOUDPICKLE = "cloudpickle:cloudpickle"
#: (source, code digest) → the object; the digest is empty of hooks and classes.
_live: dict[tuple[str, str], Any] = {}


def remember(source: str, code_digest: str, thing: Any) -> None:
    """Keep an object that a workflow refers to; a newer one with the same names takes its place."""
    _live[source, code_digest] = thing


def resolve(source: str, code_digest: str = "") -> Any:
    """The function (or class) that a workflow names.

    Raises:
        NotFoundError: it is neither alive in this process nor importable.
    """
    found = _live.get((source, code_digest))
    if found is not None:
        return found
    try:
        found = _import(source)
    except (ImportError, AttributeError) as error:
        raise NotFoundError(
            f"The function '{source}' cannot be found: {error}.",
            hint="It was defined in a script, a notebook or another function, and this process did not define it. Run "
            "the pipeline again from there, or move the step to a module.",
        ) from error
    _live[source, code_digest] = found
    return found


def portable(source: str, code_digest: str = "") -> bytes | None:
    """A payload from which `accept` makes the object in another process; None if that process can import it.

    Raises:
        NotFoundError: as `resolve`.
    """
    thing = resolve(source, code_digest)
    if is_importable(source, thing):
        return None
    cloudpickle = load(_CLOUDPICKLE)
    module = sys.modules.get(thing.__module__)
    by_value = module is not None and module.__name__ != "__main__" and not _is_found(module.__name__, module)
    if by_value:  # loaded from a file that no other process would find by the module's name
        cloudpickle.register_pickle_by_value(module)
    try:
        payload: bytes = cloudpickle.dumps(thing)
    finally:
        if by_value:
            cloudpickle.unregister_pickle_by_value(module)
    return payload


def accept(source: str, code_digest: str, payload: bytes) -> Any:
    """Unpack what `portable` made, and remember it. The payload is code: it must come from where tasks come from."""
    cloudpickle = load(_CLOUDPICKLE)
    thing = cloudpickle.loads(payload)
    remember(source, code_digest, thing)
    return thing


def is_importable(source: str, thing: Any) -> bool:
    """Whether importing `source` in another process gives this very object."""
    name = source.partition(":")[0]
    if name == "__main__" or "<" in source or "~" in source:
        return False
    try:
        return _import(source) is thing and _is_found(name, sys.modules[name])
    except (ImportError, AttributeError):
        return False


def _is_found(name: str, module: ModuleType) -> bool:
    """Whether the import system, asked afresh, would find that module by its name."""
    parent, _, _ = name.rpartition(".")
    path = getattr(sys.modules.get(parent), "__path__", None) if parent else None
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path)
        if spec is not None:
            return spec.origin == getattr(module, "__file__", spec.origin)
    return False


def _import(source: str) -> Any:
    if "<" in source or "~" in source:
        raise AttributeError("it is defined inside of a function")
    return _undecorated(load(source))


def _undecorated(thing: Any) -> Any:
    """The function of a step (its decorated name is what a module holds)."""
    entrypoint = getattr(thing, "entrypoint", None)
    return entrypoint if isinstance(entrypoint, (FunctionType, functools.partial)) else thing


class Names:
    """Gives one compilation's objects their sources, so that two that look alike are not mistaken for each other.

    A factory may make several functions with one qualified name, which differ in what they enclose; the second is then
    called `module:make.<locals>.step~2`.
    """

    def __init__(self) -> None:
        self._given: dict[tuple[str, str], list[Any]] = {}

    def refer(self, source: str, code_digest: str, thing: Any) -> str:
        """Remember `thing` and return the source that names it."""
        same = self._given.setdefault((source, code_digest), [])
        index = next((index for index, known in enumerate(same) if known is thing), len(same))
        if index == len(same):
            same.append(thing)
        name = source if index == 0 else f"{source}~{index + 1}"
        remember(name, code_digest, thing)
        return name
