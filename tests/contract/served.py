"""A server in this process, on a port of its own."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from tiphys.server.app import make_app
from tiphys.services.backend import LocalBackend


@contextmanager
def served(backend: LocalBackend, *, port: int = 0) -> Iterator[str]:
    """Serve a backend, on a free port unless one is given; gives the URL."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        app = make_app(backend, hosts={"127.0.0.1"}, ending=lambda: server.should_exit)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=5))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.005)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
