"""Answers without end: events and logs, as Server-Sent Events or as lines of JSON.

A stream takes a thread for each look, and none between looks; the threads of other requests it leaves alone.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tiphys.errors import StoreError, TiphysError
from tiphys.server.answers import stream_error

T = TypeVar("T")

#: Seconds between looks, and after which a silent stream shows that it is alive.
PAUSE, KEEP_ALIVE = 0.3, 15.0
_EVENTS = "text/event-stream"
#: Looks at once: however many streams there are, other requests find a thread.
_LOOKS = 8
_looking: RunVar[CapacityLimiter] = RunVar("tiphys-looks")


async def stream(
    request: Request,
    looks: Callable[[], Iterator[list[T]]],
    show: Callable[[T], Any],
    mask: Callable[[Any], Any] = lambda frame: frame,
    fail: Callable[[TiphysError], Any] = stream_error,
    tells_its_end: bool = False,
) -> Response:
    """What is found look by look, until there is nothing to look for any more, or the server or the client ends.

    The first look is made before the answer begins, so that what is wrong with the request is told by its status.

    Args:
        request: Tells by `Accept` which form is wanted.
        looks: Makes the iterator of what each look finds.
        show: What is sent of one thing that was found.
        mask: Takes from a frame what was not asked for.
        fail: What is sent of an error that ends it.
        tells_its_end: Whether a frame says that it is over; else one says that it is not, if the server ends.
    """
    iterator = await run_in_threadpool(looks)
    first = await run_in_threadpool(next, iterator, None)
    as_events = _EVENTS in request.headers.get("accept", "")

    def frame(content: Any) -> bytes:
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        return (f"data: {text} \n\n" if as_events else f"{text}\n").encode(errors="replace")

    async def frames() -> AsyncIterator[bytes]:
        limiter = _limiter()
        found, silent = first, 0.0
        while found is not None and not request.app.state.ending():
            if found:  # together: each part that is sent costs as much as many frames
                yield b"".join([frame(mask({"result": show(one)})) for one in found])
            silent = 0.0 if found else silent + PAUSE
            if as_events and silent >= KEEP_ALIVE:
                silent = 0.0
                yield b":\n\n"
            try:
                found = await to_thread.run_sync(next, iterator, None, limiter=limiter)
            except TiphysError as error:
                yield frame({"error": fail(error)})
                return
            if not found and found is not None:
                await asyncio.sleep(PAUSE)
        if found is not None and not tells_its_end:
            # A client that follows is to know that this is not the end of what it follows.
            yield frame({"error": fail(StoreError("The server ends; ask again when it is back."))})

    return StreamingResponse(
        frames(),
        media_type=_EVENTS if as_events else "application/json",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


def _limiter() -> CapacityLimiter:
    found = _looking.get(None)
    if found is None:
        found = CapacityLimiter(_LOOKS)
        _looking.set(found)
    return found
