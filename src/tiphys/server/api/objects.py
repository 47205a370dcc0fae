"""Stored objects of all kinds: Argo's API leaves ConfigMaps, Secrets and volume claims to Kubernetes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, Depends
from starlette.requests import Request
from starlette.responses import Response

from tiphys.ports.workflows import Manifest
from tiphys.records.objects import ObjectKind
from tiphys.server.api.answers import answer, nothing
from tiphys.server.api.here import Here, of_server, of_workspace
from tiphys.server.api.workflows import Manifests
from tiphys.server.argo.bodies import manifest_in
from tiphys.server.auth.permissions import Action, Permission, needs, principal_of

router, shared = of_workspace("objects"), of_server("objects")
_WRITE = [Depends(needs("objects", Action.WRITE))]
Given = Annotated[dict[str, Any], Body(alias="object")]
DryRun = Annotated[bool, Body()]


def _reading(kind: str | None) -> Permission:
    """What it takes to read objects of a kind: Secrets are for those who may change them."""
    return needs("objects", Action.WRITE if kind == ObjectKind.SECRET else Action.READ)


def _expect_allowed(request: Request) -> None:
    _reading(request.path_params.get("kind"))(request)


_READ = [Depends(needs("objects", Action.READ)), Depends(_expect_allowed)]


@router.post("/objects/{kind}", response_model=Manifest, dependencies=_WRITE)
def create_object(backend: Here, workspace: str, kind: ObjectKind, given: Given, dry_run: DryRun = False) -> Response:
    """Store a new object."""
    return answer(backend.objects.create(_manifest(kind, given, workspace), dry_run=dry_run))


@router.put("/objects/{kind}", response_model=Manifest, dependencies=_WRITE)
def update_object(backend: Here, workspace: str, kind: ObjectKind, given: Given, dry_run: DryRun = False) -> Response:
    """Replace an object that there is."""
    return answer(backend.objects.update(_manifest(kind, given, workspace), dry_run=dry_run))


@router.patch("/objects/{kind}", response_model=Manifest, dependencies=_WRITE)
def apply_object(backend: Here, workspace: str, kind: ObjectKind, given: Given, dry_run: DryRun = False) -> Response:
    """Create or replace an object."""
    return answer(backend.objects.apply(_manifest(kind, given, workspace), dry_run=dry_run))


@router.get("/objects/{kind}", response_model=Manifests, dependencies=_READ)
def find_objects(backend: Here, kind: ObjectKind, labels: str = "", fields: str = "") -> Response:
    """Objects that the label selector and the field selector mean, by name."""
    return answer({"items": backend.objects.find(kind, labels=labels, fields=fields)})


@shared.get("/objects/{kind}", response_model=Manifests, dependencies=_READ)
def find_everywhere(request: Request, backend: Here, kind: ObjectKind, labels: str = "", fields: str = "") -> Response:
    """Objects of all workspaces that who asks may see, by workspace and name."""
    found = backend.objects.find(kind, labels=labels, fields=fields, all_namespaces=True)
    visible = None if kind.is_cluster_scoped else _reading(kind).visible(principal_of(request))
    return answer({"items": [one for one in found if visible is None or one["metadata"]["namespace"] in visible]})


@router.get("/objects/{kind}/{name}", response_model=Manifest, dependencies=_READ)
def get_object(backend: Here, kind: ObjectKind, name: str) -> Response:
    """An object."""
    return answer(backend.objects.get(kind, name))


@router.delete("/objects/{kind}/{name}", status_code=204, dependencies=_WRITE)
def delete_object(backend: Here, kind: ObjectKind, name: str) -> Response:
    """Remove an object; a volume claim's folder goes with it."""
    backend.objects.delete(kind, name)
    return nothing()


def _manifest(kind: ObjectKind, given: dict[str, Any], workspace: str) -> Manifest:
    namespace = "" if kind.is_cluster_scoped else workspace
    manifest = manifest_in({"object": given}, "object", kind.value, namespace=namespace)
    if not manifest["spec"]:
        # ConfigMaps and Secrets have none.
        del manifest["spec"]
    return manifest
