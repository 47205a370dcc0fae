"""Commands that messages and documents tell people to type must be there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tiphys.cli.main import main

ROOT = Path(__file__).parents[3]
#: `tiphys word word …` in a text; a word may be a placeholder, which ends the command.
COMMAND = re.compile(r"(?<!from )(?<!name=)\btiphys ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)*)")


def texts_of(path: Path) -> Iterator[str]:
    """Strings of a module; code in a document."""
    if path.suffix == ".md":
        for line in path.read_text().splitlines():
            yield from re.findall(r"`([^`]*)`", line)
            if line.lstrip().startswith(("tiphys ", "$ tiphys ")):
                yield line
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def commands_of(path: Path) -> Iterator[str]:
    for text in texts_of(path):
        for found in COMMAND.finditer(text):
            yield found[1]


def problem(command: str) -> str | None:
    """What is wrong with a command: words after the last group must be arguments of a command."""
    here: click.Command = main
    context = click.Context(main)
    for word in command.split():
        if not isinstance(here, click.Group):
            return None
        found = here.get_command(context, word)
        if found is None:
            return f"'{here.name}' has no '{word}'"
        here = found
    return None


@pytest.mark.parametrize("folder", ["src", "docs", "examples", "."])
def test_commands_in_texts_exist(folder: str) -> None:
    paths = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"] if folder == "." else sorted((ROOT / folder).rglob("*"))
    wrong = []
    for path in paths:
        if path.suffix in (".py", ".md") and path.is_file():
            for command in commands_of(path):
                said = problem(command)
                if said:
                    wrong.append(f"{path.relative_to(ROOT)}: tiphys {command}: {said}")
    assert not wrong, "\n".join(wrong)
