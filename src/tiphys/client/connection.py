"""One server, asked over HTTP: waits for it while it is away, and turns its refusals back into our errors."""

from __future__ import annotations

import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx2

from tiphys import errors
from tiphys._util.ids import new_id
from tiphys._util.tracing import given_parent
from tiphys.errors import ConflictError, NotFoundError, ServiceError, TiphysError, UnauthenticatedError, UsageError
from tiphys.ports.wire import ERROR_DOMAIN, REQUEST_HEADER, VERSION, VERSION_HEADER, dump

#: Seconds: to be let in, and between two bytes of an answer.
_CONNECT, _READ = 5.0, 60.0
#: Seconds between attempts to reach a server that is away: the first, and the longest.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
#: Statuses of a server, or of what stands before it, that is not ready.
_AWAY = (502, 503, 504, 507)
#: All errors by their code but those that are made of more than words.
_CLASSES: dict[str, type[TiphysError]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, TiphysError) and kind.__init__ is TiphysError.__init__
}
#: Of errors whose code this client does not know.
_BY_STATUS: dict[int, type[TiphysError]] = {400: UsageError, 404: NotFoundError, 409: ConflictError, 502: ServiceError}


class Connection:
    """A server.

    Args:
        url: Where it is: `https://host:port`.
        api_key: Sent with each request; empty for a server that asks nobody.
        authorization: The whole `Authorization` header, of a server that takes others than API keys.
        authority: File with the certificates that are trusted; empty for the system's.
        verified: Whether the server's certificate is looked at.
        patience: Seconds that a server is waited for that was reached before. One that never was fails at once.
        tell: Called with a line when the waiting begins and when it ends.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str = "",
        authorization: str = "",
        authority: str = "",
        verified: bool = True,
        patience: float = 0.0,
        tell: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self.url = url.rstrip("/")
        self.patience = patience
        self._tell = tell
        self._lock = threading.Lock()
        self._away = False
        self._reached = False
        #: Set while nobody wants to wait for the server.
        self._hurry = threading.Event()
        headers = {VERSION_HEADER: VERSION}
        if authorization or api_key:
            headers["Authorization"] = authorization or f"Bearer {api_key}"
        self._client = httpx2.Client(
            base_url=self.url,
            headers=headers,
            verify=_trusting(authority) if authority and verified else verified,
            timeout=httpx2.Timeout(_READ, connect=_CONNECT),
            event_hooks={"request": [_trace]},
        )

    def ask(
        self, verb: str, path: str, *, body: Any = None, query: Mapping[str, Any] | None = None, reads: bool = False
    ) -> Any:
        """The JSON that the server answers; None for an empty answer.

        A server that cannot be reached is asked again until the patience ends. Writes name themselves, so that the
        server does them once.

        Args:
            verb: Of HTTP.
            path: On the server.
            body: Sent as `ports.wire` writes it.
            query: Of the address; None stands for what is left out.
            reads: Whether a POST changes nothing, and so needs no name.

        Raises:
            ServiceError: it cannot be reached, or answers something else.
            TiphysError: as the server raised it.
        """
        headers = {} if reads or verb == "GET" else {REQUEST_HEADER: new_id()}
        arguments: dict[str, Any] = {"headers": headers}
        if body is not None:
            arguments["content"] = dump(body)
            headers["Content-Type"] = "application/json"
        if query:
            arguments["params"] = {key: value for key, value in query.items() if value is not None}
        response = self.send(verb, path, **arguments)
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError as error:
            raise ServiceError(f"{self.url}{path} answered something that is no JSON.") from error

    def send(self, verb: str, path: str, **arguments: Any) -> httpx2.Response:
        """A successful response, waited for as `ask` does."""
        until = time.monotonic() + (self.patience if self._reached else 0.0)
        pause = _FIRST_PAUSE
        while True:
            if self._hurry.is_set():
                arguments["timeout"] = _CONNECT
            try:
                response = self._client.request(verb, path, **arguments)
                if not _is_away(response):
                    self._is_back()
                    return self._expect_success(response)
                failure = error_in(response)
            except httpx2.TransportError as error:
                failure = self._unreachable(error)
                if _is_distrust(error):
                    raise failure from error
            if time.monotonic() >= until or self._hurry.is_set():
                raise failure
            self._is_gone(failure.message)
            self._hurry.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    @contextmanager
    def impatient(self) -> Iterator[None]:
        """While a server that is away is not waited for, by any thread; those that wait are told at once."""
        self._hurry.set()
        try:
            yield
        finally:
            self._hurry.clear()

    def tell(self, line: str) -> None:
        """Say something to whoever uses this connection."""
        self._tell(line)

    def stream(self, verb: str, path: str, **arguments: Any) -> AbstractContextManager[httpx2.Response]:
        """A response whose body is read piece by piece."""
        return self._client.stream(verb, path, **arguments)

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def _expect_success(self, response: httpx2.Response) -> httpx2.Response:
        if response.is_success:
            return response
        error = error_in(response)
        if isinstance(error, UnauthenticatedError):
            # The server's own hint is for those who write requests.
            error = UnauthenticatedError(
                error.message, hint=f"Log in: tiphys login {self.url} [--api-key KEY], or TIPHYS_API_KEY."
            )
        raise error

    def _unreachable(self, error: httpx2.TransportError) -> ServiceError:
        if _is_distrust(error):
            return ServiceError(
                f"The certificate of {self.url} is not trusted: {error}.",
                hint=f"Say who signed it: tiphys login {self.url} --ca FILE, or TIPHYS_CA.",
            )
        return ServiceError(
            f"The server {self.url} cannot be reached: {str(error) or type(error).__name__}.",
            hint="Is it running? TIPHYS_URL and `tiphys login` say which server is asked, `tiphys logout` ends that.",
        )

    def _is_gone(self, problem: str) -> None:
        with self._lock:
            told, self._away = self._away, True
        if not told:
            self._tell(f"{problem} Waiting for it.")

    def _is_back(self) -> None:
        self._reached = True
        if self._away:
            with self._lock:
                told, self._away = self._away, False
            if told:
                self._tell(f"The server {self.url} is back.")


def _trace(request: httpx2.Request) -> None:
    """Name the span that a request is made for: the present one, or the one that started this process."""
    parent = given_parent(os.environ)
    if parent:
        request.headers["traceparent"] = parent


def _trusting(authority: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authority)
    except OSError as error:
        raise UsageError(
            f"The certificates to trust cannot be read from '{authority}': {error.strerror or error}.",
            hint="Name another file: tiphys login URL --ca FILE, or TIPHYS_CA.",
        ) from error


def _is_away(response: httpx2.Response) -> bool:
    """Whether the server, or what stands before it, is not ready; a failure of something behind it is an answer."""
    return response.status_code in _AWAY and _body_of(response).get("code") != ServiceError.code


def _is_distrust(error: BaseException | None) -> bool:
    """Whether it is about the server's certificate, which waiting does not change."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _body_of(response: httpx2.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def error_in(response: httpx2.Response) -> TiphysError:
    """What an answer that is no success says; its body must be read."""
    body = _body_of(response)
    if "message" not in body and response.status_code == NotFoundError.http_status:
        return NotFoundError(f"The server has no {response.url.path}.")
    if "message" not in body:
        return ServiceError(f"The server answered {response.status_code} {response.reason_phrase}.")
    return error_of(body, status=response.status_code)


def error_of(body: Mapping[str, Any], *, status: int = 500) -> TiphysError:
    """The error that the server described, in our API or in Argo's."""
    code, message, hint = body.get("code"), str(body["message"]), body.get("hint")
    for detail in body.get("details") or ():
        # Argo's API has numbers for codes; ours, and the hint, stand beside.
        if isinstance(detail, Mapping) and detail.get("domain") == ERROR_DOMAIN:
            code, hint = detail.get("reason"), (detail.get("metadata") or {}).get("hint")
            message = message.removesuffix(f" {hint}")
    kind = _CLASSES.get(str(code)) or _BY_STATUS.get(status, TiphysError)
    return kind(message, hint=hint)
