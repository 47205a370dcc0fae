"""All use cases on a database of this machine or a server's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from tiphys._util.times import utc_now
from tiphys.errors import MissingExtraError, StoreError
from tiphys.plugins.loading import load
from tiphys.ports.access import Access, Accounts
from tiphys.ports.backend import Backend
from tiphys.ports.engine_host import EngineHost, HostFigures
from tiphys.ports.events import Events
from tiphys.ports.policies import Policies
from tiphys.ports.store import Store
from tiphys.ports.workflows import Objects
from tiphys.records.base import DEFAULT_WORKSPACE, Query, R, Where
from tiphys.records.servers import ServerAddress
from tiphys.services.artifacts import ArtifactService
from tiphys.services.client_tasks import ClientTasks
from tiphys.services.counts import Counts
from tiphys.services.labels import LabelService
from tiphys.services.log_keeping import LogKeeper
from tiphys.services.models import ModelService
from tiphys.services.runs import RunService
from tiphys.services.stacks import StackService
from tiphys.services.workspace_store import WorkspaceStore

#: How long the address of a server that died is kept, which may yet get its lease.
_FORGOTTEN = timedelta(hours=1)
#: Workspaces that are kept at hand.
_WORKSPACES = 256

if TYPE_CHECKING:
    from tiphys.services.workflows.service import WorkflowService


class LocalBackend(Backend):
    """The services on one store.

    Args:
        store: The database; closed with the backend.
        home: Folder of the default artifact store and of the live logs.
        db_url: How other processes open the same database.
        host: Carries runs out; `connect` gives it later where it needs the backend itself.
        workspace: Where names are looked up.
    """

    runs: RunService
    stacks: StackService

    def __init__(
        self,
        store: Store,
        *,
        home: Path,
        db_url: str = "",
        host: EngineHost | None = None,
        workspace: str = DEFAULT_WORKSPACE,
    ) -> None:
        self.store = store
        self.home = home
        self.db_url = db_url
        self.workspace = workspace
        self._host = host
        #: Where the steps of connected clients' runs wait for them.
        self.clients = ClientTasks()
        #: What happened in this process, for `/metrics`.
        self.counts = Counts()
        self.labels = LabelService(store, workspace=workspace)
        self.models = ModelService(store, workspace=workspace)
        self.stacks = StackService(store, home=home, workspace=workspace)
        self.artifacts = ArtifactService(store, self.stacks, is_alive=self.is_alive, workspace=workspace)
        self.runs = RunService(
            store, self.stacks, host=self._connected, clients=self.clients, home=home, workspace=workspace
        )
        self.logs = LogKeeper(store, home=home, stacks=self.stacks)
        self._inside = lru_cache(_WORKSPACES)(self._open_workspace)

    # What Python pipelines do not need is imported when it is first asked for: it reads YAML and knows all languages.

    @cached_property
    def objects(self) -> Objects:  # type: ignore[override]  # a port's attribute, made late
        """Stored objects."""
        service: Objects = load("tiphys.services.objects:ObjectService")(
            self.store, home=self.home, namespace=self.workspace
        )
        return service

    @cached_property
    def workflows(self) -> WorkflowService:  # type: ignore[override]  # a port's attribute, made late
        """Workflows as Argo's API serves them."""
        service: WorkflowService = load("tiphys.services.workflows.service:WorkflowService")(
            self.store,
            self.stacks,
            host=self._connected,
            is_alive=self.is_alive,
            home=self.home,
            db_url=self.db_url,
            namespace=self.workspace,
        )
        return service

    @cached_property
    def events(self) -> Events:  # type: ignore[override]  # a port's attribute, made late
        """Events, those that came in and those that are posted."""
        service: Events = load("tiphys.services.events.service:EventService")(
            self.store, home=self.home, namespace=self.workspace
        )
        return service

    @cached_property
    def access(self) -> Access:
        """Who may use a server on this database.

        Raises:
            MissingExtraError: what checks passwords is not installed.
        """
        try:
            service: Access = load("tiphys.services.access:AccessService")(self.store)
        except ModuleNotFoundError as error:
            raise MissingExtraError("server", error.name or "") from error
        return service

    @property
    def accounts(self) -> Accounts:  # type: ignore[override]  # a port's attribute, made late
        """Who may use a server on this database, for whoever manages them."""
        return self.access

    @cached_property
    def policies(self) -> Policies:  # type: ignore[override]  # a port's attribute, made late
        """What holds for all workspaces."""
        service: Policies = load("tiphys.services.policies:PolicyService")(self.store)
        return service

    def connect(self, host: EngineHost) -> None:
        """Have runs carried out by `host` from now on."""
        self._host = host

    def in_workspace(self, name: str) -> WorkspaceBackend:
        """The services as one workspace has them, which sees nothing of the others."""
        return self._inside(name)

    def _open_workspace(self, name: str) -> WorkspaceBackend:
        return WorkspaceBackend(self, name, host=self._connected, is_alive=self.is_alive)

    def serve(self) -> None:
        """Carry out what nobody carries out, from now on."""
        self._connected().serve()

    def announce(self, url: str, certificate: str) -> None:
        """Tell other servers on the same database where this one is reached, while it works."""
        if not self.store.shared:
            return
        host, now = self._connected(), utc_now()
        with self.store.transaction() as transaction:
            living = {lease.owner for lease in transaction.leases()}
            old = transaction.find(Query(ServerAddress, (Where("created_at", now - _FORGOTTEN, "lt"),)))
            transaction.delete(ServerAddress, [host.owner, *(one.id for one in old if one.id not in living)])
            transaction.add(ServerAddress(id=host.owner, url=url, certificate=certificate, created_at=now))

    def other_servers(self) -> list[ServerAddress]:
        """Where the others on the same database are reached that work."""
        if not self.store.shared:
            return []
        host = self._connected()
        return [one for one in self.find(Query.of(ServerAddress)) if one.id != host.owner and host.is_alive(one.id)]

    def figures(self) -> HostFigures:
        """What the engine's host does and did."""
        return HostFigures() if self._host is None else self._host.figures()

    def find(self, query: Query[R]) -> list[R]:
        """Records that obey the query."""
        with self.store.reader() as reader:
            return reader.find(query)

    def count(self, query: Query[R]) -> int:
        """How many records obey the query."""
        with self.store.reader() as reader:
            return reader.count(query)

    def is_alive(self, owner: str) -> bool:
        """Whether the process that `WorkflowRow.owner` names still works, as far as this one can tell."""
        return self._host is None or self._host.is_alive(owner)

    def close(self) -> None:
        """End the host's work and give connections back."""
        if self._host is not None:
            self._host.close()
        self.logs.close()
        self.store.close()

    def _connected(self) -> EngineHost:
        if self._host is None:
            raise StoreError("This backend has no engine: runs can be read, but not carried out.")
        return self._host


