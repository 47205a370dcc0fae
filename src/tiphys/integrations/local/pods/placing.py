"""Files that a pod finds when it starts: its volumes, its script, its input artifacts."""

# Every task pays for the calls made here, and pathlib costs several times what the system call does.
# ruff: noqa: PTH103, PTH110

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tiphys.integrations.local.pods.plan import Plan, views_in
from tiphys.integrations.local.pods.view import make_root, replace_folder
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.sdk.pods.artifacts import place_inputs
from tiphys.sdk.pods.objects import ArtifactDrivers
from tiphys.sdk.pods.volumes import write_files


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
    main = views[plan.main]

    def target_of(artifact: Mapping[str, Any]) -> Path | None:
        if not artifact.get("path"):
            return None
        folder, name = os.path.split(artifact["path"].rstrip("/"))
        return Path(main.locate(folder or "/"), name)

    place_inputs(plan.task, target_of, store, drivers)
