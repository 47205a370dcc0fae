"""What is refused before anybody answers it, and what every answer has."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from tiphys.server.bounds import BodyLimit, RateLimit, Rates
from tiphys.server.headers import SecurityHeaders
from tiphys.server.log_format import JsonFormatter, TextFormatter


async def echo(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def careless(request: Request) -> Response:
    """Makes something of whatever goes wrong, as frameworks do."""
    try:
        await request.body()
    except Exception:  # noqa: BLE001  # as they do
        return PlainTextResponse("could not be read", 400)
    return PlainTextResponse("fine")


async def page(_request: Request) -> Response:
    return HTMLResponse("<p>", headers={"X-Frame-Options": "SAMEORIGIN"})


ROUTES = [
    Route("/", echo, methods=["GET", "POST"]),
    Route("/careless", careless, methods=["POST"]),
    Route("/page", page),
]


def ask(app: Any, *parts: bytes, path: str = "/", headers: dict[str, str] | None = None, client: str = "a") -> Any:
    """Status, headers and body of the answer to a request whose body comes in parts."""
    messages = [
        {"type": "http.request", "body": part, "more_body": number < len(parts) - 1}
        for number, part in enumerate(parts or (b"",))
    ]
    sent: list[Any] = []
    scope = {
        "type": "http",
        "method": "POST" if parts else "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
        "client": (client, 1),
        "app": app,
    }
    waiting = iter(messages)

    async def receive() -> Any:
        return next(waiting)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    answer = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], answer, b"".join(one.get("body", b"") for one in sent[1:]).decode()


@pytest.fixture
def limited() -> Starlette:
    return Starlette(routes=ROUTES, middleware=[Middleware(BodyLimit, limit=10)])


def test_a_body_of_the_allowed_size_is_read(limited: Starlette) -> None:
    assert ask(limited, b"12345", b"67890")[::2] == (200, "10")


@pytest.mark.parametrize("path", ["/", "/careless"])
def test_a_larger_body_is_refused_while_it_is_read(limited: Starlette, path: str) -> None:
    status, _, body = ask(limited, b"12345", b"678901", b"never asked for", path=path)
    assert (status, json.loads(body)["code"]) == (413, 8)


def test_a_body_that_says_to_be_larger_is_not_read(limited: Starlette) -> None:
    status, _, body = ask(limited, b"", headers={"content-length": "11"})
    assert (status, "larger than 10 bytes" in body) == (413, True)


def test_who_asks_too_often_is_told_when_to_come_again() -> None:
    now = [100.0]
    app = Starlette(routes=ROUTES, middleware=[Middleware(RateLimit, rates=Rates(0.5, lambda: now[0]))])
    assert ask(app)[0] == 200
    status, headers, body = ask(app)
    assert (status, headers["retry-after"], json.loads(body)["code"]) == (429, "2", 8)
    assert ask(app, client="b")[0] == 200
    now[0] += 2
    assert ask(app)[0] == 200


def test_answers_say_what_browsers_may_do_with_them() -> None:
    app = Starlette(routes=ROUTES, middleware=[Middleware(SecurityHeaders, strict_transport=False)])
    headers = ask(app)[1]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "strict-transport-security" not in headers
    headers = ask(app, path="/page")[1]
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert "default-src 'self'" in headers["content-security-policy"]
    strict = Starlette(routes=ROUTES, middleware=[Middleware(SecurityHeaders, strict_transport=True)])
    assert ask(strict)[1]["strict-transport-security"] == "max-age=31536000"


@pytest.fixture
def record() -> Iterator[logging.LogRecord]:
    made = logging.LogRecord("tiphys.x", logging.INFO, "", 0, "name %s", ("a\nforged line",), None)
    made.fields = {"workflow": "w\x1b[2J\r\n2026 forged", "empty": ""}
    return made


def test_no_value_begins_a_line_of_the_log(record: logging.LogRecord) -> None:
    line = TextFormatter().format(record)
    assert line.endswith(r"name a\nforged line workflow=w\x1b[2J\r\n2026 forged")
    assert len(line.splitlines()) == 1
    told = json.loads(JsonFormatter().format(record))
    assert (told["message"], told["level"], told["workflow"]) == (
        "name a\nforged line",
        "info",
        "w\x1b[2J\r\n2026 forged",
    )
    assert len(JsonFormatter().format(record).splitlines()) == 1
