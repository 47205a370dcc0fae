"""The container engine of this machine, Docker or Podman, through Docker's API."""

from __future__ import annotations

import contextlib
import os
import socket
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import docker
import requests
from docker.errors import APIError, DockerException, NotFound
from docker.types import Mount, Ulimit

from tiphys.errors import ServiceError, StackError, UsageError
from tiphys.sdk.pods.containers import LONGEST_RESULT
from tiphys.sdk.pods.volumes import Bind

#: What marks our containers.
HOME, TASK, CONTAINER = "tiphys.dev/home", "tiphys.dev/task", "tiphys.dev/container"
#: Connections that are kept open; each container that runs takes one.
_CONNECTIONS = 256
_BYTES_AT_ONCE = 1 << 20
_FAILURES = (DockerException, requests.RequestException, OSError)


class ImageMissingError(ServiceError):
    """An image is not on this machine and cannot be pulled."""


class NoSuchContainerError(ServiceError):
    """A container is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """Which engine, and what all its containers get."""

    #: As in `DOCKER_HOST`, which is meant if this is empty, as are the places where engines usually listen.
    host: str = ""
    #: "bridge" (a network address of its own for each pod), "host" or "none".
    network: str = "bridge"
    #: What holds the network of a pod of several containers; empty: the first one's image, which must have `sleep`.
    pause_image: str = ""
    #: Name → limit, as in `ulimit`; soft and hard.
    ulimits: Mapping[str, int] = field(default_factory=dict)


def settings_from(environment: Mapping[str, str]) -> EngineSettings:
    """Settings as users give them: `TIPHYS_CONTAINER_NETWORK`, `…_PAUSE_IMAGE`, `…_ULIMITS` ("nofile=1024,nproc=1024").

    Raises:
        UsageError: a limit is no whole number.
    """
    ulimits = {}
    for part in filter(None, environment.get("TIPHYS_CONTAINER_ULIMITS", "").split(",")):
        name, _, limit = part.partition("=")
        if not limit.strip().isdigit():
            raise UsageError(f"TIPHYS_CONTAINER_ULIMITS: '{part}' is not NAME=NUMBER.")
        ulimits[name.strip()] = int(limit)
    return EngineSettings(
        network=environment.get("TIPHYS_CONTAINER_NETWORK") or "bridge",
        pause_image=environment.get("TIPHYS_CONTAINER_PAUSE_IMAGE") or "",
        ulimits=ulimits,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """A container to be made."""

    image: str
    labels: Mapping[str, str]
    #: Name of the container in the engine; two of one name cannot be.
    name: str
    #: "host", "none", "bridge" or `container:<id>`.
    network: str
    #: None: the image's own.
    entrypoint: tuple[str, ...] | None = None
    #: None: the image's own, if the entry point is too.
    arguments: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    #: Working directory; empty: the image's.
    folder: str = ""
    #: `user` or `user:group`; empty: the image's.
    user: str = ""
    binds: tuple[Bind, ...] = ()
    #: More of the API's HostConfig.
    host: Mapping[str, Any] = field(default_factory=dict)


class State(NamedTuple):
    """How a container is."""

    #: "created", "running", "exited", …
    status: str
    code: int
    #: Epoch seconds; 0 if not yet.
    started: float
    finished: float
    error: str

    @property
    def runs(self) -> bool:
        """Whether its program runs."""
        return self.status in ("running", "paused", "restarting", "stopping", "removing")


class Found(NamedTuple):
    """A container of ours."""

    id: str
    task: str
    #: Its name in the pod.
    container: str
    #: Epoch seconds.
    created: float


class ContainerEngine:
    """A connection to the engine; may be used by several threads.

    Args:
        settings: Which engine.

    Raises:
        StackError: none answers.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._api = _connect(settings.host)

    def close(self) -> None:
        """Give the connections back."""
        self._api.close()

    def need_image(self, image: str, pull: str) -> None:
        """See that an image is there.

        Args:
            image: As in a template.
            pull: "IfNotPresent", "Always" or "Never".

        Raises:
            ImageMissingError: it is not.
        """
        if pull != "Always" and self._has_image(image):
            return
        if pull == "Never":
            raise ImageMissingError(
                f"The image '{image}' is not on this machine, and its imagePullPolicy is Never.", hint=_HOW_TO_GET
            )
        why = self._pull(image)
        if why is not None:
            raise ImageMissingError(f"The image '{image}' cannot be pulled: {why}", hint=_HOW_TO_GET)

    def _has_image(self, image: str) -> bool:
        with _speaking("look for an image"):
            try:
                self._api.inspect_image(image)
            except NotFound:
                return False
            return True

    def _pull(self, image: str) -> str | None:
        """Pull an image; returns why it failed."""
        _, _, last = image.rpartition("/")
        tag = None if ":" in last or "@" in last else "latest"
        try:
            errors = [line.get("error") for line in self._api.pull(image, tag=tag, stream=True, decode=True)]
        except _FAILURES as error:
            return _why(error)
        return next((str(error) for error in errors if error), None)

    def create(self, wanted: Creation) -> str:
        """Make a container; returns its id.

        Raises:
            ServiceError: the engine refuses.
        """
        ulimits = [Ulimit(name=name, soft=limit, hard=limit) for name, limit in self._settings.ulimits.items()]
        with _speaking("make a container"):
            host = self._api.create_host_config(
                network_mode=wanted.network,
                # The program must not be process 1, for which signals without a handler do nothing.
                init=True,
                mounts=[
                    Mount(each.target, each.source, type="bind", read_only=each.read_only) for each in wanted.binds
                ],
                ulimits=ulimits,
            )
            host |= wanted.host
            made = self._api.create_container(
                wanted.image,
                command=None if wanted.arguments is None else list(wanted.arguments),
                entrypoint=None if wanted.entrypoint is None else list(wanted.entrypoint),
                environment=dict(wanted.env),
                working_dir=wanted.folder or None,
                user=wanted.user or None,
                labels=dict(wanted.labels),
                name=wanted.name,
                host_config=host,
            )
            return str(made["Id"])

    def start(self, container: str) -> None:
        """Start a container.

        Raises:
            ServiceError: the engine cannot, because the program is missing, say.
        """
        with _speaking("start a container"):
            self._api.start(container)

    def execute(self, container: str, command: list[str]) -> int:
        """Run a command in a container that runs; returns its exit code."""
        with _speaking("run a command"):
            made = self._api.exec_create(container, command)
            self._api.exec_start(made)
            return int(self._api.exec_inspect(made)["ExitCode"] or 0)

    def signal(self, container: str, name: str) -> None:
        """Send a signal; a container that has ended is ignored."""
        with contextlib.suppress(*_FAILURES):
            self._api.kill(container, name)

    def wait(self, container: str) -> int:
        """Wait for the end; returns the exit code."""
        with _speaking("wait for a container"):
            return int(self._api.wait(container)["StatusCode"])

    def state(self, container: str) -> State:
        """How a container is."""
        with _speaking("look at a container"):
            state = self._api.inspect_container(container)["State"]
        times = (_epoch(state.get("StartedAt")), _epoch(state.get("FinishedAt")))
        return State(str(state["Status"]), int(state["ExitCode"]), *times, str(state.get("Error") or ""))

    def address(self, container: str) -> str:
        """Where a container can be reached from this machine; empty if it cannot."""
        if self._settings.network == "host":
            return "127.0.0.1"
        with _speaking("look at a container"):
            settings = self._api.inspect_container(container)["NetworkSettings"]
        networks = [each.get("IPAddress") for each in (settings.get("Networks") or {}).values()]
        return str(next(filter(None, [settings.get("IPAddress"), *networks]), ""))

    def find(self, **labels: str) -> list[Found]:
        """Our containers with these values of `home` and `task`, the oldest first."""
        names = {"home": HOME, "task": TASK}
        wanted = [f"{names[name]}={value}" for name, value in labels.items()]
        with _speaking("list containers"):
            listed = self._api.containers(all=True, filters={"label": wanted})
        found = [
            Found(each["Id"], each["Labels"].get(TASK, ""), each["Labels"].get(CONTAINER, ""), float(each["Created"]))
            for each in listed
        ]
        return sorted(found, key=lambda each: each.created)

    def remove(self, containers: list[str]) -> None:
        """Kill and remove containers; those that are gone are ignored. The last is removed first."""
        for container in reversed(containers):
            with _speaking("remove a container"), contextlib.suppress(NotFound):
                self._api.remove_container(container, force=True, v=True)

    def copy_log(self, container: str, path: str) -> None:
        """Write a container's output so far into a file, over what is there: that is no more than a part of it."""
        with Path(path).open("r+b" if Path(path).exists() else "wb") as file, _speaking("read a log"):
            file.writelines(self._api.logs(container, stream=True, follow=False))
            file.truncate()

    def output(self, container: str, *, since: float) -> bytes:
        """The end of a container's standard output.

        Args:
            container: Its id.
            since: Epoch seconds; 0 for its beginning.
        """
        kept = bytearray()
        with _speaking("read a log"):
            for chunk in self._api.logs(container, stderr=False, stream=True, follow=False, since=since or None):
                kept += chunk
                if len(kept) > 4 * LONGEST_RESULT:
                    del kept[: -LONGEST_RESULT - 1]
        return bytes(kept)

    def copy_out(self, container: str, path: str, folder: Path) -> Path | None:
        """Copy a file or folder of a container's own files; returns the copy, or None if there is none.

        A link may be copied as a link, and what is mounted below a folder is not in it.

        Args:
            container: Its id.
            path: Absolute.
            folder: An empty folder for it.
        """
        with _speaking("copy files"), tempfile.TemporaryFile() as spool:
            try:
                chunks, _ = self._api.get_archive(container, path, chunk_size=_BYTES_AT_ONCE)
            except NotFound:
                return None
            for chunk in chunks:
                spool.write(chunk)
            spool.seek(0)
            with tarfile.open(fileobj=spool, mode="r:") as archive:
                archive.extractall(folder, filter=_plain)  # noqa: S202  # the filter is stricter than `tar`
        return next(folder.iterdir(), None)


