"""What stands before several servers: each request goes to the next of those that can be reached."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

#: Headers that are about one connection.
_OWN = ("connection", "transfer-encoding", "keep-alive")


@contextmanager
def round_robin(targets: list[str]) -> Iterator[str]:
    """Gives the address; the list may change meanwhile."""
    turns = itertools.count()

    class Handler(BaseHTTPRequestHandler):
        def _forward(self) -> None:
            body = self._body()
            present = list(targets)
            first = next(turns)
            for number in range(len(present)):
                answer = self._ask(present[(first + number) % len(present)], body)
                if answer is not None:
                    break
            else:
                self.send_error(502)
                return
            status, headers, content = answer
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in (*_OWN, "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            with suppress(BrokenPipeError):  # the client was killed
                self.end_headers()
                self.wfile.write(content)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _ask(self, target: str, body: bytes) -> tuple[int, list[tuple[str, str]], bytes] | None:
            connection = HTTPConnection(urlsplit(target).netloc, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _OWN}
            try:
                connection.request(self.command, self.path, body, {**headers, "Host": "localhost"})
                response = connection.getresponse()
                return response.status, response.getheaders(), response.read()
            except OSError:
                return None
            finally:
                connection.close()

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _forward  # as http.server calls them

        def log_message(self, *_: Any) -> None:
            """Nothing is told."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
