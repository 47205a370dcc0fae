"""Names and files of tasks."""

from __future__ import annotations

from pathlib import Path

from tiphys.sdk.pods.files import remove_tree, write_whole


def test_files_are_visible_when_they_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_whole(str(path), "é" * 100_000)
    assert path.read_text() == "é" * 100_000
    assert list(tmp_path.iterdir()) == [path]


def test_any_tree_can_be_removed(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").touch()
    (tmp_path / "a" / "b").chmod(0)
    remove_tree(str(tmp_path / "a"))
    remove_tree(str(tmp_path / "none"))
    assert not (tmp_path / "a").exists()
