"""One server, asked over HTTP: waits for it while it is away, and turns its refusals back into our errors."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import httpx2

from tiphys._version import __version__
from tiphys.errors import (
    AlreadyExistsError,
    ArtifactError,
    ArtifactMissingError,
    ConflictError,
    NotFoundError,
    ServiceError,
    SpecError,
    StackError,
    StoreError,
    TiphysError,
    UnimplementedError,
    UsageError,
)

#: Path of our API on a server.
API = "/api/tiphys/v1"
#: Header by which client and server tell each other their versions.
VERSION_HEADER = "Tiphys-Version"
#: Header that names a request; a server that has it done already does not do it again.
REQUEST_HEADER = "Tiphys-Request"
#: Seconds: to be let in, and between two bytes of an answer.
_CONNECT, _READ = 5.0, 60.0
#: Seconds between attempts to reach a server that is away: the first, and the longest.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
#: Statuses of a server, or of what stands before it, that is not ready.
_AWAY = (502, 503, 504)
_CLASSES: dict[str, type[TiphysError]] = {
    kind.code: kind
    for kind in (
        AlreadyExistsError,
        ArtifactError,
        ArtifactMissingError,
        ConflictError,
        NotFoundError,
        ServiceError,
        SpecError,
        StackError,
        StoreError,
        UnimplementedError,
        UsageError,
    )
}


class Connection:
    """A server.

    Args:
        url: Where it is: `https://host:port`.
        api_key: Sent with each request; empty for a server that asks nobody.
        authority: File with the certificates that are trusted; empty for the system's.
        patience: Seconds that an unreachable server is waited for.
        tell: Called with a line when the waiting begins and when it ends.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str = "",
        authority: str = "",
        patience: float = 0.0,
        tell: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self.url = url.rstrip("/")
        self.patience = patience
        self._tell = tell
        self._lock = threading.Lock()
        self._away = False
        headers = {VERSION_HEADER: __version__}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        self._client = httpx2.Client(
            base_url=self.url,
            headers=headers,
            verify=ssl.create_default_context(cafile=authority) if authority else True,
            timeout=httpx2.Timeout(_READ, connect=_CONNECT),
        )

    def ask(self, verb: str, path: str, *, body: Any = None, query: Mapping[str, Any] | None = None) -> Any:
        """The JSON that the server answers; None for an empty answer.

        A server that cannot be reached is asked again until the patience ends, so the request must bear being made
        twice: reads, or writes that name themselves.

        Raises:
            ServiceError: it cannot be reached, or answers something else.
            TiphysError: as the server raised it.
        """
        response = self.send(verb, path, json=body, params=query)
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError as error:
            raise ServiceError(f"{self.url}{path} answered something that is no JSON.") from error

    def send(self, verb: str, path: str, **arguments: Any) -> httpx2.Response:
        """A successful response, waited for as `ask` does."""
        until = time.monotonic() + self.patience
        pause = _FIRST_PAUSE
        while True:
            try:
                response = self._client.request(
                    verb, path, **{key: value for key, value in arguments.items() if value is not None}
                )
                if response.status_code not in _AWAY:
                    self._is_back()
                    return self._expect_success(response)
                problem = f"it answers {response.status_code}"
            except httpx2.TransportError as error:
                problem = str(error) or type(error).__name__
            if time.monotonic() >= until:
                raise ServiceError(
                    f"The server {self.url} cannot be reached: {problem}.",
                    hint="Is it running? TIPHYS_URL and `tiphys login` say which server is asked.",
                )
            self._is_away(problem)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def stream(self, verb: str, path: str, **arguments: Any) -> AbstractContextManager[httpx2.Response]:
        """A response whose body is read piece by piece."""
        return self._client.stream(verb, path, **arguments)

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def _expect_success(self, response: httpx2.Response) -> httpx2.Response:
        if response.is_success:
            return response
        raise error_in(response)

    def _is_away(self, problem: str) -> None:
        with self._lock:
            told, self._away = self._away, True
        if not told:
            self._tell(f"The server {self.url} is away ({problem}); waiting for it.")

    def _is_back(self) -> None:
        if self._away:
            with self._lock:
                told, self._away = self._away, False
            if told:
                self._tell(f"The server {self.url} is back.")


def error_in(response: httpx2.Response) -> TiphysError:
    """What an answer that is no success says; its body must be read."""
    try:
        body = response.json()
    except ValueError:
        body = {}
    if not isinstance(body, dict) or "message" not in body:
        if response.status_code == NotFoundError.http_status:
            return NotFoundError(f"The server has no {response.url.path}.")
        return ServiceError(f"The server answered {response.status_code} {response.reason_phrase}.")
    kind = _CLASSES.get(str(body.get("code")), TiphysError)
    return kind(str(body["message"]), hint=body.get("hint"))
