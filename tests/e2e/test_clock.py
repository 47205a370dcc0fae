"""The clock of servers jumps by an hour while they work: nothing is lost, late, done twice, or shorter than nothing."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.programs import wait_until
from tests.integration.replicas import Fleet, fleet
from tests.integration.server_desk import running_server, workflow
from tests.needs import lacking
from tiphys.ports.store import Lease
from tiphys.testing.postgres import PostgresUnavailableError, start_postgres

HOUR = 3600
CRON = {
    "metadata": {"name": "often"},
    "spec": {
        "schedules": ["@every 2s"],
        "successfulJobsHistoryLimit": 1000,
        "workflowSpec": workflow("sh", "-c", "true")["spec"],
    },
}


class FalseClock:
    """A clock that a process is shown instead of the machine's, as Debian's libfaketime does it.

    Args:
        folder: Where the time is set.
    """

    def __init__(self, folder: Path) -> None:
        found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not found:
            lacking("There is no libfaketime (Debian's package faketime; scripts/ensure_packages.sh).")
        folder.mkdir(parents=True)
        self._file = folder / "time"
        self.jump(0)
        self.environment = {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def jump(self, seconds: int) -> None:
        """Show the machine's time and so many seconds."""
        staged = self._file.with_suffix(".staged")
        staged.write_text(f"{seconds:+d}s\n")
        staged.replace(self._file)


def submit(client: httpx2.Client, name: str, script: str, **spec: Any) -> None:
    made = {**workflow("sh", "-c", script), "metadata": {"name": name}}
    retry = spec.pop("retry", None)
    made["spec"].update(spec)
    if retry:
        made["spec"]["templates"][0]["retryStrategy"] = retry
    client.post("/api/v1/workflows/w", json={"workflow": made}).raise_for_status()


def status(client: httpx2.Client, name: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/api/v1/workflows/w/{name}").raise_for_status().json()["status"]
    return found


def ended(client: httpx2.Client, name: str) -> dict[str, Any]:
    return dict(wait_until(lambda: status(client, name) if status(client, name).get("finishedAt") else None, name))


def expect_order(found: dict[str, Any]) -> None:
    """Nothing ends before it began."""
    for each in (found, *found["nodes"].values()):
        assert datetime.fromisoformat(each["finishedAt"]) >= datetime.fromisoformat(each["startedAt"])


def slots(client: httpx2.Client) -> list[str]:
    """For which times the schedule has started a workflow."""
    items = client.get("/api/v1/workflows/w").raise_for_status().json()["items"] or []
    key = "workflows.argoproj.io/scheduled-time"
    return [found[key] for item in items if key in (found := item["metadata"].get("annotations") or {})]


def tracebacks(output: str) -> list[str]:
    """What a server tells of exceptions, but for libfaketime's own.

    It makes a sleep until some time one of some length, and refuses it (EINVAL) where that time has just passed.
    """
    told = output.split("Traceback (most recent call last):")[1:]
    return [each for each in told if not ("time.sleep(" in each and "OSError: [Errno 22]" in each)]


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_the_clock_of_a_server_jumps(tmp_path: Path, jump: int) -> None:
    clock = FalseClock(tmp_path / "clock")
    failed = tmp_path / "failed"
    with (
        running_server(tmp_path / "home", "--insecure", "--runner", "process", **clock.environment) as server,
        httpx2.Client(base_url=server.url, timeout=60) as client,
    ):
        client.post("/api/v1/cron-workflows/w", json={"cronWorkflow": CRON}).raise_for_status()
        fails_once = f"[ -e {failed} ] || {{ touch {failed}; exit 1; }}"
        backoff = {"limit": "3", "retryPolicy": "Always", "backoff": {"duration": "6s"}}
        submit(client, "plain", "sleep 5")
        submit(client, "patient", "sleep 5", activeDeadlineSeconds=2 * HOUR)
        submit(client, "late", "sleep 60", activeDeadlineSeconds=8)
        submit(client, "again", fails_once, retry=backoff)
        wait_until(failed.exists, "the first attempt")
        wait_until(lambda: slots(client), "the schedule")
        began = time.monotonic()
        clock.jump(jump)
        found = {name: ended(client, name) for name in ("plain", "patient", "late", "again")}
        assert {name: each["phase"] for name, each in found.items()} == {
            "plain": "Succeeded",
            "patient": "Succeeded",
            "late": "Failed",
            "again": "Succeeded",
        }
        assert time.monotonic() - began < 60
        for each in found.values():
            expect_order(each)
        submit(client, "later", "true")
        expect_order(ended(client, "later"))
        before = len(slots(client))
        if jump > 0:
            wait_until(lambda: len(slots(client)) > before, "the schedule to go on")
        clock.jump(0)
        wait_until(lambda: len(slots(client)) > before, "the schedule to go on")
        times = slots(client)
        assert max(Counter(times).values()) == 1
        assert client.get("/healthz").status_code == 200
        assert tracebacks(server.end()) == []


def test_the_clock_of_a_replica_jumps(tmp_path: Path) -> None:
    clock = FalseClock(tmp_path / "clock")
    with ExitStack() as stack:
        try:
            postgres = start_postgres()
        except PostgresUnavailableError as error:
            lacking(str(error))
        stack.callback(postgres.stop)
        found = stack.enter_context(fleet(postgres.create_database("clock"), tmp_path / "f"))
        found.start()
        jumping = found.start(**clock.environment)
        with httpx2.Client(base_url=found.running[0].url, timeout=60) as client:
            client.post("/api/v1/cron-workflows/w", json={"cronWorkflow": CRON}).raise_for_status()
            for server in found.running:
                found.submit(server, 4, seconds=8)
            mine = {row.id for row in found.owned_by(jumping)}
            assert len(mine) >= 4
            for seconds in (HOUR, -HOUR, 0):
                clock.jump(seconds)
                time.sleep(2)
                assert mine <= {row.id for row in found.owned_by(jumping)}  # nobody took them from it
                assert all(lease.holds for lease in leases(found))
            wait_until(lambda: found.noted("end").total() == 8, "the end of all")
            times = slots(client)
        assert max(Counter(times).values()) == 1
        assert [server.process.poll() for server in found.running] == [None, None]
        begun = found.noted("begin")
        assert (len(begun), max(begun.values())) == (8, 1)
        found.wait(lambda: all(row.finished_at for row in found.rows() if row.id in begun), "their ends")
        rows = [row for row in found.rows() if row.id in begun]
        assert {row.phase for row in rows} == {"Succeeded"}
        assert all(row.started_at and row.finished_at and row.finished_at >= row.started_at for row in rows)


def leases(found: Fleet) -> list[Lease]:
    with found.store.reader() as reader:
        return reader.leases()
