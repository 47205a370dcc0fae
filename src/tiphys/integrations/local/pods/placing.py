"""Files that a pod finds when it starts: its volumes, its script, its input artifacts."""

# Every task pays for the calls made here, and pathlib costs several times what the system call does.
# ruff: noqa: PTH103, PTH110, PTH119, PTH120

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tiphys.errors import ArtifactMissingError, SpecError
from tiphys.integrations.local.pods.archives import archive_of, is_tarball, pack_tar, pack_zip, unpack
from tiphys.integrations.local.pods.objects import ArtifactDrivers
from tiphys.integrations.local.pods.plan import Plan, views_in
from tiphys.integrations.local.pods.view import View, make_root, replace_folder
from tiphys.integrations.local.pods.volumes import write_files
from tiphys.ports.artifact_store import ArtifactStore

#: Keys of an artifact that say where its files are, beside `raw` and our own `digest`.
LOCATIONS = ("s3", "gcs", "azure", "oss", "hdfs", "git", "http", "artifactory", "plugin")


def prepare(plan: Plan, base: str, store: ArtifactStore, drivers: ArtifactDrivers) -> None:
    """Write all that must be there into `base`, which will become the task's folder.

    Raises:
        TiphysError: an artifact is missing or cannot be loaded.
    """
    own = plan.folder.path
    os.makedirs(base)
    views = views_in(plan, base)
    for volume in plan.volumes.values():
        if volume.own:
            write_files(replace(volume, source=base + volume.source[len(own) :]))
    for _, container in plan.containers:
        view = views[container["name"]]
        if view.root is None:
            os.makedirs(view.work, exist_ok=True)
            continue
        make_root(view.root)
        for folder in plan.replaced.get(container["name"], ()):
            replace_folder(view.root, folder)
        for mount in view.mounts:
            if not os.path.exists(mount.source):  # a subPath is made where it is missing
                os.makedirs(mount.source, exist_ok=True)
        if container.get("workingDir"):
            os.makedirs(view.locate(container["workingDir"]), exist_ok=True)
    for name, path, text, mode in plan.files:
        target = Path(base + path[len(own) :] if path.startswith(f"{own}/") else views[name].locate(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)
    _place_artifacts(plan, views[plan.main], store, drivers)


def _place_artifacts(plan: Plan, view: View, store: ArtifactStore, drivers: ArtifactDrivers) -> None:
    for declared in (plan.task.body.get("inputs") or {}).get("artifacts") or ():
        name, path = declared.get("name"), declared.get("path")
        value = plan.task.inputs.artifacts.get(name) or (declared if has_location(declared) else None)
        if value is None:
            if declared.get("optional"):
                continue
            raise SpecError(f"The required input artifact '{name}' of '{plan.task.name}' was not supplied.")
        if isinstance(value, list):
            raise SpecError(f"The input artifact '{name}' of '{plan.task.name}' is a list: a loop's outputs.")
        if not path:
            continue
        target = Path(view.locate(os.path.dirname(path.rstrip("/")) or "/"), os.path.basename(path.rstrip("/")))
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            _fetch(declared, value, target, store, drivers)
        except ArtifactMissingError:
            if not declared.get("optional"):
                raise
            continue
        if declared.get("mode") is not None:
            _change_mode(target, int(declared["mode"]), recurse=bool(declared.get("recurseMode")))


def has_location(artifact: Mapping[str, Any]) -> bool:
    """Whether an artifact says where its files are."""
    return "digest" in artifact or artifact.get("raw") is not None or location_of(artifact) is not None


def location_of(artifact: Mapping[str, Any]) -> str | None:
    """The key of an artifact's location in another place, if it has one."""
    return next((key for key in LOCATIONS if artifact.get(key)), None)


def _fetch(
    declared: Mapping[str, Any],
    value: Mapping[str, Any],
    target: Path,
    store: ArtifactStore,
    drivers: ArtifactDrivers,
) -> None:
    """Make the artifact's files `target`, unpacked as its declaration says."""
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
