"""JSON that gives back exactly the value it was made from: types that JSON lacks are marked.

What JSON has (None, bool, int, finite float, str, list, dict with text keys) is written as it is. Anything else is an
object of one key that begins with '$', as `{"$tuple": [1, 2]}`. Equal values give equal bytes: sets are sorted, dicts
keep their order, which is a part of their value.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import sys
from collections import OrderedDict
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from tiphys.errors import ArtifactError
from tiphys.plugins.loading import load

Json = Any

#: Python refuses to write longer integers in decimal digits.
_LONGEST_INT = 10_000
_BIGGEST = 1 << _LONGEST_INT
_AS_IS = frozenset({str, bool, type(None)})
_NUMPY_KINDS = frozenset("biufc")


class NotJsonError(Exception):
    """Not representable: the value, or something inside of it, needs a materializer of its own."""


def encode(value: Any) -> bytes:
    """`value` as JSON text.

    Raises:
        NotJsonError: it, or something in it, is of a type that has no representation.
    """
    try:
        packed = pack(value)
    except RecursionError as error:
        raise NotJsonError(type(value).__name__) from error
    return dump(packed)


def decode(content: bytes) -> Any:
    """The value that `encode` was given."""
    if b'{"$' in content:
        return json.loads(content, object_hook=_unpack_object)
    return json.loads(content)


def dump(packed: Json) -> bytes:
    """JSON text of what `pack` gave."""
    text = _to_text(packed)
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair has no UTF-8, but an escape
        return json.dumps(packed, separators=(",", ":")).encode()


_to_text = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False).encode


def pack(value: Any) -> Json:
    """`value` in terms of JSON.

    Raises:
        NotJsonError: it, or something in it, is of a type that has no representation.
        RecursionError: it contains itself.
    """
    kind = type(value)
    if kind in _AS_IS:
        return value
    packer = _PACKERS.get(kind)
    if packer is not None:
        return packer(value)
    return _pack_other(value, kind)


def unpack(packed: Json) -> Any:
    """The value that `pack` was given."""
    return decode(dump(packed))


def _pack_int(value: int) -> Json:
    return value if -_BIGGEST < value < _BIGGEST else {"$int": hex(value)}


def _pack_float(value: float) -> Json:
    return value if math.isfinite(value) else {"$float": repr(value)}


def _pack_list(value: list[Any]) -> Json:
    kinds = set(map(type, value))
    if (
        kinds <= _AS_IS
        or (kinds == {float} and all(map(math.isfinite, value)))
        or (kinds == {int} and max(value) < _BIGGEST and min(value) > -_BIGGEST)
    ):
        return value
    return [pack(item) for item in value]


def _pack_dict(value: dict[Any, Any]) -> Json:
    if set(map(type, value)) <= {str} and not (len(value) == 1 and next(iter(value)).startswith("$")):
        return {key: pack(item) for key, item in value.items()}
    return {"$dict": [[pack(key), pack(item)] for key, item in value.items()]}


def _sorted(value: set[Any] | frozenset[Any]) -> Json:
    return sorted((pack(item) for item in value), key=_to_text)


def _pack_datetime(value: datetime) -> Json:
    if value.fold or not (value.tzinfo is None or type(value.tzinfo) is timezone):
        raise NotJsonError("datetime")
    return {"$datetime": value.isoformat()}


def _pack_time(value: time) -> Json:
    if value.fold or not (value.tzinfo is None or type(value.tzinfo) is timezone):
        raise NotJsonError("time")
    return {"$time": value.isoformat()}


_PACKERS: dict[type[Any], Callable[[Any], Json]] = {
    int: _pack_int,
    float: _pack_float,
    list: _pack_list,
    dict: _pack_dict,
    tuple: lambda value: {"$tuple": _pack_list(list(value))},
    set: lambda value: {"$set": _sorted(value)},
    frozenset: lambda value: {"$frozenset": _sorted(value)},
    OrderedDict: lambda value: {"$ordered": [[pack(key), pack(item)] for key, item in value.items()]},
    bytes: lambda value: {"$bytes": base64.b64encode(value).decode()},
    bytearray: lambda value: {"$bytearray": base64.b64encode(value).decode()},
    complex: lambda value: {"$complex": [_pack_float(value.real), _pack_float(value.imag)]},
    datetime: _pack_datetime,
    date: lambda value: {"$date": value.isoformat()},
    time: _pack_time,
    timedelta: lambda value: {"$timedelta": [value.days, value.seconds, value.microseconds]},
    Decimal: lambda value: {"$decimal": str(value)},
    UUID: lambda value: {"$uuid": str(value)},
}


def _pack_other(value: Any, kind: type[Any]) -> Json:
    if isinstance(value, Enum):
        name = getattr(value, "name", None)
        if getattr(kind, "__members__", {}).get(name) is not value:  # a combination of flags
            raise NotJsonError(kind.__name__)
        return {"$enum": [type_path(kind), name]}
    if kind.__module__ == "numpy" and getattr(getattr(value, "dtype", None), "kind", "") in _NUMPY_KINDS:
        return _pack_numpy(value)
    state = state_of(value)
    if state is None:
        raise NotJsonError(kind.__name__)
    label, fields = state
    return {f"${label}": {"type": type_path(kind), "fields": _pack_dict(fields)}}


def _pack_numpy(value: Any) -> Json:
    if getattr(value, "ndim", 1) != 0 or value.dtype.itemsize > 8 * (1 + (value.dtype.kind == "c")):
        raise NotJsonError(type(value).__name__)
    return {"$numpy": [value.dtype.name, pack(value.item())]}


def state_of(value: Any) -> tuple[str, dict[str, Any]] | None:
    """For what `label_of` has a word for: that word, and all that the value consists of; else None."""
    label = label_of(type(value))
    if label == "namedtuple":
        return label, value._asdict()
    if label == "dataclass":
        names = type(value).__dataclass_fields__
        if any(name not in names for name in getattr(value, "__dict__", ())):
            return None  # it has more than its fields
        fields = ((field.name, getattr(value, field.name, _UNSET)) for field in dataclasses.fields(value))
        return label, {name: item for name, item in fields if item is not _UNSET}
    if label == "model":
        state = value.__getstate__()
        if state["__pydantic_private__"]:
            return None
        values = {**state["__dict__"], **(state["__pydantic_extra__"] or {})}
        return label, {"values": values, "set": sorted(state["__pydantic_fields_set__"])}
    return None


def label_of(kind: type[Any]) -> str | None:
    """What makes a class's instances the sum of their fields: it is a dataclass, a (pydantic) model or a namedtuple."""
    try:
        return _labels[kind]
    except KeyError:
        found = _labels[kind] = _find_label(kind)
        return found


