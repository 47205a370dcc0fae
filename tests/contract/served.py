"""A server in this process, on a port of its own."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from tiphys.client.backend import ClientBackend
from tiphys.client.connection import Connection
from tiphys.client.steps import Workshop
from tiphys.integrations.local.inline import InlineRunner
from tiphys.records.base import DEFAULT_WORKSPACE
from tiphys.server.app import make_app
from tiphys.services.backend import LocalBackend


@contextmanager
def served(backend: LocalBackend, *, port: int = 0, authenticates: bool = False) -> Iterator[str]:
    """Serve a backend, on a free port unless one is given; gives the URL."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        ending = lambda: server.should_exit  # noqa: E731  # it names what is made later
        app = make_app(backend, hosts={"127.0.0.1"}, authenticates=authenticates, ending=ending)
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


def client_of(connection: Connection, folder: Path, *, workspace: str = DEFAULT_WORKSPACE) -> ClientBackend:
    """A client with a home of its own in a folder, which carries steps out in this process."""
    inline = InlineRunner()
    workshop = Workshop(folder / "client-home", lender=inline, runners={"inline": lambda: inline})
    return ClientBackend(connection, workshop, workspace=workspace)
