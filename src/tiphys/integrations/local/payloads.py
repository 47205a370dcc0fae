"""What must travel with a task because its process cannot import it: functions, hooks, and classes of a script."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType
from typing import Any

from tiphys.plugins.loading import load
from tiphys.ports.materializer import registered
from tiphys.ports.runner import Task
from tiphys.sdk.registry import portable, resolve


class Payloads:
    """Makes payloads, each once."""

    def __init__(self) -> None:
        self._functions: dict[tuple[str, str], bytes | None] = {}
        self._classes: dict[type[Any], bytes] = {}
        self._texts: dict[tuple[str, str], list[tuple[str, bytes]]] = {}

    def of(self, task: Task) -> tuple[list[dict[str, Any]], bytes]:
        """Descriptions of a task's payloads, and the payloads in the same order."""
        described: list[dict[str, Any]] = []
        parts: list[bytes] = []
        if "code" in task.context:  # all that it needs comes with that
            return described, b""
        for kind in _classes_of(task):
            parts.append(self._class(kind))
            described.append({"kind": "class", "size": len(parts[-1])})
        body = task.body
        sources = [(body["source"], body.get("code_digest") or "")]
        sources += [(source, "") for source in (body.get("hooks") or {}).values() if source]
        for source, digest in sources:
            part = self._function(source, digest)
            if part is not None:
                parts.append(part)
                described.append({"kind": "function", "source": source, "digest": digest, "size": len(part)})
                for filename, text in self._sources(source, digest):
                    parts.append(text)
                    described.append({"kind": "text", "filename": filename, "size": len(text)})
        return described, b"".join(parts)

    def _function(self, source: str, digest: str) -> bytes | None:
        try:
            return self._functions[source, digest]
        except KeyError:
            found = self._functions[source, digest] = portable(source, digest)
            return found

    def _sources(self, source: str, digest: str) -> list[tuple[str, bytes]]:
        """(name, text) of the notebook cells that a function is made of: tracebacks show lines of them."""
        found = self._texts.get((source, digest))
        if found is None:
            names = _filenames_of(resolve(source, digest))
            # A file's entry has a time of change, and is read again where it is needed.
            cells = {name: entry for name in names if (entry := linecache.cache.get(name)) and len(entry) == 4}
            found = self._texts[source, digest] = [
                (name, "".join(entry[2]).encode()) for name, entry in cells.items() if entry[1] is None
            ]
        return found

    def _class(self, kind: type[Any]) -> bytes:
        found = self._classes.get(kind)
        if found is None:
            found = self._classes[kind] = load("cloudpickle:dumps")(kind)
        return found


def _classes_of(task: Task) -> Iterator[type[Any]]:
    """Classes of the script that the task's artifacts are of, and the materializers that the script defines."""
    main = sys.modules.get("__main__")
    seen = set()
    for name in _names_of(task):
        module, _, qualname = name.replace(":", ".").partition(".")
        found = getattr(main, qualname, None) if module == "__main__" else None
        if isinstance(found, type) and found not in seen:
            seen.add(found)
            yield found
    for materializer in list(registered.values()):
        if materializer.__module__ == "__main__" and materializer not in seen:
            seen.add(materializer)
            yield materializer


def _names_of(task: Task) -> Iterator[str]:
    for output in task.body.get("outputs", ()):
        yield from output.get("materializers") or ()
    todo: list[Any] = list(task.inputs.artifacts.values())
    while todo:
        value = todo.pop()
        if isinstance(value, Mapping):
            yield str(value.get("materializer", ""))
            yield str(value.get("data_type", ""))
        else:
            todo += value


def _filenames_of(thing: Any) -> set[str]:
    """Where a function, and those of its module that it reaches, were defined."""
    names: set[str] = set()
    todo: list[Any] = [thing]
    seen: set[int] = set()
    while todo:
        function = todo.pop()
        if not isinstance(function, FunctionType) or id(function) in seen:
            continue
        seen.add(id(function))
        codes = [function.__code__]
        while codes:
            code = codes.pop()
            names.add(code.co_filename)
            codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
            reached = [function.__globals__.get(name) for name in code.co_names]
            todo += [each for each in reached if getattr(each, "__module__", None) == function.__module__]
    return names
