"""Which materializer a value is for. Nothing is imported before a value needs it.

A type's classes are gone through in the order of their inheritance. First comes what users defined, then dataclasses,
pydantic models and named tuples, then Python's own types and those of the integrations named after a class's top-level
module; then plugins, and last of all the pickle.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from tiphys.errors import ArtifactError
from tiphys.plugins.integrations import materializer_for_type_name
from tiphys.plugins.loading import load
from tiphys.ports.materializer import (
    BaseMaterializer,
    BytesMaterializer,
    OtherMaterializer,
    defined,
    registered,
)
from tiphys.sdk.materializers.json_codec import current_definition, label_of

_HERE = "tiphys.sdk.materializers"
_JSON = f"{_HERE}.builtin:JsonMaterializer"
LAST_RESORT = f"{_HERE}.pickled:CloudpickleMaterializer"

#: Of exactly these types; a subclass is more than what JSON would keep of it.
_EXACTLY = {
    f"{module}.{name}": _JSON
    for module, names in {
        "builtins": ["bool", "int", "float", "str", "NoneType", "list", "dict", "tuple", "set", "frozenset", "complex"],
        "collections": ["OrderedDict"],
        "datetime": ["datetime", "date", "time", "timedelta"],
        "decimal": ["Decimal"],
        "uuid": ["UUID"],
    }.items()
    for name in names
} | {
    "builtins.bytes": f"{_HERE}.builtin:BinaryMaterializer",
    "builtins.bytearray": f"{_HERE}.builtin:BytearrayMaterializer",
}

#: Of these types and their subclasses.
_AND_SUBCLASSES = {
    "enum.Enum": _JSON,
    "pathlib.Path": f"{_HERE}.paths:PathMaterializer",
    "pathlib._local.Path": f"{_HERE}.paths:PathMaterializer",
    "tiphys.types.HTMLString": f"{_HERE}.builtin:HTMLMaterializer",
    "tiphys.types.MarkdownString": f"{_HERE}.builtin:MarkdownMaterializer",
    "tiphys.types.CSVString": f"{_HERE}.builtin:CSVMaterializer",
    "tiphys.types.JSONString": f"{_HERE}.builtin:JSONStringMaterializer",
}

_found: dict[type[Any], type[BaseMaterializer]] = {}
_found_at = 0
_by_path: dict[str, type[BaseMaterializer]] = {}
_types: dict[str, type[Any]] = {}


def path_of(materializer: type[BaseMaterializer]) -> str:
    """`module:Class`, remembered for `materializer_at`."""
    path = f"{materializer.__module__}:{materializer.__qualname__}"
    _by_path[path] = materializer
    return path


def materializer_at(path: str) -> type[BaseMaterializer]:
    """The materializer of a `module:Class` path.

    Raises:
        ArtifactError: there is none.
        MissingExtraError: its integration is not installed.
    """
    found = defined.get(path) or _by_path.get(path)
    if found is None:
        try:
            found = load(path)
        except (ImportError, AttributeError) as error:
            raise ArtifactError(
                f"The materializer '{path}' cannot be imported here: {error}.",
                hint="Define it at the top level of a module that this process can import.",
            ) from error
        if not (isinstance(found, type) and issubclass(found, BaseMaterializer)):
            raise ArtifactError(f"'{path}' is not a subclass of BaseMaterializer.")
        _by_path[path] = found
    return found


def type_name(kind: type[Any]) -> str:
    """`module.qualname` of a type, remembered for `type_named`."""
    name = f"{kind.__module__}.{kind.__qualname__}"
    _types[name] = kind
    return name


def type_named(name: str) -> type[Any]:
    """The type of that name, or `object` if it is not to be found in this process."""
    known = _types.get(name)
    if known is not None:
        return current_definition(known)
    found = _types[name] = _import_type(name)
    return found


def _import_type(name: str) -> type[Any]:
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        module_name = ".".join(parts[:count])
        if "<" in module_name:
            continue
        try:
            found: Any = sys.modules.get(module_name) or import_module(module_name)
        except ImportError:
            continue
        for part in parts[count:]:
            found = getattr(found, part, None)
        return found if isinstance(found, type) else object
    return object


def find_materializer(value_or_type: Any, explicit: Sequence[str] = ()) -> type[BaseMaterializer]:
    """The materializer for a value or a type.

    Args:
        value_or_type: The value, or its type.
        explicit: `module:Class` paths of which one is to be used: the first that names the most specific of the type's
            classes, else the first that names no types at all.

    Raises:
        ArtifactError: none of `explicit` is for this type.
    """
    return materializer_of(value_or_type if isinstance(value_or_type, type) else type(value_or_type), explicit)


def materializer_of(kind: type[Any], explicit: Iterable[str] = ()) -> type[BaseMaterializer]:
    """`find_materializer` for a type."""
    global _found_at
    if explicit:
        return _chosen(kind, [materializer_at(path) for path in explicit])
    if _found_at != BaseMaterializer.generation:
        _found.clear()
        _found_at = BaseMaterializer.generation
    found = _found.get(kind)
    if found is None:
        found = _found[kind] = _search(kind)
    return found


def _chosen(kind: type[Any], candidates: Sequence[type[BaseMaterializer]]) -> type[BaseMaterializer]:
    for base in kind.__mro__:
        for candidate in candidates:
            if base in candidate.ASSOCIATED_TYPES:
                return candidate
    for candidate in candidates:
        if not candidate.ASSOCIATED_TYPES:
            return candidate
    names = ", ".join(candidate.__name__ for candidate in candidates)
    raise ArtifactError(
        f"The value is a {kind.__module__}.{kind.__qualname__}, for which none of the given materializers is: {names}.",
        hint="Add the type to ASSOCIATED_TYPES of one of them, or give another.",
    )


def _search(kind: type[Any]) -> type[BaseMaterializer]:
    for base in kind.__mro__:
        if base in registered:
            return registered[base]
    if label_of(kind) is not None:
        return materializer_at(_JSON)
    names = [f"{base.__module__}.{base.__qualname__}" for base in kind.__mro__[:-1]]
    for name in names:
        path = _AND_SUBCLASSES.get(name) or materializer_for_type_name(name)
        if path is None and name == names[0]:
            path = _EXACTLY.get(name)
        if path is not None:
            return materializer_at(path)
    plugin_paths = (materializer_for_type_name(name, plugins=True) for name in names)
    return materializer_at(next(filter(None, plugin_paths), LAST_RESORT))


def save_into(value: Any, folder: Path, explicit: Sequence[str] = ()) -> type[BaseMaterializer]:
    """Write a value into a folder that this makes; returns the materializer that did it."""
    found = materializer_of(type(value), explicit)
    while True:
        folder.mkdir(parents=True)
        try:
            found(str(folder)).save(value)
        except OtherMaterializer as other:
            remove_content(folder)
            folder.rmdir()
            found = materializer_at(other.path)
        else:
            return found


def load_from(folder: Path, materializer: str, data_type: str) -> Any:
    """The value that `save_into` wrote into a folder."""
    return materializer_at(materializer)(str(folder)).load(type_named(data_type))


def remove_content(folder: Path) -> None:
    """Empty a folder."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()


def as_bytes_materializer(found: type[BaseMaterializer]) -> type[BytesMaterializer] | None:
    """`found`, if its values are one small file and nothing of how that is written was overridden."""
    if issubclass(found, BytesMaterializer) and found.save is BytesMaterializer.save:
        return found
    return None
