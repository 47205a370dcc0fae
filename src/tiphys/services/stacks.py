"""Stacks, their components, and the services that components started."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tiphys._util.canonical import canonical_json
from tiphys._util.ids import new_id
from tiphys._util.times import utc_now
from tiphys.errors import AlreadyExistsError, ConflictError, NotFoundError, StackError
from tiphys.plugins.integrations import find_flavor
from tiphys.plugins.making import configured, make_component
from tiphys.ports.backend import Stacks
from tiphys.ports.component import StackComponent
from tiphys.ports.store import Reader, Store, Transaction
from tiphys.records.base import DEFAULT_WORKSPACE, Query
from tiphys.records.stacks import Component, ComponentType, Service, StackRecord

#: Name of the stack that every home has, and of its two components.
DEFAULT_STACK = "default"
#: What every stack has; left out, the default one is taken.
MANDATORY = (ComponentType.ORCHESTRATOR, ComponentType.ARTIFACT_STORE)
MASK = "********"
_SECRET_NAME = re.compile(r"password|passwd|secret|token|api_?key|access_key|credential|private_key", re.IGNORECASE)


def masked(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration for people: values whose name says that they are secret are hidden."""
    return {
        key: masked(value) if isinstance(value, Mapping) else MASK if value and _SECRET_NAME.search(key) else value
        for key, value in configuration.items()
    }


