"""Artifacts that any HTTP server has, or takes by PUT.

Fields mean what they mean in Argo's `workflow/artifacts/http/http.go` and its neighbour `artifacts.go`.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import httpx2

from tiphys.errors import ArtifactError
from tiphys.integrations.http.auth import access_token, client_certificate
from tiphys.integrations.http.transfer import download, new_client, telling, upload
from tiphys.ports.artifact_driver import ArtifactDriver, Located, arriving, named
from tiphys.spec.artifacts import Header, HTTPArtifact, OAuth2Auth
from tiphys.spec.kubernetes import EnvVarSource


class HTTPDriver(ArtifactDriver):
    """Reads what an artifact's `http` names, by GET, and saves it, by PUT."""

    location: ClassVar[str] = "http"

    def load(self, artifact: Located, into: Path) -> None:
        """As the port says; always a file."""
        with self._asking(artifact, "load") as (client, url), arriving(into) as staged:
            download(client, url, staged)

    def save(self, path: Path, artifact: Located) -> None:
        """As the port says; a file only."""
        check_is_file(path, artifact)
        with self._asking(artifact, "save") as (client, url):
            upload(client, url, path)

    @contextmanager
    def _asking(self, artifact: Located, doing: str) -> Iterator[tuple[httpx2.Client, str]]:
        http = self.at(artifact, HTTPArtifact)
        url = self.required(artifact, "url", http.url)
        headers = [self._header(artifact, header) for header in http.headers or ()]
        auth, tls = None, None
        with telling(artifact, doing, url):
            if http.auth is not None:
                auth = self._basic(artifact, http.auth.basic_auth)
                tls = self._certificate(artifact, http.auth.client_cert)
                if http.auth.oauth2 is not None and http.auth.oauth2.to_json():
                    headers.append(("Authorization", f"Bearer {self._token(artifact, http.auth.oauth2)}"))
            with new_client(auth=auth, headers=headers, tls=tls) as client:
                yield client, url

    def _header(self, artifact: Located, header: Header) -> tuple[str, str]:
        name = self.required(artifact, "headers.name", header.name)
        source = (header.model_extra or {}).get("valueFrom")
        if source is None:
            return name, header.value or ""
        selector = EnvVarSource.from_json(source).secret_key_ref
        return name, self.required_secret(artifact, f"headers[{name}].valueFrom.secretKeyRef", selector)

    def _basic(self, artifact: Located, basic: Any) -> tuple[str, str] | None:
        if basic is None or (basic.username_secret is None and basic.password_secret is None):
            return None
        user = self.secret(artifact, "auth.basicAuth.usernameSecret", basic.username_secret)
        password = self.secret(artifact, "auth.basicAuth.passwordSecret", basic.password_secret)
        return user or "", password or ""

    def _certificate(self, artifact: Located, named: Any) -> ssl.SSLContext | None:
        if named is None or (named.client_cert_secret is None and named.client_key_secret is None):
            return None
        where = "auth.clientCert"
        certificate = self.required_secret(artifact, f"{where}.clientCertSecret", named.client_cert_secret)
        key = self.required_secret(artifact, f"{where}.clientKeySecret", named.client_key_secret)
        try:
            return client_certificate(certificate, key)
        except ssl.SSLError as error:
            raise self.error(
                artifact, where, f"names no certificate with its key, both as PEM: {error.reason}"
            ) from error

    def _token(self, artifact: Located, oauth2: OAuth2Auth) -> str:
        where = "auth.oauth2"
        return access_token(
            self.required_secret(artifact, f"{where}.tokenURLSecret", oauth2.token_url_secret),
            self.required_secret(artifact, f"{where}.clientIDSecret", oauth2.client_id_secret),
            self.required_secret(artifact, f"{where}.clientSecretSecret", oauth2.client_secret_secret),
            scopes=oauth2.scopes or (),
            parameters=[(each.key or "", each.value or "") for each in oauth2.endpoint_params or ()],
        )


def check_is_file(path: Path, artifact: Located) -> None:
    """What is to be sent by one request.

    Raises:
        ArtifactError: it is missing, or a folder.
    """
    name = named(artifact, within=True)
    if path.is_dir():
        raise ArtifactError(
            f"Cannot save {name}: '{path}' is a folder, and HTTP carries files.",
            hint="Leave out 'archive: none', so that the folder is packed.",
        )
    if not path.exists():
        raise ArtifactError(f"Cannot save {name}: there is nothing at '{path}'.")
