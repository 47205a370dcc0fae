"""Each request gets an id, a line in the log, and is counted."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tiphys._util.ids import new_id
from tiphys.server.metrics import Metrics
from tiphys.server.request_span import Outcome, request_span

_log = logging.getLogger("tiphys.server.access")

#: An id that a client may choose: what stands in logs and headers must be harmless there.
_HARMLESS = re.compile(r"[A-Za-z0-9._-]{1,128}")
#: Asked all the time by those who watch over the server.
_UNTOLD = ("/healthz", "/readyz", "/metrics")
#: Refused for what they ask of the server: these are told of, even where other requests are not.
_REFUSED = (408, 413, 429)


class Access:
    """Watches requests.

    Args:
        app: What answers them.
        metrics: Where they are counted.
        clock: Seconds that only ascend.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _HARMLESS.fullmatch(given) else new_id()
        scope["request_id"] = request_id
        start, began, outcome = self._clock(), 0.0, Outcome()
        self._metrics.begun()

        async def watched_send(message: Message) -> None:
            nonlocal began
            if message["type"] == "http.response.start":
                began, outcome.status = self._clock(), message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        try:
            with request_span(scope, outcome):
                await self._app(scope, receive, watched_send)
        finally:
            # Without an answer the client went away, or a defect is answered further out.
            seconds = (began or self._clock()) - start
            route = getattr(scope.get("route"), "path", "none")
            status = outcome.status or 500
            self._metrics.ended(method=_verb(scope), route=route, status=status, seconds=seconds)
            if scope["path"] not in _UNTOLD:
                _tell(scope, status, self._clock() - start, request_id)


def _verb(scope: Scope) -> str:
    """The method; of what clients may invent one name for all."""
    known = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    method: str = scope["method"]
    return method if method in known else "other"


def _tell(scope: Scope, status: int, seconds: float, request_id: str) -> None:
    # The query is left out: there may be secrets in it. What is decoded in the path may be anything.
    path = quote(scope["path"], safe="/:@!$&'()*+,;=~-._")
    fields: dict[str, Any] = {
        "method": _verb(scope),
        "path": path,
        "status": status,
        "ms": round(seconds * 1000, 1),
        "principal": getattr(scope.get("principal"), "name", ""),
        "client": (scope.get("client") or ("",))[0],
        "request_id": request_id,
    }
    went_wrong = status >= 500 or status in _REFUSED
    _log.log(logging.WARNING if went_wrong else logging.INFO, "request", extra={"fields": fields})
