"""Writes that are made twice: a client that lost the answer asks again, and is given the first one's.

A client names each write (`Tiphys-Request`). Answers of writes that succeeded are kept in the database before they are
sent, so that a server that was restarted, or another replica, has them. A server that is killed between the write and
the keeping of its answer does it again when it is asked again: the two are not one transaction.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tiphys.errors import StoreError
from tiphys.ports.wire import REQUEST_HEADER
from tiphys.server.api.answers import answer, problem
from tiphys.services.kept_answers import Answer, KeptAnswers

_log = logging.getLogger("tiphys.server")
_WRITES = ("POST", "PUT", "PATCH", "DELETE")
#: Bytes of the longest answer that is kept.
_LONGEST = 262_144


class Repeats:
    """Gives a write that was made before the answer of then.

    Args:
        app: What answers.
        answers: Those of before.
    """

    def __init__(self, app: ASGIApp, answers: KeptAnswers) -> None:
        self._app = app
        self._answers = answers
        #: Writes that are being answered → set when they are.
        self._pending: dict[Sequence[str], asyncio.Event] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        headers = Headers(scope=scope) if scope["type"] == "http" and scope["method"] in _WRITES else Headers()
        name = headers.get(REQUEST_HEADER)
        if not name:
            await self._app(scope, receive, send)
            return
        # Whoever learns a name must not learn the answer.
        key = (name, headers.get("authorization", ""), scope["method"], scope["path"])
        while (pending := self._pending.get(key)) is not None:
            await pending.wait()
        self._pending[key] = ready = asyncio.Event()
        try:
            await self._answer(key, scope, receive, send)
        finally:
            del self._pending[key]
            ready.set()

    async def _answer(self, key: Sequence[str], scope: Scope, receive: Receive, send: Send) -> None:
        try:
            known = await run_in_threadpool(self._answers.find, key)
        except StoreError as error:  # whether it was done is not known
            await answer(problem(error), status=error.http_status)(scope, receive, send)
            return
        if known is not None:
            again = Response(known.body, known.status, media_type=known.media_type or None)
            await again(scope, receive, send)
            return
        await self._app(scope, receive, _Noted(key, self._answers, send))


class _Noted:
    """Sends an answer once it is kept; one that is not to be kept, or is long, at once."""

    def __init__(self, key: Sequence[str], answers: KeptAnswers, send: Send) -> None:
        self._key = key
        self._answers = answers
        self._send = send
        #: What was not sent yet.
        self._held: list[Message] = []
        self._size = 0
        self._keeps = True

    async def __call__(self, message: Message) -> None:
        self._held.append(message)
        self._size += len(message.get("body", b""))
        if "no-store" in Headers(raw=message.get("headers", [])).get("cache-control", ""):
            self._keeps = False
        # What went wrong may go right the next time, and changed nothing.
        if not 200 <= message.get("status", 200) < 300 or self._size > _LONGEST:
            self._keeps = False
        ends = message["type"] == "http.response.body" and not message.get("more_body", False)
        if self._keeps and not ends:
            return
        if self._keeps:
            await self._keep()
        held, self._held = self._held, []
        for each in held:
            await self._send(each)

    async def _keep(self) -> None:
        start = self._held[0]
        body = b"".join(message.get("body", b"") for message in self._held[1:])
        media_type = Headers(raw=start["headers"]).get("content-type", "")
        try:
            made = Answer(start["status"], media_type, body.decode())
            await run_in_threadpool(self._answers.keep, self._key, made)
        except UnicodeDecodeError:
            return  # no answer of ours to a write is other than text
        except StoreError as error:
            _log.warning("the answer to a write is not kept: %s", error.message)