def _find_label(kind: type[Any]) -> str | None:
    if kind.__mro__[1:] == (tuple, object) and isinstance(getattr(kind, "_fields", None), tuple):
        return "namedtuple"
    if any(base.__module__ == "pydantic.main" and base.__name__ == "BaseModel" for base in kind.__mro__[1:]):
        return "model"
    if "__dataclass_fields__" not in kind.__dict__:
        return None
    own_pickling = any(getattr(kind, name) is not getattr(object, name) for name in ("__reduce__", "__reduce_ex__"))
    built_in: type[Any] | None = kind
    while built_in is not None and built_in.__flags__ & _HEAP_TYPE:
        built_in = built_in.__base__
    return "dataclass" if built_in is object and not own_pickling else None


_labels: WeakKeyDictionary[type[Any], str | None] = WeakKeyDictionary()

#: Py_TPFLAGS_HEAPTYPE: the class was made by a class statement.
_HEAP_TYPE = 1 << 9
_UNSET = object()


def from_state(label: str, kind: type[Any], fields: dict[str, Any]) -> Any:
    """An instance with what `state_of` gave; fields that were added to the class since get their defaults."""
    if label == "namedtuple":
        return kind(**fields)
    if label == "dataclass":
        if not dataclasses.is_dataclass(kind):
            raise ArtifactError(f"'{type_path(kind)}' was a dataclass when its instance was stored, and is none now.")
        value = object.__new__(kind)
        for field in dataclasses.fields(kind):
            if field.name in fields:
                object.__setattr__(value, field.name, fields[field.name])
            elif field.default is not dataclasses.MISSING:
                object.__setattr__(value, field.name, field.default)
            elif field.default_factory is not dataclasses.MISSING:
                object.__setattr__(value, field.name, field.default_factory())
        return value
    declared = getattr(kind, "model_fields", None)
    if declared is None:
        raise ArtifactError(f"'{type_path(kind)}' was a pydantic model when its instance was stored, and is none now.")
    given: dict[str, Any] = fields["values"]
    values = {name: item for name, item in given.items() if name in declared}
    for name, field in declared.items():
        if name not in values and not field.is_required():
            values[name] = field.get_default(call_default_factory=True)
    allows_extra = kind.model_config.get("extra") == "allow"
    instance = object.__new__(kind)
    instance.__setstate__(
        {
            "__dict__": values,
            "__pydantic_fields_set__": set(fields["set"]),
            "__pydantic_extra__": {n: v for n, v in given.items() if n not in declared} if allows_extra else None,
            "__pydantic_private__": None,
        }
    )
    return instance


