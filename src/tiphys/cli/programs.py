"""Imports a user's file and finds the pipeline in it."""

from __future__ import annotations

import difflib
import inspect
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from tiphys.errors import NotFoundError, TiphysError, UsageError
from tiphys.records.runs import Run
from tiphys.sdk.pipeline import Pipeline
from tiphys.sdk.registry import resolve
from tiphys.sdk.signature import coerce_value, type_hints
from tiphys.sdk.tracebacks import describe, headline

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def split_target(target: str) -> tuple[Path, str | None]:
    """`FILE[:pipeline]` as a path and a name.

    Raises:
        UsageError: there is no such Python file.
    """
    path, name = Path(target), None
    if not path.exists():
        head, colon, tail = target.rpartition(":")
        if colon and tail.isidentifier():
            path, name = Path(head), tail
    if not path.is_file():
        raise UsageError(f"There is no file '{path}'.", hint=_files_nearby(path))
    if path.suffix != ".py":
        raise UsageError(
            f"'{path}' is not a Python file.", hint="Give a file that defines a pipeline: tiphys run FILE.py"
        )
    return path.resolve(), name


def _files_nearby(path: Path) -> str | None:
    folder = path.parent if path.parent.is_dir() else Path()
    names = sorted(file.name for file in folder.glob("*.py"))
    close = difflib.get_close_matches(path.name, names, n=3, cutoff=0.5) or names[:5]
    return f"Did you mean {' or '.join(str(folder / name) for name in close)}?" if close else None


def import_file(path: Path) -> ModuleType:
    """Import a file as the module that others would import it as, its folder (or its package's) first in the path.

    So its functions have a name under which another process finds them, and code under `if __name__ == "__main__"` does
    not run.

    Raises:
        UsageError: the file cannot be imported, or its name belongs to another module.
    """
    name, root = module_name(path)
    if "." in path.stem:
        raise UsageError(f"A module cannot be named '{path.stem}'.", hint=f"Rename {path.name} so that it has no dot.")
    loaded = sys.modules.get(name)
    if name.partition(".")[0] in sys.stdlib_module_names or (loaded is not None and not _is_file(loaded, path)):
        raise UsageError(
            f"'{path.name}' has the name of the module '{name}', which it would hide.", hint="Rename the file."
        )
    import_from(root)
    PathFinder.invalidate_caches()
    try:
        return import_module(name)
    except TiphysError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"'{path.name}' cannot be imported: {headline(error)}", hint=f"It failed here:\n{_frames(error)}"
        ) from error


def module_name(path: Path) -> tuple[str, Path]:
    """The name a file has as a module, and the folder from which it is imported by it."""
    name, root = path.stem, path.parent
    while (root / "__init__.py").is_file():
        name, root = f"{root.name}.{name}", root.parent
    return name, root


def import_from(folder: Path) -> None:
    """Look for modules in `folder` first."""
    if str(folder) not in sys.path[:1]:
        sys.path.insert(0, str(folder))


def _is_file(module: ModuleType, path: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve() == path


def _frames(error: BaseException) -> str:
    return str(describe(error)["traceback"]).rstrip()


def find_code(run: Run, sources: Iterable[tuple[str, str]]) -> None:
    """See to it that the functions of a run are found in this process, before it is taken up here.

    Args:
        run: The run; where its code came from stands in its record.
        sources: (`module:qualname`, code digest) of its steps.

    Raises:
        UsageError: one is not found; nothing happened to the run.
    """
    code = run.config.get("code")
    entry = Path(str(code.get("entry", ""))) if isinstance(code, Mapping) else Path()
    wanted = list(sources)
    import_from(Path.cwd())
    if entry.suffix == ".py" and entry.is_file():
        if any(source.startswith("__main__:") for source, _ in wanted):
            # The script's definitions are looked up (and unpickled) where they were: in the main module.
            sys.modules["__main__"] = import_file(entry.resolve())
        import_from(module_name(entry.resolve())[1])
    for source, digest in wanted:
        try:
            resolve(source, digest)
        except NotFoundError as error:
            raise UsageError(
                f"The code of run {run.name} is not found from here: {error.message}",
                hint="Run its file or notebook again: an interrupted run of the same code and parameters is taken up.",
            ) from error


def pipelines_of(module: ModuleType) -> dict[str, Pipeline]:
    """Pipelines of a module by the name they have there; those that it imported only where it defines none."""
    found = {name: value for name, value in vars(module).items() if isinstance(value, Pipeline)}
    own = {name: value for name, value in found.items() if value.__module__ == module.__name__}
    return own or found


def choose(found: Mapping[str, Pipeline], name: str | None, path: Path) -> Pipeline:
    """The pipeline that is meant: the named one, or the only one.

    Args:
        found: Pipelines of the file by the name they have there.
        name: What the user called it, if they did; the pipeline's own name will do as well.
        path: The file, for the message.

    Raises:
        UsageError: there is none, or it is not clear which one.
    """
    if name is not None:
        for variable, pipeline in found.items():
            if name in (variable, pipeline.name):
                return pipeline
        known = ", ".join(found) or "none"
        raise UsageError(f"'{path.name}' has no pipeline '{name}'.", hint=f"Its pipelines: {known}.")
    # Two names of one pipeline are no choice.
    distinct = {id(pipeline): variable for variable, pipeline in found.items()}
    if len(distinct) == 1:
        return found[next(iter(distinct.values()))]
    if not found:
        raise UsageError(f"'{path.name}' defines no pipeline.", hint="Decorate a function with @pipeline.")
    raise UsageError(
        f"'{path.name}' has {len(distinct)} pipelines.",
        hint=f"Say which one: {' | '.join(f'tiphys run {path.name}:{variable}' for variable in distinct.values())}",
    )


def parse_parameters(given: Sequence[str], pipeline: Pipeline) -> dict[str, Any]:
    """`key=value` texts as arguments of a pipeline: JSON where that suits the parameter, else text.

    Raises:
        UsageError: a parameter is not written so, unknown, given twice, missing, or of the wrong type.
    """
    signature = inspect.signature(pipeline.entrypoint)
    known = [key for key, parameter in signature.parameters.items() if parameter.kind in _NAMED]
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values())
    hints = type_hints(pipeline.entrypoint) if given else {}
    values: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"A parameter is given as key=value, not '{text}'.")
        if key not in known and not open_ended:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"It has: {', '.join(known) or 'none'}."
            raise UsageError(f"Pipeline {pipeline.name} has no parameter '{key}'.", hint=hint)
        if key in values:
            raise UsageError(f"Parameter '{key}' is given twice.")
        values[key] = _value(key, value, hints.get(key, Any))
    configured = pipeline.run_options.get("parameters", {})
    missing = [
        key
        for key in known
        if key not in values and key not in configured and signature.parameters[key].default is inspect.Parameter.empty
    ]
    if missing:
        example = " ".join(f"-p {key}=…" for key in missing)
        raise UsageError(f"Pipeline {pipeline.name} needs {', '.join(missing)}.", hint=f"Add {example}")
    return values


def _value(key: str, text: str, annotation: Any) -> Any:
    if annotation is str:
        return text
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = text
    problem = _problem(value, annotation)
    if problem is None:
        return value
    if value != text and _problem(text, annotation) is None:
        return text
    raise UsageError(f"Parameter '{key}' {problem}.")


def _problem(value: Any, annotation: Any) -> str | None:
    try:
        coerce_value(value, annotation)
    except ValueError as error:
        return str(error)
    return None
