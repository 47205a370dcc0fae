"""A project's code on its way."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from tiphys.errors import DefinitionError, UsageError
from tiphys.sdk import registry, shipped_code
from tiphys.sdk.registry import remember, resolve
from tiphys.sdk.shipped_code import enter, pack_code, project_root


class Components:
    """Gives a folder as the one tree that there is."""

    def __init__(self, folder):
        self.folder = folder

    def from_stores(self, read):
        return read(self)

    def open_tree(self, digest):
        return nullcontext(self.folder)


@pytest.fixture
def project(tmp_path, monkeypatch):
    root = tmp_path / "project"
    (root / "src" / "shipped_one").mkdir(parents=True)
    (root / "pyproject.toml").touch()
    (root / "src" / "shipped_one" / "__init__.py").write_text("def double(x):\n    return 2 * x\n")
    (root / "data.txt").write_text("data")
    (root / ".hidden").write_text("not sent")
    (root / "venv").mkdir()
    (root / "venv" / "big").write_text("not sent")
    monkeypatch.chdir(root)
    monkeypatch.setattr(registry, "_live", {})
    monkeypatch.delitem(sys.modules, "shipped_one", raising=False)
    monkeypatch.syspath_prepend(str(root / "src"))
    return root


@pytest.fixture
def packed(tmp_path):
    folder = tmp_path / "packed"
    folder.mkdir()
    return folder


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def made_in_a_cell(text, name):
    scope = {"__name__": "__main__"}
    exec(compile(text, "<cell>", "exec"), scope)
    return scope[name]


def body(source, digest="", **hooks):
    return {"source": source, "code_digest": digest, "hooks": hooks}


def test_the_projects_own_files_are_sent(project, packed):
    pack_code([body("shipped_one:double")], packed)
    assert names(packed / "files") == ["data.txt", "pyproject.toml", "src/shipped_one/__init__.py"]
    described = json.loads((packed / "code.json").read_text())
    assert described["path"] == ["src"]
    assert described["folder"] == "."
    assert described["payloads"] == []


def test_with_git_what_it_ignores_stays(project, packed):
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    (project / ".gitignore").write_text("data.txt\n")
    pack_code([], packed)
    assert "data.txt" not in names(packed / "files")
    assert "src/shipped_one/__init__.py" in names(packed / "files")


def test_functions_that_no_import_finds_travel_as_payloads(project, packed, tmp_path, monkeypatch):
    added = made_in_a_cell("offset = 5\ndef added(x):\n    return x + offset\n", "added")
    remember("__main__:added", "d1", added)
    pack_code([body("__main__:added", "d1"), body("__main__:added", "d1")], packed)
    assert names(packed / "payloads") == ["0"]
    remember("__main__:added", "d1", None)
    monkeypatch.chdir(tmp_path)
    enter({"code": {"digest": "sha256:1"}, "home": str(tmp_path / "home")}, Components(packed))
    assert resolve("__main__:added", "d1")(1) == 6


def test_there_it_is_imported_and_finds_its_files(project, packed, tmp_path, monkeypatch):
    pack_code([body("shipped_one:double")], packed)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if not entry.startswith(str(project))])
    enter({"code": {"digest": "sha256:2"}, "home": str(tmp_path / "home")}, Components(packed))
    assert Path("data.txt").read_text() == "data"
    assert sys.path[0].startswith(str(tmp_path / "home"))
    assert (Path(sys.path[0]) / "shipped_one" / "__init__.py").exists()
    Path("written").write_text("x")  # beside the files, not into the store's
    assert "files/written" not in names(packed)


def test_payloads_of_another_python_are_refused(project, packed, tmp_path, monkeypatch):
    remember("__main__:other", "", made_in_a_cell("def other():\n    return 1\n", "other"))
    pack_code([body("__main__:other")], packed)
    description = json.loads((packed / "code.json").read_text())
    (packed / "code.json").write_text(json.dumps({**description, "python": "2.7"}))
    with pytest.raises(UsageError, match=r"2\.7"):
        enter({"code": {"digest": "sha256:3"}, "home": str(tmp_path / "home")}, Components(packed))


def test_too_much_is_refused_before_it_is_sent(project, packed, monkeypatch):
    monkeypatch.setattr(shipped_code, "MOST", 10)
    with pytest.raises(DefinitionError, match="too many to send"):
        pack_code([], packed)


def test_the_top_of_a_project(project, tmp_path):
    below = project / "src" / "shipped_one"
    assert project_root(below) == project
    alone = tmp_path / "alone"
    alone.mkdir()
    assert project_root(alone) in (alone, *alone.parents)
