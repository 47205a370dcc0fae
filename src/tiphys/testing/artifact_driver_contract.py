"""What every driver that can save must do. Its tests subclass one of the suites and say how to make a driver.

`ArtifactDriverContract` is for those that carry files; `FolderDriverContract` for those that know folders too.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path

import pytest

from tiphys.errors import ArtifactError, ArtifactMissingError, NotFoundError, SpecError
from tiphys.ports.artifact_driver import ArtifactDriver, Secrets
from tiphys.spec.artifacts import Artifact
from tiphys.spec.kubernetes import SecretKeySelector

#: More than one part of any store.
LARGE = os.urandom(1 << 20) * 17


def secrets_of(values: dict[str, dict[str, str]]) -> Secrets:
    """Secrets as {name: {key: value}}."""

    def look_up(selector: SecretKeySelector) -> str | None:
        return values.get(selector.name or "", {}).get(selector.key or "")

    return look_up


#: Knows no Secret.
no_secrets = secrets_of({})


def write_tree(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files given by name."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def read_tree(folder: Path) -> dict[str, bytes]:
    """All files of a folder by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


class ArtifactDriverContract(ABC):
    """The suite for files."""

    @pytest.fixture
    @abstractmethod
    def driver(self) -> ArtifactDriver:
        """A driver with its secrets."""

    @abstractmethod
    def artifact(self, key: str) -> Artifact:
        """An artifact at a place that is empty when a test begins."""

    def save_bytes(self, driver: ArtifactDriver, key: str, content: bytes, folder: Path) -> None:
        path = folder / "to-save"
        path.write_bytes(content)
        driver.save(path, self.artifact(key))

    @pytest.mark.parametrize("content", [b"", b"one\n", LARGE], ids=["empty", "small", "large"])
    def test_a_file_comes_back(self, driver: ArtifactDriver, tmp_path: Path, content: bytes) -> None:
        self.save_bytes(driver, "a/file.bin", content, tmp_path)
        into = tmp_path / "new" / "folder" / "file"
        driver.load(self.artifact("a/file.bin"), into)
        assert into.read_bytes() == content
        assert [path.name for path in into.parent.iterdir()] == ["file"]

    @pytest.mark.parametrize("key", ["plain", "with space & more", "ünïcode", "per%20cent", "a+b=c,d;e@f"])
    def test_names(self, driver: ArtifactDriver, tmp_path: Path, key: str) -> None:
        self.save_bytes(driver, key, key.encode(), tmp_path)
        self.save_bytes(driver, key + "2", b"another", tmp_path)
        driver.load(self.artifact(key), tmp_path / "into")
        assert (tmp_path / "into").read_bytes() == key.encode()

    def test_the_last_one_counts(self, driver: ArtifactDriver, tmp_path: Path) -> None:
        for content in (b"a longer first one", b"second"):
            self.save_bytes(driver, "file", content, tmp_path)
        driver.load(self.artifact("file"), tmp_path / "into")
        assert (tmp_path / "into").read_bytes() == b"second"

    def test_what_is_not_there(self, driver: ArtifactDriver, tmp_path: Path) -> None:
        into = tmp_path / "new" / "into"
        with pytest.raises(ArtifactMissingError, match="nowhere"):
            driver.load(self.artifact("nowhere"), into)
        assert list(into.parent.iterdir()) == []

    def test_nothing_to_save(self, driver: ArtifactDriver, tmp_path: Path) -> None:
        with pytest.raises(ArtifactError, match="no-such-file"):
            driver.save(tmp_path / "no-such-file", self.artifact("file"))

    def test_a_missing_secret_is_named(self, driver: ArtifactDriver, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match=r"the key '.+' of the Secret '.+'"):
            type(driver)(no_secrets).load(self.artifact("file"), tmp_path / "into")


