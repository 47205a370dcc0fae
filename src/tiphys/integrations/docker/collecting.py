"""What a pod leaves behind: outputs, taken from its containers and volumes when it has ended, and the report."""

from __future__ import annotations

import posixpath
import shutil
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tiphys.engine.events import TaskFinished
from tiphys.errors import ArtifactError
from tiphys.integrations.docker.engine import ContainerEngine
from tiphys.integrations.docker.plan import Plan, bind_of
from tiphys.integrations.docker.pod import PodResult
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.sdk.pods.ends import PodDetails
from tiphys.sdk.pods.objects import ArtifactDrivers
from tiphys.sdk.pods.outputs import report_of as shared_report_of
from tiphys.sdk.pods.volumes import Bind

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
    main = plan.container(plan.main)
    files = OutputFiles(engine, result.ids.get(plan.main), main.binds, main.folder)

    @contextmanager
    def find(path: str) -> Iterator[Path | None]:
        with tempfile.TemporaryDirectory(prefix="tiphys-") as scratch:
            yield files.take(path, Path(scratch))

    details = PodDetails(
        started_at=result.started,
        finished_at=result.finished,
        containers=result.ends,
        logs={end["name"]: plan.container(end["name"]).log for end in result.ends if end["name"] in result.ids},
    )
    return shared_report_of(plan.task, details, result.output, find, store, drivers)
