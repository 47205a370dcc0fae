"""YAML as Kubernetes tools read and write it: YAML 1.1 scalars by the rules of Go's yaml.v2, mapped to JSON values.

What differs from PyYAML: `y` and `n` are booleans, there are no sexagesimal numbers, dates stay text, `0o17` and `0b11`
are numbers, `1e3` is one, and keys are always text. (Semantics: sigs.k8s.io/yaml over go-yaml v2.)
Text that is JSON is read as JSON, whose escapes YAML does not know all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from tiphys.errors import SpecError
from tiphys.spec.base import Path, plain_number

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


#: How deep lists and maps may be nested; manifests need a quarter of it, and readers are recursive.
MAX_DEPTH = 100


class _Loader(_SafeLoader):
    strict = False
    depth = 0
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def descend_resolver(self, current_node: yaml.Node | None, current_index: Any) -> None:
        """Called by the composer before each node: the place to stop it before the C stack ends."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            mark = current_node.start_mark if current_node is not None else None
            raise ConstructorError(None, None, "it is nested too deeply", mark)
        super().descend_resolver(current_node, current_index)

    def ascend_resolver(self) -> None:
        """Called by the composer after each node."""
        self.depth -= 1
        super().ascend_resolver()


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


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    """Several lines stand as they are, where YAML can write them so."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


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
    _Dumper.add_representer(str, _represent_text)


_install()


class Tree:
    """A document, and where in the text its parts stand.

    Args:
        value: The document.
        source: Its syntax tree; or its text if it was read as JSON, of which the tree is made when a line is asked for.
    """

    __slots__ = ("_source", "value")

    def __init__(self, value: Any, source: yaml.Node | str | None = None) -> None:
        self.value = value
        self._source = source

    def line(self, path: Path) -> int | None:
        """The line (from 1) of the value at `path`, or of the nearest part around it that the text has."""
        node = self._node()
        if node is None:
            return None
        line = node.start_mark.line
        for part in path:
            step = _enter(node, part)
            if step is None:
                break
            line, node = step
        return line + 1

    def part(self, path: Path) -> Tree:
        """The tree of the value at `path`, which must exist."""
        node, value = self._node(), self.value
        for key in path:
            value = value[key]
            step = _enter(node, key) if node is not None else None
            node = step[1] if step else None
        return Tree(value, node)

    def _node(self) -> yaml.Node | None:
        if isinstance(self._source, str):
            try:
                self._source = yaml.compose(self._source, Loader=_Loader)
            except yaml.YAMLError:  # JSON that is no YAML has no lines
                self._source = None
        return self._source


def _enter(node: yaml.Node, part: str | int) -> tuple[int, yaml.Node] | None:
    """The line of a key (or of an item) and the value's node."""
    if isinstance(node, yaml.SequenceNode):
        if isinstance(part, int) and part < len(node.value):
            item = node.value[part]
            return item.start_mark.line, item
    elif isinstance(node, yaml.MappingNode):
        for key, value in reversed(node.value):
            if key.value == part:
                return key.start_mark.line, value
    return None


def parse_all(text: str | bytes, *, source: str = "", strict: bool = False) -> list[Tree]:
    """All documents of a YAML or JSON text as JSON values that know their lines; empty documents are left out.

    Args:
        text: The text.
        source: Name of the file, for error messages.
        strict: Refuse a map that has a key twice; else the last one counts.

    Raises:
        SpecError: the text is neither; the message tells line and column.
    """
    where = f" in {source}" if source else ""
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
        if text.lstrip()[:1] in ("{", "[") and (found := _parse_json(text, strict=strict)):
            return found
        return [tree for tree in _parse_yaml(text, strict=strict) if tree.value is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SpecError(f"Not valid YAML{where}{place}: {error.problem}.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise SpecError(f"Not valid YAML{where}: {error}.") from error


def _parse_json(text: str, *, strict: bool) -> list[Tree]:
    """The document if the text is JSON; a key that stands twice in strict mode is left to the YAML reader to report."""
    repeated = False

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal repeated
        value = dict(found)
        repeated = repeated or len(value) < len(found)
        return value

    try:
        value = json.loads(text, object_pairs_hook=pairs)
        check_depth(value)
    except (ValueError, RecursionError):  # the YAML reader says what is wrong, and where
        return []
    return [] if repeated and strict else [Tree(value, text)]


def check_depth(value: Any) -> None:
    """Refuse a JSON value that recursive readers could not take.

    Raises:
        SpecError: it is nested more than `MAX_DEPTH` deep.
    """
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise SpecError(f"Lists and maps may be nested {MAX_DEPTH} deep; these are nested deeper.")
        level = [inner for outer in level for inner in _members(outer) if isinstance(inner, dict | list)]


def _members(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _parse_yaml(text: str, *, strict: bool) -> Iterator[Tree]:
    loader = (_StrictLoader if strict else _Loader)(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is None:
                continue
            if "*" in text:
                _bound_aliases(node)
            yield Tree(loader.construct_document(node), node)
    finally:
        loader.dispose()


def _bound_aliases(root: yaml.Node) -> None:
    """Refuse a text that a few aliases would blow up (bounds as go-yaml v2's decoder)."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()
    stack: list[tuple[yaml.Node, bool]] = [(root, False)]
    while stack:
        node, done = stack.pop()
        inner = _inner(node)
        if done:
            open_nodes.discard(id(node))
            sizes[id(node)] = 1 + sum(sizes[id(child)] for child in inner)
        elif id(node) in open_nodes:
            raise ConstructorError(None, None, "an anchor contains itself", node.start_mark)
        elif id(node) not in sizes:
            open_nodes.add(id(node))
            stack.append((node, True))
            stack.extend((child, False) for child in inner)
    total = sizes[id(root)]
    aliased = total - len(sizes)
    if aliased > 100 and total > 1000 and aliased > total * _allowed_alias_ratio(total):
        raise ConstructorError(None, None, "the document contains excessive aliasing", root.start_mark)


def _inner(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _allowed_alias_ratio(size: int) -> float:
    """Which part of all values may come from aliases: 99 % of a small document, 10 % of a large one."""
    small, large = 400_000, 4_000_000
    return 0.99 - 0.89 * min(max(size - small, 0) / (large - small), 1.0)


def load_all(text: str | bytes, *, source: str = "", strict: bool = False) -> list[Any]:
    """All documents of a YAML or JSON text as JSON values; arguments and errors as `parse_all`."""
    return [tree.value for tree in parse_all(text, source=source, strict=strict)]


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
