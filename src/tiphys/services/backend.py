"""All use cases on a database of this machine or a server's."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from tiphys.errors import MissingExtraError, StoreError
from tiphys.plugins.loading import load
from tiphys.ports.access import Access
from tiphys.ports.backend import Backend
from tiphys.ports.engine_host import EngineHost
from tiphys.ports.store import Store
from tiphys.ports.workflows import Objects, Workflows
from tiphys.records.base import DEFAULT_WORKSPACE, Query, R
from tiphys.services.artifacts import ArtifactService
from tiphys.services.labels import LabelService
from tiphys.services.models import ModelService
from tiphys.services.runs import RunService
from tiphys.services.stacks import StackService


class LocalBackend(Backend):
    """The services on one store.

    Args:
        store: The database; closed with the backend.
        home: Folder of the default artifact store and of the live logs.
        db_url: How other processes open the same database.
        host: Carries runs out; `connect` gives it later where it needs the backend itself.
        workspace: Where names are looked up.
    """

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
        self.labels = LabelService(store, workspace=workspace)
        self.models = ModelService(store, workspace=workspace)
        self.stacks = StackService(store, home=home, workspace=workspace)
        self.artifacts = ArtifactService(store, self.stacks, is_alive=self._is_alive, workspace=workspace)
        self.runs = RunService(store, self.stacks, host=self._connected, home=home, workspace=workspace)

    # What Python pipelines do not need is imported when it is first asked for: it reads YAML and knows all languages.

    @cached_property
    def objects(self) -> Objects:  # type: ignore[override]  # a port's attribute, made late
        """Stored objects."""
        service: Objects = load("tiphys.services.objects:ObjectService")(
            self.store, home=self.home, namespace=self.workspace
        )
        return service

    @cached_property
    def workflows(self) -> Workflows:  # type: ignore[override]  # a port's attribute, made late
        """Workflows as Argo's API serves them."""
        service: Workflows = load("tiphys.services.workflows.service:WorkflowService")(
            self.store,
            self.stacks,
            host=self._connected,
            is_alive=self._is_alive,
            home=self.home,
            db_url=self.db_url,
            namespace=self.workspace,
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

    def connect(self, host: EngineHost) -> None:
        """Have runs carried out by `host` from now on."""
        self._host = host

    def find(self, query: Query[R]) -> list[R]:
        """Records that obey the query."""
        with self.store.reader() as reader:
            return reader.find(query)

    def count(self, query: Query[R]) -> int:
        """How many records obey the query."""
        with self.store.reader() as reader:
            return reader.count(query)

    def close(self) -> None:
        """End the host's work and give connections back."""
        if self._host is not None:
            self._host.close()
        self.store.close()

    def _is_alive(self, owner: str) -> bool:
        return self._host is None or self._host.is_alive(owner)

    def _connected(self) -> EngineHost:
        if self._host is None:
            raise StoreError("This backend has no engine: runs can be read, but not carried out.")
        return self._host
