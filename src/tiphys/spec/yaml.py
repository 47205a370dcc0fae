"""YAML as Kubernetes tools read and write it: YAML 1.1 scalars by the rules of Go's yaml.v2, mapped to JSON values.

What differs from PyYAML: `y` and `n` are booleans, there are no sexagesimal numbers, dates stay text, `0o17` and `0b11`
are numbers, `1e3` is one, and keys are always text. (Semantics: sigs.k8s.io/yaml over go-yaml v2.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from tiphys.errors import SpecError
from tiphys.spec.base import plain_number

try:
    from yaml import CSafeDumper as _SafeDumper
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # PyYAML was built without libyaml
    from yaml import SafeDumper as _SafeDumper  # type: ignore[assignment]  # the same interface
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]  # the same interface

_BOOLEANS = {
    word: value
    for words, value in (
        ("y Y yes Yes YES true True TRUE on On ON", True),
        ("n N no No NO false False FALSE off Off OFF", False),
    )
    for word in words.split()
}
_BOOL = re.compile("^(?:" + "|".join(_BOOLEANS) + ")$")
_INT = re.compile(r"^[-+]?(?:0|[1-9][0-9_]*|0_*[0-7][0-7_]*|0[oO][0-7_]+|0[xX][0-9a-fA-F_]+|0[bB][01_]+)$")
_FLOAT = re.compile(
    r"^(?:[-+]?(?:\.[0-9_]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")


class _Loader(_SafeLoader):
    strict = False
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


class _StrictLoader(_Loader):
    strict = True


class _Dumper(_SafeDumper):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # the signature is PyYAML's
        return True


def _construct_int(_: _Loader, node: yaml.ScalarNode) -> int:
    text = str(node.value).replace("_", "")
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-").lower()
    base = {"0x": 16, "0o": 8, "0b": 2}.get(digits[:2])
    if base:
        return sign * int(digits[2:], base)
    return sign * int(digits, 8 if len(digits) > 1 and digits[0] == "0" else 10)


def _construct_float(_: _Loader, node: yaml.ScalarNode) -> float:
    text = str(node.value).replace("_", "").lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


def _construct_bool(_: _Loader, node: yaml.ScalarNode) -> bool:
    value = _BOOLEANS.get(str(node.value))
    if value is None:
        raise ConstructorError(None, None, f"not a boolean: {node.value}", node.start_mark)
    return value


def _construct_text(_: _Loader, node: yaml.ScalarNode) -> str:
    return str(node.value)


def _construct_mapping(loader: _Loader, node: yaml.MappingNode) -> Iterable[dict[str, Any]]:
    data: dict[str, Any] = {}
    yield data
    seen: set[str] = set()
    for key_node, _value in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        key = _key(loader.construct_object(key_node, deep=True), key_node)
        if loader.strict and key in seen:
            raise ConstructorError(None, None, f"key '{key}' is already set in this map", key_node.start_mark)
        seen.add(key)
    loader.flatten_mapping(node)
    for key_node, value_node in node.value:
        data[_key(loader.construct_object(key_node, deep=True), key_node)] = loader.construct_object(
            value_node, deep=True
        )


def _key(value: Any, node: yaml.Node) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return plain_number(value)
    if value is None:
        return "null"
    raise ConstructorError(None, None, "a key must be a scalar", node.start_mark)


def _install() -> None:
    for class_ in (_Loader, _Dumper):
        class_.add_implicit_resolver("tag:yaml.org,2002:bool", _BOOL, list("yYnNtTfFoO"))
        class_.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
        class_.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
        class_.add_implicit_resolver("tag:yaml.org,2002:null", _NULL, ["~", "n", "N", ""])
        class_.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile("^<<$"), ["<"])
    _Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
    _Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)
    _Loader.add_constructor("tag:yaml.org,2002:bool", _construct_bool)
    _Loader.add_constructor("tag:yaml.org,2002:timestamp", _construct_text)
    _Loader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)


_install()


def load_all(text: str | bytes, *, source: str = "", strict: bool = False) -> list[Any]:
    """All documents of a YAML text (or JSON, which is YAML) as JSON values; empty documents are left out.

    Args:
        text: The text.
        source: Name of the file, for error messages.
        strict: Refuse a map that has a key twice; else the last one counts.

    Raises:
        SpecError: the text is not YAML; the message tells line and column.
    """
    try:
        return [
            document
            for document in yaml.load_all(text, Loader=_StrictLoader if strict else _Loader)
            if document is not None
        ]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SpecError(f"Not valid YAML{f' in {source}' if source else ''}{place}: {error.problem}.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise SpecError(f"Not valid YAML{f' in {source}' if source else ''}: {error}.") from error


def load(text: str | bytes, *, source: str = "", strict: bool = False) -> Any:
    """The one document of a YAML text.

    Raises:
        SpecError: the text is not YAML or holds no document or several.
    """
    documents = load_all(text, source=source, strict=strict)
    if len(documents) != 1:
        raise SpecError(
            f"One YAML document was expected{f' in {source}' if source else ''}, {len(documents)} were found."
        )
    return documents[0]


def dump(value: Any) -> str:
    """A JSON value as YAML that `load` and Kubernetes tools read back as the same value."""
    return yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000, default_flow_style=False
    )


def dump_all(values: Iterable[Any]) -> str:
    """Several documents."""
    return "---\n".join(dump(value) for value in values)
