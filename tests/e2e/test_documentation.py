"""What the documentation says works: every block of Python in it is run, and every command it names exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.integration.server_desk import running_server
from tiphys.cli.main import main

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", *(f"docs/{page.name}" for page in sorted((ROOT / "docs").glob("*.md")))]


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md"])
def test_python_blocks_run(page: str, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert blocks
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if page == "docs/quickstart.md":
        assert done.stdout.splitlines()[1] == "{'load': 'cached', 'train': 'cached', 'score': 'cached'}"
        assert "completed skipped" in done.stdout
        assert done.stdout.splitlines()[-1] == "3"


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_files_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    for words in re.findall(r"(?:^|`)tiphys ((?:[a-z-]+ ?)+)", text, re.MULTILINE):
        command: click.Command = main
        for word in words.split():
            if not isinstance(command, click.Group) or word.startswith("-"):
                break
            found = command.get_command(click.Context(command), word)
            assert found is not None, f"{page}: tiphys {words}: no '{word}'"
            command = found
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (ROOT / page).parent.joinpath(link).exists(), f"{page} links to {link}"
    for target in re.findall(r"`?make ([a-z]+)", text):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), f"{page}: make {target}"


def test_the_way_from_nothing_to_a_hera_script_and_a_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the server's page has a new user type first, as it stands there but for the port and the home."""
    section = (ROOT / "docs" / "server.md").read_text().split("\n## ")[1]
    typed = [line for block in re.findall(r"```\n(.*?)```", section, re.DOTALL) for line in block.splitlines()]
    lines = typed[typed.index("tiphys server") + 1 :]
    assert lines[1].startswith("To trust it: ")
    home = tmp_path / "home"
    with running_server(home) as server:
        script = "\n".join(lines[lines.index(lines[1].removeprefix("To trust it: ")) :])
        script = script.replace("https://127.0.0.1:2746", server.url).replace("~/.local/share/tiphys", str(home))
        script = script.replace("train_and_evaluate.py", f"train_and_evaluate.py {server.url}")
        environment = {
            **os.environ,
            "TIPHYS_HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        for name in ("TIPHYS_URL", "TIPHYS_PROGRESS"):
            environment.pop(name, None)
        done = subprocess.run(
            ["/bin/bash", "-e", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "evaluating s3://ml-artifacts/models/model.pkl" in done.stdout
    assert done.stderr.count("(2 of 2 steps") == 2, done.stderr
    runs, workflows = done.stdout.split("STATUS")[1:]
    assert runs.count("completed") == 2
    assert workflows.count("Succeeded") == 3
