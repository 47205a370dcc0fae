"""Artifacts in Azure Blob Storage.

Fields mean what they mean in Argo's `workflow/artifacts/azure/azure.go`: the account is the first part of the
endpoint's host name (of its path on a loopback address, as emulators have it); the account key may be a SAS token.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import AzureStore

from tiphys.ports.artifact_driver import Located
from tiphys.ports.object_driver import ObjectDriver, Place
from tiphys.spec.artifacts import AzureArtifact

#: Most that a request may take in all, and between two readings: blobs may be large, a server may not be silent.
_TIMEOUTS = {"timeout": "24h", "read_timeout": "5m"}
_SAS_TOKEN = re.compile(r"[?&][^=]+=[^&]+")


class AzureDriver(ObjectDriver):
    """Reads, saves, lists and deletes what an artifact's `azure` names."""

    location: ClassVar[str] = "azure"
    failures: ClassVar[tuple[type[Exception], ...]] = (BaseError,)
    key_field: ClassVar[str] = "blob"

    def place(self, artifact: Located) -> Place:
        """As the base class says."""
        azure = self.at(artifact, AzureArtifact)
        container = self.required(artifact, "container", azure.container)
        endpoint = self.required(artifact, "endpoint", azure.endpoint).rstrip("/")
        store = AzureStore(
            container,
            config={"endpoint": endpoint, "account_name": self._account(artifact, endpoint), "skip_signature": False}
            | self._credentials(artifact, azure),  # type: ignore[arg-type]  # its keys are those of the settings
            client_options={**_TIMEOUTS, "allow_http": endpoint.startswith("http://")},  # type: ignore[arg-type]
        )
        return Place(store, azure.blob or "", f"{endpoint}/{container}/{azure.blob or ''}")

    def _credentials(self, artifact: Located, azure: AzureArtifact) -> dict[str, Any]:
        if azure.use_sdk_creds:
            # Those of the environment, of a workload identity, or of the machine.
            return {}
        key = self.required_secret(artifact, "accountKeySecret", azure.account_key_secret)
        if _SAS_TOKEN.search(key):
            return {"sas_key": key.removeprefix("?")}
        return {"account_key": key.strip()}

    def _account(self, artifact: Located, endpoint: str) -> str:
        parts = urlsplit(endpoint)
        host = parts.hostname or ""
        account = parts.path.strip("/").partition("/")[0] if host in {"127.0.0.1", "localhost"} else host.split(".")[0]
        if parts.scheme not in {"http", "https"} or not account:
            raise self.error(
                artifact,
                "endpoint",
                f"('{endpoint}') does not tell the storage account",
                hint="Write https://<account>.blob.core.windows.net.",
            )
        return account
