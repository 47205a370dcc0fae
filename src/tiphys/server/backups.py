"""Everything that a server keeps as one file, and back.

A backup is a plain tar file: the database, what it refers to if that is asked for, and at its end a manifest with the
digest of each member. The database is written first, so that what it refers to is there when that is read.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tiphys._util.times import rfc3339, utc_now
from tiphys._version import __version__
from tiphys.db.dumps import dumps_of
from tiphys.db.schema import HEAD
from tiphys.errors import ConflictError, UsageError

_FORMAT = 1
_MANIFEST, _DATABASE = "manifest.json", "database"
#: Folders of the home that the database refers to.
FOLDERS = ("artifacts", "repository", "volumes", "workflow-logs")
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """What a backup holds."""

    #: Of Tiphys, and of the database's schema.
    version: str
    schema: str
    created_at: str
    #: "sqlite" or "postgresql".
    kind: str
    #: Table → rows.
    rows: dict[str, int]
    #: Member → SHA-256.
    digests: dict[str, str] = field(default_factory=dict)

    @property
    def files(self) -> list[str]:
        """Members beside the database: paths below the home."""
        return [name for name in self.digests if name != _DATABASE]


def back_up(home: Path, db_url: str, target: Path, *, artifacts: bool) -> Backup:
    """Write a backup while others work.

    Args:
        home: The home.
        db_url: Its database.
        target: The file to be written; there must be none yet.
        artifacts: Whether it has artifacts, volumes and logs, too.

    Raises:
        UsageError: the target exists.
        StoreError: the database cannot be read.
        ConflictError: what was written is not what is read again.
    """
    if target.exists():
        raise UsageError(f"'{target}' exists already.", hint="Name a file that does not.")
    if not target.parent.is_dir():
        raise UsageError(f"There is no folder '{target.parent}'.")
    with tempfile.TemporaryDirectory(prefix="tiphys-backup-", dir=target.parent) as folder:
        dump, packed = Path(folder, _DATABASE), Path(folder, "packed.tar")
        dumps = dumps_of(db_url)
        rows = dumps.write(dump)
        digests: dict[str, str] = {}
        # Secrets stand in the database.
        with os.fdopen(os.open(packed, os.O_RDWR | os.O_CREAT, 0o600), "wb") as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
                digests[_DATABASE] = _add(archive, dump, _DATABASE)
                dump.unlink()
                for path in _files(home) if artifacts else ():
                    name = path.relative_to(home).as_posix()
                    # Whoever cleans up meanwhile may be quicker.
                    with suppress(FileNotFoundError):
                        digests[name] = _add(archive, path, name)
                backup = Backup(
                    version=__version__,
                    schema=HEAD,
                    created_at=rfc3339(utc_now()),
                    kind=dumps.kind,
                    rows=rows,
                    digests=digests,
                )
                _add_manifest(archive, backup, Path(folder))
            file.flush()
            os.fsync(file.fileno())
        for _ in verified(packed):
            pass
        packed.replace(target)
    return backup


def read(source: Path) -> Backup:
    """What a backup says that it holds.

    Raises:
        UsageError: it is no backup, or one of a later form.
    """
    with _archive(source) as archive:
        return _manifest(archive, source)


def restore(home: Path, db_url: str, source: Path, *, force: bool) -> Backup:
    """Make a home and its database what a backup holds; all of it is verified before anything changes.

    Raises:
        UsageError: it is no backup, or one of another kind of database.
        ConflictError: the target is not empty, or in use, or the backup is damaged.
        StoreError: the database cannot be put back.
    """
    backup, dumps = read(source), dumps_of(db_url)
    if dumps.kind != backup.kind:
        raise UsageError(
            f"The backup is of a database of the kind {backup.kind}, and the target is {dumps.kind}.",
            hint="Set TIPHYS_DB_URL to a database of the same kind.",
        )
    there = dumps.counts()
    if there and not force:
        told = ", ".join(f"{count} {name}" for name, count in there.items())
        raise ConflictError(
            f"The database is not empty: it has {told}.", hint="To lose what it has: tiphys restore --force FILE"
        )
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="restoring-", dir=home) as folder:
        for name, content in verified(source):
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                shutil.copyfileobj(content, file, _BLOCK)
        # Files first: what nothing refers to does no harm, what is missing does.
        for name in backup.files:
            target = home / name
            target.parent.mkdir(parents=True, exist_ok=True)
            Path(folder, name).replace(target)
        dumps.replace(Path(folder, _DATABASE))
    return backup


def verified(source: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The members of a backup, each once its digest is what the manifest says.

    Raises:
        ConflictError: one is missing, is another one, or leads out of the home.
    """
    with _archive(source) as archive:
        backup = _manifest(archive, source)
        for name, digest in backup.digests.items():
            if name != _DATABASE and (name.split("/")[0] not in FOLDERS or ".." in name.split("/")):
                raise ConflictError(f"'{source}' names '{name}', which is no place of a home.")
            try:
                member = archive.extractfile(name)
            except (KeyError, tarfile.TarError) as error:
                raise ConflictError(f"'{source}' is damaged: '{name}' is missing.") from error
            if member is None or _digest_of(member) != digest:
                raise ConflictError(f"'{source}' is damaged: '{name}' is not what was written.")
            member.seek(0)
            yield name, member


def _digest_of(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def _files(home: Path) -> Iterator[Path]:
    """Files below the folders."""
    for folder in FOLDERS:
        for path in sorted((home / folder).rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield path


def _add(archive: tarfile.TarFile, path: Path, name: str) -> str:
    """Add a file as long as it is now (logs grow), and give its digest."""
    with path.open("rb") as file:
        info = archive.gettarinfo(arcname=name, fileobj=file)
        counted = _Digesting(file)
        archive.addfile(info, counted)
    return counted.digest.hexdigest()


class _Digesting:
    """Digests what is read of a file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        self.digest.update(content)
        return content


def _add_manifest(archive: tarfile.TarFile, backup: Backup, folder: Path) -> None:
    path = folder / _MANIFEST
    told = {
        "format": _FORMAT,
        "version": backup.version,
        "schema": backup.schema,
        "created_at": backup.created_at,
        "kind": backup.kind,
        "rows": backup.rows,
        "digests": backup.digests,
    }
    path.write_text(json.dumps(told, indent=1))
    archive.add(path, arcname=_MANIFEST)


@contextmanager
def _archive(source: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(source, "r:") as archive:
            yield archive
    except (tarfile.TarError, OSError) as error:
        raise UsageError(f"'{source}' is no backup: {error}.") from error


def _manifest(archive: tarfile.TarFile, source: Path) -> Backup:
    try:
        file = archive.extractfile(_MANIFEST)
        told: dict[str, Any] = json.load(file) if file is not None else {}
    except (KeyError, ValueError) as error:
        raise UsageError(f"'{source}' is no backup: it has no {_MANIFEST}, or not all of it.") from error
    if told.get("format") != _FORMAT:
        raise UsageError(
            f"The backup '{source}' has the form {told.get('format')}; this Tiphys reads {_FORMAT}.",
            hint=f"It was written by Tiphys {told.get('version')}.",
        )
    del told["format"]
    return Backup(**told)
