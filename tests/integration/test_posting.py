"""Posts to URLs that users gave: to the address that was looked at, and nowhere else."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from tiphys.controller.posting import post
from tiphys.errors import ServiceError, UsageError


@contextmanager
def receiver(
    status: int = 200, *, context: ssl.SSLContext | None = None
) -> Iterator[tuple[int, list[tuple[str, bytes]]]]:
    """A server that answers posts with a status; its port, and what it was sent."""
    taken: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.append((f"{self.headers['Host']}{self.path}", body))
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1], taken
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_body_is_posted() -> None:
    with receiver() as (port, taken):
        post(f"http://127.0.0.1:{port}/hook?a=1", {"X-A": "1"}, b"body", private=True)
    assert taken == [(f"127.0.0.1:{port}/hook?a=1", b"body")]


@pytest.mark.parametrize("status", [302, 404, 500])
def test_another_status_is_an_error_and_no_redirection_is_followed(status: int) -> None:
    with receiver(status) as (port, taken):
        with pytest.raises(ServiceError, match=f"status {status}"):
            post(f"http://127.0.0.1:{port}/", {}, b"", private=True)
        assert len(taken) == 1


def test_a_private_address_is_not_posted_to() -> None:
    with receiver() as (port, taken):
        with pytest.raises(UsageError, match="private"):
            post(f"http://127.0.0.1:{port}/", {}, b"")
        assert taken == []


def test_a_name_is_resolved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it resolves to later is not asked for: it could be another machine."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def resolve(host: str, *given: object, **more: object) -> object:
        if host != "receiver.test":
            return real(host, *given, **more)  # type: ignore[arg-type]  # as it was called
        asked.append(host)
        return real("127.0.0.1", *given, **more)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with receiver() as (port, taken):
        post(f"http://receiver.test:{port}/", {}, b"", private=True)
    assert asked == ["receiver.test"]
    assert taken[0][0] == f"receiver.test:{port}/"


def test_a_receivers_certificate_must_be_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with receiver(context=context) as (port, taken):
        with pytest.raises(ServiceError, match="certificate"):
            post(f"https://localhost:{port}/", {}, b"", private=True)
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        post(f"https://localhost:{port}/", {}, b"", private=True)
        with pytest.raises(ServiceError, match="certificate"):
            post(f"https://127.0.0.1:{port}/", {}, b"", private=True)
    assert len(taken) == 1


def test_a_receiver_that_does_not_answer_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(ServiceError, match="does not answer"):
        post(f"http://127.0.0.1:{silent.getsockname()[1]}/", {}, b"", private=True, timeout=0.2)


def test_a_receiver_that_answers_byte_by_byte_is_left() -> None:
    ending = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            try:
                while not ending.wait(0.05):
                    connection.sendall(b"H")
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,))
        thread.start()
        with pytest.raises(ServiceError):
            post(f"http://127.0.0.1:{listener.getsockname()[1]}/", {}, b"", private=True, timeout=0.2)
        ending.set()
        thread.join()
