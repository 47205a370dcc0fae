"""Writes that are made twice, also while the first one is not answered yet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from tiphys.ports.wire import REQUEST_HEADER
from tiphys.server.api import repeats
from tiphys.server.api.repeats import Repeats

Sent = list[Message]


class App:
    """Answers each request with a number of its own, once it may."""

    def __init__(self, *, size: int = 1, fails: int = 0) -> None:
        self.may = asyncio.Event()
        self.done = 0
        self._size = size
        self._fails = fails

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.may.wait()
        self.done += 1
        if self.done <= self._fails:
            raise RuntimeError("broken")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(self.done).encode() * self._size})


async def nothing() -> Message:
    return {"type": "http.request"}


def write(app: Repeats, name: str, verb: str = "POST") -> tuple[Sent, Awaitable[None]]:
    sent: Sent = []

    async def note(message: Message) -> None:
        sent.append(message)

    headers = [(REQUEST_HEADER.lower().encode(), name.encode())] if name else []
    scope = {"type": "http", "method": verb, "path": "/x", "headers": headers}
    return sent, app(scope, nothing, note)


def run(script: Callable[[], Any]) -> None:
    asyncio.run(script())


def test_one_that_comes_before_the_answer_waits_for_it() -> None:
    async def script() -> None:
        app = App()
        guarded = Repeats(app)
        pairs = [write(guarded, "a") for _ in range(3)]
        tasks = [asyncio.ensure_future(waiting) for _, waiting in pairs]
        await asyncio.sleep(0)
        app.may.set()
        await asyncio.gather(*tasks)
        assert app.done == 1
        assert [sent[1]["body"] for sent, _ in pairs] == [b"1"] * 3

    run(script)


def test_one_whose_first_failed_is_done() -> None:
    async def script() -> None:
        app = App(fails=1)
        guarded = Repeats(app)
        (_, first), (sent, second) = write(guarded, "a"), write(guarded, "a")
        tasks = [asyncio.ensure_future(first), asyncio.ensure_future(second)]
        await asyncio.sleep(0)
        app.may.set()
        failed, _ = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(failed, RuntimeError)
        assert sent[1]["body"] == b"2"

    run(script)


@pytest.mark.parametrize(("name", "verb"), [("", "POST"), ("a", "GET")])
def test_reads_and_writes_without_a_name_are_done_each_time(name: str, verb: str) -> None:
    async def script() -> None:
        app = App()
        app.may.set()
        guarded = Repeats(app)
        for number in (b"1", b"2"):
            sent, waiting = write(guarded, name, verb)
            await waiting
            assert sent[1]["body"] == number

    run(script)


@pytest.mark.parametrize(
    ("limit", "size", "again"), [("_KEPT", 1, [b"3", b"2"]), ("_ALL", 1, [b"3", b"2"]), ("_LONGEST", 2, [b"33", b"44"])]
)
def test_the_oldest_and_the_longest_answers_are_forgotten(
    monkeypatch: pytest.MonkeyPatch, limit: str, size: int, again: list[bytes]
) -> None:
    monkeypatch.setattr(repeats, limit, 1)

    async def script() -> None:
        app = App(size=size)
        app.may.set()
        guarded = Repeats(app)
        for name in ("old", "new"):
            await write(guarded, name)[1]
        found = []
        for name in ("old", "new") if limit == "_LONGEST" else ("new", "old"):
            sent, waiting = write(guarded, name)
            await waiting
            found.append(sent[1]["body"])
        assert found == (again if limit == "_LONGEST" else again[::-1])

    run(script)
