"""Artifacts in Google Cloud Storage.

Fields mean what they mean in Argo's `workflow/artifacts/gcs/gcs.go`. Without a key of a service account the credentials
are those of the machine (Google's application default credentials, workload identity).
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from obstore.exceptions import BaseError
from obstore.store import GCSStore

from tiphys.ports.artifact_driver import Located
from tiphys.ports.object_driver import ObjectDriver, Place
from tiphys.spec.artifacts import GCSArtifact

#: Most that a request may take in all, and between two readings: objects may be large, a server may not be silent.
_TIMEOUTS = {"timeout": "24h", "read_timeout": "5m"}


class GCSDriver(ObjectDriver):
    """Reads, saves, lists and deletes what an artifact's `gcs` names."""

    location: ClassVar[str] = "gcs"
    failures: ClassVar[tuple[type[Exception], ...]] = (BaseError,)

    def place(self, artifact: Located) -> Place:
        """As the base class says."""
        gcs = self.at(artifact, GCSArtifact)
        bucket = self.required(artifact, "bucket", gcs.bucket)
        account = self.secret(artifact, "serviceAccountKeySecret", gcs.service_account_key_secret)
        options: dict[str, Any] = dict(_TIMEOUTS)
        config: dict[str, Any] = {"skip_signature": False}
        if account is not None:
            config["service_account_key"] = account
            options["allow_http"] = self._base_url(artifact, account).startswith("http://")
        store = GCSStore(
            bucket,
            config=config,  # type: ignore[arg-type]  # its keys are those of the settings
            client_options=options,  # type: ignore[arg-type]  # likewise
        )
        return Place(store, gcs.key or "", f"gs://{bucket}/{gcs.key or ''}")

    def _base_url(self, artifact: Located, account: str) -> str:
        """Where the account's key says the server is: for emulators; empty for Google's own."""
        try:
            found = json.loads(account)
            return str(found.get("gcs_base_url") or "")
        except (ValueError, AttributeError):
            raise self.error(artifact, "serviceAccountKeySecret", "selects what is not a key in JSON") from None
