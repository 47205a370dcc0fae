"""A lone server on SQLite is killed at random moments under load: nothing is lost, nothing is done twice.

`TIPHYS_KILLS=20 pytest tests/e2e/test_kill_server.py -s` prints how long it took each time until it went on.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.e2e.programs import ended_at_last, start_script, wait_until
from tests.integration.server_desk import RunningServer, free_port, running_server, workflow
from tiphys import Client
from tiphys.bootstrap import close_backends

KILLS = int(os.environ.get("TIPHYS_KILLS", "1"))
#: Steps of the pipeline, enough that it runs through all kills.
STEPS = 30 * KILLS
SCRIPT = """
import os, time
from tiphys import pipeline, step

@step(enable_cache=False)
def work(number: int) -> int:
    with open(os.environ["NOTES"], "a") as file:
        file.write(f"step {number}\\n")
    time.sleep(0.1)
    return number + 1

@pipeline
def chain(count: int) -> None:
    number = 0
    for _ in range(count):
        number = work(number)

print("status", chain(int(os.environ["COUNT"])).status)
"""


class Submitter:
    """Submits workflows one after the other and follows each, through all that happens to the server.

    An answer that was lost is asked for again, under the name that the workflow has: 409 says that it is there.

    Args:
        url: The server's.
        notes: A file in which containers note that they begin and end.
    """

    def __init__(self, url: str, notes: Path) -> None:
        self.url = url
        self._notes = notes
        #: Names of those that were acknowledged.
        self.acknowledged: list[str] = []
        #: How often the server was not there, and how often a workflow was there already.
        self.unanswered, self.there = 0, 0
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(target=self._submit, args=(number,), name=f"submitter-{number}") for number in range(2)
        ]

    @contextmanager
    def at_work(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._ending.set()
            for thread in self._threads:
                thread.join()

    def _submit(self, number: int) -> None:
        count = 0
        while not self._ending.is_set():
            name = f"w-{number}-{count}"
            script = f"echo begin {name} >> {self._notes}; sleep 0.3; echo end {name} >> {self._notes}"
            body = {"workflow": {**workflow("sh", "-c", script), "metadata": {"name": name}}}
            answer = self._ask("POST", "/api/v1/workflows/w", json=body)
            assert answer.status_code in (200, 409), answer.text
            self.there += answer.status_code == 409
            self.acknowledged.append(name)
            count += 1
            if count % 4 == 0:
                while self.phase(name) in ("", "Pending", "Running"):
                    time.sleep(0.1)

    def phase(self, name: str) -> str:
        status = self._ask("GET", f"/api/v1/workflows/w/{name}").raise_for_status().json().get("status", {})
        return str(status.get("phase", ""))

    def _ask(self, verb: str, path: str, **given: object) -> httpx2.Response:
        while True:
            try:
                with httpx2.Client(base_url=self.url, timeout=60) as client:
                    return client.request(verb, path, **given)  # type: ignore[arg-type]  # what it passes on
            except httpx2.TransportError:
                self.unanswered += 1
                time.sleep(0.05)


def unfinished(url: str) -> set[str]:
    """Workflows that have not ended."""
    with httpx2.Client(base_url=url, timeout=60) as client:
        found = client.get("/api/v1/workflows/w", params={"fields": "items.metadata.name,items.status.phase"})
    items = found.raise_for_status().json()["items"] or []
    return {
        item["metadata"]["name"]
        for item in items
        if item.get("status", {}).get("phase", "") not in ("Succeeded", "Failed", "Error")
    }


def test_a_lone_server_is_killed_under_load(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(7)
    port, place, notes = free_port(), tmp_path / "server-home", tmp_path / "notes"
    script = tmp_path / "chain.py"
    script.write_text(SCRIPT)
    monkeypatch.setenv("TIPHYS_URL", f"http://127.0.0.1:{port}")
    submitter = Submitter(f"http://127.0.0.1:{port}", notes)

    def start(stack: ExitStack) -> RunningServer:
        return stack.enter_context(running_server(place, "--insecure", "--port", port, "--runner", "process"))

    took: list[float] = []
    with ExitStack() as stack:
        server = start(stack)
        client = stack.enter_context(ended_at_last(start_script(script, NOTES=str(notes), COUNT=str(STEPS))))
        with submitter.at_work():
            for _ in range(KILLS):
                time.sleep(chance.uniform(1, 2.5))
                before = len(submitter.acknowledged)
                left = wait_until(lambda: unfinished(submitter.url), "work that is not done")
                began = time.monotonic()
                server.end(signal.SIGKILL)
                server = start(stack)
                wait_until(lambda left=left: left - unfinished(submitter.url), "it to go on")
                wait_until(lambda before=before: len(submitter.acknowledged) > before, "it to take more")
                took.append(time.monotonic() - began)
        output, errors = client.communicate(timeout=300)
        assert "status completed" in output, errors
        names = submitter.acknowledged
        wait_until(lambda: not unfinished(submitter.url), "the end of all")
        assert Counter(map(submitter.phase, names)) == {"Succeeded": len(names)}
        (run,) = Client().list_pipeline_runs()
        assert str(run.status) == "completed"
        steps = Client().list_run_steps(pipeline_run_id=run.id, size=10 * STEPS)
        assert Counter(str(step.status) for step in steps) == {"completed": STEPS}
        versions = Client().list_artifact_versions(size=10 * STEPS)
        assert len(versions) == len({(found.artifact.name, found.version) for found in versions}) == STEPS
        close_backends(home)
        said = server.end()
        assert "Traceback" not in said
    # Nothing twice: no step of the client, no workflow that was sent again, and no container: it outlives the server.
    expected = [f"{word} {name}" for name in names for word in ("begin", "end")]
    expected += [f"step {number}" for number in range(STEPS)]
    assert Counter(notes.read_text().splitlines()) == Counter(expected)
    shown = sorted(took)
    print(
        f"\nserver on SQLite: {KILLS} kills, seconds until it answered and went on: least {shown[0]:.1f}, "
        f"median {shown[len(shown) // 2]:.1f}, most {shown[-1]:.1f}; {len(names)} workflows and {STEPS} steps "
        f"once each; {submitter.unanswered} requests were not answered, "
        f"{submitter.there} workflows were there when sent again"
    )
