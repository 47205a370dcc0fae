"""A real Podman with one small image, and what stands for the controller: launches pods and collects reports."""

from __future__ import annotations

import io
import os
import queue
import shutil
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import docker
from tests.needs import lacking

from tiphys.engine.events import TaskFinished, TaskProgressed, TaskReady
from tiphys.engine.model import Phase, Values
from tiphys.errors import ArtifactMissingError
from tiphys.integrations.docker.engine import EngineSettings
from tiphys.integrations.docker.runner import ContainerRunner
from tiphys.integrations.local.artifact_store import LocalArtifactStore
from tiphys.integrations.local.config import LocalArtifactStoreConfig
from tiphys.ports.runner import Task
from tiphys.testing.runner_contract import wait_until

LONG = 60.0
IMAGE = "localhost/tiphys-busybox:1"
#: Of the containers in these tests: an engine inside of a container may not be allowed more.
LIMITS = {"nofile": 1024, "nproc": 1024}
_NEEDED = ("podman", "runc", "catatonit", "busybox")
_SETTINGS = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


@contextmanager
def podman() -> Iterator[str]:
    """Podman's service with storage of its own; gives its address."""
    missing = [name for name in _NEEDED if _which(name) is None]
    if missing:
        message = f"Not installed: {', '.join(missing)}. scripts/ensure_packages.sh installs what these tests need."
        lacking(message)
    # The path of a socket must be short.
    folder = Path(tempfile.mkdtemp(prefix="tiphys-podman-"))
    (folder / "containers.conf").write_text(_SETTINGS)
    environment = {**os.environ, "CONTAINERS_CONF": str(folder / "containers.conf"), "TMPDIR": str(folder)}
    folders = {"--root": "storage", "--runroot": "run", "--tmpdir": "tmp"}
    own = [part for option, name in folders.items() for part in (option, f"{folder}/{name}")]
    command = ["podman", *own, "--storage-driver", "vfs"]

    def call(*arguments: str) -> None:
        subprocess.run([*command, *arguments], env=environment, check=True, capture_output=True)

    service = None
    try:
        make_image(folder / "image.tar")
        call("import", "-c", "ENV FROM_IMAGE=yes", "-c", 'CMD ["echo", "from the image"]', f"{folder}/image.tar", IMAGE)
        host = f"unix://{folder}/podman.sock"
        with (folder / "service.log").open("wb") as log:
            service = subprocess.Popen(
                [*command, "system", "service", "--time=0", host], env=environment, stdout=log, stderr=log
            )
        wait_until((folder / "podman.sock").exists)
        yield host
    finally:
        if service is not None:
            call("rm", "--all", "--force", "--time=0")
            service.terminate()
            service.wait(LONG)
            _kill_all_of(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _kill_all_of(folder: Path) -> None:
    """Podman keeps who waits for a command in a container for minutes."""
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            if process.name.isdigit() and f"{folder}/".encode() in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)


