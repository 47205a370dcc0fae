"""The disk is full for a while: what was acknowledged is done when there is room, and the rest was refused clearly."""

from __future__ import annotations

import io
import json
import os
import signal
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.disks import SmallDisk, small_disk
from tests.e2e.programs import ended_at_last, run_script, start_script, tiphys, wait_until
from tests.integration.server_desk import running_server, workflow
from tests.needs import lacking, needs_sandbox
from tiphys.testing.postgres import PostgresUnavailableError, start_postgres

WORKFLOWS = "/api/v1/workflows/w"
TREE = f"/api/tiphys/v1/workspaces/w/artifact-stores/default/trees/sha256:{'0' * 64}"
#: Most workflows that are submitted before one is refused: a database has room of its own that it had used before.
MOST = 500


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", megabytes=24) as made:
        yield made


class Containers:
    """Workflows of containers, which write nothing while the disk is full but to another one.

    Args:
        folder: On the other disk.
        sandboxed: Whether they do not see it by themselves.
    """

    def __init__(self, folder: Path, *, sandboxed: bool = False) -> None:
        self._folder = str(folder) if sandboxed else ""
        self._notes = folder / "notes"
        self._go = folder / "go"
        self._notes.touch()

    def of_one(self, name: str) -> dict[str, Any]:
        """One that leaves nothing."""
        return self._named(name, f"echo begin {name} >> {self._notes}; echo end {name} >> {self._notes}")

    def that_waits(self, name: str) -> dict[str, Any]:
        """One that has written its outputs when it has begun, and ends when it is told to."""
        answer = "/answer" if self._folder else "answer"
        made = self._named(name, f"echo 42 > {answer}; {self._waiting(name)}")
        made["spec"]["templates"][0]["outputs"] = {
            "parameters": [{"name": "answer", "valueFrom": {"path": answer}}],
            "artifacts": [{"name": "file", "path": answer}],
        }
        return made

    def that_prints(self, name: str) -> dict[str, Any]:
        """One whose result is what it prints when it is told to; a second one takes it."""
        made = self._named(name, f"{self._waiting(name)}; echo 42")
        first = {**made["spec"]["templates"][0], "name": "first"}
        script = f"test {{{{inputs.parameters.n}}}} = 42 && echo took {name} >> {self._notes}"
        second = {
            "name": "second",
            "inputs": {"parameters": [{"name": "n"}]},
            "container": {"image": "busybox", "command": ["sh", "-c", script], **self._mounted()},
        }
        given = {"parameters": [{"name": "n", "value": "{{steps.a.outputs.result}}"}]}
        steps = [[{"name": "a", "template": "first"}], [{"name": "b", "template": "second", "arguments": given}]]
        made["spec"]["templates"] = [{"name": "main", "steps": steps}, first, second]
        return made

    def go_on(self) -> None:
        self._go.touch()

    def noted(self) -> Counter[str]:
        return Counter(self._notes.read_text().splitlines())

    def _waiting(self, name: str) -> str:
        return (
            f"echo begin {name} >> {self._notes}; while [ ! -e {self._go} ]; do sleep 0.1; done; "
            f"echo end {name} >> {self._notes}"
        )

    def _named(self, name: str, script: str) -> dict[str, Any]:
        made = {**workflow("sh", "-c", script), "metadata": {"name": name}}
        if self._folder:
            made["spec"]["volumes"] = [{"name": "other", "hostPath": {"path": self._folder}}]
            made["spec"]["templates"][0]["container"] |= self._mounted()
        return made

    def _mounted(self) -> dict[str, Any]:
        return {"volumeMounts": [{"name": "other", "mountPath": self._folder}]} if self._folder else {}


def phases(client: httpx2.Client) -> dict[str, str]:
    found = client.get(WORKFLOWS, params={"fields": "items.metadata.name,items.status.phase"}).raise_for_status()
    return {item["metadata"]["name"]: item.get("status", {}).get("phase", "") for item in found.json()["items"] or []}


