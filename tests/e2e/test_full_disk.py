"""The disk is full for a while: what was acknowledged is done when there is room, and the rest was refused clearly."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.disks import SmallDisk, small_disk
from tests.e2e.programs import wait_until
from tests.integration.server_desk import RunningServer, running_server, workflow

WORKFLOWS = "/api/v1/workflows/w"
#: Most workflows that are submitted until one is refused: the database has room of its own that it had used before.
MOST = 2000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", megabytes=48) as made:
        yield made


def named(name: str, script: str, **template: Any) -> dict[str, Any]:
    made = workflow("sh", "-c", script)
    made["metadata"] = {"name": name}
    made["spec"]["templates"][0].update(template)
    return {"workflow": made}


#: Outputs of a container: one is read from a file, one is stored as an artifact, one is what it prints.
OUTPUTS = {
    "parameters": [{"name": "answer", "valueFrom": {"path": "answer"}}],
    "artifacts": [{"name": "file", "path": "answer"}],
}


def phases(client: httpx2.Client) -> dict[str, str]:
    found = client.get(WORKFLOWS, params={"fields": "items.metadata.name,items.status.phase"}).raise_for_status()
    return {item["metadata"]["name"]: item.get("status", {}).get("phase", "") for item in found.json()["items"] or []}


def test_a_server_lives_through_a_full_disk(disk: SmallDisk, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    home = disk.path / "home"
    with running_server(home, "--insecure", "--runner", "process") as server:
        with httpx2.Client(base_url=server.url, timeout=60) as client:
            acknowledged = []
            for number in range(4):
                script = (
                    f"echo begin {number} >> {notes}; while [ ! -e {tmp_path}/go ]; do sleep 0.1; done; "
                    f"echo 42 > answer; echo done; echo end {number} >> {notes}"
                )
                client.post(WORKFLOWS, json=named(f"running-{number}", script, outputs=OUTPUTS)).raise_for_status()
                acknowledged.append(f"running-{number}")
            wait_until(lambda: notes.exists() and notes.read_text().count("begin") == 4, "the containers")
            disk.fill()
            refused = []
            for number in range(MOST):
                name = f"new-{number}"
                answer = client.post(WORKFLOWS, json=named(name, f"echo end {name} >> {notes}"))
                print(answer.status_code, answer.text[:200])
                (acknowledged if answer.status_code == 200 else refused).append(name)
                if len(refused) >= 3:
                    break
            (tmp_path / "go").touch()
            time.sleep(4)
            print(phases(client))
            disk.free()
            wait_until(lambda: {phases(client)[n] for n in acknowledged} <= {"Succeeded", "Error", "Failed"}, "all")
            print(phases(client))
        print(server.end())
