"""An artifact store of a server, for clients that cannot reach its place: data goes through the server.

What was sent or fetched is kept on this machine for a while (`kept`), in a store of its own.
"""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path
from typing import Any

from tiphys.client.connection import Connection, error_in
from tiphys.client.kept import Kept, limit_from
from tiphys.errors import DigestMismatchError, NotFoundError, UsageError
from tiphys.plugins.loading import load
from tiphys.ports.artifact_store import ArtifactStore, StoredTree
from tiphys.ports.component import StackComponent
from tiphys.ports.wire import API
from tiphys.sdk.packed_trees import CHUNK, SMALL, PackedTree, unpack

_connections: dict[str, Connection] = {}


def use_connection(connection: Connection) -> None:
    """Have stores of this server ask through `connection`."""
    _connections[connection.url] = connection


def _connection_to(url: str) -> Connection:
    if url not in _connections:  # a process that a runner made
        load("tiphys.bootstrap:default_backend")()
    if url not in _connections:
        raise UsageError(
            f"The artifact store of the server {url} cannot be asked: this process is not connected to it.",
            hint="Set TIPHYS_URL, or type: tiphys login",
        )
    return _connections[url]


class ServerArtifactStore(StackComponent, ArtifactStore):
    """A store behind a server.

    Args:
        name: As registered there.
        config: {url, workspace, kept, later}: the server, the workspace, the folder of what is kept on this machine,
            and whether what is stored is sent later, by whoever reports the step that stored it.
    """

    def __init__(self, *, name: str, config: Mapping[str, Any]) -> None:
        super().__init__(name=name, config=config)
        self._url = str(config["url"])
        self._path = f"{API}/workspaces/{config['workspace']}/artifact-stores/{name}"
        self.root = f"{self._url}{self._path}"
        self._bounded = Kept(Path(config["kept"]), limit=limit_from(os.environ))
        self._kept: ArtifactStore = self._bounded.store
        self._later = bool(config.get("later"))

    def staging(self) -> AbstractContextManager[Path]:
        """A fresh folder on this machine."""
        return self._kept.staging()

    def commit(self, folder: Path) -> StoredTree:
        """Keep the files here, and send them: also those that the server has, which it may be about to remove."""
        return self._stored(self._kept.commit(folder))

    def commit_bytes(self, name: str, data: bytes) -> StoredTree:
        """Keep one small file here, and send it."""
        return self._stored(self._kept.commit_bytes(name, data))

    def _stored(self, tree: StoredTree) -> StoredTree:
        if not self._later:
            self.send(tree.digest)
        self._bounded.grew(tree.size)
        return StoredTree(tree.digest, tree.size, self.uri(tree.digest))

    def send(self, digest: str) -> None:
        """Send what is kept here. What is not any more was sent long ago."""
        if not self._bounded.use(digest):
            return
        with self._kept.open_tree(digest, verify=False) as files:
            self._connection.send("PUT", self._tree(digest), content=PackedTree(files))

    def packed(self, digest: str) -> str | None:
        """A tree that is kept here as it travels within a report, if it is small enough: its tar in base64."""
        if not self._bounded.use(digest):
            return None
        with self._kept.open_tree(digest, verify=False) as files:
            found = list(islice(files.iterdir(), 2))
            if len(found) > 1 or found[0].is_dir() or found[0].stat().st_size > SMALL:
                return None
            return base64.b64encode(b"".join(PackedTree(files))).decode("ascii")

    def exists(self, digest: str) -> bool:
        """Whether the server has the tree."""
        try:
            self._connection.send("HEAD", self._tree(digest))
        except NotFoundError:
            return False
        return True

    def open_tree(self, digest: str, *, verify: bool = True, part: str | None = None) -> AbstractContextManager[Path]:
        """A folder on this machine with a tree's files, fetched if they are not here."""
        self._keep(digest)
        return self._kept.open_tree(digest, verify=verify, part=part)

    def read_bytes(self, digest: str, name: str) -> bytes:
        """Content of one file of a tree."""
        self._keep(digest)
        return self._kept.read_bytes(digest, name)

    def uri(self, digest: str) -> str:
        """Where it can be fetched."""
        return f"{self.root}/trees/{digest}"

    def list_trees(self) -> Iterator[tuple[str, int, float]]:
        """Refused: see `delete`."""
        raise self._not_here()

    def delete(self, digest: str, *, unused_since: float | None = None) -> None:  # noqa: ARG002  # as the port says
        """Refused: data is removed by the server, which knows who uses it."""
        raise self._not_here()

    def sweep(self, *, before: float) -> None:
        """Remove what was interrupted on this machine."""
        self._kept.sweep(before=before)

    def _not_here(self) -> UsageError:
        return UsageError(
            f"The data of the artifact store '{self.name}' is listed and removed on its server.",
            hint="Type there, or connected to it: tiphys artifact gc",
        )

    @property
    def _connection(self) -> Connection:
        return _connection_to(self._url)

    def _tree(self, digest: str) -> str:
        return f"{self._path}/trees/{digest}"

    def _keep(self, digest: str) -> None:
        if self._bounded.use(digest):
            return
        with tempfile.TemporaryFile() as packed:
            with self._connection.stream("GET", self._tree(digest)) as response:
                if not response.is_success:
                    response.read()
                    raise error_in(response)
                for chunk in response.iter_bytes(CHUNK):
                    packed.write(chunk)
            packed.seek(0)
            with self._kept.staging() as folder:
                unpack(packed, folder)
                found = self._kept.commit(folder)
        if found.digest != digest:
            raise DigestMismatchError(f"The server sent {found.digest} instead of {digest}; it was not loaded.")
        self._bounded.grew(found.size)
