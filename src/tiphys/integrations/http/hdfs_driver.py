"""Artifacts in HDFS, by its WebHDFS interface.

Fields mean what they mean in Argo's `workflow/artifacts/hdfs/hdfs.go`, which speaks Hadoop's own protocol; folders,
lists and deletion, which Argo does not have there, work too. An address is that of a name node: a URL or `host:port` of
WebHDFS; a port of Hadoop's own protocol (8020, 9000) stands for WebHDFS' usual one on the same host.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

import httpx2

from tiphys.errors import ArtifactError, ArtifactMissingError
from tiphys.integrations.http.transfer import attempts, check, download, new_client, put, telling
from tiphys.ports.artifact_driver import ArtifactDriver, Located, arriving, files_of, is_plain
from tiphys.spec.artifacts import HDFSArtifact

#: WebHDFS' port of a name node since Hadoop 3, and the ports of Hadoop's own protocol.
_PORT, _OTHER_PORTS = 9870, {"8020", "9000"}
#: Fields about Kerberos and the protection of Hadoop's own protocol.
_UNSUPPORTED = {
    "krb_c_cache_secret": "krbCCacheSecret",
    "krb_config_config_map": "krbConfigConfigMap",
    "krb_keytab_secret": "krbKeytabSecret",
    "krb_realm": "krbRealm",
    "krb_service_principal_name": "krbServicePrincipalName",
    "krb_username": "krbUsername",
    "data_transfer_protection": "dataTransferProtection",
}


class HDFSDriver(ArtifactDriver):
    """Reads, saves, lists and deletes what an artifact's `hdfs` names."""

    location: ClassVar[str] = "hdfs"

    def load(self, artifact: Located, into: Path) -> None:
        """As the port says."""
        with self._asking(artifact, "load") as node, arriving(into) as staged:
            if not node.status_is_folder():
                download(node.client, node.url("OPEN"), staged)
                return
            staged.mkdir()
            for name in node.files():
                if not is_plain(name):
                    raise ArtifactError(
                        f"{node.path} holds the file '{name}', whose name would lead out of the folder."
                    )
                (staged / name).parent.mkdir(parents=True, exist_ok=True)
                download(node.client, node.url("OPEN", name), staged / name)

    def save(self, path: Path, artifact: Located) -> None:
        """As the port says; without `force` nothing that is there is replaced."""
        hdfs = self.at(artifact, HDFSArtifact)
        if not path.exists():
            raise ArtifactError(f"There is nothing at '{path}' to save as hdfs:{hdfs.path}.")
        with self._asking(artifact, "save") as node:
            if not hdfs.force and node.exists():
                raise ArtifactError(
                    f"hdfs:{node.path} is there already, and is not replaced.", hint="Set 'force' to replace it."
                )
            for name in files_of(path) if path.is_dir() else [""]:
                node.create(path / name, name)

    def delete(self, artifact: Located) -> None:
        """As the port says."""
        with self._asking(artifact, "delete") as node:
            node.ask("DELETE", "DELETE", recursive="true")

    def list_keys(self, artifact: Located) -> list[str]:
        """As the port says: absolute paths."""
        with self._asking(artifact, "list") as node:
            if not node.status_is_folder():
                return [node.path]
            return sorted(f"{node.path}/{name}" for name in node.files())

    def is_folder(self, artifact: Located) -> bool:
        """As the port says; of HDFS' folders, which may be empty."""
        with self._asking(artifact, "list") as node:
            return node.exists() and node.status_is_folder()

    @contextmanager
    def _asking(self, artifact: Located, doing: str) -> Iterator[_Node]:
        hdfs = self.at(artifact, HDFSArtifact)
        for attribute, field in _UNSUPPORTED.items():
            if getattr(hdfs, attribute):
                raise self.error(artifact, field, "is not supported: only WebHDFS without Kerberos is")
        path = self.required(artifact, "path", hdfs.path)
        if not path.startswith("/") or not is_plain(path.strip("/")):
            raise self.error(artifact, "path", f"('{path}') is not absolute, or has a part that is empty, '.' or '..'")
        user = self.required(artifact, "hdfsUser", hdfs.hdfs_user)
        addresses = [_base_url(address) for address in hdfs.addresses or ()]
        self.required(artifact, "addresses", ",".join(addresses))
        with telling(artifact, doing, f"{addresses[0]}{path}"), new_client() as client:
            yield _Node(client, _active(client, addresses, user), user, path)


class _Node:
    """A name node, asked about one path.

    Args:
        client: Of the transfer.
        base: URL of WebHDFS.
        user: As whom.
        path: Absolute; a slash at its end says that it is a folder.
    """

    def __init__(self, client: httpx2.Client, base: str, user: str, path: str) -> None:
        self.client = client
        self.path = path.rstrip("/")
        self._base, self._user = base, user
        self._must_be_folder = path.endswith("/")

    def url(self, operation: str, name: str = "", **parameters: str) -> str:
        """URL of an operation on the path, or on what has a name beneath it."""
        path = f"{self.path}/{name}".rstrip("/")
        return f"{self._base}{quote(path)}?" + urlencode({"op": operation, "user.name": self._user, **parameters})

    def ask(self, method: str, operation: str, name: str = "", **parameters: str) -> Any:
        """The answer to an operation, as JSON."""
        for attempt in attempts():
            with attempt:
                response = self.client.request(method, self.url(operation, name, **parameters))
                check(response)
        return response.json()

    def exists(self) -> bool:
        """Whether there is anything."""
        try:
            self.ask("GET", "GETFILESTATUS")
        except httpx2.HTTPStatusError as error:
            if error.response.status_code == httpx2.codes.NOT_FOUND:
                return False
            raise
        return True

    def status_is_folder(self) -> bool:
        """Whether it is a folder.

        Raises:
            ArtifactMissingError: it is a file, but the path says that it is a folder.
        """
        found: bool = self.ask("GET", "GETFILESTATUS")["FileStatus"]["type"] == "DIRECTORY"
        if self._must_be_folder and not found:
            raise ArtifactMissingError(f"There is no folder hdfs:{self.path}/; it is a file.")
        return found

    def files(self, beneath: str = "") -> Iterator[str]:
        """Names of all files beneath the folder, relative to it."""
        for found in self.ask("GET", "LISTSTATUS", beneath)["FileStatuses"]["FileStatus"]:
            name = f"{beneath}/{found['pathSuffix']}".lstrip("/")
            if found["type"] == "DIRECTORY":
                yield from self.files(name)
            else:
                yield name

    def create(self, file: Path, name: str) -> None:
        """Send a file: a name node says to which data node."""
        for attempt in attempts():
            with attempt:
                response = self.client.put(self.url("CREATE", name, overwrite="true"))
                if response.status_code != httpx2.codes.TEMPORARY_REDIRECT:
                    check(response)
                target = response.headers.get("location")
                if target is None:
                    raise ArtifactError(f"The name node at {self._base} named no data node to take hdfs:{self.path}.")
                put(self.client, target, file)


def _base_url(address: str) -> str:
    if "://" not in address:
        host, _, port = address.partition(":")
        address = f"http://{host}:{_PORT if port in {'', *_OTHER_PORTS} else port}"
    return f"{address.rstrip('/')}/webhdfs/v1"


def _active(client: httpx2.Client, bases: list[str], user: str) -> str:
    """The first name node that answers and is not the standby of another; the last one is not asked."""
    for base in bases[:-1]:
        try:
            response = client.get(f"{base}/", params={"op": "GETFILESTATUS", "user.name": user})
        except httpx2.TransportError:
            continue
        if "StandbyException" not in response.text:
            return base
    return bases[-1]
