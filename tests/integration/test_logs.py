"""Long logs, and those that are followed across attempts, nodes, machines and servers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
from tests.integration.server_desk import PATIENCE, RunningServer, running_server, workflow

from tiphys.bootstrap import Settings, make_backend
from tiphys.client.connection import Connection
from tiphys.client.workflows import ClientWorkflows
from tiphys.ports.workflows import LogQuery
from tiphys.records.base import Query
from tiphys.records.logs import LogPart
from tiphys.records.runs import Run

API = "/api/v1"
_PLAIN = ("--insecure", "--runner", "process")
#: Prints as many lines of a hundred bytes as it is told.
TALK = 'i=0; while [ $i -lt %d ]; do echo "%s $i $PAD"; i=$((i+1)); done'
PAD = {"name": "PAD", "value": "x" * 88}

SCRIPT = """
import os, sys, time
from pathlib import Path
from tiphys import pipeline, step

@step(retry={"max_retries": 1, "delay": 1})
def talk(notes: str, lines: int) -> None:
    for number in range(lines):
        print("line", number, "x" * 90)
    tried = Path(notes) / "tried"
    Path(notes, "pids").write_text(f"{os.getpid()} {os.getppid()}")
    if lines > 1000:
        time.sleep(600)
    if not tried.exists():
        tried.touch()
        raise RuntimeError("once")

@step
def afterwards() -> None:
    print("afterwards")

@pipeline(enable_cache=False, runner="process")
def noisy(notes: str, lines: int):
    afterwards(after=talk(notes, lines))

if __name__ == "__main__":
    noisy(sys.argv[1], int(sys.argv[2]))
