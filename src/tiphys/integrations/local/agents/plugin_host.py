"""Runs executor plugins: each is one pod of this machine, which all workflows of a home share while they need it.

A plugin listens on a port of its own choosing, so it cannot run twice. Below `<home>/plugins/<name>-<digest of what it
is>` are:

- `leash`: held by every engine that uses the plugin; its pod ends with the last of them (`pods.leash`).
- `start`: held by the engine that is just starting it.
- `pod`: the id of its pod's task; whether that runs and is ready is looked up in the pod's own files.
- `token/token`: what callers prove themselves with, made anew at each start; Argo's place for it in the container is
  /var/run/argo/token. A host process has no files of its own: there the arguments that name the place are changed.
- `log`: what the plugin writes.
"""

from __future__ import annotations

import errno
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from tiphys._util.canonical import digest_of
from tiphys._util.ids import new_id
from tiphys.engine.events import TaskFinished
from tiphys.engine.model import Values
from tiphys.errors import ServiceError
from tiphys.integrations.local.agents.answers import Pause
from tiphys.integrations.local.agents.plugins import Plugin
from tiphys.integrations.local.pods.folder import PodFolder, runs
from tiphys.integrations.local.pods.leash import hold, hold_alone
from tiphys.integrations.local.pods.plan import Flavour
from tiphys.integrations.local.pods.processes import kill_marked
from tiphys.ports.runner import Runner, Task
from tiphys.sdk.pods.files import write_whole

#: Where a plugin finds its token.
TOKEN_FILE = "/var/run/argo/token"  # noqa: S105  # a place, no secret
#: Seconds that a plugin has from its start until it takes connections, and that its port has to become free before.
PATIENCE, PORT_PATIENCE = 60.0, 10.0
#: Seconds between looks at it, and between SIGTERM and SIGKILL.
_LOOK, _GRACE = 0.05, 5.0
#: Lines of its log that are told when it could not be started.
_TOLD = 5

#: Goes on after each pause.
Waiting = Generator[Pause, None, None]


class Place:
    """What is on disk of a plugin, which runs until `let_go` if it runs.

    Args:
        home: Folder of the database and all else.
        plugin: The plugin.
        flavour: What runs it.
    """

    def __init__(self, home: str, plugin: Plugin, flavour: Flavour) -> None:
        self.plugin = plugin
        self._home = home
        digest = digest_of([plugin.name, plugin.namespace, plugin.container, flavour])
        self.path = f"{home}/plugins/{re.sub('[^-.a-zA-Z0-9]', '-', plugin.name)}-{digest[:12]}"
        Path(self.path).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._hold = hold(self.leash)

    @property
    def leash(self) -> str:
        """Held by all who need the plugin."""
        return f"{self.path}/leash"

    @property
    def log(self) -> Path:
        """What the plugin writes."""
        return Path(self.path, "log")

    def let_go(self) -> None:
        """Need the plugin no longer."""
        self._hold.let_go()

    def token(self) -> str:
        """What callers prove themselves with."""
        return Path(self.path, "token", "token").read_text()

    def is_ready(self) -> bool:
        """Whether it runs and takes connections."""
        folder = self._pod()
        return folder is not None and folder.is_ready() and runs(folder.path)

    def renew(self) -> str:
        """Do away with what is left of the last pod, and prepare the next; returns its task's id."""
        last = self._pod()
        if last is not None:
            kill_marked([last.mark])
            last.remove()
        self.log.unlink(missing_ok=True)
        Path(self.path, "token").mkdir(exist_ok=True)
        write_whole(f"{self.path}/token/token", secrets.token_hex(16))
        task_id = f"plugin/{self.plugin.name}/{new_id()}"
        write_whole(f"{self.path}/pod", task_id)
        return task_id

    def _pod(self) -> PodFolder | None:
        try:
            return PodFolder(self._home, Path(self.path, "pod").read_text())
        except FileNotFoundError:
            return None