class StackService(Stacks):
    """Stacks in a store.

    Args:
        store: The database.
        home: Folder under which the default artifact store keeps its files.
        workspace: Where names are looked up.
    """

    def __init__(self, store: Store, *, home: Path, workspace: str = DEFAULT_WORKSPACE) -> None:
        self._store = store
        self._home = home
        self._workspace = workspace
        self._in_use: dict[tuple[str, str], StackComponent] = {}

    def active(self) -> StackRecord:
        """The stack in use; a fresh home gets the default one."""
        with self._store.reader() as reader:
            found = self._find_active(reader)
        if found is not None:
            return found
        with self._store.transaction() as transaction:
            return self.ensure_active(transaction)

    def ensure_active(self, transaction: Transaction) -> StackRecord:
        """`active`, inside a transaction."""
        found = self._find_active(transaction)
        if found is not None:
            return found
        stack = self._ensure_default(transaction)
        transaction.update(StackRecord, stack.id, active=True)
        return replace(stack, active=True)

    def for_run(self, transaction: Transaction, name_or_id: str | None) -> StackRecord:
        """The stack that a run asks for; the active one if it asks for none."""
        if name_or_id is None:
            return self.ensure_active(transaction)
        found = self.find(transaction, name_or_id)
        if found is None and name_or_id == DEFAULT_STACK:
            found = self._ensure_default(transaction)
        if found is None:
            raise NotFoundError(f"There is no stack '{name_or_id}'.", hint="See them all: tiphys stack list")
        return found

    def get(self, name_or_id: str) -> StackRecord:
        """A stack."""
        with self._store.reader() as reader:
            found = self.find(reader, name_or_id)
        if found is not None:
            return found
        if name_or_id == DEFAULT_STACK:
            with self._store.transaction() as transaction:
                return self._ensure_default(transaction)
        raise NotFoundError(f"There is no stack '{name_or_id}'.", hint="See them all: tiphys stack list")

    def find(self, reader: Reader, name_or_id: str) -> StackRecord | None:
        """A stack by name or id, if there is one."""
        found = reader.find(Query.of(StackRecord, workspace=self._workspace, name=name_or_id, limit=1))
        return found[0] if found else reader.get(StackRecord, name_or_id)

    def describe(self, name_or_id: str | None = None) -> dict[str, Any]:
        """A stack for people; secret values are masked."""
        stack = self.active() if name_or_id is None else self.get(name_or_id)
        with self._store.reader() as reader:
            components = {
                kind: [
                    {
                        "id": component.id,
                        "name": component.name,
                        "flavor": component.flavor,
                        "configuration": masked(component.configuration),
                    }
                    for component in self.components_of(reader, stack, ComponentType(kind))
                ]
                for kind in stack.components
            }
        return {"id": stack.id, "name": stack.name, "active": stack.active, "components": components}

    def register(
        self, name: str, components: Mapping[ComponentType, Sequence[str]], *, activate: bool = False
    ) -> StackRecord:
        """Create a stack of registered components; a missing orchestrator or artifact store is the default one."""
        with self._store.transaction() as transaction:
            default = self._ensure_default(transaction)
            if self.find(transaction, name) is not None:
                raise AlreadyExistsError(
                    f"There is a stack '{name}' already.", hint="Delete it, or choose another name."
                )
            ids = {kind.value: default.components[kind.value] for kind in MANDATORY}
            for kind, names in components.items():
                if names:
                    ids[kind.value] = [self._find_component(transaction, kind, one).id for one in names]
            stack = StackRecord(id=new_id(), name=name, workspace=self._workspace, components=ids, created_at=utc_now())
            transaction.add(stack)
            return self._activate(transaction, stack) if activate else stack

    def activate(self, name_or_id: str) -> StackRecord:
        """Use a stack from now on."""
        stack = self.get(name_or_id)
        with self._store.transaction() as transaction:
            return self._activate(transaction, stack)

    def delete(self, name_or_id: str) -> None:
        """Remove a stack that is not active."""
        with self._store.transaction() as transaction:
            stack = self.find(transaction, name_or_id)
            if stack is None:
                raise NotFoundError(f"There is no stack '{name_or_id}'.", hint="See them all: tiphys stack list")
            if stack.active:
                raise ConflictError(
                    f"The stack '{stack.name}' is active.", hint="Activate another one first: tiphys stack set NAME"
                )
            transaction.delete(StackRecord, [stack.id])

    def register_component(
        self, type: ComponentType, name: str, flavor: str, configuration: Mapping[str, Any]
    ) -> Component:
        """Create a component; its configuration is checked by the flavor."""
        component = Component(
            id=new_id(),
            name=name,
            workspace=self._workspace,
            type=type,
            flavor=flavor,
            configuration=dict(configuration),
            created_at=utc_now(),
        )
        configured(component, self._complete(component))
        with self._store.transaction() as transaction:
            if transaction.count(Query.of(Component, workspace=self._workspace, type=type, name=name)):
                raise AlreadyExistsError(f"There is a {_words(type)} '{name}' already.")
            transaction.add(component)
        return component

    def delete_component(self, type: ComponentType, name: str) -> None:
        """Remove a component that no stack has."""
        with self._store.transaction() as transaction:
            component = self._find_component(transaction, type, name)
            for stack in transaction.find(Query.of(StackRecord, workspace=self._workspace)):
                if component.id in stack.components.get(type.value, ()):
                    raise ConflictError(f"The {_words(type)} '{name}' is part of the stack '{stack.name}'.")
            transaction.delete(Component, [component.id])

    def component_record(self, type: ComponentType, name: str) -> Component:
        """A registered component."""
        with self._store.reader() as reader:
            return self._find_component(reader, type, name)

    def component(self, type: ComponentType, name: str | None = None, *, stack: str | None = None) -> StackComponent:
        """A component ready to use: of `stack`, or of the active one; one named without a stack may stand in none.

        Raises:
            StackError: the stack has no such component.
        """
        return self.in_use(self.chosen(type, name, stack=stack))

    def chosen(self, type: ComponentType, name: str | None = None, *, stack: str | None = None) -> Component:
        """The record of the component that `component` makes."""
        if name is not None and stack is None:
            return self._registered(type, name)
        owner = self.active() if stack is None else self.get(stack)
        with self._store.reader() as reader:
            return pick(self.components_of(reader, owner, type), type, name, owner.name)

    def recipe(self, type: ComponentType, name: str | None = None, *, stack: str | None = None) -> Component:
        """As `chosen`, with all that another process needs to make it: secrets, and what the home decides."""
        record = self.chosen(type, name, stack=stack)
        return replace(record, configuration=self._complete(record))

    def in_use(self, record: Component) -> StackComponent:
        """The component that a record describes; made once."""
        key = (record.id, canonical_json(record.configuration))
        component = self._in_use.get(key)
        if component is None:
            component = self._in_use.setdefault(key, make_component(record, self._complete(record)))
        return component

    def components_of(self, reader: Reader, stack: StackRecord, type: ComponentType) -> list[Component]:
        """Components of one type of a stack, in its order."""
        ids = stack.components.get(type.value, [])
        found = reader.get_many(Component, ids)
        return [found[component_id] for component_id in ids if component_id in found]

    def recipes(self, reader: Reader, stack: StackRecord, types: Iterable[ComponentType]) -> dict[str, list[Any]]:
        """How another process makes components of a stack: {type: [{name, implementation, config_class, config}]}."""
        return {
            kind.value: [self._recipe(component) for component in self.components_of(reader, stack, kind)]
            for kind in types
        }

    def save_service(self, service: Service) -> Service:
        """Create or change a service's record."""
        with self._store.transaction() as transaction:
            transaction.put(service, "id")
        return service

    def delete_service(self, id: str) -> None:
        """Remove a service's record."""
        with self._store.transaction() as transaction:
            if not transaction.delete(Service, [id]):
                raise NotFoundError(f"There is no service with the id {id}.")

    def _recipe(self, component: Component) -> dict[str, Any]:
        flavor = find_flavor(component.type, component.flavor)
        return {
            "name": component.name,
            "implementation": flavor.implementation,
            "config_class": flavor.config,
            "config": self._complete(component),
        }

    def _complete(self, component: Component) -> dict[str, Any]:
        """The configuration with what the home decides."""
        configuration = dict(component.configuration)
        if component.type is ComponentType.ARTIFACT_STORE and component.flavor == "local":
            configuration.setdefault("path", str(self._home / "artifacts"))
        return configuration

    def _registered(self, type: ComponentType, name: str) -> Component:
        try:
            return self.component_record(type, name)
        except NotFoundError:
            if name != DEFAULT_STACK or type not in MANDATORY:
                raise
            with self._store.transaction() as transaction:
                self._ensure_default(transaction)
            return self.component_record(type, name)

    def _find_active(self, reader: Reader) -> StackRecord | None:
        found = reader.find(Query.of(StackRecord, workspace=self._workspace, active=True, limit=1))
        return found[0] if found else None

    def _find_component(self, reader: Reader, type: ComponentType, name: str) -> Component:
        found = reader.find(Query.of(Component, workspace=self._workspace, type=type, name=name, limit=1))
        if not found:
            raise NotFoundError(
                f"There is no {_words(type)} '{name}'.",
                hint=f"Register it: tiphys {type.value.replace('_', '-')} register {name} --flavor=…",
            )
        return found[0]

    def _activate(self, transaction: Transaction, stack: StackRecord) -> StackRecord:
        for other in transaction.find(Query.of(StackRecord, workspace=self._workspace, active=True)):
            transaction.update(StackRecord, other.id, active=False)
        transaction.update(StackRecord, stack.id, active=True)
        return replace(stack, active=True)

    def _ensure_default(self, transaction: Transaction) -> StackRecord:
        ids = {}
        for kind in MANDATORY:
            component = Component(
                id=new_id(),
                name=DEFAULT_STACK,
                workspace=self._workspace,
                type=kind,
                flavor="local",
                created_at=utc_now(),
            )
            ids[kind.value] = [transaction.ensure(component, "workspace", "type", "name").id]
        stack = StackRecord(
            id=new_id(), name=DEFAULT_STACK, workspace=self._workspace, components=ids, created_at=utc_now()
        )
        return transaction.ensure(stack, "workspace", "name")


def pick(components: Sequence[Component], type: ComponentType, name: str | None, stack: str) -> Component:
    """The component of that name (the first without one) among a stack's.

    Raises:
        StackError: there is none.
    """
    for component in components:
        if name is None or component.name == name:
            return component
    what = _words(type) if name is None else f"{_words(type)} '{name}'"
    option = type.value.replace("_", "-")
    raise StackError(
        f"The stack '{stack}' has no {what}.",
        hint=f"Register one (tiphys {option} register NAME --flavor=…) and a stack with it (tiphys stack register).",
    )


def _words(type: ComponentType) -> str:
    return type.value.replace("_", " ")
