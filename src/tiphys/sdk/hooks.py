"""Calls a step's hooks: they may do what they like, the step is not affected."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from tiphys.errors import StepCancelledError
from tiphys.sdk.registry import resolve
from tiphys.sdk.tracebacks import headline

_takes_argument: WeakKeyDictionary[Callable[..., Any], bool] = WeakKeyDictionary()


def call_hook(
    hooks: Mapping[str, str], name: str, *, error: BaseException | None = None, problems: dict[str, str]
) -> None:
    """Call one hook, if the step has it.

    Args:
        hooks: Hook name → `module:qualname`, as in the step's body.
        name: on_start, on_end, on_success or on_failure.
        error: What the step raised; given to a hook that has a parameter (None to those of a step that did well).
        problems: Where a hook's own exception is noted, by the hook's name.
    """
    source = hooks.get(name)
    if not source:
        return
    try:
        hook = resolve(source)
        if _has_parameter(hook):
            hook(error)
        else:
            hook()
    except StepCancelledError:
        raise
    except (Exception, SystemExit) as problem:  # noqa: BLE001  # recorded; a hook's fault is not the step's
        problems[name] = headline(problem)


def _has_parameter(hook: Callable[..., Any]) -> bool:
    try:
        return _takes_argument[hook]
    except (KeyError, TypeError):
        pass
    try:
        parameters = inspect.signature(hook).parameters.values()
        found = any(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL) for p in parameters)
    except (TypeError, ValueError):  # a callable that does not show its signature
        found = False
    try:
        _takes_argument[hook] = found
    except TypeError:  # cannot be weakly referenced
        return found
    return found
