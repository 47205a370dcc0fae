"""What agents ask of the rest, from several threads: stored objects, Secrets, artifacts that lie elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from tiphys.ports.object_keeper import Manifest

#: Gives the values of a Secret by key (decoded) for a namespace and a name; None if there is none of that name.
Secrets = Callable[[str, str], Mapping[str, bytes] | None]


class ObjectActions(Protocol):
    """Reads and changes stored objects, by kind, namespace and name.

    A Workflow that is created is carried out; what is shown of it has its status.
    """

    def get(self, kind: str, namespace: str, name: str) -> Manifest:
        """An object.

        Raises:
            NotFoundError: there is none of that kind and name.
        """

    def find(self, kind: str, namespace: str, labels: str) -> list[Manifest]:
        """Objects of a kind that a label selector means (all, if it is empty).

        Raises:
            ExpressionError: the selector cannot be read.
        """

    def create(self, namespace: str, manifest: Mapping[str, Any]) -> Manifest:
        """Store a new object, whose `metadata.name` is set.

        Raises:
            UsageError: it is refused.
            AlreadyExistsError: there is one of that kind and name.
        """

    def update(self, namespace: str, manifest: Mapping[str, Any]) -> Manifest:
        """Replace an object.

        Raises:
            UsageError: it is refused.
            NotFoundError: there is none of that kind and name.
            ConflictError: its `resourceVersion` is not the present one, or it must not be changed.
        """

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Remove an object.

        Raises:
            NotFoundError: there is none of that kind and name.
        """


class ArtifactSources(Protocol):
    """Reads artifacts in places that Argo knows (s3, http, git, …)."""

    def fetch(self, artifact: Mapping[str, Any], into: Path) -> None:
        """Make what an artifact's location says the file or folder `into`, which does not exist.

        Raises:
            TiphysError: it cannot be fetched.
        """

    def list_keys(self, artifact: Mapping[str, Any]) -> list[str]:
        """Keys of all files at and beneath an artifact's location, whole and in order.

        Raises:
            TiphysError: the location cannot be listed.
        """
