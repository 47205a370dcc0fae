"""The root: help, errors, exit codes, and the commands about a project."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from tests.unit.cli.conftest import Invoke, World

import tiphys.cli
from tiphys._version import __version__
from tiphys.cli.main import ENTRIES, main
from tiphys.errors import NotFoundError

SOURCE = Path(tiphys.cli.__file__).parents[2]


def all_commands() -> list[list[str]]:
    found = []

    def walk(command: click.Command, path: list[str]) -> None:
        found.append(path)
        if isinstance(command, click.Group):
            context = click.Context(command, info_name=" ".join(path))
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                walk(inner, [*path, name])

    walk(main, [])
    return found


@pytest.mark.parametrize("path", all_commands(), ids=" ".join)
def test_every_command_has_help(path: list[str]) -> None:
    result = CliRunner().invoke(main, [*path, "--help"], catch_exceptions=False)
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")


def test_every_command_that_is_no_group_has_examples() -> None:
    for path in all_commands():
        text = CliRunner().invoke(main, [*path, "--help"], catch_exceptions=False).stdout
        if "COMMAND [ARGS]" not in text:
            assert "\nExamples:\n" in text, path


def test_the_table_says_what_the_groups_say() -> None:
    context = click.Context(main)
    for name in ENTRIES:
        command = main.get_command(context, name)
        assert command is not None
        assert command.name == name


def test_a_mistyped_command_is_guessed() -> None:
    result = CliRunner().invoke(main, ["rnus"])
    assert result.exit_code == 2
    assert "Did you mean runs?" in result.stderr


def test_a_mistyped_command_of_a_group_is_guessed(invoke: Invoke) -> None:
    assert "Did you mean list?" in invoke("runs", "lst", code=2).stderr


def raising(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    def find(query: object) -> None:
        raise NotFoundError("It is gone.", hint="Look elsewhere.")

    monkeypatch.setattr(world.backend, "find", find)


def test_an_error_is_two_lines(invoke: Invoke, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, world)
    monkeypatch.delenv("TIPHYS_DEBUG", raising=False)
    result = invoke("runs", "list", code=2)
    assert result.stdout == ""
    assert result.stderr == "Error: It is gone.\nHint: Look elsewhere.\n"


def test_debug_shows_the_traceback(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, world)
    monkeypatch.setenv("TIPHYS_DEBUG", "1")
    result = CliRunner().invoke(main, ["runs", "list"], obj=world.backend)
    assert isinstance(result.exception, NotFoundError)


def test_an_interrupt_ends_with_the_shells_code(invoke: Invoke, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(query: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(world.backend, "find", find)
    assert invoke("runs", "list", code=130).stderr == "Interrupted.\n"


def run_python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE), **environment},
        check=False,
    )


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom tiphys.cli.main import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "heavy = {'rich', 'pydantic', 'sqlalchemy', 'yaml', 'pandas'}\n"
        "print(sorted({m.partition('.')[0] for m in sys.modules} & heavy))\n"
        "print(sorted(m for m in sys.modules if m.startswith('tiphys.') and m.count('.') == 1))"
    )
    done = run_python("-c", script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["[]", "['tiphys._version', 'tiphys.cli', 'tiphys.errors']"]


def test_the_module_is_the_command() -> None:
    done = run_python("-m", "tiphys", "--version")
    assert done.stdout == f"tiphys {__version__}\n"


def test_a_reader_that_leaves_is_no_error() -> None:
    script = f"{sys.executable} -m tiphys --help | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1"},
        check=True,
    )
    assert done.stderr == ""


def test_init_makes_a_home_once(tmp_path: Path) -> None:
    project = tmp_path / "project"
    first = CliRunner().invoke(main, ["init", str(project)])
    assert first.exit_code == 0
    assert (project / ".tiphys" / ".gitignore").read_text() == "*\n"
    assert first.stdout.startswith(f"Made {project / '.tiphys'}")
    again = CliRunner().invoke(main, ["init", str(project)])
    assert again.exit_code == 0
    assert "already" in again.stdout


def test_status(
    invoke: Invoke, read: Callable[..., Any], world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIPHYS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TIPHYS_DB_URL", "postgresql://me:secret@host/db")
    monkeypatch.setattr(world.backend.runs, "is_interrupted", lambda run: run.name == "lost")
    for name, status in (("done", "completed"), ("busy", "running"), ("lost", "running")):
        world.run(name, status=status, finished_at=None)
    found = read("status")
    assert found["home"] == str(tmp_path / "home")
    assert found["database"] == "postgresql://me:***@host/db"
    assert [run["name"] for run in found["running"]] == ["busy"]
    assert [run["name"] for run in found["interrupted"]] == ["lost"]
    text = invoke("status").stdout
    assert "secret" not in text
    assert "  lost   interrupted   now" in text
    assert "tiphys runs resume" in text


def test_version(invoke: Invoke, read: Callable[..., Any]) -> None:
    assert read("version")["tiphys"] == __version__
    assert invoke("version", "-o", "name").stdout == f"{__version__}\n"


def test_tables_on_a_terminal_fit_its_width(
    monkeypatch: pytest.MonkeyPatch, world: World, capsys: pytest.CaptureFixture[str], two_runs: Mapping[str, Any]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    main(["runs", "list"], obj=world.backend, standalone_mode=False)
    text = capsys.readouterr().out
    assert "churn-2" in text
    assert "\x1b[32m" in text or "completed" in text
    assert max(len(click.unstyle(line)) for line in text.splitlines()) <= 40
