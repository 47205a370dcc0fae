"""A step function's parameters: their types, how values are checked against them, and their JSON form on the way.

Checks are made on every value of every step, so they are exact and cheap: classes by `isinstance`, generics by their
origin. pydantic is asked only for types that JSON does not have (dataclasses, enumerations, dates, …).
"""

from __future__ import annotations

import builtins
import inspect
import json
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tiphys.errors import DefinitionError
from tiphys.plugins.loading import load
from tiphys.sdk.config import UnmaterializedArtifact
from tiphys.sdk.outputs import OutputSpec, parse_outputs

#: No annotation, or no default.
EMPTY: Any = inspect.Parameter.empty
#: Words of a step's call that are not passed to its function.
RESERVED = ("id", "after", "when")


class _UnknownMeta(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return cls

    def __getitem__(cls, item: Any) -> Any:
        return cls

    def __or__(cls, other: Any) -> Any:
        return cls

    def __ror__(cls, other: Any) -> Any:
        return cls


class Unknown(metaclass=_UnknownMeta):
    """Stands for a name in an annotation that has no value at run time (imported for type checking only)."""


class _Names(dict[str, Any]):
    """Names that an annotation may use; what is nowhere to be found is `Unknown`."""

    def __init__(self, local: Mapping[str, Any], module: Mapping[str, Any]) -> None:
        super().__init__(local)
        self.module = module
        self.missing: list[str] = []

    def __missing__(self, name: str) -> Any:
        if name in self.module:
            return self.module[name]
        found = getattr(builtins, name, EMPTY)
        if found is EMPTY:
            self.missing.append(name)
            return Unknown
        return found


@dataclass(frozen=True, slots=True)
class StepParameter:
    """One parameter of a step function."""

    name: str
    #: Its type, without `Annotated`; `Any` if it has none.
    annotation: Any
    #: `EMPTY` if it has none.
    default: Any
    positional: bool
    #: Whether the step wants the artifact's description instead of its value.
    unmaterialized: bool


@dataclass(frozen=True, slots=True)
class StepSignature:
    """What a step takes and gives."""

    parameters: Mapping[str, StepParameter]
    #: Names of those that can be given by position.
    positional: tuple[str, ...]
    outputs: tuple[OutputSpec, ...]
    #: False while an annotation names something that is not defined yet.
    complete: bool


def parse_signature(function: Callable[..., Any], name: str, local: Mapping[str, Any]) -> StepSignature:
    """Read the parameters and outputs of the function of the step `name`.

    Args:
        function: The step's function.
        name: The step's name, for messages.
        local: Names known where the function was defined, beside its module's.
    """
    try:
        found = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise DefinitionError(f"Step '{name}': {function!r} has no signature that can be read.") from error
    target = inspect.unwrap(function)
    names = _Names({**local, **_closure(target)}, getattr(target, "__globals__", {}))
    parameters: dict[str, StepParameter] = {}
    for parameter in found.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise DefinitionError(
                f"Step '{name}': its function takes a variable number of arguments ('{parameter}').",
                hint="Name each input of a step; pass several values as one list.",
            )
        if parameter.name in RESERVED:
            raise DefinitionError(
                f"Step '{name}' has a parameter '{parameter.name}', which means something else in calls.",
                hint=f"Rename the parameter, for example to '{parameter.name}_'.",
            )
        annotation = _plain(_evaluate(parameter.annotation, names))
        parameters[parameter.name] = StepParameter(
            parameter.name,
            Any if annotation is EMPTY else annotation,
            parameter.default,
            parameter.kind is not parameter.KEYWORD_ONLY,
            annotation is UnmaterializedArtifact,
        )
    returned = _evaluate(found.return_annotation, names)
    return StepSignature(
        parameters,
        tuple(p.name for p in parameters.values() if p.positional),
        parse_outputs(function, name, returned),
        not names.missing,
    )


def type_hints(function: Any) -> dict[str, Any]:
    """Types of a function's parameters, as far as they can be known."""
    target = inspect.unwrap(function)
    names = _Names(_closure(target), getattr(target, "__globals__", {}))
    hints = getattr(target, "__annotations__", {})
    return {name: _plain(_evaluate(hint, names)) for name, hint in hints.items() if name != "return"}


def coerce_value(value: Any, annotation: Any) -> Any:
    """A value of the annotated type: a configuration file's text for an enumeration or a date, its list for a tuple.

    Outputs and other objects that only stand for a value pass as they are.

    Raises:
        ValueError: it does not fit. The message continues "parameter 'x' …".
    """
    if not _is_json(value):
        return value
    problem = check_type(value, annotation)
    return value if problem is None else _converted(value, annotation, problem)


def _closure(function: Any) -> dict[str, Any]:
    found = {}
    code = getattr(function, "__code__", None)
    for name, cell in zip(getattr(code, "co_freevars", ()), getattr(function, "__closure__", None) or (), strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return found


def _evaluate(annotation: Any, names: _Names) -> Any:
    while isinstance(annotation, (str, typing.ForwardRef)):  # text in text, if a quoted one is postponed too
        text = annotation if isinstance(annotation, str) else annotation.__forward_arg__
        try:
            # It stands in the user's own source and would have been evaluated there.
            annotation = eval(text, {"__builtins__": builtins}, names)  # noqa: S307
        except Exception as error:
            raise DefinitionError(f"The annotation '{text}' cannot be evaluated: {error}.") from error
    return annotation


def _plain(annotation: Any) -> Any:
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation


# Checks


def check_type(value: Any, annotation: Any) -> str | None:
    """Whether `value` is what `annotation` says: None, or the text of an error ("expected int, got str")."""
    if annotation is Any or type(value) is annotation:
        return None
    try:
        fits = _checker(annotation)
    except TypeError:  # not hashable (Annotated or Literal with lists)
        fits = _make_checker(annotation)
    return None if fits(value) else f"expected {type_text(annotation)}, got {type_text(type(value))}"


def type_text(annotation: Any) -> str:
    """A type for people."""
    if annotation is None or annotation is type(None):
        return "None"
    if isinstance(annotation, type) and not typing.get_args(annotation):
        module = annotation.__module__
        return annotation.__qualname__ if module in ("builtins", "__main__") else f"{module}.{annotation.__qualname__}"
    return str(annotation).replace("typing.", "")


def _always(_: Any) -> bool:
    return True


def _numpy_kind(value: Any) -> str:
    kind = type(value)
    return value.dtype.kind if kind.__module__ == "numpy" and getattr(value, "shape", None) == () else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, (float, int)) or _numpy_kind(value) in ("f", "i", "u")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) or _numpy_kind(value) in ("i", "u")


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool) or _numpy_kind(value) == "b"