@pytest.mark.parametrize("runner", ["process", pytest.param("sandbox", marks=needs_sandbox)])
def test_a_server_lives_through_a_full_disk(disk: SmallDisk, tmp_path: Path, runner: str) -> None:
    containers = Containers(tmp_path, sandboxed=runner == "sandbox")
    with (
        running_server(disk.path / "home", "--insecure", "--runner", runner) as server,
        httpx2.Client(base_url=server.url, timeout=60) as client,
    ):
        acknowledged, refused = [], []

        def submit(made: dict[str, Any]) -> bool:
            answer = client.post(WORKFLOWS, json={"workflow": made})
            name = made["metadata"]["name"]
            if answer.status_code == 200:
                acknowledged.append(name)
                return True
            assert answer.status_code == 503, answer.text
            assert "The disk is full: make room" in answer.json()["message"]
            refused.append(name)
            return False

        for number in range(3):
            assert submit(containers.that_waits(f"waits-{number}"))
            assert submit(containers.that_prints(f"prints-{number}"))
        wait_until(lambda: containers.noted().total() == len(acknowledged), "the containers")
        disk.fill(leaving=400_000)
        for number in range(MOST):
            if not submit(containers.of_one(f"new-{number}")):
                break
        disk.fill()
        for number in range(3):
            submit(containers.of_one(f"late-{number}"))
        assert refused
        upload = client.put(TREE, content=packed(200_000))
        assert (upload.status_code, upload.json()["code"]) == (507, "disk_full"), upload.text
        assert phases(client).keys() == set(acknowledged)
        containers.go_on()
        wait_until(lambda: sum(n for word, n in containers.noted().items() if "end waits" in word) == 3, "their ends")
        time.sleep(2)  # they cannot be noted, nor stored
        assert client.get("/healthz").status_code == 200
        assert phases(client).keys() == set(acknowledged)
        disk.free()
        wait_until(lambda: not {"", "Pending", "Running"} & set(phases(client).values()), "the end of all")
        assert phases(client) == dict.fromkeys(acknowledged, "Succeeded")
        said = server.end()
    assert "Traceback" not in said
    words = [f"{word} {name}" for name in acknowledged for word in ("begin", "end")]
    assert containers.noted() == Counter([*words, *(f"took prints-{number}" for number in range(3))])


def packed(size: int) -> bytes:
    """A tar of a file."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        entry = tarfile.TarInfo("value.json")
        entry.size = size
        tar.addfile(entry, io.BytesIO(b"1" * size))
    return made.getvalue()


SCRIPT = """
import os, time
from pathlib import Path
from tiphys import pipeline, step

def meet() -> None:
    notes = Path(os.environ["NOTES"])
    (notes / "begun").touch()
    while not (notes / "go").exists():
        time.sleep(0.02)

@step(enable_cache=False)
def first() -> int:
    return 1

@step(enable_cache=False)
def quiet(x: int) -> None:
    meet()
    for number in range(300):
        print("this goes into a log, and there is no room for it", number)
    time.sleep(0.3)

@step(enable_cache=False)
def large(x: int) -> str:
    meet()
    return "x" * 1_000_000

@pipeline(runner=os.environ["RUNNER"])
def p() -> None:
    (large if "LARGE" in os.environ else quiet)(first())

if __name__ == "__main__":
    print("status", p().status)
"""


@pytest.fixture
def embedded(disk: SmallDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script whose home is on the small disk."""
    monkeypatch.setenv("TIPHYS_HOME", str(disk.path / "home"))
    monkeypatch.setenv("NOTES", str(tmp_path))
    monkeypatch.setenv("RUNNER", "inline")
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    return script


@pytest.mark.parametrize("runner", ["inline", "process"])
def test_a_script_waits_for_room_and_can_be_ended(disk: SmallDisk, embedded: Path, tmp_path: Path, runner: str) -> None:
    with ended_at_last(start_script(embedded, RUNNER=runner)) as process:
        wait_until(lambda: (tmp_path / "begun").exists(), "the second step", process)
        disk.fill()
        (tmp_path / "go").touch()
        time.sleep(2)  # nothing can be stored
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "database or disk is full" in errors
    disk.free()
    assert "interrupted" in tiphys("runs", "list").stdout
    (run,) = json.loads(tiphys("runs", "list", "-o", "json").stdout)
    tiphys("runs", "resume", run["name"])
    (run,) = json.loads(tiphys("runs", "list", "-o", "json").stdout)
    assert run["status"] == "completed"


