"""What the documentation says works: every block of Python in it is run, and every command it names exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

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
