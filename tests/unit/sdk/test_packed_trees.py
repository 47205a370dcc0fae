"""Trees of files as tars."""

from __future__ import annotations

import contextlib
import io
import tarfile

import pytest

from tiphys.errors import UsageError
from tiphys.sdk.packed_trees import CHUNK, PackedTree, only_file, unpack


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def packed(folder):
    return io.BytesIO(b"".join(PackedTree(folder)))


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "made"
    (made / "below").mkdir(parents=True)
    (made / "empty").write_bytes(b"")
    (made / "below" / "block").write_bytes(bytes(512))
    (made / "below" / "ü ñ.txt").write_bytes(b"text")
    (made / "large").write_bytes(bytes(range(256)) * (CHUNK // 256 + 3))
    (made / ("long" * 50)).write_bytes(b"1")
    return made


def test_a_tree_comes_back(folder, tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    unpack(packed(folder), target)
    assert contents(target) == contents(folder)


def test_it_may_be_gone_through_again(folder):
    tree = PackedTree(folder)
    assert b"".join(tree) == b"".join(tree)


@pytest.mark.parametrize("size", [0, 100, 700, 5000])
def test_what_is_cut_off_is_refused(folder, tmp_path, size):
    target = tmp_path / "target"
    target.mkdir()
    whole = packed(folder).getvalue()
    with pytest.raises(UsageError):
        unpack(io.BytesIO(whole[:size]), target)


@pytest.mark.parametrize("name", ["../out", "/absolute", "a/../../out"])
def test_nothing_is_written_elsewhere(tmp_path, name):
    target = tmp_path / "target"
    target.mkdir()
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = 1
        archive.addfile(entry, io.BytesIO(b"1"))
    file.seek(0)
    with contextlib.suppress(UsageError):
        unpack(file, target)
    assert [path for path in tmp_path.rglob("*") if not path.is_relative_to(target)] == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_only_files(tmp_path, kind):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo("thing")
        entry.type, entry.linkname = kind, "/etc/hostname"
        archive.addfile(entry)
    file.seek(0)
    with pytest.raises(UsageError):
        unpack(file, tmp_path)
    assert list(tmp_path.iterdir()) == []


def header(kind, size):
    entry = tarfile.TarInfo("header")
    entry.type, entry.size = kind, size
    return entry.tobuf(tarfile.GNU_FORMAT)


class Endless(io.RawIOBase):
    """A header, and then as many bytes as it says, which somebody would have to hold in memory."""

    def __init__(self, start):
        self.start, self.at, self.most = start, 0, 0

    def read(self, size=-1):
        self.most = max(self.most, size)
        assert size <= CHUNK, "all of it is read at once"
        found = self.start[self.at : self.at + size]
        self.at += size
        return found.ljust(size, b"\0")

    def seek(self, at, whence=0):
        self.at = at
        return at

    def tell(self):
        return self.at


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
@pytest.mark.parametrize("read", [unpack, lambda file, _folder: only_file(file)])
def test_a_header_is_not_read_as_long_as_it_says(tmp_path, kind, read):
    file = Endless(header(kind, 8 << 30))
    with contextlib.suppress(UsageError):
        read(file, tmp_path)
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_headers_of_headers_without_end_are_refused(tmp_path, kind):
    body = b"8 a=bcd\n" if kind != tarfile.GNUTYPE_LONGNAME else b"name\0"
    one = header(kind, len(body)) + body.ljust(512, b"\0")
    with pytest.raises(UsageError):
        unpack(io.BytesIO(one * 20_000), tmp_path)
    assert only_file(io.BytesIO(one * 20_000)) is None


def test_entries_that_were_read_are_not_held(tmp_path, monkeypatch):
    held = []
    extract = tarfile.TarFile.extract

    def watched(self, *arguments, **named):
        held.append(len(self.members))
        extract(self, *arguments, **named)

    monkeypatch.setattr(tarfile.TarFile, "extract", watched)
    for number in range(50):
        (tmp_path / f"{number}").touch()
    target = tmp_path / "target"
    target.mkdir()
    unpack(packed(tmp_path), target)
    assert len(held) == 50
    assert max(held) <= 1
