"""Stored objects of a server: templates and schedules by Argo's REST API, what that has no place for by ours."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tiphys.client.argo_paths import joined, path_of
from tiphys.client.connection import Connection
from tiphys.errors import NotFoundError, UsageError
from tiphys.ports.wire import API
from tiphys.ports.workflows import Manifest, Objects
from tiphys.records.objects import ObjectKind

#: Kind → where its objects are in Argo's API, and where one stands in a request's body.
_ARGO = {
    ObjectKind.WORKFLOW_TEMPLATE: ("workflow-templates", "template"),
    ObjectKind.CLUSTER_WORKFLOW_TEMPLATE: ("cluster-workflow-templates", "template"),
    ObjectKind.CRON_WORKFLOW: ("cron-workflows", "cronWorkflow"),
}


class ClientObjects(Objects):
    """Stored objects of one namespace of a server, and those that belong to none.

    Args:
        connection: The server.
        namespace: Where names are looked up.
    """

    def __init__(self, connection: Connection, *, namespace: str) -> None:
        self._connection = connection
        self._namespace = namespace

    def in_namespace(self, namespace: str) -> ClientObjects:
        """The same for another namespace."""
        return ClientObjects(self._connection, namespace=namespace)

    def create(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> Manifest:
        """Store a new object."""
        kind = _kind_of(manifest)
        if kind not in _ARGO:
            return self._ask("POST", self._own_path(kind, manifest), body={"object": manifest, "dry_run": dry_run})
        body: dict[str, Any] = {_ARGO[kind][1]: manifest, "namespace": self._namespace_of(manifest)}
        if dry_run:
            body["createOptions"] = {"dryRun": ["All"]}
        return self._ask("POST", self._list_of(kind, self._namespace_of(manifest)), body=body)

    def update(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> Manifest:
        """Replace an object."""
        kind = _kind_of(manifest)
        if kind not in _ARGO or dry_run:
            return self._ask("PUT", self._own_path(kind, manifest), body={"object": manifest, "dry_run": dry_run})
        name = str((manifest.get("metadata") or {}).get("name") or "")
        namespace = self._namespace_of(manifest)
        body = {_ARGO[kind][1]: manifest, "name": name, "namespace": namespace}
        return self._ask("PUT", f"{self._list_of(kind, namespace)}/{joined(name)}", body=body)

    def apply(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> Manifest:
        """Create or replace an object."""
        kind = _kind_of(manifest)
        return self._ask("PATCH", self._own_path(kind, manifest), body={"object": manifest, "dry_run": dry_run})

    def get(self, kind: ObjectKind, name: str) -> Manifest:
        """An object."""
        return self._ask("GET", self._path(kind, name))

    def find(
        self, kind: ObjectKind, *, labels: str = "", fields: str = "", all_namespaces: bool = False
    ) -> list[Manifest]:
        """Objects of a kind that the selectors mean, by namespace and name."""
        if kind in _ARGO:
            path = self._list_of(kind, "" if all_namespaces else self._namespace)
            query = {"listOptions.labelSelector": labels, "listOptions.fieldSelector": fields}
        else:
            path = f"{API}/objects/{kind.value}" if all_namespaces else self._own_path(kind)
            query = {"labels": labels, "fields": fields}
        found = self._ask("GET", path, query={key: value for key, value in query.items() if value}).get("items") or []
        # Argo leaves the kind out in lists.
        return [{**one, "kind": kind.value} for one in found]

    def suspend_schedule(self, name: str, *, suspended: bool) -> Manifest:
        """Have a CronWorkflow start nothing, or go on."""
        verb = "suspend" if suspended else "resume"
        body = {"name": name, "namespace": self._namespace}
        return self._ask("PUT", path_of("cron-workflows", self._namespace, name, verb), body=body)

    def delete(self, kind: ObjectKind, name: str) -> None:
        """Remove an object; a volume claim's folder goes with it."""
        self._ask("DELETE", self._path(kind, name))

    def claim_folder(self, namespace: str, name: str) -> Path | None:
        """None: a volume claim's data is on the server's machine."""
        del namespace, name
        return None

    def config_map(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """Values of a ConfigMap by key."""
        found = self._look_up(ObjectKind.CONFIG_MAP, namespace, name)
        if found is None:
            return None
        values = {key: str(value).encode() for key, value in (found.get("data") or {}).items()}
        return values | {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}

    def secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """Values of a Secret by key."""
        found = self._look_up(ObjectKind.SECRET, namespace, name)
        if found is None:
            return None
        return {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}

    def _look_up(self, kind: ObjectKind, namespace: str, name: str) -> Manifest | None:
        try:
            return self.in_namespace(namespace).get(kind, name)
        except NotFoundError:
            return None

    def _path(self, kind: ObjectKind, name: str) -> str:
        here = self._list_of(kind, self._namespace) if kind in _ARGO else self._own_path(kind)
        return f"{here}/{joined(name)}"

    def _list_of(self, kind: ObjectKind, namespace: str) -> str:
        place = _ARGO[kind][0]
        return path_of(place) if kind.is_cluster_scoped else path_of(place, namespace)

    def _own_path(self, kind: ObjectKind, manifest: Mapping[str, Any] | None = None) -> str:
        namespace = self._namespace if manifest is None else self._namespace_of(manifest)
        return f"{API}/workspaces/{joined(namespace)}/objects/{kind.value}"

    def _namespace_of(self, manifest: Mapping[str, Any]) -> str:
        return str((manifest.get("metadata") or {}).get("namespace") or self._namespace)

    def _ask(self, verb: str, path: str, **given: Any) -> Manifest:
        found: Manifest = self._connection.ask(verb, path, **given)
        return found


def _kind_of(manifest: Mapping[str, Any]) -> ObjectKind:
    """The kind of an object.

    Raises:
        UsageError: such objects are not stored.
    """
    kind = str(manifest.get("kind") or "")
    try:
        return ObjectKind(kind)
    except ValueError:
        raise UsageError(
            f"Objects of the kind '{kind}' are not stored.",
            hint=f"Stored are: {', '.join(ObjectKind)}; workflows are submitted.",
        ) from None
