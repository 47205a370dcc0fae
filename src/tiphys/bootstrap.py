"""Composition root: from settings to a backend. The only place that knows all parts."""

from __future__ import annotations

import atexit
import os
import socket
import sys
import threading
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from tiphys.client.login import Login, login_in, read_login
from tiphys.controller.loop import Controller
from tiphys.controller.owner import this_process
from tiphys.controller.routing import POD_KINDS, STEP, RoutingRunner
from tiphys.db.store import open_store
from tiphys.errors import MissingExtraError, UsageError
from tiphys.integrations.local.inline import InlineRunner
from tiphys.integrations.local.process import ProcessRunner
from tiphys.plugins.loading import load
from tiphys.ports.backend import Backend
from tiphys.ports.clock import SystemClock
from tiphys.ports.object_keeper import ObjectKeeper
from tiphys.ports.runner import Runner
from tiphys.records.access import Account
from tiphys.records.base import Query
from tiphys.records.stacks import ComponentType
from tiphys.services.artifacts import as_artifact_store
from tiphys.services.backend import LocalBackend
from tiphys.services.client_tasks import is_by_client
from tiphys.services.recorder import MLRecorder

_backends: dict[tuple[int, Settings], Backend] = {}
_lock = threading.Lock()
#: Seconds that a server which was there is waited for.
_PATIENCE = 600.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Where things are kept.

    Attributes:
        home: Folder of the database, the artifacts, logs and services.
        db_url: SQLAlchemy URL of the database.
        server: The server that is asked instead of the database, if there is one.
    """

    home: Path
    db_url: str
    server: Login | None = None


def read_settings() -> Settings:
    """Settings from the environment and the working directory.

    `TIPHYS_HOME` if set, else `.tiphys/` in this folder or the nearest one above (made by `tiphys init`), else the
    user's data directory. `TIPHYS_DB_URL` if set, else an SQLite file in the home. A server is asked where no
    `TIPHYS_DB_URL` is set, but `TIPHYS_URL` is, or `tiphys login` has noted one in the home: steps of a server's own
    runs, which are told its database, work on that.
    """
    place = home()
    given = os.environ.get("TIPHYS_DB_URL")
    if given:
        return Settings(place, given)
    return Settings(place, f"sqlite:///{place / 'tiphys.db'}", login_in(os.environ) or read_login(place))


def home() -> Path:
    """Folder of the database, the artifacts, logs and services."""
    given = os.environ.get("TIPHYS_HOME")
    if given:
        return Path(given).expanduser().absolute()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / ".tiphys").is_dir():
            return folder / ".tiphys"
    import platformdirs

    return Path(platformdirs.user_data_dir("tiphys"))


def default_backend() -> Backend:
    """The backend of the present settings, made once for each process and settings."""
    return _opened(read_settings())


def local_backend() -> Backend:
    """The backend on this machine's database, whatever server is asked otherwise."""
    return _opened(replace(read_settings(), server=None))


def _opened(settings: Settings) -> Backend:
    key = (os.getpid(), settings)
    with _lock:
        backend = _backends.get(key)
        if backend is None:
            made = make_backend(settings) if settings.server is None else connect(settings.server, settings.home)
            backend = _backends[key] = made
            atexit.register(backend.close)
        return backend


def connect(login: Login, place: Path) -> Backend:
    """A backend that asks a server.

    Args:
        login: The server.
        place: Folder of what this machine keeps for itself.

    Raises:
        MissingExtraError: what speaks HTTP is not installed.
    """
    try:
        open_connection = load("tiphys.client.connection:Connection")
    except ModuleNotFoundError as error:
        raise MissingExtraError("client", error.name or "") from error
    connection = open_connection(
        login.url,
        api_key=login.api_key,
        authority=login.authority,
        patience=_PATIENCE,
        tell=lambda line: print(line, file=sys.stderr),
    )
    inline = InlineRunner()
    runners = {"inline": lambda: inline, "process": partial(ProcessRunner, place)}
    workshop = load("tiphys.client.steps:Workshop")(place, lender=inline, runners=runners)
    made: Backend = load("tiphys.client.backend:ClientBackend")(connection, workshop, workspace=login.workspace)
    return made


def make_backend(settings: Settings) -> Backend:
    """A backend that carries runs out in this process and on this machine."""
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"The home '{settings.home}' cannot be made: {error.strerror}.",
            hint="Set TIPHYS_HOME to a folder that you may write to, or type: tiphys init",
        ) from error
    store = open_store(settings.db_url)
    inline = InlineRunner()
    backend = LocalBackend(store=store, home=settings.home, db_url=settings.db_url)

    def runner(name: str) -> Runner:
        if name == "inline":
            return inline
        if is_by_client(name):
            return backend.clients
        if name in ("process", "sandbox", "container"):
            return RoutingRunner(name, partial(_leaf_runner, runner=name, backend=backend))
        raise UsageError(f"There is no runner '{name}'.", hint="The runners are: inline, process, sandbox, container.")

    controller = Controller(
        store,
        MLRecorder(backend),
        runners=runner,
        lender=inline,
        clock=SystemClock(),
        owner=this_process(),
        place=f"{socket.gethostname()}:{settings.home}",
    )
    backend.connect(controller)
    return backend


def _leaf_runner(kind: str, *, runner: str, backend: LocalBackend) -> Runner:
    """The runner of a kind of leaf; what carries out containers is imported when the first one is met."""
    if kind == STEP:
        return ProcessRunner(backend.home)
    from tiphys.plugins.artifact_drivers import ArtifactDrivers
    from tiphys.services.workflows.artifacts import drivers_of

    def drivers(namespace: str) -> ArtifactDrivers:
        return drivers_of(backend.objects, namespace, backend.home)

    store = as_artifact_store(backend.stacks.component(ComponentType.ARTIFACT_STORE))
    flavour: Literal["sandbox", "process"] = "process" if runner == "process" else "sandbox"

    def pods() -> Runner:
        from tiphys.integrations.local.pods.runner import PodRunner

        return PodRunner(backend.home, flavour=flavour, store=store, objects=backend.objects, drivers=drivers)

    if kind not in POD_KINDS:
        from tiphys.integrations.local.agents.plugin_host import PluginHost
        from tiphys.integrations.local.agents.runner import AgentRunner
        from tiphys.services.workflows.resource_actions import ResourceActions

        return AgentRunner(
            actions=ResourceActions(backend.objects, backend.workflows, runner=runner),
            cluster=_cluster,
            secrets=backend.objects.secret,
            store=store,
            sources=drivers,
            plugins=PluginHost(backend.home, flavour=flavour, pods=pods),
            # Where there are accounts, they have roles for each workspace.
            confined=lambda: bool(backend.find(Query.of(Account, limit=1))),
        )
    if runner == "container":
        make = load("tiphys.integrations.docker.runner:ContainerRunner")
        settings = load("tiphys.integrations.docker.engine:settings_from")(os.environ)
        made: Runner = make(backend.home, store=store, objects=backend.objects, drivers=drivers, settings=settings)
        return made
    return pods()


def _cluster() -> ObjectKeeper:
    """The Kubernetes cluster of the environment.

    Raises:
        UsageError: there is none, or what speaks with it is not installed.
    """
    settings = load("tiphys.integrations.kubernetes.settings:settings_from")(os.environ)
    made: ObjectKeeper = load("tiphys.integrations.kubernetes.keeper:cluster")(settings)
    return made


def close_backends(home: Path) -> None:
    """Close what this process opened for a home; the next use opens it anew."""
    with _lock:
        for key in [key for key in _backends if key[1].home == home]:
            _backends.pop(key).close()