"""


def wait_until(condition: Callable[[], Any]) -> Any:
    until = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found


def start(folder: Path, lines: int) -> subprocess.Popen[str]:
    script = folder / "noisy.py"
    script.write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, str(script), str(folder), str(lines)],
        env={**os.environ, "TIPHYS_HOME": str(folder / "home"), "TIPHYS_PROGRESS": "off"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_what_a_step_wrote_outlives_its_machine(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'home' / 'tiphys.db'}"
    process = start(tmp_path, 80_000)
    wait_until((tmp_path / "pids").exists)
    # The artifact store is the same everywhere, the home is not.
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "artifacts").symlink_to(tmp_path / "home" / "artifacts")
    here = make_backend(Settings(tmp_path / "elsewhere", url))
    wait_until(lambda: here.find(Query.of(LogPart)))
    process.kill()
    process.communicate()
    for pid in map(int, (tmp_path / "pids").read_text().split()):
        os.kill(pid, signal.SIGKILL)
    (run,) = here.find(Query.of(Run))
    live = [*(tmp_path / "home" / "logs").rglob("talk*.log")]
    assert live
    for path in live:
        path.unlink()
    found = [line for _, line in here.runs.logs(run.id)]
    here.close()
    assert len(found) > 30_000
    assert found == [f"line {number} {'x' * 90}" for number in range(len(found))]


def test_following_a_run_goes_through_its_attempts_and_later_steps(tmp_path: Path) -> None:
    process = start(tmp_path, 3)
    here = make_backend(Settings(tmp_path / "home", f"sqlite:///{tmp_path / 'home' / 'tiphys.db'}"))
    run = wait_until(lambda: here.find(Query.of(Run)))[0]
    said = [f"line {number} {'x' * 90}" for number in range(3)]
    found = [(name, line) for name, line in here.runs.logs(run.id, follow=True) if "Traceback" not in line]
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    here.close()
    assert [line for name, line in found if name == "talk"] == [*said, *said]
    assert found[-1] == ("afterwards", "afterwards")


def two_tasks() -> dict[str, Any]:
    """A task that fails once and is tried again, and one after it."""
    once = "echo try; [ {{retries}} -gt 0 ]"
    manifest = workflow("true")
    manifest["spec"]["entrypoint"] = "both"
    manifest["spec"]["templates"] = [
        {
            "name": "once",
            "retryStrategy": {"limit": 2, "backoff": {"duration": "1"}},
            "container": {"image": "busybox", "command": ["sh", "-c", once]},
        },
        {"name": "late", "container": {"image": "busybox", "command": ["sh", "-c", "echo late"]}},
        {
            "name": "both",
            "dag": {"tasks": [{"name": "a", "template": "once"}, {"name": "b", "template": "late", "depends": "a"}]},
        },
    ]
    return manifest


def test_a_followed_workflow_is_told_of_attempts_and_later_nodes(server: RunningServer) -> None:
    with server.client() as client:
        made = client.post(f"{API}/workflows/follow", json={"workflow": two_tasks()}).json()
        path = f"{API}/workflows/follow/{made['metadata']['name']}/log?logOptions.follow=true"
        with client.stream("GET", path) as stream:
            frames = [json.loads(line)["result"] for line in stream.iter_lines()]
    assert [frame["content"] for frame in frames] == ["try", "try", "late"]
    assert len({frame["podName"] for frame in frames}) == 3


def test_a_long_log_is_followed_through_a_killed_server(tmp_path: Path) -> None:
    go = tmp_path / "go"
    script = f"{TALK % (60_000, 'a')}; while [ ! -e {go} ]; do sleep 0.1; done; {TALK % (50_000, 'b')}"
    manifest = workflow("sh", "-c", script)
    manifest["spec"]["templates"][0]["container"]["env"] = [PAD]
    expected = [
        f"{letter} {number} {PAD['value']}" for letter, n in (("a", 60_000), ("b", 50_000)) for number in range(n)
    ]
    with running_server(tmp_path / "home", *_PLAIN) as first:
        connection = Connection(first.url, patience=PATIENCE)
        service = ClientWorkflows(connection, namespace="default")
        name = service.submit(manifest)["metadata"]["name"]
        lines, port = service.logs(name, LogQuery(follow=True)), first.url.rpartition(":")[2]
        found = [next(lines).content for _ in range(60_000)]
        first.end(signal.SIGKILL)
        with running_server(tmp_path / "home", *_PLAIN, "--port", port) as second:
            go.touch()
            found += [entry.content for entry in lines]
            assert found == expected
            wait_until(lambda: not (tmp_path / "home" / "workflow-logs").joinpath(_uid(second, name), name).exists())
            last = [entry.content for entry in service.logs(name, LogQuery(tail=3))]
            assert last == expected[-3:]
            some = [entry.content for entry in service.logs(name, LogQuery(grep="^b 4999[0-9] "))]
            assert some == expected[-10:]
            assert [entry.content for entry in service.logs(name, LogQuery())] == expected
        connection.close()


def _uid(server: RunningServer, name: str) -> str:
    answer = httpx2.get(f"{server.url}{API}/workflows/default/{name}")
    uid: str = answer.json()["metadata"]["uid"]
    return uid


def test_reading_a_long_log_takes_no_memory(tmp_path: Path) -> None:
    manifest = workflow("sh", "-c", f"seq -f '%.0f {PAD['value']}' 500000")
    with running_server(tmp_path / "home", *_PLAIN) as server:
        connection = Connection(server.url, patience=PATIENCE)
        service = ClientWorkflows(connection, namespace="default")
        name = service.submit(manifest)["metadata"]["name"]
        service.wait(name)
        assert len(list(service.logs(name, LogQuery(tail=10)))) == 10
        before = _memory(server)
        for query in (LogQuery(grep="99999"), LogQuery(tail=400_000, grep="^1000 "), LogQuery(grep="^1 ", follow=True)):
            list(service.logs(name, query))
        grown = _memory(server) - before
        connection.close()
    # The log has 48 MB.
    assert grown < 16


def _memory(server: RunningServer) -> float:
    """Resident megabytes."""
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024
