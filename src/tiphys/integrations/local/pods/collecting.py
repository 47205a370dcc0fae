"""What a pod leaves behind: output parameters and artifacts, taken from its files when it has ended.

It may be done again after a crash: nothing is taken away from the task's folder.
"""

# Every task pays for the calls made here, and pathlib costs several times what the system call does.
# ruff: noqa: PTH101, PTH116, PTH118, PTH119

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tiphys.engine.model import ArtifactValue
from tiphys.errors import ArtifactError, TiphysError
from tiphys.integrations.local.pods.archives import archive_of, pack_tar, pack_zip
from tiphys.integrations.local.pods.objects import ArtifactDrivers
from tiphys.integrations.local.pods.placing import location_of
from tiphys.integrations.local.pods.plan import Plan
from tiphys.ports.artifact_store import ArtifactStore


def collect_parameters(plan: Plan) -> tuple[dict[str, str], list[str]]:
    """Values of the output parameters that come from files, and what went wrong."""
    found, problems = {}, []
    for declared in (plan.task.body.get("outputs") or {}).get("parameters") or ():
        source = declared.get("valueFrom") or {}
        if not source.get("path"):
            continue
        name = declared["name"]
        try:
            text = Path(plan.views[plan.main].locate(source["path"])).read_bytes().decode("utf-8", "replace")
        except (OSError, ArtifactError) as error:
            if source.get("default") is None:
                problems.append(f"the output parameter '{name}' cannot be read from '{source['path']}': {_why(error)}")
                continue
            text = str(source["default"])
        found[name] = text.removesuffix("\n")
    return found, problems


def collect_artifacts(
    plan: Plan, store: ArtifactStore, drivers: ArtifactDrivers
) -> tuple[dict[str, ArtifactValue], list[str]]:
    """The output artifacts, stored, and what went wrong."""
    found: dict[str, ArtifactValue] = {}
    problems = []
    for declared in (plan.task.body.get("outputs") or {}).get("artifacts") or ():
        name, path = declared["name"], declared.get("path")
        if not path:
            continue
        try:
            source = Path(plan.views[plan.main].locate(path))
            if not source.exists():
                if not declared.get("optional"):
                    problems.append(f"the output artifact '{name}' is not there: there is no '{path}' in the container")
                continue
            found[name] = _save(source, declared, store, drivers)
        except (OSError, TiphysError) as error:
            problems.append(f"the output artifact '{name}' cannot be stored from '{path}': {_why(error)}")
    return found, problems


def collect_logs(plan: Plan, store: ArtifactStore) -> dict[str, ArtifactValue]:
    """Logs of the main containers as artifacts `<container>-logs`, if they were asked for."""
    location = plan.task.body.get("archiveLocation") or {}
    found: dict[str, ArtifactValue] = {}
    if plan.context.archive_logs or location.get("archiveLogs"):
        for role, container in plan.containers:
            log = Path(plan.log_of(container["name"]))
            if role == "main" and log.exists():
                name = f"{container['name']}-logs"
                stored = store.commit_bytes(f"{container['name']}.log", log.read_bytes())
                found[name] = {
                    "name": name,
                    "archive": {"none": {}},
                    "digest": stored.digest,
                    "size": stored.size,
                    "form": "file",
                }
    return found


def _save(
    source: Path, declared: Mapping[str, Any], store: ArtifactStore, drivers: ArtifactDrivers
) -> Mapping[str, Any]:
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
        os.chmod(target, stat.S_IMODE(os.stat(target).st_mode) | stat.S_IRUSR | stat.S_IWUSR)


def _why(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
