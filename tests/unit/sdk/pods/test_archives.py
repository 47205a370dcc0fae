"""Packing and unpacking."""

from __future__ import annotations

import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from tiphys.errors import ArtifactError
from tiphys.sdk.pods.archives import archive_of, is_tarball, pack_tar, pack_zip, unpack


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "a").write_text("A")
    (tree / "deep" / "b").write_text("B")
    (tree / "a").chmod(0o755)
    return tree


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_folder_comes_back(tree: Path, tmp_path: Path, kind: str) -> None:
    packed = tmp_path / "packed"
    if kind == "tar":
        pack_tar(tree, packed, name="x", level=-1)
    else:
        pack_zip(tree, packed, name="x")
    unpack(packed, tmp_path / "out", "tar" if kind == "tar" else "zip")
    assert files(tmp_path / "out") == {"a": "A", "deep/b": "B"}
    assert (tmp_path / "out" / "a").stat().st_mode & 0o111


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_file_comes_back_under_the_targets_name(tree: Path, tmp_path: Path, kind: str) -> None:
    packed = tmp_path / "packed"
    if kind == "tar":
        pack_tar(tree / "a", packed, name="x", level=0)
    else:
        pack_zip(tree / "a", packed, name="x")
    unpack(packed, tmp_path / "out", "tar" if kind == "tar" else "zip")
    assert (tmp_path / "out").read_text() == "A"


def test_several_entries_become_a_folder(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        archive.writestr("one", "1")
        archive.writestr("two", "2")
    unpack(tmp_path / "z", tmp_path / "out", "zip")
    assert files(tmp_path / "out") == {"one": "1", "two": "2"}


def test_equal_contents_give_equal_archives(tree: Path, tmp_path: Path) -> None:
    for name in ("1", "2"):
        pack_tar(tree, tmp_path / name, name="x", level=9)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_only_compressed_tar_files_are_taken_for_such(tree: Path, tmp_path: Path) -> None:
    pack_tar(tree, tmp_path / "x.tgz", name="x", level=-1)
    pack_tar(tree, tmp_path / "x.tar", name="x", level=None)
    (tmp_path / "x.txt").write_text("x")
    assert [is_tarball(tmp_path / name) for name in ("x.tgz", "x.tar", "x.txt", "tree")] == [True, False, False, False]


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_what_leads_out_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "evil"
    if kind == "tar":
        with tarfile.open(path, "w:gz") as tar:
            entry = tarfile.TarInfo("../out-of-it")
            entry.size = 1
            tar.addfile(entry, io.BytesIO(b"x"))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("../out-of-it", "x")
    with pytest.raises(ArtifactError, match="cannot be unpacked"):
        unpack(path, tmp_path / "x", "tar" if kind == "tar" else "zip")
    assert not (tmp_path.parent / "out-of-it").exists()
    assert not (tmp_path / "out-of-it").exists()


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no archive")
    for kind in ("tar", "zip"):
        with pytest.raises(ArtifactError, match=f"as {kind}"):
            unpack(tmp_path / "x", tmp_path / "out", "tar" if kind == "tar" else "zip")


@pytest.mark.parametrize(
    ("artifact", "expected"),
    [({}, None), ({"archive": {"none": {}}}, "none"), ({"archive": {"tar": {"compressionLevel": 0}}}, "tar")],
)
def test_strategies(artifact: dict[str, object], expected: str | None) -> None:
    assert archive_of(artifact) == expected


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says to be of is larger than the disk has room for."""
    zipped, tarred = tmp_path / "bomb.zip", tmp_path / "bomb.tgz"
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(10):
            archive.writestr(str(number), bytes(1 << 20))
    with tarfile.open(tarred, "w:gz") as packed:
        entry = tarfile.TarInfo("a")
        entry.size = 10 << 20
        packed.addfile(entry, io.BytesIO(bytes(entry.size)))
    assert zipped.stat().st_size + tarred.stat().st_size < 1 << 17
    usage = shutil.disk_usage(tmp_path)
    free = (256 << 20) + (9 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free))
    for source, kind in ((zipped, "zip"), (tarred, "tar")):
        with pytest.raises(ArtifactError, match="which the disk has not"):
            unpack(source, tmp_path / "target", kind)  # type: ignore[arg-type]  # one of its kinds
        assert sorted(path.name for path in tmp_path.iterdir()) == ["bomb.tgz", "bomb.zip"]
