"""Writes that are made twice: a client that lost the answer asks again, and is given the first one's.

A client names each write (`Tiphys-Request`). The last answers are kept in memory, so a restart forgets them: a write
that was done just before it, and whose answer was lost, is done again. Most writes bear that; creating a version gives
another number.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tiphys.ports.wire import REQUEST_HEADER

_WRITES = ("POST", "PUT", "PATCH", "DELETE")
#: Answers that are kept, and the bytes of the longest of them and of all.
_KEPT, _LONGEST, _ALL = 4096, 262_144, 16_777_216


@dataclass(slots=True)
class _Answer:
    """What was answered, message by message, once `ready`; empty if it is not kept."""

    ready: asyncio.Event = field(default_factory=asyncio.Event)
    messages: list[Message] = field(default_factory=list)
    size: int = 0


class Repeats:
    """Gives a write that was made before the answer of then."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._answers: OrderedDict[tuple[str, ...], _Answer] = OrderedDict()
        self._size = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        headers = Headers(scope=scope) if scope["type"] == "http" and scope["method"] in _WRITES else Headers()
        name = headers.get(REQUEST_HEADER)
        if not name:
            await self._app(scope, receive, send)
            return
        # Whoever learns a name must not learn the answer.
        key = (name, headers.get("authorization", ""), scope["method"], scope["path"])
        while (known := self._answers.get(key)) is not None:
            await known.ready.wait()
            if known.messages:
                for message in known.messages:
                    await send(message)
                return
        await self._first(key, scope, receive, send)

    async def _first(self, key: tuple[str, ...], scope: Scope, receive: Receive, send: Send) -> None:
        made = self._answers[key] = _Answer()
        messages: list[Message] = []
        keep, size = True, 0

        async def note(message: Message) -> None:
            nonlocal keep, size
            size += len(message.get("body", b""))
            # What went wrong here may go right the next time.
            if size > _LONGEST or message.get("status", 200) >= 500:
                keep = False
                messages.clear()
            if keep:
                messages.append(message)
            await send(message)

        try:
            await self._app(scope, receive, note)
            if keep:
                made.messages, made.size = messages, size
                self._size += size
        finally:
            if not made.messages:
                self._answers.pop(key, None)
            made.ready.set()
            self._forget()

    def _forget(self) -> None:
        """Let the oldest answers go; those that are still being made count for nothing."""
        while len(self._answers) > _KEPT or self._size > _ALL:
            _, oldest = self._answers.popitem(last=False)
            self._size -= oldest.size
