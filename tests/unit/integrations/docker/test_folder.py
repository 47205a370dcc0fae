from __future__ import annotations

import os
from pathlib import Path

import pytest

from tiphys.integrations.docker import folder as module
from tiphys.integrations.docker.folder import TaskFolder, sweep


@pytest.fixture
def folder(tmp_path: Path) -> TaskFolder:
    folder = TaskFolder(str(tmp_path), "u/n/0")
    folder.claim()
    return folder


def test_who_has_a_task_is_known_while_it_lives(folder: TaskFolder, tmp_path: Path) -> None:
    assert folder.is_owned()
    (folder.path / "owner").write_text(f"{os.getpid()} 1")
    assert not folder.is_owned()
    assert not TaskFolder(str(tmp_path), "u/other/0").is_owned()


def test_tries_are_remembered(folder: TaskFolder) -> None:
    assert folder.tries() == {}
    folder.note_tries({"main": 2})
    assert folder.tries() == {"main": 2}


def test_the_report_outlives_what_containers_left(folder: TaskFolder) -> None:
    assert folder.report() is None
    (folder.path / "volumes" / "v").mkdir(parents=True)
    folder.write_report("{}")
    folder.clear()
    assert not (folder.path / "volumes").exists()
    assert folder.report() == b"{}"
    folder.remove()
    assert not folder.path.exists()


def test_only_old_folders_are_swept(folder: TaskFolder, tmp_path: Path) -> None:
    old = TaskFolder(str(tmp_path), "u/old/0")
    old.claim()
    os.utime(old.path, (0, 0))
    sweep(str(tmp_path))
    assert folder.path.exists()
    assert not old.path.exists()
    sweep(str(tmp_path / "nowhere"))


def test_a_process_that_is_gone_has_no_start() -> None:
    assert module._start_of(2**22 + 1) is None
