"""Stacks, components and services, which all workspaces share."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import Body, Depends
from starlette.requests import Request
from starlette.responses import Response

from tiphys.errors import UsageError
from tiphys.ports.wire import THROUGH_SERVER
from tiphys.records.stacks import Component, ComponentType, Service, StackRecord
from tiphys.server.api.answers import answer, nothing
from tiphys.server.api.here import Here, of_server
from tiphys.server.auth.permissions import Action, needs, principal_of

router = of_server("stacks")
_READ, _WRITE = [Depends(needs("stacks", Action.READ))], [Depends(needs("stacks", Action.WRITE))]
_ADMIN = [Depends(needs("stacks", Action.ADMIN))]
_SERVICES = [Depends(needs("services", Action.WRITE))]


@router.get("/stacks/active", response_model=StackRecord, dependencies=_READ)
def active_stack(backend: Here) -> Response:
    """The stack in use."""
    return answer(backend.stacks.active())


@router.get("/stacks/lookup", response_model=StackRecord, dependencies=_READ)
def look_up_stack(backend: Here, name: str) -> Response:
    """A stack by name or id."""
    return answer(backend.stacks.get(name))


@router.get("/stacks/description", dependencies=_READ)
def describe_stack(backend: Here, name: str | None = None) -> Response:
    """A stack (the active one by default) for people, with secret values masked."""
    return answer(backend.stacks.describe(name))


@router.post("/stacks", response_model=StackRecord, dependencies=_ADMIN)
def register_stack(
    backend: Here,
    name: Annotated[str, Body()],
    components: Annotated[dict[ComponentType, list[str]], Body()],
    activate: Annotated[bool, Body()] = False,
) -> Response:
    """Create a stack of registered components; a missing orchestrator or artifact store is the default one."""
    return answer(backend.stacks.register(name, components, activate=activate))


@router.post("/stacks/{name:path}/activate", response_model=StackRecord, dependencies=_ADMIN)
def activate_stack(backend: Here, name: str) -> Response:
    """Use a stack from now on."""
    return answer(backend.stacks.activate(name))


@router.delete("/stacks/{name:path}", status_code=204, dependencies=_ADMIN)
def delete_stack(backend: Here, name: str) -> Response:
    """Remove a stack that is not active."""
    backend.stacks.delete(name)
    return nothing()


@router.post("/components", response_model=Component, dependencies=_ADMIN)
def register_component(
    backend: Here,
    type: Annotated[ComponentType, Body()],
    name: Annotated[str, Body()],
    flavor: Annotated[str, Body()],
    configuration: Annotated[dict[str, Any], Body()],
) -> Response:
    """Create a component; its configuration is checked by the flavor."""
    return answer(backend.stacks.register_component(type, name, flavor, configuration))


@router.get("/components/recipe", response_model=Component, dependencies=_WRITE)
def component_recipe(backend: Here, type: ComponentType, name: str | None = None, stack: str | None = None) -> Response:
    """A component of a stack (the active one by default) with all that makes it, its secrets too."""
    return answer(backend.stacks.recipe(type, name, stack=stack))


@router.get("/components/artifact-store", response_model=Component, dependencies=_READ)
def artifact_store(request: Request, backend: Here, name: str | None = None, stack: str | None = None) -> Response:
    """An artifact store of a stack (the active one by default).

    Who may not have the secrets that it is reached by is told of it without its configuration, as of one whose data
    goes through this server.
    """
    kind = ComponentType.ARTIFACT_STORE
    if needs("stacks", Action.WRITE).allows(principal_of(request), None):
        return answer(backend.stacks.recipe(kind, name, stack=stack))
    return answer(replace(backend.stacks.chosen(kind, name, stack=stack), flavor=THROUGH_SERVER, configuration={}))


@router.get("/components/lookup", response_model=Component, dependencies=_WRITE)
def look_up_component(backend: Here, type: ComponentType, name: str) -> Response:
    """A registered component, as it was registered."""
    return answer(backend.stacks.component_record(type, name))


@router.delete("/components/{type}/{name:path}", status_code=204, dependencies=_ADMIN)
def delete_component(backend: Here, type: ComponentType, name: str) -> Response:
    """Remove a component that no stack has."""
    backend.stacks.delete_component(type, name)
    return nothing()


@router.put("/services/{id}", response_model=Service, dependencies=_SERVICES)
def save_service(backend: Here, id: str, service: Service) -> Response:
    """Create or change a service's record."""
    if service.id != id:
        raise UsageError(f"The service's id '{service.id}' is not that of the address, '{id}'.")
    return answer(backend.stacks.save_service(service))


@router.delete("/services/{id}", status_code=204, dependencies=_SERVICES)
def delete_service(backend: Here, id: str) -> Response:
    """Remove a service's record (the caller has stopped it)."""
    backend.stacks.delete_service(id)
    return nothing()