def _plain(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
    """Only files, folders and links; all ours, none outside of the folder."""
    if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        return None
    member = tarfile.tar_filter(member, folder)
    mode = (member.mode or 0) | (0o700 if member.isdir() else 0o600)
    return member.replace(mode=mode, uid=None, gid=None, uname=None, gname=None, deep=False)  # type: ignore[arg-type]  # typeshed has no None for uid and gid


_HOW_TO_GET = "Build or import it with docker or podman, or name one of a registry that this machine can reach."
_HOW_TO_START = (
    "Start one: `systemctl start docker`, or `systemctl start podman.socket` (as an ordinary user: systemctl --user), "
    "or `podman system service --time=0 unix:///tmp/podman.sock` and DOCKER_HOST=unix:///tmp/podman.sock."
)


def _connect(given: str) -> docker.APIClient:
    given = given or os.environ.get("DOCKER_HOST", "")
    if given and not given.startswith("unix://"):
        raise StackError(
            f"The container engine '{given}' is not on a socket of this machine.",
            hint="Containers get their files from folders of this machine: set DOCKER_HOST=unix:///….",
        )
    hosts = [given] if given else [f"unix://{path}" for path in _usual_sockets() if path.exists()]
    problems = []
    for host in hosts:
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(host.removeprefix("unix://"))
            return docker.APIClient(base_url=host, version="auto", max_pool_size=_CONNECTIONS)
        except _FAILURES as error:
            problems.append(f"{host}: {_why(error)}")
    told = "; ".join(problems) or "there is none of the sockets " + ", ".join(map(str, _usual_sockets()))
    raise StackError(f"No container engine answers ({told}).", hint=_HOW_TO_START)


def _usual_sockets() -> list[Path]:
    own = os.environ.get("XDG_RUNTIME_DIR")
    found = [Path("/var/run/docker.sock")]
    if own:
        found += [Path(own, "docker.sock"), Path(own, "podman/podman.sock")]
    return [*found, Path("~/.docker/run/docker.sock").expanduser(), Path("/run/podman/podman.sock")]


@contextlib.contextmanager
def _speaking(purpose: str) -> Iterator[None]:
    """Raises what the engine says, or why it does not answer, as an error of ours."""
    try:
        yield
    except NotFound as error:
        raise NoSuchContainerError(f"The container engine could not {purpose}: {_why(error)}") from error
    except _FAILURES as error:
        raise ServiceError(f"The container engine could not {purpose}: {_why(error)}") from error


def _why(error: Exception) -> str:
    if isinstance(error, APIError) and error.explanation:
        explanation = error.explanation
        return explanation.decode("utf-8", "replace") if isinstance(explanation, bytes) else str(explanation)
    return str(error)


def _epoch(text: str | None) -> float:
    """Go's RFC 3339; its zero time is 0."""
    return 0.0 if not text or text.startswith("0001-") else datetime.fromisoformat(text).timestamp()
