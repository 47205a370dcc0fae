"""Shows an exception as the step's author would tell it: their own frames, not those of the machinery around them."""

from __future__ import annotations

import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tiphys.errors import TiphysError

#: Runs of foreign frames that are longer are folded to their first and last.
SHORT = 3

_OWN = str(Path(__file__).parents[1]) + os.sep
_paths = sysconfig.get_paths()
_STANDARD = tuple({_paths[key] + os.sep for key in ("stdlib", "platstdlib")})
_PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


class _Fold(traceback.FrameSummary):
    """Stands for frames that are not shown."""

    def __init__(self, hidden: list[traceback.FrameSummary]) -> None:
        super().__init__(hidden[0].filename, 0, "", lookup_line=False)
        self.hidden = len(hidden)


class _Stack(traceback.StackSummary):
    """A stack whose folds are shown as one line."""

    def format_frame_summary(self, frame_summary: traceback.FrameSummary) -> str:
        """One frame as text."""
        if isinstance(frame_summary, _Fold):
            package = package_of(frame_summary.filename)
            return f"  … {frame_summary.hidden} frames in {package} …\n"
        return super().format_frame_summary(frame_summary)


def describe(error: BaseException) -> dict[str, Any]:
    """A failure for its record: {type, message, traceback, location}.

    Args:
        error: What was raised.

    Returns:
        `type` is the class's name with its module (builtins without), `message` its text, `traceback` text with the
        user's frames (empty if it is an error of ours about what they gave us, which its message tells), and `location`
        the `file:line` of the innermost of them (None if there is none).
    """
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    summary = traceback.TracebackException(kind, error, error.__traceback__, compact=True)
    location = None
    for frame in summary.stack:
        if is_user_code(frame.filename):
            location = f"{frame.filename}:{frame.lineno}"
    if location is None and isinstance(error, TiphysError) and error.__cause__ is None:
        return {"type": name, "message": text_of(error), "traceback": "", "location": None}
    for part in _parts(summary):
        part.stack = _fold(part.stack)
    return {"type": name, "message": text_of(error), "traceback": "".join(summary.format()), "location": location}


def headline(error: BaseException) -> str:
    """`Type: text`, as the last line of a traceback."""
    text = text_of(error)
    return f"{type(error).__qualname__}: {text}" if text else type(error).__qualname__


def text_of(error: BaseException) -> str:
    """What the exception says of itself, even if its `__str__` is broken."""
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001  # any user's class may stand here; the message tells of it
        return f"<its text cannot be shown: {type(broken).__qualname__}>"


def is_user_code(filename: str) -> bool:
    """Whether a frame's file is neither Tiphys nor a library nor the standard library."""
    if filename.startswith((_OWN, "<frozen ")):
        return False
    if any(part in filename for part in _PACKAGES) or _compiled_package_of(filename):
        return False
    return not filename.startswith(_STANDARD)


def package_of(filename: str) -> str:
    """The library that a file belongs to."""
    compiled = _compiled_package_of(filename)
    if compiled:
        return compiled
    for part in _PACKAGES:
        _, found, tail = filename.partition(part)
        if found:
            return Path(tail).parts[0].removesuffix(".py")
    return "tiphys" if filename.startswith(_OWN) else "the standard library"


def _compiled_package_of(filename: str) -> str | None:
    """The installed library whose compiled code names that file, as Cython does: relative to where it was built."""
    package, _, rest = filename.partition("/")
    if not rest or not filename.endswith((".pyx", ".pxi", ".pxd")):
        return None
    where = getattr(sys.modules.get(package), "__file__", None) or ""
    return package if any(part in where for part in _PACKAGES) else None


def _parts(summary: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """The exception, its causes, and a group's members."""
    todo: list[traceback.TracebackException | None] = [summary]
    while todo:
        part = todo.pop()
        if part is not None:
            yield part
            todo += [part.__cause__, part.__context__, *(part.exceptions or ())]


def _fold(stack: traceback.StackSummary) -> traceback.StackSummary:
    frames = list(stack)
    first = next((i for i, frame in enumerate(frames) if not frame.filename.startswith(_OWN)), None)
    # The outermost frames are how the step was called; without any other they are all there is.
    frames = frames[-SHORT:] if first is None else frames[first:]
    kept: list[traceback.FrameSummary] = []
    foreign: list[traceback.FrameSummary] = []
    for frame in frames:
        if is_user_code(frame.filename):
            kept += _folded(foreign)
            foreign = []
            kept.append(frame)
        else:
            foreign.append(frame)
    return _Stack(kept + _folded(foreign))


def _folded(frames: list[traceback.FrameSummary]) -> list[traceback.FrameSummary]:
    return frames if len(frames) <= SHORT else [frames[0], _Fold(frames[1:-1]), frames[-1]]
