"""Port: objects of Kubernetes' form, as `resource` templates read and change them, wherever they are kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tiphys.errors import ServiceError

#: An object as JSON, as Kubernetes' API shows it.
Manifest = dict[str, Any]


class UnavailableError(ServiceError):
    """There is no answer just now; if the same is asked again, there may be one."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of objects, as a manifest names it or a word of kubectl's does."""

    #: Like `Job`, or a word like `po`, `jobs`, `deployments.apps`.
    name: str
    #: The `apiVersion`, like `batch/v1`; None if `name` is a word. Empty if a manifest says none.
    version: str | None = None

    def __str__(self) -> str:
        return f"'{self.name}' of {self.version}" if self.version else f"'{self.name}'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """How an object is removed, in the words of kubectl's flags."""

    #: What becomes of the objects that it owns: background, foreground or orphan.
    cascade: str = "background"
    #: Seconds that it has for its end; None for what its kind says.
    grace: int | None = None


class ObjectKeeper(ABC):
    """Reads and changes objects by kind, namespace and name; called from several threads.

    The namespace of a kind that belongs to none is ignored. All methods raise `UnavailableError` or `StoreError` where
    there is no answer, and `UsageError` where they are refused.
    """

    #: Whether the workflows of this engine are among the objects: only then can they own others.
    has_workflows: bool

    @abstractmethod
    def kind(self, named: Kind) -> Kind:
        """The kind that is meant, as manifests have it.

        Raises:
            NotFoundError: there is no such kind.
        """

    @abstractmethod
    def get(self, kind: Kind, namespace: str, name: str) -> Manifest:
        """An object.

        Raises:
            NotFoundError: there is none of that kind and name.
        """

    @abstractmethod
    def find(self, kind: Kind, namespace: str, labels: str) -> list[Manifest]:
        """Objects of a kind that a label selector means (all, if it is empty).

        Raises:
            ExpressionError: the selector cannot be read.
        """

    @abstractmethod
    def create(self, kind: Kind, namespace: str, manifest: Mapping[str, Any]) -> Manifest:
        """Make a new object, whose `metadata.name` is set.

        Raises:
            AlreadyExistsError: there is one of that kind and name.
        """

    @abstractmethod
    def replace(self, kind: Kind, namespace: str, manifest: Mapping[str, Any]) -> Manifest:
        """Put another object in the place of one.

        Raises:
            NotFoundError: there is none of that kind and name.
            ConflictError: its `resourceVersion` is not the present one, or it must not be changed.
        """

    @abstractmethod
    def apply(self, kind: Kind, namespace: str, manifest: Mapping[str, Any], *, force: bool = True) -> Manifest:
        """Make an object what the manifest says, and take away what one applied earlier said and it does not.

        Args:
            kind: Its kind.
            namespace: Where it is.
            manifest: What is wanted of it.
            force: Whether fields that somebody else has set are taken over.

        Raises:
            ConflictError: such a field is not to be taken over, or the object must not be changed.
        """

    @abstractmethod
    def patch(self, kind: Kind, namespace: str, name: str, patch: Any, strategy: str) -> Manifest:
        """Change an object by a patch: strategic, merge or json.

        Raises:
            NotFoundError: there is none of that kind and name.
            ConflictError: it must not be changed.
        """

    @abstractmethod
    def delete(self, kind: Kind, namespace: str, name: str, how: Deletion) -> Manifest | None:
        """Remove an object.

        Returns:
            It, if it stays for a while because something is still to be done; else None.

        Raises:
            NotFoundError: there is none of that kind and name.
        """
