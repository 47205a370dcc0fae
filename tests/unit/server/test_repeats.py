"""Writes that are made twice, also while the first one is not answered yet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from tiphys._util.times import utc_now
from tiphys.ports.wire import REQUEST_HEADER
from tiphys.server.api import repeats
from tiphys.server.api.repeats import Repeats
from tiphys.services import kept_answers
from tiphys.services.backend import LocalBackend
from tiphys.services.kept_answers import Answer, KeptAnswers

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


Guard = Callable[[App], Repeats]


@pytest.fixture
def guard(backend: LocalBackend) -> Guard:
    return lambda app: Repeats(app, KeptAnswers(backend.store))


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


def test_one_that_comes_before_the_answer_waits_for_it(guard: Guard) -> None:
    async def script() -> None:
        app = App()
        guarded = guard(app)
        pairs = [write(guarded, "a") for _ in range(3)]
        tasks = [asyncio.ensure_future(waiting) for _, waiting in pairs]
        await asyncio.sleep(0)
        app.may.set()
        await asyncio.gather(*tasks)
        assert app.done == 1
        assert [sent[1]["body"] for sent, _ in pairs] == [b"1"] * 3

    run(script)


def test_one_whose_first_failed_is_done(guard: Guard) -> None:
    async def script() -> None:
        app = App(fails=1)
        guarded = guard(app)
        (_, first), (sent, second) = write(guarded, "a"), write(guarded, "a")
        tasks = [asyncio.ensure_future(first), asyncio.ensure_future(second)]
        await asyncio.sleep(0)
        app.may.set()
        failed, _ = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(failed, RuntimeError)
        assert sent[1]["body"] == b"2"

    run(script)


@pytest.mark.parametrize(("name", "verb"), [("", "POST"), ("a", "GET")])
def test_reads_and_writes_without_a_name_are_done_each_time(guard: Guard, name: str, verb: str) -> None:
    async def script() -> None:
        app = App()
        app.may.set()
        guarded = guard(app)
        for number in (b"1", b"2"):
            sent, waiting = write(guarded, name, verb)
            await waiting
            assert sent[1]["body"] == number

    run(script)


def test_an_answer_that_is_too_long_is_not_kept(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "_LONGEST", 1)

    async def script() -> None:
        app = App(size=2)
        app.may.set()
        guarded = guard(app)
        for body in (b"11", b"22"):
            sent, waiting = write(guarded, "a")
            await waiting
            assert sent[1]["body"] == body

    run(script)


def test_another_server_on_the_database_knows_the_answer(guard: Guard) -> None:
    async def script() -> None:
        apps = [App(), App()]
        found = []
        for app in apps:
            app.may.set()
            sent, waiting = write(guard(app), "a")
            await waiting
            found.append((sent[0]["status"], sent[1]["body"]))
        assert found == [(200, b"1")] * 2
        assert [app.done for app in apps] == [1, 0]

    run(script)


def test_old_answers_are_removed(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, 0.0, 0.0, 4000.0, 4000.0])
    answers = KeptAnswers(backend.store, now=lambda: next(moments))
    answers.keep(("old",), Answer(200, "", "1"))
    monkeypatch.setattr(kept_answers, "utc_now", lambda: utc_now() + timedelta(hours=25))
    answers.keep(("new",), Answer(200, "", "2"))
    assert answers.find(("old",)) is None
    assert answers.find(("new",)) == Answer(200, "", "2")