_CHECKERS: dict[Any, Callable[[Any], bool]] = {
    Any: _always,
    EMPTY: _always,
    object: _always,
    Unknown: _always,
    float: _is_number,
    int: _is_whole,
    bool: _is_truth,
    None: lambda value: value is None,
    type(None): lambda value: value is None,
    complex: lambda value: isinstance(value, (complex, float, int)),
}


def _make_checker(annotation: Any) -> Callable[[Any], bool]:
    known = _CHECKERS.get(annotation) if isinstance(annotation, typing.Hashable) else None
    if known is not None:
        return known
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _make_checker(arguments[0])
    if origin in (typing.Union, types.UnionType):
        options = [_make_checker(argument) for argument in arguments]
        return lambda value: any(option(value) for option in options)
    if origin is typing.Literal:
        return lambda value: any(value == option and type(value) is type(option) for option in arguments)
    if isinstance(annotation, typing.NewType):
        return _make_checker(annotation.__supertype__)
    if isinstance(annotation, typing.TypeVar):
        return _make_checker(annotation.__bound__) if annotation.__bound__ is not None else _always
    if typing.is_typeddict(annotation):
        return lambda value: isinstance(value, dict)
    found = origin or annotation
    if not isinstance(found, type):
        return _always

    def is_instance(value: Any) -> bool:
        try:
            return isinstance(value, found)
        except TypeError:  # a protocol that cannot be checked at run time
            return True

    return is_instance