@pytest.mark.parametrize("runner", ["inline", "process"])
def test_a_script_goes_on_when_there_is_room(disk: SmallDisk, embedded: Path, tmp_path: Path, runner: str) -> None:
    with ended_at_last(start_script(embedded, RUNNER=runner)) as process:
        wait_until(lambda: (tmp_path / "begun").exists(), "the second step", process)
        disk.fill()
        (tmp_path / "go").touch()
        time.sleep(3)  # nothing can be stored
        disk.free()
        output, errors = process.communicate(timeout=60)
    assert "status completed" in output, errors


@pytest.mark.parametrize("runner", ["inline", "process"])
def test_an_output_without_room_fails_its_step(disk: SmallDisk, embedded: Path, tmp_path: Path, runner: str) -> None:
    with ended_at_last(start_script(embedded, RUNNER=runner, LARGE="1")) as process:
        wait_until(lambda: (tmp_path / "begun").exists(), "the second step", process)
        disk.fill(leaving=600_000)
        (tmp_path / "go").touch()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "failed in step 'large': OSError: [Errno 28] No space left on device" in errors
    disk.free()
    assert "status completed" in run_script(embedded, RUNNER=runner, LARGE="1")


@pytest.mark.parametrize("size", ["", "1"])
def test_a_connected_script_waits_for_its_servers_disk(
    disk: SmallDisk, embedded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    monkeypatch.setenv("TIPHYS_HOME", str(tmp_path / "home"))
    if size:
        monkeypatch.setenv("LARGE", size)
    with (
        running_server(disk.path / "home", "--insecure") as server,
        ended_at_last(start_script(embedded, TIPHYS_URL=server.url)) as process,
    ):
        wait_until(lambda: (tmp_path / "begun").exists(), "the second step", process)
        disk.fill()
        (tmp_path / "go").touch()
        time.sleep(2)  # the server can store nothing
        assert process.poll() is None
        disk.free()
        output, errors = process.communicate(timeout=60)
        assert "Traceback" not in server.end()
    assert "status completed" in output, errors


def test_a_full_disk_is_named_at_once(disk: SmallDisk, embedded: Path, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    run_script(embedded)
    disk.fill()
    with ended_at_last(start_script(embedded)) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "The disk is full: make room and try again." in errors
    disk.free()
    assert "status completed" in run_script(embedded)


def test_the_databases_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    containers = Containers(tmp_path)
    with ExitStack() as stack:
        # Below a folder that PostgreSQL's own user may enter.
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tiphys-disk-")))
        place.chmod(0o755)
        disk = stack.enter_context(small_disk(place / "disk", megabytes=160))
        monkeypatch.setattr(tempfile, "tempdir", str(disk.path))
        try:
            postgres = start_postgres()
        except PostgresUnavailableError as error:
            lacking(str(error))
        stack.callback(postgres.stop)
        monkeypatch.setattr(tempfile, "tempdir", None)
        url = postgres.create_database("full")
        options = ("--insecure", "--runner", "process")
        server = stack.enter_context(running_server(tmp_path / "home", *options, TIPHYS_DB_URL=url))
        client = stack.enter_context(httpx2.Client(base_url=server.url, timeout=60))
        acknowledged = []
        for number in range(3):
            made = containers.that_waits(f"waits-{number}")
            client.post(WORKFLOWS, json={"workflow": made}).raise_for_status()
            acknowledged.append(f"waits-{number}")
        wait_until(lambda: containers.noted().total() == len(acknowledged), "the containers")
        disk.fill()
        for number in range(MOST):
            made = containers.of_one(f"new-{number}")
            made["metadata"]["annotations"] = {"large": os.urandom(20_000).hex()}
            answer = client.post(WORKFLOWS, json={"workflow": made})
            if answer.status_code != 200:
                break
            acknowledged.append(f"new-{number}")
        assert answer.status_code == 503, answer.text
        assert "The disk of the database" in answer.json()["message"]
        containers.go_on()
        time.sleep(2)
        disk.free()
        wait_until(lambda: not {"", "Pending", "Running"} & set(phases(client).values()), "the end of all")
        assert phases(client) == dict.fromkeys(acknowledged, "Succeeded")
        said = server.end()
    assert "Traceback" not in said
    assert containers.noted() == Counter(f"{word} {name}" for name in acknowledged for word in ("begin", "end"))