def _which(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/libexec/podman:/usr/lib/podman:/bin")


def make_image(path: Path) -> None:
    """A root file system whose programs are all busybox."""
    busybox = _which("busybox") or ""
    loaded = subprocess.run(["ldd", busybox], capture_output=True, text=True, check=False)  # fails for a static one
    libraries = [word for word in loaded.stdout.split() if word.startswith("/")]
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    with tarfile.open(path, "w") as archive:
        for name in ("bin", "etc", "root", "tmp", "var/run", "var/tmp"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name.endswith("tmp") else 0o755
            archive.addfile(folder)
        for source, target in {busybox: "/bin/busybox", **{each: each for each in libraries}}.items():
            archive.add(os.path.realpath(source), target.lstrip("/"))
        for applet in set(applets) - {"busybox"}:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        for name, text in {"etc/passwd": "root:x:0:0::/root:/bin/sh\n", "etc/group": "root:x:0:\n"}.items():
            file = tarfile.TarInfo(name)
            file.size = len(text)
            archive.addfile(file, io.BytesIO(text.encode()))


class Cluster:
    """ConfigMaps, Secrets and claims of a test."""

    def __init__(self) -> None:
        self.config_maps: dict[str, dict[str, bytes]] = {}
        self.secrets: dict[str, dict[str, bytes]] = {}
        self.claims: dict[str, Path] = {}

    def config_map(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        return self.config_maps.get(name)

    def secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        return self.secrets.get(name)

    def claim_folder(self, namespace: str, name: str) -> Path | None:
        return self.claims.get(name)


class NoDrivers:
    """Artifacts are in our own store only."""

    def fetch(self, artifact: Mapping[str, Any], into: Path) -> None:
        raise ArtifactMissingError("There is nothing.")

    def save(self, path: Path, artifact: Mapping[str, Any]) -> Mapping[str, Any]:
        raise ArtifactMissingError("There is no place.")


class ContainerDesk:
    """Launches and collects.

    Args:
        home: Of the runner.
        host: Of the engine.
        network: Of pods.
    """

    def __init__(self, home: Path, host: str, network: str = "none") -> None:
        self.home = home
        self.settings = EngineSettings(host=host, network=network, ulimits=LIMITS)
        self.store = LocalArtifactStore(name="s", config=LocalArtifactStoreConfig(path=str(home / "artifacts")))
        self.cluster = Cluster()
        self.news: queue.SimpleQueue[TaskReady | TaskProgressed] = queue.SimpleQueue()
        self.reports: queue.SimpleQueue[TaskFinished] = queue.SimpleQueue()
        self.numbers: Iterator[int] = count()
        self.api: Any = docker.APIClient(base_url=host, version="auto")
        self.runner = self.make_runner()

    def make_runner(self) -> ContainerRunner:
        return ContainerRunner(
            self.home, store=self.store, objects=self.cluster, drivers=NoDrivers(), settings=self.settings
        )

    def close(self) -> None:
        self.runner.close()
        assert self.containers() == []
        self.api.close()

    def containers(self) -> list[str]:
        """All that the engine has of this home: names."""
        found = self.api.containers(all=True, filters={"label": [f"tiphys.dev/home={self.runner._mark}"]})
        return [each["Labels"]["tiphys.dev/container"] for each in found]

    def report(self, event: TaskFinished | TaskReady | TaskProgressed) -> None:
        if isinstance(event, TaskFinished):
            self.reports.put(event)
        else:
            self.news.put(event)

    def task(self, body: Mapping[str, Any], *, artifacts: Any = None, name: str | None = None, **context: Any) -> Task:
        node = name or f"n{next(self.numbers)}"
        return Task(
            id=f"u/{node}/0",
            workflow_uid="u",
            node_id=node,
            name=node,
            attempt=0,
            body={"name": "t", **body},
            inputs=Values(artifacts=dict(artifacts or {})),
            context=context,
        )

    def launch(self, body: Mapping[str, Any], **rest: Any) -> Task:
        task = self.task(body, **rest)
        self.runner.launch(task, self.report)
        return task

    def next_report(self) -> TaskFinished:
        return self.reports.get(timeout=LONG)

    def run(self, body: Mapping[str, Any], **rest: Any) -> TaskFinished:
        task = self.launch(body, **rest)
        finished = self.next_report()
        assert finished.task_id == task.id
        return finished

    def sh(self, script: str, *, container: Any = None, artifacts: Any = None, **template: Any) -> TaskFinished:
        return self.run({**shell(script, **(container or {})), **template}, artifacts=artifacts)

    def result(self, script: str, **rest: Any) -> str:
        finished = self.sh(script, **rest)
        assert finished.phase is Phase.SUCCEEDED, finished.message
        assert finished.outputs is not None
        assert finished.outputs.result is not None
        return finished.outputs.result

    def tree(self, artifact: Any) -> dict[str, bytes]:
        """Path → content of a stored artifact."""
        with self.store.open_tree(artifact["digest"]) as tree:
            return {str(file.relative_to(tree)): file.read_bytes() for file in tree.rglob("*") if file.is_file()}

    def wait_for_log(self, log: Path, text: str) -> None:
        wait_until(lambda: log.exists() and text in log.read_text())


def shell(script: str, **container: Any) -> dict[str, Any]:
    """A template that runs a shell script."""
    return {"container": {"image": IMAGE, "command": ["sh", "-c", script], **container}}


def sidecar(name: str, script: str, **container: Any) -> dict[str, Any]:
    return {"name": name, "image": IMAGE, "command": ["sh", "-c", script], **container}
