from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tiphys.errors import StackError
from tiphys.integrations.docker import engine
from tiphys.integrations.docker.engine import ContainerEngine, EngineSettings, State


@pytest.mark.parametrize(
    ("text", "epoch"),
    [
        ("1970-01-01T00:00:01Z", 1.0),
        ("1970-01-01T01:00:01.5+01:00", 1.5),
        ("1970-01-01T00:00:01.123456789Z", 1.123456),
        ("0001-01-01T00:00:00Z", 0.0),
        ("", 0.0),
        (None, 0.0),
    ],
)
def test_times_of_go(text: str | None, epoch: float) -> None:
    assert engine._epoch(text) == pytest.approx(epoch)


@pytest.mark.parametrize(("status", "runs"), [("running", True), ("paused", True), ("exited", False), ("dead", False)])
def test_states(status: str, runs: bool) -> None:
    assert State(status, 0, 0.0, 0.0, "").runs is runs


def archive(*members: tuple[str, bytes, str]) -> tarfile.TarFile:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as made:
        for name, kind, target in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.uid, member.mode = kind, target, 12345, 0
            made.addfile(member)
    file.seek(0)
    return tarfile.open(fileobj=file)


def test_only_files_folders_and_links_are_unpacked_and_can_be_read(tmp_path: Path) -> None:
    members = [("d", tarfile.DIRTYPE, ""), ("d/f", tarfile.REGTYPE, ""), ("d/l", tarfile.SYMTYPE, "/etc/passwd")]
    devices = [("d/dev", tarfile.CHRTYPE, ""), ("d/pipe", tarfile.FIFOTYPE, "")]
    with archive(*members, *devices) as found:
        found.extractall(tmp_path, filter=engine._plain)
    assert sorted(each.name for each in (tmp_path / "d").iterdir()) == ["f", "l"]
    assert (tmp_path / "d" / "f").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "d" / "f").stat().st_uid == tmp_path.stat().st_uid
    assert (tmp_path / "d" / "l").is_symlink()


@pytest.mark.parametrize(
    "members",
    [[("../x", tarfile.REGTYPE, "")], [("l", tarfile.SYMTYPE, "/tmp"), ("l/x", tarfile.REGTYPE, "")]],
)
def test_nothing_is_unpacked_elsewhere(tmp_path: Path, members: list[tuple[str, bytes, str]]) -> None:
    with archive(*members) as found, pytest.raises(tarfile.OutsideDestinationError):
        found.extractall(tmp_path, filter=engine._plain)


def test_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(StackError, match=r"No container engine answers \(.*none.sock.*\n.*podman system service"):
        ContainerEngine(EngineSettings())


def test_an_engine_elsewhere() -> None:
    with pytest.raises(StackError, match="not on a socket of this machine"):
        ContainerEngine(EngineSettings(host="tcp://127.0.0.1:1"))
