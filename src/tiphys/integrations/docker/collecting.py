"""What a pod leaves behind: outputs, taken from its containers and volumes when it has ended, and the report."""

from __future__ import annotations

import os
import posixpath
import shutil
import tempfile
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from tiphys.engine.events import TaskFinished
from tiphys.engine.model import ArtifactValue, Phase, Values
from tiphys.errors import ArtifactError, TiphysError
from tiphys.integrations.docker.engine import Bind, ContainerEngine
from tiphys.integrations.docker.plan import Plan, bind_of
from tiphys.integrations.docker.pod import PodResult
from tiphys.integrations.docker.pods.artifacts import save
from tiphys.integrations.docker.pods.ends import PodDetails, ends_of_mains, exit_code, verdict
from tiphys.integrations.docker.pods.objects import ArtifactDrivers
from tiphys.ports.artifact_store import ArtifactStore

_MOST_LINKS = 40


class OutputFiles:
    """Finds files as a container saw them, when it has ended.

    Args:
        engine: Where the container is.
        container: Its id, or None if it was never made.
        binds: What was mounted in it.
        folder: Where it worked: what relative paths are relative to.
    """

    def __init__(self, engine: ContainerEngine, container: str | None, binds: tuple[Bind, ...], folder: str) -> None:
        self._engine = engine
        self._container = container
        self._binds = tuple(each for each in binds if Path(each.source).exists())
        self._folder = folder or "/"

    def take(self, path: str, scratch: Path) -> Path | None:
        """A file or folder of the container on this machine, or None if there is none.

        Args:
            path: As the container knows it; links are followed as it would.
            scratch: An empty folder that a copy may be made in.

        Raises:
            ArtifactError: links lead in a circle.
        """
        path = posixpath.join(self._folder, path)
        for number in range(_MOST_LINKS):
            path = self._without_links_in_volumes(path)
            bind = bind_of(self._binds, path)
            if bind is not None:
                found = Path(bind.source + path[len(bind.target.rstrip("/")) :])
                return found if found.exists() else None
            if self._container is None:
                return None
            copies = scratch / str(number)
            copies.mkdir()
            copy = self._engine.copy_out(self._container, path, copies)
            if copy is None or not copy.is_symlink():
                return copy and self._with_volumes(path, copy)
            path = posixpath.join(posixpath.dirname(path), copy.readlink())
        raise ArtifactError(f"Too many links on the way to '{path}'.")

    def _without_links_in_volumes(self, path: str) -> str:
        """Follow what links there are in volumes; those in the container's own files are the engine's to follow."""
        parts, here, links = deque(path.split("/")), "/", 0
        while parts:
            part = parts.popleft()
            there = posixpath.normpath(posixpath.join(here, part))
            bind = bind_of(self._binds, there)
            found = None if bind is None else bind.source + there[len(bind.target.rstrip("/")) :]
            if found is None or not Path(found).is_symlink():
                here = there
                continue
            links += 1
            if links > _MOST_LINKS:
                raise ArtifactError(f"Too many links on the way to '{path}'.")
            target = str(Path(found).readlink())
            parts.extendleft(reversed(target.split("/")))
            here = "/" if target.startswith("/") else here
        return here

    def _with_volumes(self, path: str, copy: Path) -> Path:
        """Add to a copied folder what was mounted below it."""
        for bind in sorted(self._binds, key=lambda bind: len(bind.target)):
            if copy.is_dir() and bind.target.startswith(f"{path.rstrip('/')}/"):
                target = Path(copy, posixpath.relpath(bind.target, path))
                target.parent.mkdir(parents=True, exist_ok=True)
                if Path(bind.source).is_dir():
                    shutil.copytree(bind.source, target, symlinks=True, dirs_exist_ok=True)
                else:
                    shutil.copy2(bind.source, target)
        return copy


