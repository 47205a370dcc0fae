from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from tiphys.errors import ArtifactError
from tiphys.integrations.docker.collecting import OutputFiles
from tiphys.integrations.docker.engine import ContainerEngine
from tiphys.sdk.pods.volumes import Bind


class Rootfs:
    """A container's own files: path → text, or `-> target`."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files

    def copy_out(self, container: str, path: str, folder: Path) -> Path | None:
        text = self.files.get(path)
        if text is None:
            return None
        copy = folder / Path(path).name
        if text.startswith("-> "):
            copy.symlink_to(text[3:])
        elif text == "/":
            copy.mkdir()
        else:
            copy.write_text(text)
        return copy


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    (tmp_path / "volume").mkdir()
    return tmp_path / "volume"


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def files(volume: Path, **rootfs: str) -> OutputFiles:
    engine = Rootfs({f"/{name.replace('__', '/')}": text for name, text in rootfs.items()})
    return OutputFiles(cast(ContainerEngine, engine), "c", (Bind(str(volume), "/d/vol"),), "/d")


def text_of(found: Path | None) -> str | None:
    return found and found.read_text()


@pytest.mark.parametrize("path", ["/d/vol/f", "vol/f", "/d/vol/link", "/d/vol/absolute", "/d/vol/../vol/f", "/to-vol"])
def test_files_of_a_volume(volume: Path, scratch: Path, path: str) -> None:
    (volume / "f").write_text("1")
    (volume / "link").symlink_to("f")
    (volume / "absolute").symlink_to("/d/vol/f")
    assert text_of(files(volume, **{"to-vol": "-> /d/vol/f"}).take(path, scratch)) == "1"


@pytest.mark.parametrize("path", ["/own", "/d/link", "/d/vol/out"])
def test_files_of_the_container(volume: Path, scratch: Path, path: str) -> None:
    (volume / "out").symlink_to("/own")
    assert text_of(files(volume, own="2", d__link="-> ../own").take(path, scratch)) == "2"


def test_what_is_not_there(volume: Path, scratch: Path) -> None:
    (volume / "host").symlink_to(__file__)
    found = files(volume)
    for number, path in enumerate(["/none", "/d/vol/none", "/d/vol/host"]):
        (scratch / f"s{number}").mkdir()
        assert found.take(path, scratch / f"s{number}") is None


@pytest.mark.parametrize("path", ["/a", "/d/vol/a"])
def test_circles(volume: Path, scratch: Path, path: str) -> None:
    (volume / "a").symlink_to("b")
    (volume / "b").symlink_to("a")
    with pytest.raises(ArtifactError, match="Too many links"):
        files(volume, a="-> /b", b="-> /a").take(path, scratch)


def test_a_folder_has_what_was_mounted_below_it(volume: Path, scratch: Path) -> None:
    (volume / "f").write_text("1")
    found = files(volume, d="/").take("/d", scratch)
    assert found is not None
    assert (found / "vol" / "f").read_text() == "1"
