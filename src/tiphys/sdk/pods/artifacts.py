"""Artifacts on their way into a pod and out of it: fetched, unpacked, put in place; packed and stored."""

# Every task pays for the calls made here, and pathlib costs several times what the system call does.
# ruff: noqa: PTH101, PTH118, PTH119

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tiphys.errors import ArtifactMissingError, SpecError
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.ports.runner import Task
from tiphys.sdk.pods.archives import archive_of, is_tarball, pack_tar, pack_zip, unpack
from tiphys.sdk.pods.objects import ArtifactDrivers

#: Keys of an artifact that say where its files are, beside `raw` and our own `digest`.
LOCATIONS = ("s3", "gcs", "azure", "oss", "hdfs", "git", "http", "artifactory", "plugin")


def has_location(artifact: Mapping[str, Any]) -> bool:
    """Whether an artifact says where its files are."""
    return "digest" in artifact or artifact.get("raw") is not None or location_of(artifact) is not None


def location_of(artifact: Mapping[str, Any]) -> str | None:
    """The key of an artifact's location in another place, if it has one."""
    return next((key for key in LOCATIONS if artifact.get(key)), None)


def place_inputs(
    task: Task,
    target_of: Callable[[Mapping[str, Any]], Path | None],
    store: ArtifactStore,
    drivers: ArtifactDrivers,
) -> None:
    """Put a task's input artifacts in place.

    Args:
        task: The task.
        target_of: The file or folder to be made of a declared artifact, or None if none is wanted.
        store: Where artifacts are that have a digest.
        drivers: For artifacts in other places.

    Raises:
        TiphysError: one is missing, or cannot be loaded.
    """
    for declared in (task.body.get("inputs") or {}).get("artifacts") or ():
        name, optional = declared.get("name"), declared.get("optional")
        value = task.inputs.artifacts.get(name) or (declared if has_location(declared) else None)
        if value is None:
            if optional:
                continue
            raise SpecError(f"The required input artifact '{name}' of '{task.name}' was not supplied.")
        if isinstance(value, list):
            raise SpecError(f"The input artifact '{name}' of '{task.name}' is a list: a loop's outputs.")
        target = target_of(declared)
        if target is None:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            fetch(declared, value, target, store, drivers)
        except ArtifactMissingError:
            if not optional:
                raise


def fetch(
    declared: Mapping[str, Any],
    value: Mapping[str, Any],
    target: Path,
    store: ArtifactStore,
    drivers: ArtifactDrivers,
) -> None:
    """Make the artifact's files `target`, unpacked as its declaration says.

    Args:
        declared: As in the template's inputs.
        value: The artifact that was supplied.
        target: File or folder to be made; its folder exists.
        store: Where artifacts are that have a digest.
        drivers: For artifacts in other places.

    Raises:
        ArtifactMissingError: there is no such artifact.
        TiphysError: it cannot be loaded, or it cannot take the place of what is there.
    """
    wanted, below = archive_of(declared), declared.get("subPath") or value.get("subPath")
    with tempfile.TemporaryDirectory(prefix=".artifact-", dir=target.parent) as scratch:
        loaded = Path(scratch, "loaded")
        packed = True
        if "digest" in value:
            kept = archive_of(value) or "tar"
            _load(value, loaded, store, below)
            if "form" not in value or wanted == kept or (wanted is None and kept == "tar"):
                packed = False
            elif kept != "none":
                loaded = _as_stored(loaded, Path(scratch, "packed"), kept, value)
        elif value.get("raw") is not None:
            loaded.write_text(value["raw"].get("data") or "")
        else:
            drivers.fetch({**value, **({"subPath": below} if below else {})}, loaded)
        if packed and wanted in ("tar", "zip"):
            unpack(loaded, Path(scratch, "unpacked"), wanted)
            loaded = Path(scratch, "unpacked")
        elif packed and wanted is None and is_tarball(loaded):
            unpack(loaded, Path(scratch, "unpacked"), "tar")
            loaded = Path(scratch, "unpacked")
        _put(loaded, target)
    if declared.get("mode") is not None:
        _change_mode(target, int(declared["mode"]), recurse=bool(declared.get("recurseMode")))


