"""What a pod leaves behind: outputs, taken from its files when it has ended, and the report about its task."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tiphys._util.disks import is_full
from tiphys.engine.events import TaskFinished
from tiphys.engine.model import ArtifactValue, Phase, Values
from tiphys.errors import TiphysError
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.ports.runner import Task
from tiphys.sdk.pods.artifacts import save
from tiphys.sdk.pods.containers import main_of
from tiphys.sdk.pods.ends import PodDetails, ends_of_mains, exit_code, verdict
from tiphys.sdk.pods.objects import ArtifactDrivers

#: From a path as the main container knows it to the file or folder on this machine, or None if there is none.
Find = Callable[[str], AbstractContextManager[Path | None]]


def report_of(
    task: Task, details: PodDetails, result: str | None, find: Find, store: ArtifactStore, drivers: ArtifactDrivers
) -> TaskFinished:
    """The report about a pod that has ended; its outputs are stored. It may be made again.

    Args:
        task: The task.
        details: How its containers ended.
        result: Standard output of the container that gives the result.
        find: Gives the files that the main container left.
        store: Where output artifacts go that name no other place.
        drivers: For artifacts in other places.

    Raises:
        OSError: this machine's disk is full, or the store's; so it may be at the cause of a TiphysError.
    """
    template, ends = task.body, details.containers
    main = main_of(template)
    phase, message = verdict(ends, daemon=bool(template.get("daemon")))
    parameters, problems = _parameters(template, find)
    artifacts, more = _artifacts(template, find, store, drivers)
    problems += more
    if task.context.get("archive_logs") or (template.get("archiveLocation") or {}).get("archiveLogs"):
        artifacts |= _logs(details, store)
    if problems and phase is Phase.SUCCEEDED:
        phase, message = Phase.ERROR, f"{main}: {'; '.join(problems)}"
    values = Values(parameters=parameters, artifacts=artifacts, result=result, exit_code=exit_code(ends, main))
    containers = ends_of_mains(ends) if template.get("containerSet") else {}
    return TaskFinished(task.id, phase, message, outputs=values, containers=containers, details=details)


def _parameters(template: Mapping[str, Any], find: Find) -> tuple[dict[str, str], list[str]]:
    """Values of the output parameters that come from files, and what went wrong."""
    found, problems = {}, []
    for declared in (template.get("outputs") or {}).get("parameters") or ():
        source = declared.get("valueFrom") or {}
        name, path = declared["name"], source.get("path")
        if not path:
            continue
        try:
            text = _text(path, find)
        except (OSError, TiphysError) as error:
            if source.get("default") is None:
                problems.append(f"the output parameter '{name}' cannot be read from '{path}': {_why(error)}")
                continue
            text = str(source["default"])
        found[name] = text.removesuffix("\n")
    return found, problems


def _text(path: str, find: Find) -> str:
    with find(path) as file:
        if file is None:
            raise FileNotFoundError(2, os.strerror(2))
        return file.read_bytes().decode("utf-8", "replace")


def _artifacts(
    template: Mapping[str, Any], find: Find, store: ArtifactStore, drivers: ArtifactDrivers
) -> tuple[dict[str, ArtifactValue], list[str]]:
    """The output artifacts, stored, and what went wrong."""
    found: dict[str, ArtifactValue] = {}
    problems = []
    for declared in (template.get("outputs") or {}).get("artifacts") or ():
        name, path = declared["name"], declared.get("path")
        if not path:
            continue
        try:
            with find(path) as source:
                if source is not None:
                    found[name] = save(source, declared, store, drivers)
                elif not declared.get("optional"):
                    problems.append(f"the output artifact '{name}' is not there: there is no '{path}' in the container")
        except (OSError, TiphysError) as error:
            if is_full(error):
                raise
            problems.append(f"the output artifact '{name}' cannot be stored from '{path}': {_why(error)}")
    return found, problems


def _logs(details: PodDetails, store: ArtifactStore) -> dict[str, ArtifactValue]:
    """Logs of the main containers as artifacts `<container>-logs`."""
    found: dict[str, ArtifactValue] = {}
    for end in details.containers:
        log = Path(details.logs.get(end["name"], ""))
        if end["role"] == "main" and log.is_file():
            name = f"{end['name']}-logs"
            stored = store.commit_bytes(f"{end['name']}.log", log.read_bytes())
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
