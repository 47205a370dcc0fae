"""Several servers on one PostgreSQL database, and many small workflows for them."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from tests.integration.server_desk import PATIENCE, RunningServer, running_server, workflow

from tiphys.db.store import SqlStore, open_store
from tiphys.errors import StoreError
from tiphys.records.base import Query
from tiphys.records.queue import QueuedWorkflow
from tiphys.records.workflows import WorkflowSummary

#: How often the database is read anew: it may have been killed, and all connections with it.
ATTEMPTS = 50


@dataclass
class Fleet:
    """Servers that share a database; each has a home of its own, or all have the same.

    Attributes:
        url: The database's.
        homes: Where replicas keep their files.
        notes: A file that all workflows write to.
    """

    url: str
    homes: Path
    shared_home: bool
    stack: ExitStack
    store: SqlStore
    notes: Path
    running: list[RunningServer] = field(default_factory=list)
    started: int = 0

    def start(self, home: str = "", **environment: str) -> RunningServer:
        """One more replica; `home` names another one than it would have."""
        name = home or ("all" if self.shared_home else str(self.started))
        self.started += 1
        server = self.stack.enter_context(
            running_server(
                self.homes / name, "--insecure", "--runner", "process", TIPHYS_DB_URL=self.url, **environment
            )
        )
        self.running.append(server)
        return server

    def kill(self, server: RunningServer) -> None:
        """`kill -9`."""
        self.running.remove(server)
        server.end(signal.SIGKILL)

    def submit(self, server: RunningServer, count: int, *, seconds: float, namespace: str = "w", **spec: Any) -> None:
        """Workflows of one container, which notes its name when it begins and when it ends."""
        script = (
            f"echo begin {{{{workflow.uid}}}} >> {self.notes}; sleep {seconds}; "
            f"echo end {{{{workflow.uid}}}} >> {self.notes}"
        )
        with httpx2.Client(base_url=server.url, timeout=PATIENCE) as client:
            for _ in range(count):
                body = {"workflow": workflow("sh", "-c", script, **spec)}
                client.post(f"/api/v1/workflows/{namespace}", json=body).raise_for_status()

    def rows(self) -> list[WorkflowSummary]:
        for _ in range(ATTEMPTS):
            with suppress(StoreError), self.store.reader() as reader:
                return reader.find(Query.of(WorkflowSummary, order="id"))
        raise AssertionError("the database cannot be read")

    def waiting(self) -> list[QueuedWorkflow]:
        with self.store.reader() as reader:
            return reader.find(Query.of(QueuedWorkflow, order="id"))

    def noted(self, word: str) -> Counter[str]:
        """How often workflows noted that they begin, or end."""
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return Counter(line.partition(" ")[2] for line in lines if line.startswith(word))

    def wait(self, condition: Callable[[], Any], what: str) -> float:
        """Wait until a condition holds; returns how many seconds that took."""
        began = time.monotonic()
        while not condition():
            assert time.monotonic() < began + PATIENCE, f"waited in vain for {what}"
            time.sleep(0.05)
        return time.monotonic() - began

    def wait_for_all(self) -> float:
        return self.wait(lambda: all(row.finished_at is not None for row in self.rows()), "the end of all workflows")

    def owned_by(self, server: RunningServer) -> list[WorkflowSummary]:
        """Workflows that a replica carries out."""
        return [row for row in self.rows() if f":{server.process.pid}:" in row.owner]


@contextmanager
def fleet(url: str, folder: Path, *, shared_home: bool = False) -> Iterator[Fleet]:
    """No replicas yet."""
    with ExitStack() as stack:
        store = open_store(url)
        stack.callback(store.close)
        folder.mkdir(parents=True, exist_ok=True)
        notes = folder / "notes"
        yield Fleet(url, folder / "homes", shared_home, stack, store, notes)
