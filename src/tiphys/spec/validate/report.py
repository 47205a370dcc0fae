"""Problems as texts for a terminal, in the manner of `argo lint -o pretty` and `-o simple`."""

from __future__ import annotations

from collections.abc import Sequence

from tiphys.spec.problems import Problem, Severity

_MARKS = {Severity.ERROR: ("✖", "\x1b[31m"), Severity.WARNING: ("▲", "\x1b[33m")}
_UNDERLINE, _RESET = "\x1b[4m", "\x1b[0m"


def pretty(file: str, problems: Sequence[Problem], *, color: bool = False) -> str:
    """One heading and one line for each problem; empty without problems.

    Args:
        file: Name of the file.
        problems: What is wrong with it.
        color: Write the colours of a terminal.
    """
    if not problems:
        return ""
    lines = [f"{_UNDERLINE}{file}{_RESET}:" if color else f"{file}:"]
    for problem in problems:
        mark, paint = _MARKS[problem.severity]
        where = f"line {problem.line}: " if problem.line is not None else ""
        lines.append(f"   {paint}{mark}{_RESET} {where}{problem}" if color else f"   {mark} {where}{problem}")
    return "\n".join(lines) + "\n\n"


def simple(file: str, problems: Sequence[Problem]) -> str:
    """One line for each problem, as compilers write them: `file:line: error: path message`."""
    return "".join(
        f"{file}{'' if problem.line is None else f':{problem.line}'}: {problem.severity}: {problem}\n"
        for problem in problems
    )
