"""The objects of a cluster, as `resource` templates read and change them: what kubectl asks of the API server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tiphys.errors import ConflictError
from tiphys.integrations.kubernetes.connection import Connection
from tiphys.integrations.kubernetes.discovery import Discovery
from tiphys.integrations.kubernetes.settings import ClusterSettings
from tiphys.ports.object_keeper import Deletion, Kind, Manifest, ObjectKeeper

#: Who the server notes as the one that set a field.
FIELD_MANAGER = "tiphys"
_PATCHES = {
    "strategic": "application/strategic-merge-patch+json",
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
}
#: How often an object is replaced that was changed by somebody else in between.
_TRIES = 5


def cluster(settings: ClusterSettings) -> ClusterObjects:
    """The objects of the cluster that the settings mean.

    Raises:
        UsageError: the kubeconfig cannot be used.
    """
    return ClusterObjects(Connection(settings))


class ClusterObjects(ObjectKeeper):
    """The objects of a cluster.

    Args:
        connection: Its API server.
    """

    has_workflows = False

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._discovery = Discovery(connection)

    def kind(self, named: Kind) -> Kind:
        """The kind that is meant."""
        return self._discovery.resource(named).kind

    def get(self, kind: Kind, namespace: str, name: str) -> Manifest:
        """An object."""
        found: Manifest = self._connection.ask("GET", self._path(kind, namespace, name))
        return found

    def find(self, kind: Kind, namespace: str, labels: str) -> list[Manifest]:
        """Objects that a label selector means."""
        query = {"labelSelector": labels} if labels else {}
        found = self._connection.ask("GET", self._path(kind, namespace), query=query)
        return [{"apiVersion": kind.version, "kind": kind.name, **item} for item in found["items"]]

    def create(self, kind: Kind, namespace: str, manifest: Mapping[str, Any]) -> Manifest:
        """Make a new object."""
        return self._send("POST", self._path(kind, namespace), manifest)

    def replace(self, kind: Kind, namespace: str, manifest: Mapping[str, Any]) -> Manifest:
        """Put another object in the place of one, as it is just now if the manifest does not say."""
        metadata = manifest["metadata"]
        path = self._path(kind, namespace, metadata["name"])
        if metadata.get("resourceVersion"):
            return self._send("PUT", path, manifest)
        number = 0
        while True:
            number += 1
            version = self._connection.ask("GET", path)["metadata"]["resourceVersion"]
            try:
                return self._send("PUT", path, {**manifest, "metadata": {**metadata, "resourceVersion": version}})
            except ConflictError:
                if number == _TRIES:
                    raise

    def apply(self, kind: Kind, namespace: str, manifest: Mapping[str, Any], *, force: bool = True) -> Manifest:
        """`kubectl apply --server-side`: the server knows who set which field and how its lists are merged."""
        path = self._path(kind, namespace, manifest["metadata"]["name"])
        return self._send(
            "PATCH", path, manifest, content_type="application/apply-patch+yaml", force="true" if force else "false"
        )

    def patch(self, kind: Kind, namespace: str, name: str, patch: Any, strategy: str) -> Manifest:
        """Have the server change an object."""
        return self._send("PATCH", self._path(kind, namespace, name), patch, content_type=_PATCHES[strategy])

    def delete(self, kind: Kind, namespace: str, name: str, how: Deletion) -> Manifest | None:
        """Remove an object; one that still has an end to come to is returned."""
        options: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": how.cascade.capitalize(),
        }
        if how.grace is not None:
            options["gracePeriodSeconds"] = how.grace
        answer: Manifest = self._connection.ask("DELETE", self._path(kind, namespace, name), options)
        return None if answer.get("kind") == "Status" else answer

    def _path(self, kind: Kind, namespace: str, name: str = "") -> str:
        return self._discovery.resource(kind).path(namespace, name)

    def _send(
        self, method: str, path: str, body: Any, *, content_type: str = "application/json", **query: str
    ) -> Manifest:
        query = {"fieldManager": FIELD_MANAGER, **query}
        answer: Manifest = self._connection.ask(method, path, body, query=query, content_type=content_type)
        return answer