class PluginHost:
    """Starts plugins when they are first asked for.

    Args:
        home: Folder of the database and all else.
        flavour: What runs them.
        pods: Makes the runner of their pods, which is this object's own.
    """

    def __init__(self, home: Path, *, flavour: Flavour, pods: Callable[[], Runner]) -> None:
        self._home = str(Path(home).resolve())
        self._flavour: Flavour = flavour
        self._make_pods = pods
        self._lock = threading.Lock()
        self._pods: Runner | None = None
        self._places: dict[str, Place] = {}
        self._closed = False

    def place_of(self, plugin: Plugin) -> Place:
        """What is on disk of a plugin, which does not end from now on until this object is closed.

        Raises:
            ServiceError: that has happened.
        """
        key = digest_of([plugin.name, plugin.namespace, plugin.container])
        with self._lock:
            self._check_open()
            if key not in self._places:
                self._places[key] = Place(self._home, plugin, self._flavour)
            return self._places[key]

    def started(self, plugin: Plugin) -> Waiting:
        """Wait until a plugin takes connections; start it unless somebody did.

        Raises:
            TiphysError: it cannot be started.
        """
        place = self.place_of(plugin)
        while not place.is_ready():
            starting = hold_alone(f"{place.path}/start")
            if starting is None:
                yield _starting(plugin)
                continue
            try:
                if not place.is_ready():
                    yield from self._start(place)
            finally:
                starting.let_go()

    def close(self) -> None:
        """Let go of all plugins: those that nobody else uses end."""
        with self._lock:
            self._closed = True
            places, self._places = self._places, {}
            pods, self._pods = self._pods, None
        for place in places.values():
            place.let_go()
        if pods is not None:
            pods.close()

    def _start(self, place: Place) -> Waiting:
        plugin, pods = place.plugin, self._runner()
        until = time.monotonic() + PORT_PATIENCE
        while not _is_free(plugin.port):
            if time.monotonic() > until:
                raise ServiceError(
                    f"The executor plugin '{plugin.name}' cannot be started: its port {plugin.port} is taken by "
                    "another process of this machine.",
                    hint="It may be another plugin, or this one as it was installed before, which a workflow still "
                    "uses. End that, or give the plugin another port.",
                )
            yield Pause(_LOOK, f"port {plugin.port} to become free for the executor plugin '{plugin.name}'")
        ended: list[TaskFinished] = []
        task = self._task(place, place.renew())
        pods.launch(task, lambda event: ended.append(event) if isinstance(event, TaskFinished) else None)
        until = time.monotonic() + PATIENCE
        while not place.is_ready():
            if ended:
                raise ServiceError(f"The executor plugin '{plugin.name}' could not be started: {_why(ended[0], place)}")
            if time.monotonic() > until:
                pods.cancel(task.id, _GRACE)
                raise ServiceError(
                    f"The executor plugin '{plugin.name}' took no connection on port {plugin.port} within "
                    f"{PATIENCE:g} s.",
                    hint=f"Its server must listen on its containerPort. What it wrote is in {place.log}.",
                )
            yield _starting(plugin)

    def _runner(self) -> Runner:
        with self._lock:
            self._check_open()
            if self._pods is None:
                self._pods = self._make_pods()
            return self._pods

    def _check_open(self) -> None:
        if self._closed:
            raise ServiceError("The engine is ending: it starts no executor plugins any more.")

    def _task(self, place: Place, task_id: str) -> Task:
        """The pod of a plugin: a daemon that is ready when its port takes connections."""
        plugin = place.plugin
        ready = {"tcpSocket": {"port": plugin.port}, "periodSeconds": _LOOK}
        container: dict[str, Any] = {**plugin.container, "readinessProbe": ready}
        body: dict[str, Any] = {"name": plugin.name, "daemon": True, "container": container}
        folder = f"{place.path}/token"
        if self._flavour == "process":
            for field in ("command", "args"):
                if container.get(field):
                    container[field] = [word.replace(TOKEN_FILE, f"{folder}/token") for word in container[field]]
        else:
            mount = {"name": "var-run-argo", "mountPath": str(Path(TOKEN_FILE).parent), "readOnly": True}
            container["volumeMounts"] = [*(container.get("volumeMounts") or ()), mount]
            body["volumes"] = [{"name": "var-run-argo", "hostPath": {"path": folder}}]
        return Task(
            id=task_id,
            workflow_uid="",
            node_id=plugin.name,
            name=plugin.name,
            attempt=0,
            body=body,
            inputs=Values(),
            context={
                "namespace": plugin.namespace,
                "log": str(place.log),
                "include_result": False,
                "grace": _GRACE,
                "leash": place.leash,
            },
        )


def _starting(plugin: Plugin) -> Pause:
    return Pause(_LOOK, f"the executor plugin '{plugin.name}' to start")


def _why(ended: TaskFinished, place: Place) -> str:
    """How a plugin ended, with the end of what it wrote."""
    try:
        lines = place.log.read_text("utf-8", "replace").strip().splitlines()[-_TOLD:]
    except FileNotFoundError:
        lines = []
    return "\n".join([ended.message, *lines])


def _is_free(port: int) -> bool:
    """Whether nobody listens on a port of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True
