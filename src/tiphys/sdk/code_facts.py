"""What stands in one function or class: its text without what does not matter, and the names it loads from outside."""

from __future__ import annotations

import ast
import dis
import hashlib
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tiphys.sdk.sources import function_tree

#: Methods by which code changes a container that it names.
_CHANGING = frozenset(
    {
        *("append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse"),
        *("add", "discard", "update", "setdefault", "popitem", "difference_update", "intersection_update"),
        *("appendleft", "extendleft", "popleft"),
    }
)


@dataclass(frozen=True, slots=True)
class Code:
    """One function's code."""

    digest: str
    #: Names it loads from outside, each with the attributes that follow.
    chains: tuple[tuple[str, ...], ...]
    #: Of them those whose value it changes.
    changed: frozenset[str]
    #: Modules it imports.
    imports: tuple[str, ...]


#: Code objects are equal if their code is, whatever file and annotations they have.
_codes: dict[tuple[str, str, types.CodeType], Code] = {}


def code_of(function: types.FunctionType) -> Code:
    """The facts about a function; the same code object gives the same ones, so they are kept."""
    key = function.__code__.co_filename, repr(function.__annotations__), function.__code__
    found = _codes.get(key)
    if found is None:
        tree = function_tree(function)
        package = function.__globals__.get("__package__") or ""
        chains, stored, imports = _loads(function.__code__, package)
        if tree is None:
            digest = hash_text(_code_text(function.__code__))
        else:
            digest = hash_text(dump_tree(tree))
            stored |= set(_changed_in_tree(tree))
        found = _codes[key] = Code(digest, tuple(chains), frozenset(stored), tuple(imports))
    return found


def _loads(code: types.CodeType, package: str) -> tuple[dict[tuple[str, ...], None], set[str], dict[str, None]]:
    """Names that code loads from outside with the attributes that follow, those it stores, and its imports."""
    chains: dict[tuple[str, ...], None] = {}
    stored: set[str] = set()
    imports: dict[str, None] = {}
    chain: tuple[str, ...] = ()
    level: Any = 0
    constants: list[Any] = [None, None]
    for instruction in dis.get_instructions(code):
        operation = instruction.opname
        if operation in ("LOAD_ATTR", "LOAD_METHOD") and chain:
            chain = (*chain, instruction.argval)
            continue
        if chain:
            chains[chain] = None
            chain = ()
        if operation in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"):
            chain = (instruction.argval,)
        elif operation in ("STORE_GLOBAL", "DELETE_GLOBAL") or (
            operation in ("STORE_DEREF", "DELETE_DEREF") and instruction.argval in code.co_freevars
        ):
            stored.add(instruction.argval)
            chains.setdefault((instruction.argval,))
        elif operation == "LOAD_CONST":
            constants = [constants[1], instruction.argval]
        elif operation == "LOAD_SMALL_INT":
            constants = [constants[1], instruction.arg]
        elif operation == "IMPORT_NAME":
            level = constants[0] if isinstance(constants[0], int) else 0
            base = _absolute(instruction.argval, level, package)
            imports[base] = None
            for name in constants[1] if isinstance(constants[1], tuple) else ():
                if f"{base}.{name}" in sys.modules:
                    imports[f"{base}.{name}"] = None
    if chain:
        chains[chain] = None
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner_chains, inner_stored, inner_imports = _loads(constant, package)
            own = set(constant.co_freevars) & (set(code.co_cellvars) | set(code.co_varnames))
            chains.update((each, None) for each in inner_chains if each[0] not in own)
            stored |= inner_stored - own
            imports.update(inner_imports)
    return chains, stored, imports


def _absolute(name: str, level: int, package: str) -> str:
    if not level:
        return name
    base = package.rsplit(".", level - 1)[0]
    return f"{base}.{name}" if name else base


def imported_modules(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[str]:
    """Modules that an import statement names."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = _absolute(node.module or "", node.level, package)
    yield base
    for alias in node.names:
        if f"{base}.{alias.name}" in sys.modules:
            yield f"{base}.{alias.name}"


def _changed_in_tree(tree: ast.AST) -> Iterator[str]:
    """Names whose value the code changes in place."""
    for node in ast.walk(tree):
        targets: list[ast.expr] = []
        if isinstance(node, (ast.Assign, ast.Delete)):
            targets = node.targets
        elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
            targets = [node.target]
            if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                yield node.target.id
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGING:
            targets = [node.func]
        for target in targets:
            inner: ast.AST = target
            while isinstance(inner, (ast.Subscript, ast.Attribute, ast.Starred)):
                inner = inner.value
            if inner is not target and isinstance(inner, ast.Name):
                yield inner.id


def chains_of_class(tree: ast.ClassDef) -> Iterator[tuple[str, ...]]:
    """Names in a class's own body, its decorators and bases; methods are looked into on their own."""
    todo: list[ast.AST] = [*tree.decorator_list, *tree.bases, *tree.keywords]
    for statement in tree.body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            todo += statement.decorator_list
        elif not isinstance(statement, ast.ClassDef):
            todo.append(statement)
    while todo:
        node = todo.pop()
        attributes: list[str] = []
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute):
            attributes.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name):
            yield (inner.id, *reversed(attributes))
        else:
            todo += ast.iter_child_nodes(node)


def dump_tree(tree: ast.AST, *, keep_decorators: bool = False) -> str:
    """A syntax tree as text: without positions, docstrings and (of the outermost definition) decorators."""
    out: list[str] = []
    _dump_into(tree, out, drop_decorators=not keep_decorators)
    return "".join(out)


def _dump_into(node: Any, out: list[str], *, drop_decorators: bool = False) -> None:
    if isinstance(node, list):
        out.append("[")
        for item in node:
            _dump_into(item, out)
        out.append("]")
        return
    if not isinstance(node, ast.AST):
        out.append(f"{type(node).__name__}:{node!r},")
        return
    out.append(f"{type(node).__name__}(")
    for name in node._fields:
        if name in ("ctx", "type_comment", "kind") or (name == "decorator_list" and drop_decorators):
            continue
        value = getattr(node, name, None)
        if value is None and name != "value":
            continue
        if name == "body" and isinstance(value, list):
            value = _without_docstring(value)
        if value == []:
            continue
        out.append(f"{name}=")
        _dump_into(value, out)
    out.append(")")


def _without_docstring(body: list[Any]) -> list[Any]:
    first = body[0] if body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return body[1:]
    return body


def _code_text(code: types.CodeType) -> str:
    """Bytecode as text, without positions and docstring."""
    constants = [
        _code_text(constant) if isinstance(constant, types.CodeType) else f"{type(constant).__name__}:{constant!r}"
        for constant in code.co_consts
    ]
    if constants and code.co_consts[0] is not None and isinstance(code.co_consts[0], str) and code.co_flags & 2:
        constants[0] = "NoneType:None"  # the docstring's place
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_argcount)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return f"{version} {code.co_name} {code.co_code.hex()} {names} {code.co_flags} {constants}"


def hash_text(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
