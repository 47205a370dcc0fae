"""The digest of a step's code: its function and everything of the project's own that it reaches.

What counts is what runs: functions, classes and constants that the code names, through modules, closures and defaults,
in whatever file they stand. Comments, blank lines, docstrings and the step's own decorator do not count.
Installed distributions count by their version. Where no source is at hand (or it was edited after the import) the
bytecode takes its place.

A container that the code itself changes (`calls.append(...)`) is state, not a constant, and does not count; neither do
objects without a plain value.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib.util
import os
import re
import sys
import sysconfig
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tiphys._util.canonical import digest_of
from tiphys.errors import DefinitionError
from tiphys.plugins.loading import load
from tiphys.sdk.code_facts import Code, chains_of_class, code_of, dump_tree, hash_text, imported_modules
from tiphys.sdk.constants import OPAQUE, code_inside, is_code, is_constant, plain_form
from tiphys.sdk.sources import class_tree, module_tree, source_of

_VALUES = frozenset({str, int, float, bool, type(None), bytes, complex})
#: Equal ones may be one object.
_SHARED = (str, int, float, bool, type(None), bytes, complex, tuple, frozenset)
_MISSING: Any = object()


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A digest, and what it was made of."""

    digest: str
    #: Qualified name of each function, class and constant (or name of a distribution) → its digest (or version).
    parts: Mapping[str, str]


def fingerprint(function: Any) -> Fingerprint:
    """The digest of a function (or class, partial, callable object) and of the project's code that it reaches.

    It does not depend on the module the code stands in, so code may be moved; it depends on the Python version only
    where there is no source.
    """
    walk = _Walk()
    walk.visit(function, getattr(function, "__name__", type(function).__name__))
    walk.run()
    return walk.result()


def source_digest(thing: Any, where: str) -> tuple[str, str]:
    """Name and digest of a source dependency: an object, "module" or "module:name".

    Raises:
        DefinitionError: it cannot be found; the message begins with `where`.
    """
    name = thing
    if isinstance(thing, str):
        try:
            thing = load(thing) if ":" in thing else importlib.import_module(thing)
        except (ImportError, AttributeError) as error:
            raise DefinitionError(
                f"{where} depends on the source '{name}', which cannot be loaded: {error}."
            ) from error
    if isinstance(thing, types.ModuleType):
        tree = module_tree(thing.__file__ or "")
        if tree is None:
            raise DefinitionError(f"{where} depends on the module '{thing.__name__}', which has no source.")
        return thing.__name__, hash_text(dump_tree(tree))
    return name if isinstance(name, str) else source_of(thing), fingerprint(thing).digest