def _load(value: Mapping[str, Any], target: Path, store: ArtifactStore, below: str | None) -> None:
    """Copy an artifact of our own store."""
    with store.open_tree(value["digest"]) as tree:
        form = value.get("form")
        files = list(tree.iterdir()) if form != "folder" else []
        source = tree
        if form in ("file", "tar") or (form is None and len(files) == 1 and files[0].is_file()):
            source = files[0]
        if form == "tar":
            unpack(source, target, "tar")
        elif source.is_file():
            shutil.copy(source, target)
            _make_writable(target)
        else:
            shutil.copytree(source, target)
            for folder, _, names in os.walk(target):
                for path in (folder, *(f"{folder}/{name}" for name in names)):
                    _make_writable(Path(path))
    if below:
        part = Path(os.path.normpath(target / below))
        if not part.is_relative_to(target) or not part.exists():
            raise ArtifactMissingError(f"There is no '{below}' in the artifact '{value.get('name')}'.")
        moved = target.with_name("part")
        part.rename(moved)
        if target.exists():
            shutil.rmtree(target)
        moved.rename(target)


def _make_writable(path: Path) -> None:
    if not path.is_symlink():
        path.chmod(stat.S_IMODE(path.stat().st_mode) | stat.S_IWUSR)


def _as_stored(content: Path, target: Path, kind: str, value: Mapping[str, Any]) -> Path:
    """The archive that the artifact would be in another system's store."""
    name = os.path.basename(str(value.get("path") or "").rstrip("/")) or str(value.get("name"))
    if kind == "zip":
        pack_zip(content, target, name=name)
    else:
        pack_tar(content, target, name=name, level=-1)
    return target


def _put(source: Path, target: Path) -> None:
    """Move a file or folder to where it is wanted; a folder's content goes into one that is there (`/tmp`)."""
    if source.is_dir() and target.is_dir() and not target.is_symlink():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    elif target.is_dir() and not target.is_symlink():
        if any(target.iterdir()):
            raise SpecError(f"An input artifact that is a file cannot take the place of the folder '{target.name}'.")
        target.rmdir()
        source.rename(target)
    else:
        if target.is_symlink():
            target.unlink()
        source.replace(target)


def _change_mode(path: Path, mode: int, *, recurse: bool) -> None:
    path.chmod(mode)
    if recurse and path.is_dir():
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                below = Path(folder, name)
                if not below.is_symlink():
                    below.chmod(mode)


def save(
    source: Path, declared: Mapping[str, Any], store: ArtifactStore, drivers: ArtifactDrivers
) -> Mapping[str, Any]:
    """Store an output artifact; returns it with its place.

    Raises:
        TiphysError: it cannot be stored.
    """
    if location_of(declared) is not None:
        return _save_elsewhere(source, declared, drivers)
    with store.staging() as folder:
        form = "file" if source.is_file() else "folder" if _is_plain(source) else "tar"
        if form == "file":
            _take(source, folder / _base(declared))
        elif form == "tar":
            pack_tar(source, folder / f"{declared['name']}.tar", name=_base(declared), level=None)
        else:
            shutil.copytree(source, folder, dirs_exist_ok=True, copy_function=_take)
        stored = store.commit(folder)
    return {**declared, "digest": stored.digest, "size": stored.size, "form": form}


def _save_elsewhere(source: Path, declared: Mapping[str, Any], drivers: ArtifactDrivers) -> Mapping[str, Any]:
    """As Argo uploads: packed, unless it is told not to; a file or folder that is not keeps its name."""
    kind = archive_of(declared) or "tar"
    if kind == "none":
        return drivers.save(source, declared)
    with tempfile.TemporaryDirectory(prefix="tiphys-") as scratch:
        if kind == "zip":
            path = Path(scratch, f"{declared['name']}.zip")
            pack_zip(source, path, name=_base(declared))
        else:
            path = Path(scratch, f"{declared['name']}.tgz")
            level = ((declared.get("archive") or {}).get("tar") or {}).get("compressionLevel")
            pack_tar(source, path, name=_base(declared), level=-1 if level is None else int(level))
        return drivers.save(path, declared)


def _base(declared: Mapping[str, Any]) -> str:
    return os.path.basename(declared["path"].rstrip("/")) or str(declared["name"])


def _is_plain(folder: Path) -> bool:
    """Whether all below is files, in folders that are not empty: what the store keeps as it is."""
    for here, folders, files in os.walk(folder):
        if not folders and not files:
            return False
        for name in (*folders, *files):
            mode = os.lstat(os.path.join(here, name)).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                return False
    return True


def _take(source: str | Path, target: str | Path) -> None:
    """Have a file in another folder: a copy, as the original may be a volume's and change."""
    shutil.copy2(source, target)
    with contextlib.suppress(OSError):
        os.chmod(target, stat.S_IMODE(Path(target).stat().st_mode) | stat.S_IRUSR | stat.S_IWUSR)
