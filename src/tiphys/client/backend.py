"""All use cases, asked of a server."""

from __future__ import annotations

from typing import Any

from tiphys.client.accounts import ClientAccounts
from tiphys.client.artifact_store import ServerArtifactStore, use_connection
from tiphys.client.artifacts import ClientArtifacts
from tiphys.client.connection import Connection
from tiphys.client.events import ClientEvents
from tiphys.client.labels import ClientLabels
from tiphys.client.models import ClientModels
from tiphys.client.objects import ClientObjects
from tiphys.client.place import Place
from tiphys.client.policies import ClientPolicies
from tiphys.client.runs import ClientRuns
from tiphys.client.stacks import ClientStacks
from tiphys.client.steps import Workshop
from tiphys.client.workflows import ClientWorkflows
from tiphys.errors import StackError
from tiphys.ports.backend import Backend
from tiphys.ports.wire import PAGE, read, write_filter
from tiphys.records.base import DEFAULT_WORKSPACE, Query, R
from tiphys.records.stacks import ComponentType

#: Characters of filters that an address may hold; servers and what stands before them limit its length.
_LONG = 2000


class ClientBackend(Backend):
    """The services of one workspace of a server.

    Args:
        connection: The server; closed with the backend.
        workshop: Where steps are carried out on this machine.
        workspace: Where names are looked up.
    """

    def __init__(self, connection: Connection, workshop: Workshop, *, workspace: str = DEFAULT_WORKSPACE) -> None:
        self.connection = connection
        self._workshop = workshop
        self.workspace = workspace
        self._place = Place(connection, workspace)
        use_connection(connection)
        self.runs = ClientRuns(self._place, workshop, self._code_store)
        self.artifacts = ClientArtifacts(self._place)
        self.models = ClientModels(self._place)
        self.labels = ClientLabels(self._place)
        self.stacks = ClientStacks(self._place, workshop)
        self.objects = ClientObjects(connection, namespace=workspace)
        self.workflows = ClientWorkflows(connection, namespace=workspace)
        self.events = ClientEvents(connection, namespace=workspace)
        self.accounts = ClientAccounts(connection)
        self.policies = ClientPolicies(connection)

    def _code_store(self) -> ServerArtifactStore:
        """The active stack's artifact store, by which code is sent."""
        store = self.stacks.component(ComponentType.ARTIFACT_STORE)
        if not isinstance(store, ServerArtifactStore):
            raise StackError(f"Code cannot be sent to the server by the artifact store '{store.name}'.")
        return store

    def find(self, query: Query[R]) -> list[R]:
        """Records of the workspace that obey the query, page by page."""
        found: list[R] = []
        after = None if query.after is None else query.after.id
        while query.limit is None or len(found) < query.limit:
            limit = PAGE if query.limit is None else min(PAGE, query.limit - len(found))
            page = self._ask(query, "/find", {"order": query.order, "after": after, "limit": limit})
            found += read(list[query.kind], page["items"])  # type: ignore[name-defined]  # a type known when it runs
            after = page["next"]
            if after is None:
                break
        return found

    def count(self, query: Query[R]) -> int:
        """How many records of the workspace obey the query."""
        number: int = self._ask(query, "/count", {})["count"]
        return number

    def close(self) -> None:
        """End what runs here, and give the connections back."""
        self._workshop.close()
        self.connection.close()

    def _ask(self, query: Query[R], verb: str, more: dict[str, Any]) -> Any:
        path = self._place.path_of(query.kind)
        filters = [write_filter(where) for where in query.where]
        if sum(map(len, filters)) > _LONG:
            body = {"filter": filters, **more}
            return self.connection.ask("POST", path + verb, body=body, reads=True)
        return self.connection.ask("GET", path + verb.replace("/find", ""), query={"filter": filters or None, **more})