def report_of(
    plan: Plan, result: PodResult, engine: ContainerEngine, store: ArtifactStore, drivers: ArtifactDrivers
) -> TaskFinished:
    """The report about a pod that has ended; its outputs are stored. It may be made again."""
    phase, message = verdict(result.ends, daemon=bool(plan.task.body.get("daemon")))
    main = plan.container(plan.main)
    files = OutputFiles(engine, result.ids.get(plan.main), main.binds, main.folder)
    parameters, problems = _parameters(plan, files)
    artifacts, more = _artifacts(plan, files, store, drivers)
    problems += more
    artifacts |= _logs(plan, store)
    if problems and phase is Phase.SUCCEEDED:
        phase, message = Phase.ERROR, f"{plan.main}: {'; '.join(problems)}"
    values = Values(
        parameters=parameters,
        artifacts=artifacts,
        result=result.output,
        exit_code=exit_code(result.ends, plan.main),
    )
    details = PodDetails(
        started_at=result.started,
        finished_at=result.finished,
        containers=result.ends,
        logs={end["name"]: plan.container(end["name"]).log for end in result.ends if end["name"] in result.ids},
    )
    containers = ends_of_mains(result.ends) if plan.task.body.get("containerSet") else {}
    return TaskFinished(plan.task.id, phase, message, outputs=values, containers=containers, details=details)


def _parameters(plan: Plan, files: OutputFiles) -> tuple[dict[str, str], list[str]]:
    """Values of the output parameters that come from files, and what went wrong."""
    found, problems = {}, []
    for declared in (plan.task.body.get("outputs") or {}).get("parameters") or ():
        source = declared.get("valueFrom") or {}
        path = source.get("path")
        if not path:
            continue
        try:
            text = _text(path, files)
        except (OSError, TiphysError) as error:
            if source.get("default") is None:
                problems.append(
                    f"the output parameter '{declared['name']}' cannot be read from '{path}': {_why(error)}"
                )
                continue
            text = str(source["default"])
        found[declared["name"]] = text.removesuffix("\n")
    return found, problems


def _text(path: str, files: OutputFiles) -> str:
    with tempfile.TemporaryDirectory(prefix="tiphys-") as scratch:
        file = files.take(path, Path(scratch))
        if file is None:
            raise FileNotFoundError(2, os.strerror(2))
        return file.read_bytes().decode("utf-8", "replace")


def _artifacts(
    plan: Plan, files: OutputFiles, store: ArtifactStore, drivers: ArtifactDrivers
) -> tuple[dict[str, ArtifactValue], list[str]]:
    """The output artifacts, stored, and what went wrong."""
    found: dict[str, ArtifactValue] = {}
    problems = []
    for declared in (plan.task.body.get("outputs") or {}).get("artifacts") or ():
        name, path = declared["name"], declared.get("path")
        if not path:
            continue
        try:
            with tempfile.TemporaryDirectory(prefix="tiphys-") as scratch:
                source = files.take(path, Path(scratch))
                if source is not None:
                    found[name] = save(source, declared, store, drivers)
                elif not declared.get("optional"):
                    problems.append(f"the output artifact '{name}' is not there: there is no '{path}' in the container")
        except (OSError, TiphysError) as error:
            problems.append(f"the output artifact '{name}' cannot be stored from '{path}': {_why(error)}")
    return found, problems


def _logs(plan: Plan, store: ArtifactStore) -> Mapping[str, ArtifactValue]:
    """Logs of the main containers as artifacts `<container>-logs`, if they were asked for."""
    location = plan.task.body.get("archiveLocation") or {}
    found: dict[str, ArtifactValue] = {}
    if plan.context.archive_logs or location.get("archiveLogs"):
        for container in plan.containers:
            log = Path(container.log)
            if container.role == "main" and log.exists():
                name = f"{container.name}-logs"
                stored = store.commit_bytes(f"{container.name}.log", log.read_bytes())
                found[name] = {
                    "name": name,
                    "archive": {"none": {}},
                    "digest": stored.digest,
                    "size": stored.size,
                    "form": "file",
                }
    return found


def _why(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