class _Walk:
    """One search through what an object reaches."""

    def __init__(self) -> None:
        #: (short name, digest) in the order found; the short name leaves the module out.
        self.found: list[tuple[str, str]] = []
        self.parts: dict[str, str] = {}
        self.seen: set[int] = set()
        #: Constants: part's name, short name, the identity of what could change, value.
        self.constants: list[tuple[str, str, Any, Any]] = []
        self.changed: set[Any] = set()
        self.todo: list[tuple[Any, str]] = []
        self.keep: list[Any] = []  # ids stay valid as long as their objects live

    def visit(self, thing: Any, name: str) -> None:
        self.todo.append((thing, name))

    def run(self) -> None:
        while self.todo:
            thing, name = self.todo.pop()
            self._one(thing, name)

    def result(self) -> Fingerprint:
        for part, short, place, value in self.constants:
            if place not in self.changed and id(value) not in self.changed:
                plain = plain_form(value)
                if plain is not OPAQUE:
                    self._add(part, short, digest_of(plain))
        return Fingerprint(digest_of(sorted(map(list, self.found))), dict(sorted(self.parts.items())))

    def _add(self, part: str, short: str, digest: str) -> None:
        name, number = part, 1
        while self.parts.get(name, digest) != digest:
            number += 1
            name = f"{part}#{number}"
        if name not in self.parts:
            self.parts[name] = digest
            self.found.append((short, digest))

    def _one(self, thing: Any, name: str) -> None:
        while isinstance(thing, (staticmethod, classmethod)):
            thing = thing.__func__
        if isinstance(thing, types.MethodType):
            self.visit(thing.__self__, name)
            thing = thing.__func__
        entrypoint = getattr(thing, "entrypoint", None) if type(thing).__module__ == "tiphys" else None
        if entrypoint is not None:  # a step or pipeline that the code calls
            thing = entrypoint
        if id(thing) in self.seen or type(thing) in _VALUES:
            return
        self.seen.add(id(thing))
        self.keep.append(thing)
        if isinstance(thing, types.FunctionType):
            self._function(thing)
        elif isinstance(thing, type):
            self._class(thing)
        elif isinstance(thing, types.ModuleType):
            self._module(thing.__name__, thing)
        elif isinstance(thing, functools.partial):
            self.visit(thing.func, name)
            self._constant(f"{name} of partial", f"{name} of partial", None, [*thing.args, thing.keywords])
        elif isinstance(thing, property):
            for accessor in (thing.fget, thing.fset, thing.fdel):
                if accessor is not None:
                    self.visit(accessor, name)
        elif isinstance(thing, functools.cached_property):
            self.visit(thing.func, name)
        else:
            wrapped = getattr(thing, "__wrapped__", None)
            if isinstance(wrapped, types.FunctionType):  # functools.cache and its kin
                self.visit(wrapped, name)
            self.visit(type(thing), name)

    def _constant(self, part: str, short: str, place: Any, value: Any) -> None:
        self.keep.append(value)
        self.constants.append((part, short, place, value))
        for inner in code_inside(value):
            self.visit(inner, short)

    def _function(self, function: types.FunctionType) -> None:
        module = function.__module__ or ""
        if not _is_project(module, function.__code__.co_filename):
            if not _is_project(module, getattr(sys.modules.get(module), "__file__", None)):
                self._distribution(module)
            return  # else a library made it for a class of the project
        code = code_of(function)
        name = function.__code__.co_qualname
        self._add(f"{module}:{name}", name, code.digest)
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=False))
        self._names(code, module, function.__globals__, cells, name)
        defaults = function.__defaults__ or ()
        positional = function.__code__.co_varnames[: function.__code__.co_argcount]
        named = dict(zip(positional[len(positional) - len(defaults) :], defaults, strict=True))
        for parameter, value in {**named, **(function.__kwdefaults__ or {})}.items():
            short = f"{name} default of {parameter}"
            self._constant(f"{module}:{short}", short, None, value)
        wrapped = getattr(function, "__wrapped__", None)
        if wrapped is not None:
            self.visit(wrapped, name)

    def _names(
        self, code: Code, module: str, names: dict[str, Any], cells: Mapping[str, types.CellType], owner: str
    ) -> None:
        for chain in code.chains:
            root, *attributes = chain
            place: Any = None
            value = _MISSING
            if root in cells:
                try:
                    value, place = cells[root].cell_contents, id(cells[root])
                except ValueError:  # a function that has not been defined yet
                    continue
            elif root in names:
                value, place = names[root], (id(names), root)
            if value is _MISSING:
                continue
            if root in code.changed:
                self.changed.add(place)
                if not isinstance(value, _SHARED):  # the same container may be known by another name
                    self.changed.add(id(value))
                    self.keep.append(value)
            self._follow(value, [root, *attributes], place, module, owner)
        for imported in code.imports:
            self._import(imported)

    def _follow(self, value: Any, chain: list[str], place: Any, module: str, owner: str) -> None:
        """What `a.b.c` names, starting with the value of `a`: through modules and classes as far as they lead."""
        position = 1
        while isinstance(value, types.ModuleType) and position < len(chain):
            if not _is_project(value.__name__, getattr(value, "__file__", None)):
                self._distribution(value.__name__)
                return
            module, place = value.__name__, (id(value.__dict__), chain[position])
            value = value.__dict__.get(chain[position], _MISSING)
            position += 1
        if value is _MISSING:
            return
        name = chain[position - 1]
        if is_constant(value):
            in_closure = isinstance(place, int)
            short = f"{owner}.<closure>.{name}" if in_closure else name
            self._constant(f"{module}:{short}", short, place, value)
        else:
            self.visit(value, name)

    def _class(self, cls: type[Any]) -> None:
        filename = _file_of(cls)
        if not _is_project(cls.__module__, filename):
            self._distribution(cls.__module__)
            return
        tree = class_tree(cls, filename)
        # What a decorator (dataclass, attrs) generated follows from the class's own text.
        members = [member for member in vars(cls).values() if is_code(member) and not (tree and _is_generated(member))]
        if tree is not None:
            digest = hash_text(dump_tree(tree, keep_decorators=True))
        else:
            plain = {
                name: plain
                for name, value in vars(cls).items()
                if not (name.startswith("__") and name.endswith("__"))
                and not is_code(value)
                and (plain := plain_form(value)) is not OPAQUE
            }
            plain["__annotations__"] = sorted(vars(cls).get("__annotations__", {}))
            digest = digest_of(plain)
        self._add(f"{cls.__module__}:{cls.__qualname__}", cls.__qualname__, digest)
        for base in cls.__bases__:
            self.visit(base, base.__name__)
        for member in members:
            self.visit(member, cls.__qualname__)
        if tree is not None:  # the names in the class's own body: defaults of fields, annotations, decorators
            names = getattr(sys.modules.get(cls.__module__), "__dict__", None)
            if names is not None:
                self._names(
                    Code("", tuple(chains_of_class(tree)), frozenset(), ()),
                    cls.__module__,
                    names,
                    {},
                    cls.__qualname__,
                )

    def _module(self, name: str, module: types.ModuleType) -> None:
        """A module that is passed on as a whole."""
        filename = getattr(module, "__file__", None)
        if _is_project(name, filename):
            self._file(name, filename)
        else:
            self._distribution(name)

    def _import(self, name: str) -> None:
        """A module imported inside of a function: its file counts as a whole, loaded already or not."""
        top = name.partition(".")[0]
        if not _is_project(top, _file_of_module(top)):
            # Looking for a submodule would import its package, which may take seconds and is not ours to do.
            self._distribution(name)
            return
        filename = _file_of_module(name)
        if _is_project(name, filename):
            self._file(name, filename)
        else:
            self._distribution(name)

    def _file(self, name: str, filename: str | None) -> None:
        if ("file", filename) in self.changed or filename is None:
            return
        self.changed.add(("file", filename))
        tree = module_tree(filename)
        if tree is None:
            return
        self._add(name, name.rpartition(".")[2], hash_text(dump_tree(tree)))
        package = name if os.path.basename(filename) == "__init__.py" else name.rpartition(".")[0]  # noqa: PTH119  quicker
        for node in ast.walk(tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                for imported in imported_modules(node, package):
                    self._import(imported)

    def _distribution(self, module: str) -> None:
        top = module.partition(".")[0]
        if top in ("builtins", "tiphys", ""):
            return
        if top in sys.stdlib_module_names:
            self._add("python", "python", f"{sys.version_info.major}.{sys.version_info.minor}")
        else:
            self._add(top, top, _version_of(top))


# Whose code it is


def _file_of_module(name: str) -> str | None:
    """Where a module's code is; of a submodule that is not loaded, its package is imported."""
    module = sys.modules.get(name)
    if module is not None:
        return getattr(module, "__file__", None)
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    return spec.origin if spec is not None else None


_LIBRARY_FOLDERS = tuple(
    {
        os.path.realpath(folder) + os.sep
        for key in ("stdlib", "platstdlib", "purelib", "platlib")
        if (folder := sysconfig.get_path(key))
    }
)


@functools.cache
def _is_library(filename: str) -> bool:
    real = os.path.realpath(filename)
    return (
        real.startswith(_LIBRARY_FOLDERS)
        or f"{os.sep}site-packages{os.sep}" in real
        or f"{os.sep}dist-packages{os.sep}" in real
        or filename.startswith("<frozen ")
    )


def _is_project(module: str, filename: str | None) -> bool:
    """Whether code is the project's own: neither installed nor part of Python or Tiphys."""
    top = module.partition(".")[0]
    if top in ("tiphys", "builtins"):
        return False
    if top in sys.stdlib_module_names and top != "__main__" and (filename is None or _is_library(filename)):
        return False
    if filename is None:
        return top == "__main__" or top not in sys.modules or getattr(sys.modules[top], "__file__", None) is None
    return not _is_library(filename)


def _is_generated(member: Any) -> bool:
    return isinstance(member, types.FunctionType) and member.__code__.co_filename.startswith(("<string>", "<attrs "))


def _file_of(cls: type[Any]) -> str | None:
    """The file of a class: its module's, or (in a notebook, where that has none) that of one of its methods."""
    filename: str | None = getattr(sys.modules.get(cls.__module__), "__file__", None)
    for member in vars(cls).values() if filename is None else ():
        function = member.__func__ if isinstance(member, (staticmethod, classmethod)) else member
        if isinstance(function, types.FunctionType) and function.__module__ == cls.__module__:
            found = function.__code__.co_filename
            if not _is_generated(function) and not _is_library(found):
                return found
    return filename


#: Distributions of well-known modules that are named otherwise; for others all metadata is searched, which is slow.
_NAMED_OTHERWISE = {
    "PIL": "pillow",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


@functools.cache
def _version_of(top: str) -> str:
    """Version of the distribution that a top-level module belongs to, whether the module is loaded or not."""
    version = _installed().get(_normal(_NAMED_OTHERWISE.get(top, top)))
    if version is not None:
        return version
    names = load("importlib.metadata:packages_distributions")().get(top) or []
    return ", ".join(f"{name} {_installed().get(_normal(name), '')}" for name in sorted(set(names))) or "unknown"


@functools.cache
def _installed() -> dict[str, str]:
    """Versions of all installed distributions by normal name, as their metadata folders are called."""
    found: dict[str, str] = {}
    for folder in sys.path:
        with contextlib.suppress(OSError):
            for entry in os.listdir(folder or os.curdir):  # noqa: PTH208  a name is all that is needed
                name, _, version = entry.removesuffix(".dist-info").removesuffix(".egg-info").partition("-")
                if version and entry.endswith((".dist-info", ".egg-info")):
                    found.setdefault(_normal(name), version.partition("-py")[0])
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