class FolderDriverContract(ArtifactDriverContract):
    """The suite for files and folders that can be listed and deleted."""

    def test_a_folder_comes_back(self, driver: ArtifactDriver, tmp_path: Path) -> None:
        files = {f"sub {number}/{name}": name.encode() for number in range(4) for name in ("a", "b", "c.txt")}
        files |= {"top": LARGE[:100_000], "sub 0/empty": b"", "sub 0/deep/er/ünï": b"x"}
        driver.save(write_tree(tmp_path / "mine", files), self.artifact("tree"))
        driver.load(self.artifact("tree"), tmp_path / "into" / "here")
        assert read_tree(tmp_path / "into" / "here") == files
        assert driver.list_keys(self.artifact("tree")) == sorted(self.keys(*(f"tree/{name}" for name in files)))

    def keys(self, *keys: str) -> list[str]:
        """How the driver lists keys of artifacts."""
        return list(keys)

    def test_a_slash_at_the_end_means_a_folder(self, driver: ArtifactDriver, tmp_path: Path) -> None:
        driver.save(write_tree(tmp_path / "mine", {"a": b"x", "b/c": b"y"}), self.artifact("tree/"))
        driver.load(self.artifact("tree/"), tmp_path / "into")
        assert read_tree(tmp_path / "into") == {"a": b"x", "b/c": b"y"}
        self.save_bytes(driver, "file", b"x", tmp_path)
        with pytest.raises(ArtifactMissingError, match="file/"):
            driver.load(self.artifact("file/"), tmp_path / "other")

    def test_neighbours_are_no_part(self, driver: ArtifactDriver, tmp_path: Path) -> None:
        for key in ("tree/a", "tree2/a", "tree.txt", "other"):
            self.save_bytes(driver, key, key.encode(), tmp_path)
        driver.load(self.artifact("tree"), tmp_path / "into")
        assert read_tree(tmp_path / "into") == {"a": b"tree/a"}
        assert driver.list_keys(self.artifact("tree")) == self.keys("tree/a")
        driver.delete(self.artifact("tree"))
        for key in ("tree2/a", "tree.txt", "other"):
            assert driver.list_keys(self.artifact(key)) == self.keys(key)

    def test_links_are_left_out(self, driver: ArtifactDriver, tmp_path: Path) -> None:
        (tmp_path / "secret").write_bytes(b"of this machine")
        mine = write_tree(tmp_path / "mine", {"a": b"x"})
        (mine / "link").symlink_to(tmp_path / "secret")
        (mine / "folder").symlink_to(tmp_path)
        driver.save(mine, self.artifact("tree"))
        assert driver.list_keys(self.artifact("tree")) == self.keys("tree/a")

    def test_lists_a_file(self, driver: ArtifactDriver, tmp_path: Path) -> None:
        self.save_bytes(driver, "a/file", b"", tmp_path)
        assert driver.list_keys(self.artifact("a/file")) == self.keys("a/file")
        with pytest.raises(ArtifactMissingError, match="nowhere"):
            driver.list_keys(self.artifact("nowhere"))

    def test_is_folder(self, driver: ArtifactDriver, tmp_path: Path) -> None:
        self.save_bytes(driver, "a/file", b"x", tmp_path)
        assert driver.is_folder(self.artifact("a"))
        assert not driver.is_folder(self.artifact("a/file"))
        assert not driver.is_folder(self.artifact("a/fil"))
        assert not driver.is_folder(self.artifact("nowhere"))

    def test_delete_a_file(self, driver: ArtifactDriver, tmp_path: Path) -> None:
        for key in ("a/file", "a/other"):
            self.save_bytes(driver, key, b"x", tmp_path)
        for _ in range(2):
            driver.delete(self.artifact("a/file"))
            assert driver.list_keys(self.artifact("a")) == self.keys("a/other")

    @pytest.mark.parametrize("end", ["", "/"])
    def test_delete_a_folder(self, driver: ArtifactDriver, tmp_path: Path, end: str) -> None:
        driver.save(write_tree(tmp_path / "mine", {"a": b"x", "b/c": b"y", "b/d": b"z"}), self.artifact("tree"))
        for _ in range(2):
            driver.delete(self.artifact("tree" + end))
            with pytest.raises(ArtifactMissingError):
                driver.list_keys(self.artifact("tree"))

    @pytest.mark.parametrize("key", ["../up", "a/../../up", "a/./b", ".."])
    def test_keys_lead_nowhere_else(self, driver: ArtifactDriver, tmp_path: Path, key: str) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"x")
        for do in (
            lambda: driver.load(self.artifact(key), tmp_path / "into"),
            lambda: driver.save(path, self.artifact(key)),
            lambda: driver.delete(self.artifact(key)),
            lambda: driver.list_keys(self.artifact(key)),
        ):
            with pytest.raises(SpecError, match=r"'\.\.'"):
                do()
