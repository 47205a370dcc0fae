"""A connection to a server: what it waits for, and what it raises."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tiphys._version import __version__
from tiphys.client import connection as module
from tiphys.client.connection import Connection
from tiphys.errors import (
    ConflictError,
    NotFoundError,
    ServiceError,
    SpecError,
    StoreError,
    TiphysError,
    UnauthenticatedError,
    UpgradeError,
    UsageError,
)
from tiphys.ports.wire import REQUEST_HEADER, VERSION_HEADER

Answer = tuple[int, Any]


class Scripted:
    """A server that answers what a test says, one answer a request."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                script.asked.append((self.command, self.path, dict(self.headers), body))
                status, content = script.answers.pop(0)
                text = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_DELETE = answer  # the base's names

            def log_message(self, format: str, *args: Any) -> None:
                """Not."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"


@pytest.fixture
def server() -> Iterator[Scripted]:
    made = Scripted()
    thread = threading.Thread(target=made.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.http.shutdown()
    thread.join()
    made.http.server_close()


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Connection]]:
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.001)
    made: list[Connection] = []

    def open_(url: str, **options: Any) -> Connection:
        made.append(Connection(url, **options))
        return made[-1]

    yield open_
    for one in made:
        one.close()


def test_it_says_who_asks_and_in_which_version(server: Scripted, connect: Callable[..., Connection]) -> None:
    server.answers = [(200, {"a": 1}), (204, b"")]
    connection = connect(server.url + "/", api_key="key")
    assert connection.ask("GET", "/x", query={"a": [1, 2], "b": None}) == {"a": 1}
    assert connection.ask("POST", "/y", body={"c": "ü"}) is None
    (verb, path, headers, _), (_, _, writing, body) = server.asked
    assert (verb, path) == ("GET", "/x?a=1&a=2")
    assert headers["Authorization"] == "Bearer key"
    assert headers[VERSION_HEADER] == f"{__version__}; api=1"
    assert REQUEST_HEADER not in headers
    assert json.loads(body) == {"c": "ü"}
    assert writing["Content-Type"] == "application/json"


def test_a_server_that_goes_away_is_waited_for_and_asked_the_same_again(
    server: Scripted, connect: Callable[..., Connection]
) -> None:
    told: list[str] = []
    server.answers = [
        (200, 1),
        (503, b"starting"),
        (502, b""),
        (503, {"code": "store", "message": "Locked."}),
        (200, 2),
        (200, 3),
    ]
    connection = connect(server.url, patience=60.0, tell=told.append)
    assert connection.ask("GET", "/") == 1
    assert connection.ask("POST", "/", body={}) == 2
    assert connection.ask("POST", "/", body={}) == 3
    names = [headers[REQUEST_HEADER] for _, _, headers, _ in server.asked[1:]]
    assert len(set(names[:4])) == 1
    assert names[4] != names[0]
    assert len(told) == 2
    assert "Waiting" in told[0]
    assert "back" in told[1]


def test_a_server_that_never_was_there_fails_at_once(connect: Callable[..., Connection]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    with pytest.raises(ServiceError, match="cannot be reached") as caught:
        connect(url, patience=600.0).ask("GET", "/")
    assert "TIPHYS_URL" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((404, {"code": "not_found", "message": "No.", "hint": "Look."}), NotFoundError),
        ((409, {"code": "conflict", "message": "No."}), ConflictError),
        ((400, {"code": "invalid_spec", "message": "No."}), SpecError),
        ((400, {"code": "missing_extra", "message": "No."}), UsageError),
        ((409, {"code": "of_a_later_version", "message": "No."}), ConflictError),
        ((400, {"code": "of_a_later_version", "message": "No."}), UsageError),
        ((426, {"code": "upgrade_required", "message": "No."}), UpgradeError),
        ((503, {"code": "store", "message": "No."}), StoreError),
        ((502, {"code": "service", "message": "No."}), ServiceError),
        ((418, {"code": "teapot", "message": "No."}), TiphysError),
        ((500, b"<html>"), ServiceError),
        ((500, []), ServiceError),
        ((200, b"<html>"), ServiceError),
    ],
)
def test_refusals_are_raised_as_the_server_raised_them(
    server: Scripted, connect: Callable[..., Connection], answer: Answer, kind: type[TiphysError]
) -> None:
    server.answers = [answer]
    with pytest.raises(TiphysError) as caught:
        connect(server.url).ask("GET", "/")
    assert type(caught.value) is kind
    if isinstance(answer[1], dict):
        assert (caught.value.message, caught.value.hint) == ("No.", answer[1].get("hint"))


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_cannot_be_read(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=r"ca\.pem"):
        Connection("https://localhost:1", authority=str(path))


def test_whom_the_server_does_not_know_is_told_how_to_log_in(
    server: Scripted, connect: Callable[..., Connection]
) -> None:
    server.answers = [(401, {"code": "unauthenticated", "message": "Who are you?", "hint": "Send a header."})]
    with pytest.raises(UnauthenticatedError, match=r"Who are you\?") as caught:
        connect(server.url).ask("GET", "/x")
    assert caught.value.hint is not None
    assert f"tiphys login {server.url} [--api-key KEY]" in caught.value.hint


def test_a_request_names_the_span_that_started_this_process(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    server.answers = [(200, {})] * 2
    connection = Connection(server.url)
    connection.ask("GET", "/a")
    monkeypatch.setenv("TRACEPARENT", parent)
    with connection.stream("GET", "/b") as response:
        response.read()
    connection.close()
    told = [{name.lower(): value for name, value in one[2].items()}.get("traceparent") for one in server.asked]
    assert told == [None, parent]
