"""What all drivers of artifacts share: how they are chosen, how secrets are asked for, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.errors import ArtifactError, NotFoundError, SpecError
from tiphys.integrations.local.raw_driver import RawDriver
from tiphys.plugins.artifact_drivers import DRIVERS, ArtifactDrivers, driver_of
from tiphys.plugins.loading import load
from tiphys.ports.artifact_driver import ArtifactDriver, Located, arriving, files_of, is_plain
from tiphys.ports.object_driver import ObjectDriver, Place
from tiphys.spec.artifacts import Artifact, ArtifactLocation
from tiphys.spec.kubernetes import SecretKeySelector
from tiphys.testing.artifact_driver_contract import no_secrets, read_tree, secrets_of, write_tree


def test_each_location_has_a_driver() -> None:
    assert set(DRIVERS) == set(ArtifactLocation.model_fields) - {"archive_logs", "plugin"}
    for name, path in DRIVERS.items():
        assert issubclass(load(path), ArtifactDriver)
        assert load(path).location == name


@pytest.mark.parametrize("name", sorted(DRIVERS))
def test_a_driver_is_chosen_by_the_location(name: str) -> None:
    assert driver_of(Artifact.from_json({"name": "mine", name: {}}), no_secrets).location == name


@pytest.mark.parametrize(
    ("locations", "told"),
    [
        ({}, "'mine' names no location"),
        ({"raw": {}, "s3": {}}, r"'mine' names several locations \(raw, s3\)"),
        ({"plugin": {"name": "x"}}, "type 'plugin', for which there is no driver"),
    ],
)
def test_without_one_location_there_is_no_driver(locations: dict[str, Any], told: str) -> None:
    with pytest.raises(SpecError, match=told):
        driver_of(Artifact.from_json({"name": "mine", **locations}), no_secrets)


def test_another_location_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="The artifact has no location of type 'raw'"):
        RawDriver(no_secrets).load(Artifact.from_json({"s3": {}}), tmp_path / "into")


@pytest.mark.parametrize(
    ("location", "module", "extra"),
    [("s3", "obstore", "s3"), ("oss", "boto3", "s3"), ("azure", "obstore", "azure"), ("hdfs", "httpx2", "http")],
)
def test_a_missing_library_names_the_extra(location: str, module: str, extra: str) -> None:
    script = (
        "import sys\n"
        f"sys.modules[{module!r}] = None\n"
        "from tiphys.errors import MissingExtraError\n"
        "from tiphys.plugins.artifact_drivers import driver_of\n"
        "from tiphys.spec.artifacts import Artifact\n"
        "try:\n"
        f"    driver_of(Artifact.from_json({{{location!r}: {{}}}}), lambda selector: None)\n"
        "except MissingExtraError as error:\n"
        "    print(error.hint)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"pip install 'tiphys[{extra}]'"


@pytest.mark.parametrize("data", ["", "one\r\ntwo ünï", None])
def test_raw(tmp_path: Path, data: str | None) -> None:
    into = tmp_path / "new" / "into"
    RawDriver(no_secrets).load(Artifact.from_json({"raw": {"data": data}}), into)
    assert into.read_bytes() == (data or "").encode()
    with pytest.raises(SpecError, match="a location of type 'raw' cannot be saved to"):
        RawDriver(no_secrets).save(into, Artifact.from_json({"raw": {}}))


def test_artifacts_as_json(tmp_path: Path) -> None:
    drivers = ArtifactDrivers(no_secrets, tmp_path / "repository")
    drivers.fetch({"name": "mine", "path": "/a", "raw": {"data": "x"}}, tmp_path / "into")
    assert (tmp_path / "into").read_text() == "x"
    with pytest.raises(SpecError, match="'mine': a location of type 'raw' cannot be saved to"):
        drivers.save(tmp_path / "into", {"name": "mine", "raw": {}})


def test_secrets() -> None:
    driver = RawDriver(secrets_of({"a": {"b": "value", "empty": ""}}))
    artifact = Artifact(name="mine")
    assert driver.secret(artifact, "field", None) is None
    assert driver.secret(artifact, "field", SecretKeySelector()) is None
    assert driver.secret(artifact, "field", SecretKeySelector(name="a", key="b")) == "value"
    assert driver.secret(artifact, "field", SecretKeySelector(name="a", key="c", optional=True)) is None
    with pytest.raises(NotFoundError, match=r"'mine': raw\.field names the key 'c' of the Secret 'a'.*\n.*Create"):
        driver.secret(artifact, "field", SecretKeySelector(name="a", key="c"))
    for selector in (None, SecretKeySelector(name="a", key="empty")):
        with pytest.raises(SpecError, match=r"'mine': raw\.field is missing"):
            driver.required_secret(artifact, "field", selector)


@pytest.mark.parametrize("folder", [False, True])
def test_what_does_not_arrive_whole_is_not_there(tmp_path: Path, folder: bool) -> None:
    into = tmp_path / "into"

    def fail() -> None:
        with arriving(into) as staged:
            write_tree(staged, {"a": b"x"}) if folder else staged.write_bytes(b"x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []
    with arriving(into) as staged:
        write_tree(staged, {"a": b"x"}) if folder else staged.write_bytes(b"x")
        assert not into.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["into"]


def test_files_of_a_folder(tmp_path: Path) -> None:
    folder = write_tree(tmp_path / "folder", {"b": b"", "a/c": b"", "a.b": b""})
    (folder / "empty").mkdir()
    (folder / "link").symlink_to(folder / "b")
    (folder / "out").symlink_to(tmp_path)
    assert files_of(folder) == ["a.b", "a/c", "b"]


@given(st.lists(st.sampled_from(["a", "b c", "..", ".", "", "...", ".a"]), min_size=1, max_size=5))
def test_a_plain_name_stays_where_it_is(parts: list[str]) -> None:
    name = "/".join(parts)
    inside = Path("/base", *parts) if name and not name.startswith("/") else None
    if is_plain(name):
        assert inside is not None
        assert ".." not in inside.parts
        assert inside.relative_to("/base").as_posix() == name
    else:
        assert {"..", ".", ""} & set(parts)


class Bucket:
    """Objects in memory, with any names."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def get(self, path: str, /) -> Any:
        if path not in self.files:
            raise FileNotFoundError(path)
        return self

    def stream(self) -> Iterator[bytes]:
        yield b"x"

    def head(self, path: str, /) -> Any:
        return self.get(path)

    def put(self, path: str, file: Path, /, *, chunk_size: int) -> Any:
        self.files[path] = b"x"

    def list(self, prefix: str | None, /, *, chunk_size: int) -> Any:
        yield [{"path": path, "size": len(content)} for path, content in self.files.items()]

    def delete(self, paths: Sequence[str], /) -> Any:
        for path in paths:
            del self.files[path]


