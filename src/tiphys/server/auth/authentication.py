"""Finds who sends a request, before anything else looks at it.

What it finds stands in the scope as `principal`; None if the request says nothing about who sends it, which routes then
refuse (`permissions.Permission`). A credential that is wrong ends the request here: it is never taken as none.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tiphys.errors import TiphysError, UnauthenticatedError
from tiphys.ports.access import ANYONE, Access, Principal
from tiphys.server.answers import answer_to
from tiphys.server.auth import run_tokens
from tiphys.server.auth.permissions import tell
from tiphys.server.bounds import RateLimit, Rates

#: Seconds between looks at whether who receives an answer without end may still do so.
LOOKS_AGAIN = 2.0
#: Seconds for which it is remembered that there is no account.
_STAYS_OPEN = 1.0


@dataclass(slots=True)
class _Sent:
    """What was sent of an answer."""

    #: Whether it has begun and not ended.
    goes_on: bool = False
    #: Whether it said at its beginning how long it is.
    is_sized: bool = False

    def note(self, message: Message) -> None:
        """Take account of what is being sent."""
        if message["type"] == "http.response.start":
            self.goes_on, self.is_sized = True, "content-length" in Headers(raw=message["headers"])
        elif message["type"] == "http.response.body":
            self.goes_on = bool(message.get("more_body", False))


class Authentication:
    """Middleware that tells who asks.

    Args:
        app: What answers requests.
        access: Who is known.
        demanded: Whether even a server without accounts asks.
        rates: Bounds how often one address may be wrong; None for no bound.
    """

    def __init__(
        self, app: ASGIApp, access: Callable[[], Access], *, demanded: bool, rates: Rates | None = None
    ) -> None:
        self._app = app
        self._access = access
        self._demanded = demanded
        self._rates = rates
        self._looked = float("-inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request in somebody's name, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            is_open = self._is_open() and "authorization" not in Headers(scope=scope)
            principal = ANYONE if is_open else await run_in_threadpool(self._principal, scope)
        except TiphysError as error:
            tell(Request(scope), error.message)
            answer: ASGIApp = answer_to(scope["path"], error)
            if self._rates is not None:
                answer = RateLimit(answer, self._rates)
            await answer(scope, receive, send)
            return
        scope["principal"] = principal
        if principal is None or principal is ANYONE:
            await self._app(scope, receive, send)
        else:
            await self._answer(scope, receive, send, principal)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, principal: Principal) -> None:
        """Have a request answered; an answer that goes on ends when who gets it has other rights than at its start."""
        sent = _Sent()

        async def watched(message: Message) -> None:
            sent.note(message)
            await send(message)

        answering = asyncio.ensure_future(self._app(scope, receive, watched))
        try:
            while not (await asyncio.wait({answering}, timeout=LOOKS_AGAIN))[0]:
                if sent.goes_on and not await self._is_still(scope, principal):
                    break
        finally:
            revoked = answering.cancel()
        if not revoked:
            await answering
            return
        await asyncio.gather(answering, return_exceptions=True)
        if sent.goes_on and not sent.is_sized:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _is_still(self, scope: Scope, principal: Principal) -> bool:
        try:
            same = await run_in_threadpool(self._principal, scope) == principal
        except UnauthenticatedError:
            same = False
        except TiphysError as error:
            # It is not known, and nobody took anything from them: a database that is away for a moment ends no stream.
            tell(Request(scope), f"Whether it may still be answered is looked at again: {error.message}", "not ended")
            return True
        if not same:
            tell(Request(scope), f"The rights of {principal.name} have changed while it was answered.")
        return same

    def _principal(self, scope: Scope) -> Principal | None:
        given = [value for value in Headers(scope=scope).getlist("authorization") if value.strip()]
        if not given:
            return None if self._asks() else ANYONE
        if len(given) > 1:
            raise UnauthenticatedError("The request has several Authorization headers.")
        scheme, _, credential = given[0].strip().partition(" ")
        credential = credential.strip()
        match scheme.lower():
            case "bearer":
                return self._by_token(credential)
            case "basic":
                name, password = _name_and_password(credential)
                client = scope.get("client")
                return self._access().by_password(name, password, address=client[0] if client else "")
        raise UnauthenticatedError("The Authorization header is neither Bearer nor Basic.")

    def _by_token(self, token: str) -> Principal:
        access = self._access()
        return run_tokens.verify(access, token) if token.count(".") == 2 else access.by_key(token)

    def _asks(self) -> bool:
        """Whether the server asks who sends requests: for good, once there is an account."""
        if not self._demanded and not self._is_open():
            self._demanded = self._access().has_accounts()
            self._looked = time.monotonic()
        return self._demanded

    def _is_open(self) -> bool:
        """Whether there was no account a moment ago."""
        return not self._demanded and time.monotonic() - self._looked < _STAYS_OPEN


def _name_and_password(credential: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(credential, validate=True).decode()
    except (binascii.Error, ValueError):
        raise UnauthenticatedError("The Basic credential is malformed.") from None
    name, colon, password = text.partition(":")
    if not colon:
        raise UnauthenticatedError("The Basic credential is malformed.")
    return name, password
