"""Brings an artifact from a server to a place on this machine."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from email.message import Message
from pathlib import Path

import httpx2

from tiphys.client.connection import Connection, error_in
from tiphys.client.streams import await_server
from tiphys.errors import ArtifactError


def download(connection: Connection, path: str, target: Path, *, packed: str) -> None:
    """Write what is at `path` to `target`: as a file, or if the server calls it `packed`, as what that archive holds.

    Raises:
        NotFoundError: there is no such artifact.
        ArtifactMissingError: its data is not there any more.
        ArtifactError: the archive cannot be unpacked.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".tiphys-") as folder:
        file = Path(folder, "download")
        while (name := _fetch(connection, path, file)) is None:
            await_server(connection)
        if name == packed:
            file = _unpacked(file, Path(folder, "unpacked"))
        if file.is_dir():
            shutil.copytree(file, target, dirs_exist_ok=True, symlinks=True)
        else:
            file.replace(target)


def _fetch(connection: Connection, path: str, file: Path) -> str | None:
    """The name that the server gives it; None if the server went away."""
    try:
        with connection.stream("GET", path) as answer:
            if not answer.is_success:
                answer.read()
                raise error_in(answer)
            with file.open("wb") as opened:
                for part in answer.iter_bytes():
                    opened.write(part)
            header = Message()
            header["Content-Disposition"] = answer.headers.get("content-disposition", "")
            return header.get_filename() or ""
    except httpx2.TransportError:
        return None


def _unpacked(file: Path, folder: Path) -> Path:
    """What an archive holds: the one file or folder in it."""
    try:
        with tarfile.open(file, "r:gz") as archive:
            archive.extractall(folder, filter="data")
    except (tarfile.TarError, OSError) as error:
        raise ArtifactError(f"The artifact cannot be unpacked: {error}.") from error
    inner = list(folder.iterdir())
    return inner[0] if len(inner) == 1 else folder