class Driver(ObjectDriver):
    location: ClassVar[str] = "s3"
    failures: ClassVar[tuple[type[Exception], ...]] = ()

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(no_secrets)
        self.files = files

    def place(self, artifact: Located) -> Place:
        return Place(Bucket(self.files), "tree", "s3://bucket/tree")


@pytest.mark.parametrize("name", ["../up", "a/../../up", "/etc/passwd", "a//b", "."])
def test_objects_whose_names_lead_out_of_a_folder_are_refused(tmp_path: Path, name: str) -> None:
    driver = Driver({"tree/good": b"x", f"tree/{name}": b"x"})
    with pytest.raises(ArtifactError, match="lead out of the folder"):
        driver.load(Artifact(name="mine"), tmp_path / "sub" / "into")
    assert [path.name for path in tmp_path.rglob("*")] == ["sub"]


def test_a_forked_child_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver({"tree/a": b"x"})
    monkeypatch.setattr("tiphys.ports.object_driver._opened_by", set())
    assert driver.is_folder(Artifact(name="mine"))
    monkeypatch.setattr("os.getpid", lambda: 1)
    with pytest.raises(ArtifactError, match="the process that this one was forked from has used object stores"):
        driver.load(Artifact(name="mine"), tmp_path / "into")


def test_an_object_that_is_also_a_folder(tmp_path: Path) -> None:
    """As a folder it cannot be laid out: a name of a file is one of a folder too."""
    driver = Driver({"tree/a": b"x", "tree/a/b": b"x"})
    with pytest.raises(ArtifactError, match="'a' is both"):
        driver.load(Artifact(name="mine"), tmp_path / "into")
    driver.files["tree/a"] = b""
    driver.load(Artifact(name="mine"), tmp_path / "into")
    assert read_tree(tmp_path / "into") == {"a/b": b"x"}
