"""Answers without end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from starlette.requests import Request

from tiphys.errors import NotFoundError, StoreError
from tiphys.server import streams
from tiphys.server.streams import stream

Looks = Callable[[], Iterator[list[int]]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PAUSE", 0.0)


def sent(looks: Looks, *, accept: str = "*/*", ending: Callable[[], bool] = lambda: False) -> str:
    app = SimpleNamespace(state=SimpleNamespace(ending=ending))
    scope = {"type": "http", "headers": [(b"accept", accept.encode())], "app": app}

    async def run() -> str:
        answer = await stream(Request(scope), looks, lambda one: {"n": one})
        return "".join([part.decode() async for part in answer.body_iterator])

    return asyncio.run(run())


def test_lines_of_json_or_events() -> None:
    assert sent(lambda: iter([[1], [], [2, 3]])) == '{"result":{"n":1}}\n{"result":{"n":2}}\n{"result":{"n":3}}\n'
    assert sent(lambda: iter([[1]]), accept="text/event-stream") == 'data: {"result":{"n":1}} \n\n'


def test_a_silent_stream_of_events_shows_that_it_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "KEEP_ALIVE", 0.0)
    looks = [[1], [], [2]]
    assert ":\n\n" in sent(lambda: iter(looks), accept="text/event-stream")
    assert ":\n\n" not in sent(lambda: iter(looks))


def test_what_is_wrong_with_the_request_is_told_before_the_answer_begins() -> None:
    def looks() -> Iterator[list[int]]:
        raise NotFoundError("There is no workflow.")
        yield []

    with pytest.raises(NotFoundError):
        sent(looks)


def test_what_goes_wrong_later_is_the_last_frame() -> None:
    def looks() -> Iterator[list[int]]:
        yield [1]
        raise StoreError("The database is gone.")

    error = json.loads(sent(looks).splitlines()[1])["error"]
    told = ("grpc_code", "http_code", "http_status", "message")
    assert [error[key] for key in told] == [14, 503, "Service Unavailable", "The database is gone."]
    assert error["details"][0]["reason"] == "store"


def test_it_ends_with_the_server() -> None:
    answers = iter([False, True])

    def looks() -> Iterator[list[int]]:
        while True:
            yield [1]

    first, last = map(json.loads, sent(looks, ending=lambda: next(answers)).splitlines())
    assert (first, last["error"]["grpc_code"]) == ({"result": {"n": 1}}, 14)
