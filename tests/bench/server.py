"""What a server bears: `python -m tests.bench.server [--seconds N] [CASE …]`; each case is a budget or a limit.

The server is a process of its own, its clients are threads of this one: both share the machine, as they did when the
budgets were set. This machine's rate of starting processes is measured beside, so that runs can be compared.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.bench.argo import TRUE, side_by_side, workflow
from tests.bench.pods import raw_rate
from tests.bench.stored import fill
from tiphys.services.workflows.submission import LABEL_COMPLETED, LABEL_PHASE
from tiphys.testing.postgres import start_postgres

#: Clients that submit at once, and workflows that may be unfinished.
CLIENTS, UNFINISHED = 8, 64
PATIENCE = 300.0


@dataclass
class Desk:
    """A server that runs, and how long each case may take."""

    port: int
    pid: int
    db_url: str
    seconds: float

    def ask(self, verb: str, path: str, body: Any = None, **query: Any) -> Any:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            return asked(connection, verb, path, body, **query)
        finally:
            connection.close()

    def memory(self) -> float:
        """Resident megabytes of the server."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024  # type: ignore[index]  # each process has it


def asked(connection: http.client.HTTPConnection, verb: str, path: str, body: Any = None, **query: Any) -> Any:
    """One request; its answer must be a success."""
    target = f"/api/v1/{path}" + (f"?{urlencode(query)}" if query else "")
    connection.request(verb, target, None if body is None else json.dumps(body))
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == 200, f"{verb} {path}: {answer.status} {text[:300]!r}"
    return json.loads(text)


@contextmanager
def desk(home: Path, db_url: str, seconds: float, *, runner: str = "process") -> Iterator[Desk]:
    """A server on a database."""
    command = [sys.executable, "-m", "tiphys", "server", "--port", "0", "--insecure", "--runner", runner]
    environment = {**os.environ, "TIPHYS_HOME": str(home), "TIPHYS_DB_URL": db_url}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            if found:
                break
        else:
            raise SystemExit("The server did not start.")
        reader = threading.Thread(target=process.stdout.read, daemon=True)
        reader.start()
        yield Desk(int(found[1]), process.pid, db_url, seconds)
    finally:
        process.terminate()
        process.wait(60)


