"""How a request for an artifact says who asks: OAuth 2's client credentials, and TLS client certificates."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote_plus

import httpx2

from tiphys.errors import ArtifactError
from tiphys.integrations.http.transfer import attempts, check, new_client, public


def client_certificate(certificate: str, key: str) -> ssl.SSLContext:
    """A TLS context that shows a certificate; both arguments are PEM text.

    Raises:
        ssl.SSLError: they are not, or do not belong together.
    """
    context = ssl.create_default_context()
    with tempfile.TemporaryDirectory() as folder:  # the library reads files only
        files = Path(folder, "certificate"), Path(folder, "key")
        for file, text in zip(files, (certificate, key), strict=True):
            file.touch(0o600)
            file.write_text(text)
        context.load_cert_chain(*files)
    return context


def access_token(
    url: str, client_id: str, client_secret: str, *, scopes: Sequence[str], parameters: Sequence[tuple[str, str]]
) -> str:
    """A token by the grant "client credentials" (RFC 6749, section 4.4).

    The client names itself in a header and, if the server does not take that, in the body, as golang.org/x/oauth2 does.

    Raises:
        httpx2.HTTPError: the server cannot be reached or refuses.
        ArtifactError: its answer holds no token.
    """
    form = [("grant_type", "client_credentials"), *parameters]
    if scopes:
        form.append(("scope", " ".join(scopes)))
    named = [*form, ("client_id", client_id), ("client_secret", client_secret)]
    with new_client() as client:
        for attempt in attempts():
            with attempt:
                response = _post(client, url, form, auth=(quote_plus(client_id), quote_plus(client_secret)))
                if response.is_client_error:
                    response = _post(client, url, named)
                check(response)
    token = _token_in(response)
    if not token:
        raise ArtifactError(f"The token server {public(url)} answered without an access token.")
    return token


def _post(client: httpx2.Client, url: str, form: Sequence[tuple[str, str]], **auth: Any) -> httpx2.Response:
    data: dict[str, list[str]] = {}
    for name, value in form:
        data.setdefault(name, []).append(value)
    return client.post(url, data=data, headers={"Accept": "application/json"}, **auth)


def _token_in(response: httpx2.Response) -> str:
    if "x-www-form-urlencoded" in response.headers.get("content-type", ""):
        return parse_qs(response.text).get("access_token", [""])[0]
    try:
        found = response.json()
    except ValueError:
        return ""
    return str(found.get("access_token") or "") if isinstance(found, dict) else ""
