"""Where a container's files are on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiphys.errors import ArtifactError
from tiphys.integrations.local.pods.view import (
    View,
    is_within,
    make_root,
    replace_folder,
    replaced_folder,
    replacing_mounts,
)
from tiphys.sdk.pods.volumes import Bind


@pytest.fixture
def view(tmp_path: Path) -> View:
    root = tmp_path / "root"
    make_root(str(root))
    volume = tmp_path / "volume"
    (volume / "deep").mkdir(parents=True)
    other = tmp_path / "other"
    other.mkdir()
    return View(str(root), str(root), (Bind(str(other), "/data/deep/er"), Bind(str(volume), "/data")))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/out", "root/out"),
        ("/tmp/a/../b", "root/tmp/b"),
        ("/../../x", "root/x"),
        ("relative", "root/relative"),
        ("/data", "volume"),
        ("/data/f", "volume/f"),
        ("/data/deep/er/f", "other/f"),
        ("/data/deep/errand", "volume/deep/errand"),
        ("/database", "root/database"),
    ],
)
def test_files_of_its_own_and_of_volumes(view: View, tmp_path: Path, path: str, expected: str) -> None:
    assert view.locate(path) == str(tmp_path / expected)


def test_files_of_the_machine(view: View) -> None:
    assert view.locate("/etc/passwd") == "/etc/passwd"
    assert view.locate("/bin/sh") != f"{view.root}/bin/sh"


def test_links_are_the_containers(view: View, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "tmp" / "abs").symlink_to("/secret/x")
    (root / "tmp" / "rel").symlink_to("../data/f")
    (root / "tmp" / "out").symlink_to("../../../../../../etc/../secret")
    (root / "tmp" / "folder").symlink_to("/data")
    assert view.locate("/tmp/abs") == str(root / "secret" / "x")
    assert view.locate("/tmp/rel") == str(tmp_path / "volume" / "f")
    assert view.locate("/tmp/out") == str(root / "secret")
    assert view.locate("/tmp/folder/g") == str(tmp_path / "volume" / "g")


def test_circles_are_an_error(view: View, tmp_path: Path) -> None:
    (tmp_path / "root" / "a").symlink_to("/b")
    (tmp_path / "root" / "b").symlink_to("/a")
    with pytest.raises(ArtifactError, match="Too many links"):
        view.locate("/a")


def test_a_host_process_sees_the_machine(tmp_path: Path) -> None:
    view = View(None, str(tmp_path))
    assert view.locate("out/x") == str(tmp_path / "out" / "x")
    assert view.locate("/etc/passwd") == "/etc/passwd"


def test_folders_that_must_be_replaced() -> None:
    assert replaced_folder("/out/x") is None
    assert replaced_folder("/usr") is None
    assert replaced_folder("/etc/no-such-folder/deep") == "/etc"
    assert replaced_folder("/usr/no-such-folder") == "/usr"


def test_a_replaced_folder_has_the_originals_entries(tmp_path: Path) -> None:
    root = str(tmp_path / "root")
    make_root(root)
    replace_folder(root, "/etc")
    original, own = replacing_mounts(root, "/etc")
    assert {path.name for path in Path("/etc").iterdir()} == {path.name for path in Path(root, "etc").iterdir()}
    assert (Path(root) / "etc" / "passwd").readlink() == Path(original.target, "passwd")
    mounts = tuple(sorted((original, own), key=lambda mount: len(mount.target), reverse=True))
    view = View(root, root, mounts)
    assert view.locate("/etc/passwd") == "/etc/passwd"
    assert view.locate("/etc/new") == f"{root}/etc/new"


@pytest.mark.parametrize(
    ("path", "folder", "expected"),
    [("/a/b", "/a", True), ("/a", "/a/", True), ("/ab", "/a", False), ("/a/../b", "/a", False), ("/x", "/", True)],
)
def test_is_within(path: str, folder: str, expected: bool) -> None:
    assert is_within(path, folder) is expected
