"""Files that a pod finds when it starts: its volumes, its script, its input artifacts."""

from __future__ import annotations

from pathlib import Path

from tiphys.errors import ArtifactMissingError, SpecError
from tiphys.integrations.docker.plan import Plan
from tiphys.integrations.docker.pods.artifacts import fetch, has_location
from tiphys.integrations.docker.pods.objects import ArtifactDrivers
from tiphys.integrations.docker.pods.volumes import write_files
from tiphys.ports.artifact_store import ArtifactStore

#: Containers may run as any user.
_FOR_ALL = 0o777


def prepare(plan: Plan, store: ArtifactStore, drivers: ArtifactDrivers) -> None:
    """Write all that must be there into the task's folder.

    Raises:
        TiphysError: an artifact is missing or cannot be loaded.
    """
    progress = Path(plan.progress_file).parent
    progress.mkdir(parents=True)
    progress.chmod(_FOR_ALL)
    for volume in plan.volumes.values():
        if volume.own:
            write_files(volume)
            if not volume.read_only:
                Path(volume.source).chmod(_FOR_ALL)
    for path, text, mode in plan.files:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)
    shared = {volume.source for volume in plan.volumes.values()}
    for container in plan.containers:
        for bind in container.binds:
            if any(bind.source.startswith(f"{source}/") for source in shared) and not Path(bind.source).exists():
                Path(bind.source).mkdir(parents=True)  # a subPath is made where it is missing
                Path(bind.source).chmod(_FOR_ALL)
    _place_inputs(plan, store, drivers)
    if plan.context.log is not None:
        Path(plan.context.log).parent.mkdir(parents=True, exist_ok=True)


def _place_inputs(plan: Plan, store: ArtifactStore, drivers: ArtifactDrivers) -> None:
    for declared in (plan.task.body.get("inputs") or {}).get("artifacts") or ():
        name = declared["name"]
        value = plan.task.inputs.artifacts.get(name) or (declared if has_location(declared) else None)
        if value is None:
            if declared.get("optional"):
                continue
            raise SpecError(f"The required input artifact '{name}' of '{plan.task.name}' was not supplied.")
        if isinstance(value, list):
            raise SpecError(f"The input artifact '{name}' of '{plan.task.name}' is a list: a loop's outputs.")
        if name not in plan.places:
            continue
        target = Path(plan.places[name])
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            fetch(declared, value, target, store, drivers)
        except ArtifactMissingError:
            if not declared.get("optional"):
                raise
