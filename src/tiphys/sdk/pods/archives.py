"""Packing and unpacking artifacts as Argo does (argo-workflows, util/archive and workflow/executor/executor.go)."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from tiphys.errors import ArtifactError

Archive = Literal["none", "tar", "zip"]
#: Bytes of the disk that unpacking does not take.
_LEFT_FREE = 256 * 1024 * 1024


def archive_of(artifact: Mapping[str, Any]) -> Archive | None:
    """The strategy that an artifact names, if it does."""
    given = artifact.get("archive") or {}
    kinds: tuple[Archive, ...] = ("none", "tar", "zip")
    return next((kind for kind in kinds if given.get(kind) is not None), None)


def pack_tar(source: Path, target: Path, *, name: str, level: int | None) -> None:
    """Pack a file or folder under `name`; `level` is gzip's (-1 for its default), or None for no gzip at all."""
    if level is None:
        with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as plain:
            plain.add(source, arcname=name)
        return
    # As in Go, -1 is the usual level; Python's zlib has 6 for it. Without a time and a name equal contents stay equal.
    with (
        target.open("wb") as file,
        gzip.GzipFile("", "wb", 6 if level < 0 else level, file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        archive.add(source, arcname=name)


def pack_zip(source: Path, target: Path, *, name: str) -> None:
    """Pack a file under `name`, or what is in a folder under `name/…`."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        if source.is_file():
            archive.write(source, name)
            return
        for folder, _, files in os.walk(source):
            below = Path(folder).relative_to(source)
            archive.write(folder, f"{name}/{below.as_posix()}" if below.parts else name)
            for each in files:
                archive.write(Path(folder, each), f"{name}/{(below / each).as_posix()}")


def is_tarball(path: Path) -> bool:
    """Whether it is a tar file under gzip: what Argo unpacks without being asked."""
    if not path.is_file():
        return False
    try:
        with tarfile.open(path, "r:gz") as archive:
            archive.next()
    except (tarfile.TarError, OSError, EOFError):
        return False
    return True


def unpack(source: Path, target: Path, kind: Archive) -> None:
    """Unpack to `target`: a single entry becomes `target` itself, several become a folder of that name.

    Raises:
        ArtifactError: it is no such archive, or something in it leads out of it.
    """
    folder = target.with_name(f"{target.name}.unpacked")
    folder.mkdir()
    try:
        if kind == "zip":
            _unzip(source, folder)
        else:
            with tarfile.open(source, "r:*") as archive:
                for entry in archive:
                    _expect_room(entry.size, folder)
                    archive.extract(entry, folder, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ArtifactError(f"'{source.name}' cannot be unpacked as {kind}: {error}") from error
    entries = list(folder.iterdir())
    if len(entries) == 1:
        entries[0].rename(target)
        folder.rmdir()
    else:
        folder.rename(target)


def _expect_room(size: int, folder: Path) -> None:
    """Refuse what would fill the disk: an archive of some kilobytes can say to be of any size."""
    if size > max(0, shutil.disk_usage(folder).free - _LEFT_FREE):
        raise OSError(errno.ENOSPC, f"it would need {size} bytes, which the disk has not")


def _unzip(source: Path, folder: Path) -> None:
    with zipfile.ZipFile(source) as archive:
        _expect_room(sum(entry.file_size for entry in archive.infolist()), folder)
        for entry in archive.infolist():
            if entry.filename.startswith("/") or ".." in entry.filename.split("/"):
                raise zipfile.BadZipFile(f"'{entry.filename}' leads out of it")
            path = Path(archive.extract(entry, folder))
            mode = entry.external_attr >> 16 & 0o777
            if mode and path.is_file():
                path.chmod(mode | 0o600)