class WorkspaceBackend(Backend):
    """The services of one workspace. Stacks and the engine are the whole backend's, which also closes them.

    Args:
        whole: The backend of all workspaces.
        workspace: Which one this is.
        host: Asked for the engine's host when one is needed.
        is_alive: Whether the process that owns a workflow still runs.
    """

    runs: RunService
    artifacts: ArtifactService
    stacks: StackService

    def __init__(
        self,
        whole: LocalBackend,
        workspace: str,
        *,
        host: Callable[[], EngineHost],
        is_alive: Callable[[str], bool],
    ) -> None:
        self._whole = whole
        self.workspace = workspace
        self.home = whole.home
        self.store = WorkspaceStore(whole.store, workspace)
        self.labels = LabelService(self.store, workspace=workspace)
        self.models = ModelService(self.store, workspace=workspace)
        self.stacks = whole.stacks
        self.artifacts = ArtifactService(
            self.store, whole.stacks, is_alive=is_alive, workspace=workspace, everything=whole.store
        )
        self.clients = whole.clients
        self.runs = RunService(
            self.store, whole.stacks, host=host, clients=whole.clients, home=whole.home, workspace=workspace
        )

    @property
    def objects(self) -> Objects:  # type: ignore[override]  # a port's attribute, made late
        """Stored objects of the namespace of that name."""
        return self._whole.objects.in_namespace(self.workspace)

    @property
    def workflows(self) -> WorkflowService:  # type: ignore[override]  # a port's attribute, made late
        """Workflows of the namespace of that name."""
        return self._whole.workflows.in_namespace(self.workspace)

    @property
    def events(self) -> Events:  # type: ignore[override]  # a port's attribute, made late
        """Events of the namespace of that name."""
        return self._whole.events.in_namespace(self.workspace)

    @property
    def accounts(self) -> Accounts:  # type: ignore[override]  # a port's attribute, made late
        """Those of all workspaces."""
        return self._whole.accounts

    @property
    def policies(self) -> Policies:  # type: ignore[override]  # a port's attribute, made late
        """Those of all workspaces."""
        return self._whole.policies

    def find(self, query: Query[R]) -> list[R]:
        """Records of the workspace that obey the query."""
        with self.store.reader() as reader:
            return reader.find(query)

    def count(self, query: Query[R]) -> int:
        """How many records of the workspace obey the query."""
        with self.store.reader() as reader:
            return reader.count(query)

    def close(self) -> None:
        """Nothing: the whole backend goes on."""
