"""What one client may ask for: so large a request, so many in a second, and so much patience with it.

A body is counted while it is read, whatever its headers say. What is refused is answered as everything else, by Argo's
error bodies, and told in the access log.
"""

from __future__ import annotations

import re
import time
from asyncio import wait_for
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from typing import NoReturn

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tiphys.server.answers import EXHAUSTED, refusal

#: Clients that are remembered at once; who has not asked for longest is forgotten, and begins anew.
_CLIENTS = 10_000
#: Seconds without a byte after which a body is not waited for any longer.
_SILENCE = 60.0
_TOO_SLOW = refusal(EXHAUSTED, f"Nothing of the body came for {_SILENCE:.0f} seconds.", status=408)
#: Paths of artifacts' data, which goes to the disk piece by piece, and its bytes at most.
_IS_UPLOAD = re.compile(r"/api/tiphys/v1/workspaces/[^/]+/artifact-stores/[^/]+/trees/[^/]+").fullmatch
_UPLOAD = 1 << 40
#: Seconds of requests that may come at once after a pause.
_BURST = 2.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may ask for.

    Attributes:
        body: Bytes of a request's body.
        rate: Requests a second; None for as many as it likes.
    """

    body: int = 20 * 1024 * 1024
    rate: float | None = None


class BodyLimit:
    """Refuses larger bodies with 413, also those that do not say how large they are.

    Args:
        app: What answers the others.
        limit: Bytes.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = _UPLOAD if scope["method"] == "PUT" and _IS_UPLOAD(scope["path"]) else self._limit
        told = Headers(scope=scope).get("content-length", "")
        if told.isdigit() and int(told) > limit:
            await self._too_large()(scope, receive, send)
            return
        counted = _Counted(receive, send, limit)
        with suppress(_EndedError):
            await self._app(scope, counted.receive, counted.send)
        if counted.wrong and not counted.has_begun:
            answer = self._too_large() if counted.wrong == 413 else _TOO_SLOW
            await answer(scope, receive, send)

    def _too_large(self) -> Response:
        return refusal(EXHAUSTED, f"The body is larger than {self._limit} bytes.", status=413)


class _EndedError(Exception):
    """Ends whoever reads a body that is not read on."""


class _Counted:
    """One request whose body is counted; what its reader makes of an early end is not sent."""

    def __init__(self, receive: Receive, send: Send, limit: int) -> None:
        self._receive = receive
        self._send = send
        self._left = limit
        self._is_whole = False
        #: The status, once the body is not read on.
        self.wrong = 0
        self.has_begun = False

    async def receive(self) -> Message:
        if self._is_whole:
            return await self._receive()
        try:
            message = await wait_for(self._receive(), _SILENCE)
        except TimeoutError:
            self._end(408)
        if message["type"] == "http.request":
            self._is_whole = not message.get("more_body", False)
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                self._end(413)
        return message

    def _end(self, status: int) -> NoReturn:
        self.wrong = status
        raise _EndedError

    async def send(self, message: Message) -> None:
        if self.wrong and not self.has_begun:
            return
        self.has_begun = True
        await self._send(message)


class Rates:
    """How often each client has asked: a bucket for each, filled at an even rate.

    Args:
        rate: Requests a second.
        clock: Seconds that only ascend.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self._clock = clock
        self._size = max(1.0, rate * _BURST)
        #: Client → requests that it may still send, and when that was so.
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def pause(self, client: tuple[str, str]) -> float:
        """Seconds that a client has to wait; 0 if it may ask, which is counted."""
        now = self._clock()
        there, since = self._buckets.pop(client, (self._size, now))
        there = min(self._size, there + (now - since) * self.rate)
        is_allowed = there >= 1
        self._buckets[client] = (there - 1 if is_allowed else there, now)
        if len(self._buckets) > _CLIENTS:
            self._buckets.popitem(last=False)
        return 0.0 if is_allowed else (1 - there) / self.rate


class RateLimit:
    """Refuses with 429 who asks too often: an account, or an address of those who are not known.

    Args:
        app: What answers the others.
        rates: Counts them.
    """

    def __init__(self, app: ASGIApp, rates: Rates) -> None:
        self._app = app
        self._rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        pause = self._rates.pause(_client(scope)) if scope["type"] == "http" else 0.0
        if not pause:
            await self._app(scope, receive, send)
            return
        answer = refusal(EXHAUSTED, f"More than {self._rates.rate:g} requests a second.", status=429)
        answer.headers["Retry-After"] = str(ceil(pause))
        await answer(scope, receive, send)


def _client(scope: Scope) -> tuple[str, str]:
    """Who is counted: whoever is known by name, so that many can ask from one address; else the address."""
    name = getattr(scope.get("principal"), "name", "")
    if name:
        return ("name", name)
    return ("address", scope["client"][0] if scope.get("client") else "")
