"""Azure Blob Storage, as its driver sees it, on a real Azurite."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
from tests.needs import lacking

from tiphys._util.ids import new_id
from tiphys.errors import ArtifactError, ArtifactMissingError, SpecError
from tiphys.integrations.azure.driver import AzureDriver
from tiphys.ports.artifact_driver import ArtifactDriver
from tiphys.spec.artifacts import Artifact
from tiphys.testing.artifact_driver_contract import FolderDriverContract, no_secrets, secrets_of

#: Where scripts/ensure_packages.sh installs it.
AZURITE = Path(sys.prefix) / "azurite/node_modules/azurite/dist/src/blob/main.js"
ACCOUNT, KEY = "mine", base64.b64encode(b"a key of sixty-four bytes, as those of Azure are: 0123456789abcd").decode()
NAMED = {"name": "azure", "key": "key"}


class Azurite:
    """A server with one account."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"

    def new_container(self) -> str:
        """As the service's documentation of "Authorize with Shared Key" has it."""
        name = f"container-{new_id()}"
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
        lines = ["PUT", *[""] * 11, *(f"{key}:{value}" for key, value in headers.items())]
        lines += [f"/{ACCOUNT}/{ACCOUNT}/{name}", "restype:container"]
        headers |= {"Authorization": f"SharedKey {ACCOUNT}:{signature(lines)}", "Content-Length": "0"}
        with urlopen(Request(f"{self.endpoint}/{name}?restype=container", method="PUT", headers=headers)) as response:
            assert response.status == 201
        return name


def signature(lines: list[str]) -> str:
    digest = hmac.new(base64.b64decode(KEY), "\n".join(lines).encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def sas_token(container: str, permissions: str) -> str:
    """As the documentation of "Create a service SAS" has it."""
    expires = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    version, protocols = "2018-11-09", "https,http"
    lines = [permissions, "", expires, f"/blob/{ACCOUNT}/{container}", "", "", protocols, version, "c", *[""] * 6]
    fields = {"sv": version, "sr": "c", "sp": permissions, "se": expires, "spr": protocols, "sig": signature(lines)}
    return "?" + urlencode(fields)


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    node = shutil.which("node")
    if node is None or not AZURITE.exists():
        lacking("Azurite is not installed (scripts/ensure_packages.sh).")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [
            *(node, AZURITE, "--blobHost", "127.0.0.1", "--blobPort", str(port)),
            *("--inMemoryPersistence", "--silent", "--disableTelemetry", "--skipApiVersionCheck"),
        ],
        cwd=tmp_path_factory.mktemp("azurite"),
        env={"PATH": os.environ["PATH"], "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"},
        stdout=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.05)
        yield Azurite(port)
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(autouse=True)
def no_credentials_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("AZURE_", "MSI_", "IDENTITY_"))]:
        monkeypatch.delenv(name)


def azure_artifact(endpoint: str, container: str, blob: str, /, **fields: Any) -> Artifact:
    place = {"endpoint": endpoint, "container": container, "blob": blob, "accountKeySecret": NAMED, **fields}
    return Artifact.from_json({"name": "mine", "azure": place})


class TestAzure(FolderDriverContract):
    @pytest.fixture
    def driver(self, azurite: Azurite) -> ArtifactDriver:
        self.endpoint, self.container = azurite.endpoint, azurite.new_container()
        return AzureDriver(secrets_of({"azure": {"key": KEY}}))

    def artifact(self, key: str) -> Artifact:
        return azure_artifact(self.endpoint, self.container, key)


class TestAzureBySAS(TestAzure):
    """The account's key may be a token."""

    @pytest.fixture
    def driver(self, azurite: Azurite) -> ArtifactDriver:
        self.endpoint, self.container = azurite.endpoint + "/", azurite.new_container()
        return AzureDriver(secrets_of({"azure": {"key": sas_token(self.container, "rwdlac")}}))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


def test_no_such_container(azurite: Azurite, file: Path) -> None:
    driver = AzureDriver(secrets_of({"azure": {"key": KEY}}))
    artifact = azure_artifact(azurite.endpoint, "no-such-container", "file")
    for do in (
        lambda: driver.load(artifact, file.with_name("into")),
        lambda: driver.save(file, artifact),
        lambda: driver.delete(artifact),
        lambda: driver.list_keys(artifact),
    ):
        with pytest.raises(ArtifactError, match=r"'mine' at .*/no-such-container/file: .*ContainerNotFound") as caught:
            do()
        assert not isinstance(caught.value, ArtifactMissingError)


def test_credentials_are_not_shown(azurite: Azurite, file: Path) -> None:
    container = azurite.new_container()
    token = sas_token(container, "r")
    artifact = azure_artifact(azurite.endpoint, container, "file")
    with pytest.raises(ArtifactError, match="'mine'.*403") as caught:
        AzureDriver(secrets_of({"azure": {"key": token}})).save(file, artifact)
    assert token.partition("sig=")[2] not in str(caught.value)
    wrong = secrets_of({"azure": {"key": base64.b64encode(b"x" * 64).decode()}})
    with pytest.raises(ArtifactError, match="403"):
        AzureDriver(wrong).save(file, artifact)


def test_keys_that_are_none(file: Path) -> None:
    artifact = azure_artifact("http://127.0.0.1:9/mine", "container", "file")
    with pytest.raises(SpecError, match="'mine': its location of type 'azure' cannot be opened: .*Invalid Access Key"):
        AzureDriver(secrets_of({"azure": {"key": "not base 64!"}})).save(file, artifact)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"container": None}, "azure.container is missing"),
        ({"endpoint": None}, "azure.endpoint is missing"),
        ({"endpoint": "mine.blob.core.windows.net"}, "azure.endpoint .* does not tell the storage account"),
        ({"endpoint": "http://127.0.0.1:10000"}, "azure.endpoint .* does not tell the storage account"),
        ({"blob": ""}, "azure.blob is missing"),
        ({"accountKeySecret": None}, "azure.accountKeySecret is missing"),
    ],
)
def test_what_is_missing_is_named(file: Path, fields: dict[str, Any], named: str) -> None:
    driver = AzureDriver(secrets_of({"azure": {"key": KEY}}))
    with pytest.raises(SpecError, match=f"'mine': {named}"):
        driver.save(file, azure_artifact("http://127.0.0.1:9/mine", "container", "file", **fields))


def test_an_endpoint_of_azure() -> None:
    artifact = azure_artifact("https://mine.blob.core.windows.net/", "container", "a/b")
    place = AzureDriver(secrets_of({"azure": {"key": KEY}})).place(artifact)
    assert place.url == "https://mine.blob.core.windows.net/container/a/b"


def test_credentials_of_this_machine(azurite: Azurite, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY)
    artifact = azure_artifact(azurite.endpoint, azurite.new_container(), "a", accountKeySecret=None, useSDKCreds=True)
    driver = AzureDriver(no_secrets)
    driver.save(file, artifact)
    assert driver.list_keys(artifact) == ["a"]