class Load:
    """Clients that submit workflows of one node, so many at once unfinished."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.submitted = 0
        self._room = threading.Semaphore(UNFINISHED)
        self._open: set[str] = set()
        self._lock = threading.Lock()
        self._errors: list[Exception] = []

    def run(self, go_on: Callable[[int], bool]) -> float:
        """Submit while told so of the number submitted; returns the seconds to the end of the last one."""
        start = time.perf_counter()
        clients = [threading.Thread(target=self._submit, args=(go_on,)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        while any(client.is_alive() for client in clients) or self._open:
            self._look()
            time.sleep(0.1)
        if self._errors:
            raise self._errors[0]
        return time.perf_counter() - start

    def _submit(self, go_on: Callable[[int], bool]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.desk.port, timeout=PATIENCE)
        try:
            while True:
                self._room.acquire()
                with self._lock:
                    if self._errors or not go_on(self.submitted):
                        self._room.release()
                        return
                    self.submitted += 1
                made = asked(connection, "POST", "workflows/bench", {"workflow": workflow(TRUE)})
                with self._lock:
                    self._open.add(made["metadata"]["name"])
        except Exception as error:  # noqa: BLE001  # `run` raises it
            self._errors.append(error)
            self._room.release(CLIENTS)
        finally:
            connection.close()

    def _look(self) -> None:
        with self._lock:
            before = set(self._open)
        selector = f"{LABEL_COMPLETED}=false"
        query = {"listOptions.labelSelector": selector, "fields": "items.metadata.name"}
        answer = self.desk.ask("GET", "workflows/bench", **query)
        ended = before - {one["metadata"]["name"] for one in answer["items"]}
        with self._lock:
            self._open -= ended
        self._room.release(len(ended)) if ended else None


def sustained(desk: Desk) -> str:
    """One-node workflows for a while."""
    Load(desk).run(lambda count: count < 20)
    raw = raw_rate(500)
    until = time.perf_counter() + desk.seconds
    load = Load(desk)
    rate = 1 / load.run(lambda _: time.perf_counter() < until)
    rate *= load.submitted
    raw = (raw + raw_rate(500)) / 2
    failed = desk.ask("GET", "workflows/bench", **{"listOptions.labelSelector": f"{LABEL_PHASE}!=Succeeded"})
    assert not failed["items"], failed["items"][0]["status"]
    return (
        f"{rate:.0f} workflows/s over {desk.seconds:.0f} s, {load.submitted} in all (budget 50), "
        f"{rate / raw:.0%} of {raw:.0f} processes/s by posix_spawn"
    )


def parallel(desk: Desk) -> str:
    """1,000 steps, 100 at once."""
    manifest = side_by_side(1000)
    manifest["spec"]["parallelism"] = 100
    start = time.perf_counter()
    name = desk.ask("POST", "workflows/bench", {"workflow": manifest})["metadata"]["name"]
    query = {"fields": "status.phase"}
    phase = "Pending"
    while phase in ("Pending", "Running"):
        time.sleep(0.2)
        phase = desk.ask("GET", f"workflows/bench/{name}", **query)["status"].get("phase", "Pending")
    assert phase == "Succeeded", phase
    return f"{time.perf_counter() - start:.1f} s, {phase}"


def lists(desk: Desk) -> str:
    """Pages of 100,000 stored workflows, each several times; the slowest kind is told."""
    fill(desk.db_url, 100_000)
    few = "items.metadata.name,items.status.phase,metadata"
    after = desk.ask("GET", "workflows/bench", **{"listOptions.limit": 50_000, "fields": "metadata"})
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "page": ("workflows/bench", {"fields": few}),
        "whole page": ("workflows/bench", {}),
        "page in the middle": ("workflows/bench", {"listOptions.continue": after["metadata"]["continue"]}),
        "all namespaces": ("workflows/", {"fields": few}),
        "phase": (
            "workflows/bench",
            {"listOptions.labelSelector": f"{LABEL_PHASE}=Failed", "fields": few},
        ),
        "label of some": ("workflows/bench", {"listOptions.labelSelector": "team=t7", "fields": few}),
        "label of few": ("workflows/bench", {"listOptions.labelSelector": "rare=yes", "fields": few}),
        "label of none": ("workflows/bench", {"listOptions.labelSelector": "rare=no", "fields": few}),
        "name prefix": ("workflows/bench", {"namePrefix": "stored-0099", "fields": few}),
        "archive": ("archived-workflows", {"namespace": "bench", "fields": few}),
        "label keys": ("archived-workflows-label-keys", {"namespace": "bench"}),
        "label values": (
            "archived-workflows-label-values",
            {"namespace": "bench", "listOptions.labelSelector": "team"},
        ),
    }
    connection = http.client.HTTPConnection("127.0.0.1", desk.port, timeout=PATIENCE)
    found: dict[str, float] = {}
    for kind, (path, query) in kinds.items():
        times = []
        for _ in range(11):
            start = time.perf_counter()
            asked(connection, "GET", path, **{"listOptions.limit": 50, **query})
            times.append(time.perf_counter() - start)
        found[kind] = statistics.median(times) * 1000
    connection.close()
    return (
        "median ms of pages of 50: " + ", ".join(f"{kind} {one:.1f}" for kind, one in found.items()) + " (budget 100)"
    )


def streams(desk: Desk) -> str:
    """200 watchers of workflows, and 200 followers of a log, while workflows run; each must see all."""
    return f"events: {_streams(desk, 200, events=True)}; logs: {_streams(desk, 200, events=False)}"


def _streams(desk: Desk, count: int, *, events: bool) -> str:
    script = "for i in 1 2 3 4 5; do echo line $i; sleep 1; done"
    manifest = workflow({"name": "main", "container": {"image": "busybox", "command": ["sh", "-c", script]}})
    name = desk.ask("POST", "workflows/bench", {"workflow": manifest})["metadata"]["name"]
    path = f"/api/v1/workflows/bench/{name}/log?logOptions.follow=true"
    if events:
        query = {"listOptions.fieldSelector": f"metadata.name={name}", "fields": "result.object.status.phase"}
        path = f"/api/v1/workflow-events/bench?{urlencode(query)}"
    complete, lock = [], threading.Lock()

    def follow() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", desk.port, timeout=PATIENCE)
        connection.request("GET", path)
        answer, lines = connection.getresponse(), []
        for line in answer:
            lines.append(line)
            if events and b'"Succeeded"' in line:
                break
        connection.close()
        if events or len(lines) == 5:
            with lock:
                complete.append(time.perf_counter())

    followers = [threading.Thread(target=follow) for _ in range(count)]
    before, start, cpu = desk.memory(), time.perf_counter(), _cpu(desk.pid)
    for follower in followers:
        follower.start()
    waits = []
    while any(follower.is_alive() for follower in followers):
        asked_at = time.perf_counter()
        desk.ask("GET", "version")
        waits.append(time.perf_counter() - asked_at)
        time.sleep(0.1)
    took = time.perf_counter() - start
    return (
        f"{len(complete)} of {count} complete in {took:.1f} s, {(_cpu(desk.pid) - cpu) / took:.0%} of a core, "
        f"a request meanwhile {statistics.median(waits) * 1000:.0f} ms, {desk.memory() - before:+.0f} MB"
    )


def _cpu(pid: int) -> float:
    """Seconds of processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(desk: Desk) -> str:
    """The server's memory over 30,000 workflows: it grows until the database's caches are full, and is flat then."""
    sizes: dict[int, float] = {}
    done = 0
    for count in (500, 10_000, 20_000, 30_000):
        more = count - done
        Load(desk).run(lambda submitted, more=more: submitted < more)  # type: ignore[misc]  # a bound loop variable
        done = count
        sizes[count] = desk.memory()
    return ", ".join(f"{size:.0f} MB after {count:,}" for count, size in sizes.items()) + " workflows"


