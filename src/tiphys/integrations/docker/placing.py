"""Files that a pod finds when it starts: its volumes, its script, its input artifacts."""

from __future__ import annotations

from pathlib import Path

from tiphys.integrations.docker.plan import Plan
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.sdk.pods.artifacts import place_inputs
from tiphys.sdk.pods.objects import ArtifactDrivers
from tiphys.sdk.pods.volumes import write_files

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
    places = {name: Path(path) for name, path in plan.places.items()}
    place_inputs(plan.task, lambda declared: places.get(declared["name"]), store, drivers)
    if plan.context.log is not None:
        Path(plan.context.log).parent.mkdir(parents=True, exist_ok=True)