_checker = lru_cache(maxsize=4096)(_make_checker)


# JSON

_SCALARS = frozenset({str, int, bool, float, type(None)})


def _is_json(value: Any) -> bool:
    kind = type(value)
    if kind in _SCALARS:
        return True
    if kind is list or kind is tuple:
        return all(map(_is_json, value))
    return kind is dict and all(type(key) is str for key in value) and all(map(_is_json, value.values()))


@lru_cache(maxsize=4096)
def _is_json_type(annotation: Any) -> bool:
    """Whether what JSON gives back is a value of that type already."""
    if annotation in (Any, EMPTY, object, Unknown, str, int, bool, None, type(None), list, dict):
        return True
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is dict and arguments[0] not in (str, Any):
        return False
    if origin in (typing.Union, types.UnionType, list, dict):
        return all(argument is float or _is_json_type(argument) for argument in arguments)
    return origin is typing.Literal and all(type(argument) in _SCALARS for argument in arguments)


def _knows_only_json(annotation: Any) -> bool:
    try:
        return _is_json_type(annotation)
    except TypeError:  # not hashable
        return False


@lru_cache(maxsize=1024)
def _adapter(annotation: Any) -> Any:
    return load("pydantic:TypeAdapter")(annotation)


def encode_parameter(value: Any, annotation: Any) -> str:
    """The JSON text of a parameter's value; `decode_parameter` gives an equal value back.

    Raises:
        ValueError: it has the wrong type, or no JSON form. The message continues "parameter 'x' …".
    """
    if _numpy_kind(value):
        value = value.item()
    kind = type(value)
    problem = check_type(value, annotation)
    if problem is not None:
        value = _converted(value, annotation, problem)
        kind = type(value)
    if kind is int:
        text = repr(float(value)) if annotation is float else repr(value)
    elif kind is bool:
        text = "true" if value else "false"
    elif kind is str or (_knows_only_json(annotation) and _is_json(value)) or kind is float or value is None:
        try:
            text = json.dumps(value, allow_nan=False)
        except ValueError as error:
            raise ValueError(f"is or holds {value!r}, which JSON does not have") from error
    else:
        text = _encode_rich(value, annotation)
    return text.replace("{{", "{\\u007b") if "{{" in text else text  # '{{' would begin a tag of the workflow


def _converted(value: Any, annotation: Any, problem: str) -> Any:
    """A configuration file's text for an enumeration or a date, its list for a tuple."""
    if not _knows_only_json(annotation) and annotation is not float:
        try:
            return _adapter(annotation).validate_python(value)
        except Exception as error:  # any refusal means the same
            raise ValueError(f"is {_short(value)}: {problem}") from error
    raise ValueError(f"is {_short(value)}: {problem}")


def _encode_rich(value: Any, annotation: Any) -> str:
    typed = not _knows_only_json(annotation)
    try:
        wanted: Any = annotation if typed else type(value)
        text: str = _adapter(wanted).dump_json(value).decode()
        back = decode_parameter(text, annotation)
    except Exception as error:
        raise ValueError(f"is {_short(value)}, which has no JSON form") from error
    if not _same(back, value):
        raise ValueError(
            f"is {_short(value)}, which would arrive as {_short(back)}"
            + ("" if typed else f" (annotate it as {type_text(type(value))})")
        )
    return text


def _same(left: Any, right: Any) -> bool:
    try:
        return bool(left == right) or (type(left) is type(right) and "__eq__" not in type(right).__dict__)
    except Exception:  # noqa: BLE001  a type that cannot be compared cannot be found different
        return True


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def decode_parameter(text: str, annotation: Any) -> Any:
    """The value of a parameter's JSON text, of the type that the annotation asks for."""
    value = json.loads(text)
    if annotation is float:
        return float(value) if type(value) is int else value
    if _knows_only_json(annotation):
        return value
    try:
        adapter = _adapter(annotation)
    except Exception:  # noqa: BLE001  no JSON schema exists for the type: it was given as plain JSON
        return value
    return adapter.validate_json(text)
