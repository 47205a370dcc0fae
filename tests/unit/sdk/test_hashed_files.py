"""Hashes that are computed while a file is written, and remembered while it is unchanged."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tiphys.sdk.hashed_files import copy_hashed, create_hashed, file_sha256, known_sha256

LARGE = os.urandom(6 * 1024 * 1024)


@pytest.mark.parametrize("pieces", [[b""], [b"a", b"bc"], [LARGE], [b"x", LARGE, b"y" * 300_000, LARGE[:700_000]]])
def test_what_is_written_is_hashed(tmp_path: Path, pieces: list[bytes]) -> None:
    path = tmp_path / "file"
    with create_hashed(path) as file:
        for piece in pieces:
            file.write(memoryview(piece))
    content = b"".join(pieces)
    assert path.read_bytes() == content
    assert not path.stat().st_mode & 0o222
    assert file_sha256(path) == hashlib.sha256(content).hexdigest()
    if len(content) > 1_000_000:
        assert known_sha256(path.stat()) == file_sha256(path)


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(FileExistsError):
        create_hashed(tmp_path / "file")


def test_a_changed_file_is_hashed_anew(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(LARGE)
    file_sha256(path)
    before = path.stat()
    with path.open("r+b") as file:
        file.write(b"other")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file_sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_copy_is_hashed_and_stays_executable(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(LARGE)
    source.chmod(0o755)
    copy_hashed(source, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == LARGE
    assert os.access(tmp_path / "copy", os.X_OK)
    assert file_sha256(tmp_path / "copy") == hashlib.sha256(LARGE).hexdigest()
