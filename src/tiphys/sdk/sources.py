"""Where a function or class comes from: its name for people and machines, and the syntax tree of its definition.

Works for modules, scripts, notebook cells and anything else that `linecache` knows. A file that was edited after it was
imported no longer shows what runs; then there is no tree.
"""

from __future__ import annotations

import ast
import functools
import linecache
import sys
import time
from dataclasses import dataclass
from inspect import CO_GENERATOR
from types import CodeType, FunctionType
from typing import Any

#: Files that changed after this moment may have been imported before they changed.
_STARTED = time.time()


class _File:
    """The definitions in one source text."""

    def __init__(self, filename: str, text: str, modified: float | None) -> None:
        self.filename = filename
        self.modified = modified
        self.tree = ast.parse(text)
        #: (name, first line, decorators included) → function; qualified name → class.
        self.functions: dict[tuple[str, int], ast.FunctionDef | ast.AsyncFunctionDef] = {}
        self.classes: dict[str, ast.ClassDef] = {}
        self._index(self.tree, "")

    def _index(self, parent: ast.AST, prefix: str) -> None:
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, ast.ClassDef):
                self.classes[prefix + node.name] = node
                self._index(node, f"{prefix}{node.name}.")
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                self.functions[node.name, first] = node
                self._index(node, f"{prefix}{node.name}.<locals>.")
            elif not isinstance(node, ast.expr):
                self._index(node, prefix)

    @functools.cached_property
    def codes(self) -> set[CodeType]:
        """Every code object that the text compiles to."""
        found: set[CodeType] = set()
        todo = [compile(self.tree, self.filename, "exec", dont_inherit=True)]
        while todo:
            code = todo.pop()
            found.add(code)
            todo += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        return found


_files: dict[str, tuple[list[str], _File | None]] = {}


def _file(filename: str, module_globals: dict[str, Any] | None = None) -> _File | None:
    linecache.checkcache(filename)
    lines = linecache.getlines(filename, module_globals)
    known = _files.get(filename)
    if known is not None and known[0] is lines:
        return known[1]
    entry = linecache.cache.get(filename)
    modified = entry[1] if entry is not None and len(entry) == 4 else None
    try:
        found = _File(filename, "".join(lines), modified) if lines else None
    except (SyntaxError, ValueError):  # not Python, or edited into something that is not
        found = None
    _files[filename] = (lines, found)
    return found


def function_tree(function: FunctionType) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """The definition of a function, or None if its source is not at hand (lambdas have none either)."""
    code = function.__code__
    file = _file(code.co_filename, function.__globals__)
    if file is None:
        return None
    tree = file.functions.get((code.co_name, code.co_firstlineno))
    if tree is not None and file.modified is not None and file.modified > _STARTED and code not in file.codes:
        return None
    return tree


def class_tree(cls: type[Any], filename: str | None = None) -> ast.ClassDef | None:
    """The definition of a class, or None if its source is not at hand."""
    module = sys.modules.get(cls.__module__)
    filename = filename or getattr(module, "__file__", None)
    file = _file(filename) if filename else None
    return None if file is None else file.classes.get(cls.__qualname__)


def module_tree(filename: str) -> ast.Module | None:
    """The syntax tree of a file."""
    file = _file(filename)
    return None if file is None else file.tree


def source_of(thing: Any) -> str:
    """`module:qualname` of a function or class (of a callable object: of its class)."""
    while isinstance(thing, functools.partial):
        thing = thing.func
    if not hasattr(thing, "__qualname__"):
        thing = type(thing)
    return f"{thing.__module__}:{thing.__qualname__}"


@dataclass(frozen=True, slots=True)
class Returns:
    """What a function's `return` statements give."""

    #: Whether one of them gives a value (or the function yields).
    value: bool
    #: How many values the first tuple literal has: `return 1, 2` is one, `x = 1, 2; return x` is none.
    literal: int | None


def returns_of(function: Any) -> Returns:
    """Look at a function's `return` statements; without source, at its bytecode."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    if not isinstance(function, FunctionType):
        return Returns(value=True, literal=None)
    tree = function_tree(function)
    found = _returns_in_code(function.__code__) if tree is None else _returns_in_tree(tree)
    return Returns(value=True, literal=found.literal) if function.__code__.co_flags & CO_GENERATOR else found


def _returns_in_tree(tree: ast.FunctionDef | ast.AsyncFunctionDef) -> Returns:
    value, literal = False, None
    todo: list[ast.AST] = list(reversed(tree.body))
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Return):
            if isinstance(node.value, ast.Tuple) and literal is None:
                literal = len(node.value.elts)
            value |= node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None)
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.expr)):
            todo += reversed(list(ast.iter_child_nodes(node)))
    return Returns(value, literal)


def _returns_in_code(code: CodeType) -> Returns:
    import dis  # only functions without source need it here

    value, literal, before = False, None, None
    for instruction in dis.get_instructions(code):
        constant = instruction if instruction.opname == "RETURN_CONST" else None
        if instruction.opname == "RETURN_VALUE":
            constant = before if before is not None and before.opname == "LOAD_CONST" else None
            value |= constant is None
            if before is not None and before.opname == "BUILD_TUPLE" and literal is None:
                literal = before.arg
        if constant is not None:
            value |= constant.argval is not None
            if isinstance(constant.argval, tuple) and literal is None:
                literal = len(constant.argval)
        before = instruction
    return Returns(value, literal)
