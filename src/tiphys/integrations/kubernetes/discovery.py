"""Which kinds of objects a cluster has, and where in its API they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from tiphys.errors import NotFoundError
from tiphys.ports.object_keeper import Kind, UnavailableError


class Server(Protocol):
    """Answers requests."""

    def ask(self, method: str, path: str) -> Any:
        """An answer, as JSON; raises as `Connection.ask` does."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of objects of a cluster."""

    kind: Kind
    #: As in paths.
    plural: str
    namespaced: bool

    def path(self, namespace: str, name: str = "") -> str:
        """Where the objects of a namespace are, or one of them."""
        parts = [_base(self.kind.version or "")]
        if self.namespaced:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        return "/".join(parts)


class Discovery:
    """Finds kinds as kubectl does; what was found stays.

    Args:
        server: Who knows them.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._found: dict[Kind, Resource] = {}

    def resource(self, named: Kind) -> Resource:
        """The kind that a manifest or a word means.

        Raises:
            NotFoundError: the cluster has none of that name.
            UnavailableError: the cluster, or the part of it that may have the kind, does not answer.
        """
        found = self._found.get(named)
        if found is None:
            found = self._by_word(named.name) if named.version is None else self._by_manifest(named, named.version)
            self._found[named] = self._found[found.kind] = found
        return found

    def _by_manifest(self, named: Kind, version: str) -> Resource:
        found = None
        if version:
            found = next((each for each, _ in self._of_version(version) if each.kind.name == named.name), None)
        if found is None:
            raise NotFoundError(
                f'no matches for kind "{named.name}" in version "{version}"',
                hint="Write the apiVersion that the cluster knows, and install the CRD of a custom kind first.",
            )
        return found

    def _by_word(self, word: str) -> Resource:
        name, _, rest = word.lower().partition(".")
        silent: UnavailableError | None = None
        for group, version in self._preferred():
            # After the name a version and the group may stand, or the group alone.
            if rest and rest != group and rest != f"{version.rpartition('/')[2]}.{group}".rstrip("."):
                continue
            try:
                for found, names in self._of_version(version):
                    if name in names:
                        return found
            except UnavailableError as error:  # a server beside the main one; another may have the kind
                silent = error
        if silent is not None:
            raise silent
        raise NotFoundError(f'error: the server doesn\'t have a resource type "{word}"')

    def _preferred(self) -> Iterator[tuple[str, str]]:
        """All groups with the version that is preferred, the server's favourites first."""
        yield "", "v1"
        for group in self._server.ask("GET", "/apis")["groups"]:
            yield group["name"], group["preferredVersion"]["groupVersion"]

    def _of_version(self, version: str) -> Iterator[tuple[Resource, tuple[str, ...]]]:
        """The kinds of a group's version, with the words for each."""
        try:
            listed = self._server.ask("GET", _base(version))
        except NotFoundError:
            return
        for entry in listed["resources"]:
            if "/" not in entry["name"]:
                kind = Kind(entry["kind"], version)
                yield Resource(kind, entry["name"], entry["namespaced"]), _words(entry)


def _base(version: str) -> str:
    return f"/api/{version}" if "/" not in version else f"/apis/{version}"


def _words(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return (entry["name"], entry["kind"].lower(), *(entry.get("shortNames") or ()))