#: Types by path, and paths by type: those of `__main__` and of functions cannot be imported, but in this process found.
_types: dict[str, type[Any]] = {}


def type_path(kind: type[Any]) -> str:
    """`module:qualname` of a type, remembered for `find_type`."""
    path = f"{kind.__module__}:{kind.__qualname__}"
    _types[path] = kind
    return path


def find_type(path: str) -> type[Any]:
    """The type of a path.

    Raises:
        ArtifactError: it cannot be imported.
    """
    known = _types.get(path)
    if known is not None:
        return current_definition(known)
    try:
        found = load(path)
    except (ImportError, AttributeError) as error:
        raise ArtifactError(
            f"The stored value is a '{path}', which cannot be imported here: {error}.",
            hint="Define the class at the top level of a module that this process can import.",
        ) from error
    if not isinstance(found, type):
        raise ArtifactError(f"'{path}' is not a class.")
    _types[path] = found
    return found


def current_definition(kind: type[Any]) -> type[Any]:
    """What now has the name of a class: in a notebook it may have been defined anew."""
    found: Any = sys.modules.get(kind.__module__)
    for part in kind.__qualname__.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) else kind


def _unpack_enum(value: list[str]) -> Any:
    kind = find_type(value[0])
    if not issubclass(kind, Enum):
        raise ArtifactError(f"'{value[0]}' is not an Enum.")
    return kind[value[1]]


def _unpack_numpy(value: list[Any]) -> Any:
    return load(f"numpy:{value[0] if value[0] != 'bool' else 'bool_'}")(value[1])


_UNPACKERS: dict[str, Callable[[Any], Any]] = {
    "$int": lambda value: int(value, 16),
    "$float": float,
    "$tuple": tuple,
    "$set": set,
    "$frozenset": frozenset,
    "$dict": dict,
    "$ordered": OrderedDict,
    "$bytes": base64.b64decode,
    "$bytearray": lambda value: bytearray(base64.b64decode(value)),
    "$complex": lambda value: complex(*value),
    "$datetime": datetime.fromisoformat,
    "$date": date.fromisoformat,
    "$time": time.fromisoformat,
    "$timedelta": lambda value: timedelta(*value),
    "$decimal": Decimal,
    "$uuid": UUID,
    "$enum": _unpack_enum,
    "$numpy": _unpack_numpy,
    "$dataclass": lambda value: from_state("dataclass", find_type(value["type"]), value["fields"]),
    "$namedtuple": lambda value: from_state("namedtuple", find_type(value["type"]), value["fields"]),
    "$model": lambda value: from_state("model", find_type(value["type"]), value["fields"]),
}


def _unpack_object(found: dict[str, Any]) -> Any:
    if len(found) == 1:
        key = next(iter(found))
        if key[:1] == "$":
            return _UNPACKERS[key](found[key])
    return found
