"""Files over HTTP: what the drivers of `http`, `artifactory` and `hdfs` share."""

from __future__ import annotations

import logging
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx2
import stamina

from tiphys.errors import ArtifactError, ArtifactMissingError
from tiphys.ports.artifact_driver import Located, named

#: Seconds without any progress after which a request has failed.
_PATIENCE = 60.0
_REDIRECTS = 10
_TRANSIENT = {408, 429, 500, 502, 503, 504}
_KEEPS_METHOD = {307, 308}
_MISSING = {404, 410}
#: Of a URL.
_USER = re.compile(r"//[^/]*@")
#: Bytes of an error's body that are shown.
_SHOWN = 300

# It notes each further attempt, which would be a bare word on the terminal where nobody has set up logging.
logging.getLogger("stamina").addHandler(logging.NullHandler())


def new_client(
    *,
    auth: tuple[str, str] | None = None,
    headers: list[tuple[str, str]] | None = None,
    tls: ssl.SSLContext | None = None,
) -> httpx2.Client:
    """A client for one artifact.

    Args:
        auth: User name and password.
        headers: Sent with each request.
        tls: Where the certificates of the server and of the client come from, if not from the system.
    """
    return httpx2.Client(
        auth=auth, headers=headers, timeout=_PATIENCE, verify=True if tls is None else tls, max_redirects=_REDIRECTS
    )


def attempts() -> Any:
    """For `for attempt in …: with attempt: …`, which tries again what fails for a while, five times at most."""
    return stamina.retry_context(on=_is_transient, attempts=5, timeout=120, wait_initial=0.2, wait_max=10)


def download(client: httpx2.Client, url: str, into: Path) -> None:
    """Write what the server has at `url` to a file."""
    for attempt in attempts():
        with attempt, client.stream("GET", url, follow_redirects=True) as response, into.open("wb") as file:
            check(response)
            for part in response.iter_bytes():
                file.write(part)


def upload(client: httpx2.Client, url: str, path: Path) -> None:
    """Send a file by PUT; a redirection that keeps the method is followed, with the file sent once more."""
    for attempt in attempts():
        with attempt:
            put(client, url, path)


def put(client: httpx2.Client, url: str, path: Path) -> None:
    """As `upload`, once. Credentials are not sent to another host (as Go's client, and httpx2's for GET)."""
    first = target = httpx2.URL(url)
    for _ in range(_REDIRECTS):
        with path.open("rb") as file:
            request = client.build_request("PUT", target, content=file)
            if (target.scheme, target.host, target.port) == (first.scheme, first.host, first.port):
                response = client.send(request)
            else:
                for name in ("authorization", "cookie"):
                    request.headers.pop(name, None)
                response = client.send(request, auth=None)
        if response.status_code not in _KEEPS_METHOD or "location" not in response.headers:
            check(response)
            return
        target = target.join(response.headers["location"])
    raise httpx2.TooManyRedirects(f"more than {_REDIRECTS} redirections", request=request)


def check(response: httpx2.Response) -> None:
    """Accept answers of the kind "success" only.

    Raises:
        httpx2.HTTPStatusError: with the status and the beginning of the body.
    """
    if response.is_success:
        return
    told = " ".join(response.read()[:_SHOWN].decode("utf-8", "replace").split())
    status = f"{response.status_code} {_phrase(response.status_code)}".strip()
    message = f"{status}: {told}" if told else status
    raise httpx2.HTTPStatusError(message, request=response.request, response=response)


@contextmanager
def telling(artifact: Located, doing: str, url: str) -> Iterator[None]:
    """Turn the client's errors into ours."""
    name = named(artifact, within=True)
    try:
        yield
    except httpx2.HTTPStatusError as error:
        kind = ArtifactMissingError if error.response.status_code in _MISSING and doing != "save" else ArtifactError
        raise kind(f"Cannot {doing} {name}: {public(url)} answered {error}.") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
        told = str(error) or type(error).__name__
        raise ArtifactError(f"Cannot {doing} {name} at {public(url)}: {told}.") from error


def public(url: str) -> str:
    """A URL without what may be secret: the user's part and the query."""
    return _USER.sub("//", re.split("[?#]", url)[0])


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _is_transient(error: Exception) -> bool:
    if isinstance(error, httpx2.HTTPStatusError):
        return error.response.status_code in _TRANSIENT
    return isinstance(error, httpx2.TransportError) and not isinstance(error, httpx2.UnsupportedProtocol)
