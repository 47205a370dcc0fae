"""How fast containers are started: `python -m tests.bench.pods [TASKS] [IN FLIGHT]`.

Prints tasks a second through a runner, and this machine's rate of starting and awaiting `true` by posix_spawn, measured
before and after in the same run. The budget: at least half of it for a host process. `TMPDIR=/dev/shm` leaves the disk
out of it: a task makes four files and folders, a sandbox some twenty more.
"""

from __future__ import annotations

import os
import queue
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from tiphys.engine.events import TaskFinished
from tiphys.engine.model import Phase, Values
from tiphys.integrations.local.artifact_store import LocalArtifactStore
from tiphys.integrations.local.config import LocalArtifactStoreConfig
from tiphys.integrations.local.pods.runner import PodRunner, usable
from tiphys.ports.runner import Task


class NoObjects:
    """There are none."""

    def config_map(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        return None

    secret = config_map

    def claim_folder(self, namespace: str, name: str) -> Path | None:
        return None


class NoDrivers:
    """There are none."""

    def fetch(self, artifact: Mapping[str, Any], into: Path) -> None:
        raise AssertionError

    def save(self, path: Path, artifact: Mapping[str, Any]) -> Mapping[str, Any]:
        raise AssertionError


def raw_rate(count: int) -> float:
    """Processes a second, one after another."""
    start = time.perf_counter()
    for _ in range(count):
        os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
    return count / (time.perf_counter() - start)


def runner_rate(flavour: Literal["process", "sandbox"], count: int, in_flight: int) -> float:
    """Tasks a second, with so many launched at once."""
    body = {"name": "true", "container": {"image": "busybox", "command": ["true"]}}
    with tempfile.TemporaryDirectory(prefix="tiphys-bench-") as folder:
        store = LocalArtifactStore(name="s", config=LocalArtifactStoreConfig(path=f"{folder}/artifacts"))
        runner = PodRunner(
            Path(folder), flavour=flavour, store=store, objects=NoObjects(), drivers=lambda _: NoDrivers()
        )
        reports: queue.SimpleQueue[TaskFinished] = queue.SimpleQueue()

        def launch(number: int) -> None:
            node = f"n{number}"
            task = Task(
                id=f"u/{node}/0",
                workflow_uid="u",
                node_id=node,
                name=node,
                attempt=0,
                body=body,
                inputs=Values(),
                context={"include_result": False},
            )
            runner.launch(task, reports.put)

        launch(-1)
        reports.get(timeout=60)
        launched = done = 0
        start = time.perf_counter()
        while done < count:
            while launched < min(count, done + in_flight):
                launch(launched)
                launched += 1
            finished = reports.get(timeout=60)
            if finished.phase is not Phase.SUCCEEDED:
                raise SystemExit(finished.message)
            done += 1
        rate = count / (time.perf_counter() - start)
        runner.close()
        return rate


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    in_flight = int(sys.argv[2]) if len(sys.argv) > 2 else 16
    raw_rate(count // 4)
    before = raw_rate(count)
    rates = {
        "process": runner_rate("process", count, in_flight),
        **({"sandbox": runner_rate("sandbox", count // 4, in_flight)} if usable("sandbox") is None else {}),
    }
    after = raw_rate(count)
    raw = (before + after) / 2
    print(f"raw posix_spawn: {raw:.0f}/s (before {before:.0f}, after {after:.0f})")
    for name, rate in rates.items():
        print(f"{name}: {rate:.0f}/s, {rate / raw:.0%} of raw, {1e3 / rate:.2f} ms a task")


if __name__ == "__main__":
    main()