CASES: dict[str, tuple[str, bool, Callable[[Desk], str]]] = {
    "sqlite": ("one-node workflows, SQLite", False, sustained),
    "postgresql": ("one-node workflows, PostgreSQL", True, sustained),
    "parallel": ("1,000 steps, 100 at once", False, parallel),
    "lists": ("100,000 stored workflows, SQLite", False, lists),
    "lists-postgresql": ("100,000 stored workflows, PostgreSQL", True, lists),
    "streams": ("200 streams at once", False, streams),
    "memory": ("30,000 workflows", False, memory),
}


def main() -> None:
    """Measure what is named, or all."""
    reader = argparse.ArgumentParser(prog="python -m tests.bench.server")
    reader.add_argument("--seconds", type=float, default=60.0, help="How long workflows are submitted.")
    reader.add_argument("cases", nargs="*", metavar="CASE", choices=[*CASES, []], help=", ".join(CASES))
    given = reader.parse_args()
    with tempfile.TemporaryDirectory(prefix="tiphys-bench-") as root:
        for name in given.cases or CASES:
            title, on_postgresql, measure = CASES[name]
            home = Path(root, name)
            home.mkdir()
            postgres = start_postgres() if on_postgresql else None
            try:
                url = postgres.create_database("tiphys") if postgres else f"sqlite:///{home / 'tiphys.db'}"
                with desk(home, url, given.seconds) as running:
                    print(f"{title:<40} {measure(running)}", flush=True)
            finally:
                if postgres:
                    postgres.stop()


if __name__ == "__main__":
    main()
