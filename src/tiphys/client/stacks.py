"""Stacks of a server. Their components are made here, from what the server has registered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tiphys._util.canonical import canonical_json
from tiphys.client.artifact_store import ServerArtifactStore
from tiphys.client.place import Place, segment
from tiphys.client.steps import Workshop
from tiphys.plugins.making import make_component
from tiphys.ports.backend import Stacks
from tiphys.ports.component import StackComponent
from tiphys.ports.wire import API, THROUGH_SERVER, read
from tiphys.records.stacks import Component, ComponentType, Service, StackRecord

#: Flavors of artifact stores whose data goes through the server: on its own disk, or such that only it may reach them.
_BEHIND = ("local", THROUGH_SERVER)


class ClientStacks(Stacks):
    """Stacks, components and services of a server, the same in all of its workspaces.

    Args:
        place: The server, and the workspace by which data is reached.
        workshop: Where components work on this machine.
    """

    def __init__(self, place: Place, workshop: Workshop) -> None:
        self._connection = place.connection
        self._place = place
        self._workshop = workshop
        self._in_use: dict[tuple[str, str], StackComponent] = {}

    def active(self) -> StackRecord:
        """The stack in use."""
        return read(StackRecord, self._get("/stacks/active"))

    def get(self, name_or_id: str) -> StackRecord:
        """A stack."""
        return read(StackRecord, self._get("/stacks/lookup", name=name_or_id))

    def describe(self, name_or_id: str | None = None) -> dict[str, Any]:
        """A stack for people, with secret values masked."""
        return read(dict[str, Any], self._get("/stacks/description", name=name_or_id))

    def register(
        self, name: str, components: Mapping[ComponentType, Sequence[str]], *, activate: bool = False
    ) -> StackRecord:
        """Create a stack of registered components."""
        body = {"name": name, "components": components, "activate": activate}
        return read(StackRecord, self._connection.ask("POST", f"{API}/stacks", body=body))

    def activate(self, name_or_id: str) -> StackRecord:
        """Use a stack from now on."""
        return read(StackRecord, self._connection.ask("POST", f"{API}/stacks/{segment(name_or_id)}/activate"))

    def delete(self, name_or_id: str) -> None:
        """Remove a stack that is not active."""
        self._connection.ask("DELETE", f"{API}/stacks/{segment(name_or_id)}")

    def register_component(
        self, type: ComponentType, name: str, flavor: str, configuration: Mapping[str, Any]
    ) -> Component:
        """Create a component; the server checks its configuration."""
        body = {"type": type, "name": name, "flavor": flavor, "configuration": configuration}
        return read(Component, self._connection.ask("POST", f"{API}/components", body=body))

    def delete_component(self, type: ComponentType, name: str) -> None:
        """Remove a component that no stack has."""
        self._connection.ask("DELETE", f"{API}/components/{type.value}/{segment(name)}")

    def component_record(self, type: ComponentType, name: str) -> Component:
        """A registered component."""
        return read(Component, self._get("/components/lookup", type=type.value, name=name))

    def component(self, type: ComponentType, name: str | None = None, *, stack: str | None = None) -> StackComponent:
        """A component of a stack, made here; the same configuration gives the same one."""
        if type is ComponentType.ARTIFACT_STORE:
            # Whoever may read may read data, and needs no secrets for it.
            record = read(Component, self._get("/components/artifact-store", name=name, stack=stack))
        else:
            record = read(Component, self._get("/components/recipe", type=type.value, name=name, stack=stack))
        key = (record.id, canonical_json(record.configuration))
        found = self._in_use.get(key)
        if found is None:
            found = self._in_use.setdefault(key, self._make(record))
        return found

    def save_service(self, service: Service) -> Service:
        """Create or change a service's record."""
        path = f"{API}/services/{segment(service.id)}"
        return read(Service, self._connection.ask("PUT", path, body=service))

    def delete_service(self, id: str) -> None:
        """Remove a service's record."""
        self._connection.ask("DELETE", f"{API}/services/{segment(id)}")

    def _get(self, path: str, **query: Any) -> Any:
        return self._connection.ask("GET", API + path, query=query)

    def _make(self, record: Component) -> StackComponent:
        if record.type is ComponentType.ARTIFACT_STORE and record.flavor in _BEHIND:
            return ServerArtifactStore(name=record.name, config=self._workshop.store(self._place, record.name))
        return make_component(record, record.configuration)
