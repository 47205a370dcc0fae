"""`tiphys argo controller`: schedules, abandoned workflows and cleaning up, with the real engine and store."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from tiphys._util.times import from_epoch, utc_now
from tiphys._util.zones import local_zone
from tiphys.cli.argo import controller as command
from tiphys.cli.argo.cron import cron
from tiphys.controller import caretaker
from tiphys.controller.loop import Controller
from tiphys.controller.owner import this_process
from tiphys.db.store import open_store
from tiphys.ports.clock import Clock, SystemClock
from tiphys.ports.workflows import Manifest, SubmitOptions
from tiphys.records.base import Query
from tiphys.records.objects import ObjectKind, StoredObject
from tiphys.records.workflows import WorkflowRow, WorkflowSummary
from tiphys.services.backend import LocalBackend
from tiphys.services.recorder import MLRecorder
from tiphys.services.workflows import service
from tiphys.testing.fake_runner import FakeRunner
from tiphys.testing.playing import IdleHost, a_request

MAIN = {"name": "main", "container": {"image": "busybox", "command": ["true"]}}
#: Ends by itself at once.
NOTHING = {"name": "main", "suspend": {"duration": "0"}}


class Waiter:
    """Waits as a thread that lends itself would, without tasks."""

    def work(self, until: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not until():
            assert time.monotonic() < deadline, "a workflow does not end"
            time.sleep(0.001)

    def wake(self) -> None:
        pass

    def is_free(self) -> bool:
        return True


class Hands(Clock):
    """A clock that a test sets."""

    time = 0.0

    def now(self) -> float:
        return self.time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Hands:
    hands = Hands()
    hands.time = utc_now().replace(second=0, microsecond=0).timestamp() + 90
    monkeypatch.setattr(caretaker, "SystemClock", lambda: hands)
    return hands


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[LocalBackend]:
    url = f"sqlite:///{tmp_path / 'tiphys.db'}"
    store = open_store(url)
    made = LocalBackend(store, home=tmp_path, db_url=url)
    runner = FakeRunner()
    made.connect(
        Controller(
            store,
            MLRecorder(made),
            runners=lambda _name: runner,
            lender=Waiter(),
            clock=SystemClock(),
            owner=this_process(),
        )
    )
    yield made
    made.close()


@pytest.fixture
def once(backend: LocalBackend, clock: Hands) -> Callable[[], str]:
    def call() -> str:
        done = CliRunner().invoke(command.controller, ["--once"], obj=backend, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    return call


def a_cron(name: str = "c", template: dict[str, Any] = MAIN, **spec: Any) -> Manifest:
    workflow = {"entrypoint": "main", "templates": [template]}
    spec = {"schedules": ["* * * * *"], "workflowSpec": workflow, **spec}
    return {"kind": "CronWorkflow", "metadata": {"name": name}, "spec": spec}


def a_workflow(name: str, **spec: Any) -> Manifest:
    return {"metadata": {"name": name}, "spec": {"entrypoint": "main", "templates": [MAIN], **spec}}


def phases(backend: LocalBackend) -> dict[str, str]:
    return {row.name: row.phase for row in backend.find(Query.of(WorkflowSummary))}


def test_one_round_runs_what_is_due(backend: LocalBackend, once: Callable[[], str], clock: Hands) -> None:
    backend.objects.create(a_cron())
    backend.objects.in_namespace("team").create(a_cron("d", timezone="Europe/Berlin"))
    due = int(clock.time) - 30
    shown = once()
    assert phases(backend) == {f"c-{due}": "Succeeded", f"d-{due}": "Succeeded"}
    assert f" CronWorkflow default/c: started c-{due}\n" in shown
    status = backend.objects.get(ObjectKind.CRON_WORKFLOW, "c")["status"]
    assert (status["succeeded"], status["active"], status["phase"]) == (1, [], "Active")
    assert once() == ""
    assert len(phases(backend)) == 2


def test_one_round_keeps_the_history_short(backend: LocalBackend, once: Callable[[], str], clock: Hands) -> None:
    backend.objects.create(a_cron(successfulJobsHistoryLimit=2))
    for _ in range(4):
        once()
        clock.time += 60
    due = int(clock.time) - 30
    assert sorted(phases(backend)) == [f"c-{due - 120}", f"c-{due - 60}"]
    assert backend.objects.get(ObjectKind.CRON_WORKFLOW, "c")["status"]["succeeded"] == 4


def test_what_nobody_carries_out_is_taken_up(backend: LocalBackend, once: Callable[[], str]) -> None:
    """After the death of its process, and before any had it; a pipeline is left to its next call."""
    idle = LocalBackend(backend.store, home=backend.home, host=IdleHost())
    dead = f"{socket.gethostname()}:999999999:1"
    for name, owner in (("dead", dead), ("waiting", ""), ("elsewhere", "other-host:1:1")):
        uid = idle.workflows.submit(a_workflow(name))["metadata"]["uid"]
        with backend.store.transaction() as transaction:
            transaction.update(WorkflowRow, uid, owner=owner)
    run = idle.runs.submit(a_request())
    with backend.store.transaction() as transaction:
        transaction.update(WorkflowRow, run.workflow_uid, owner=dead)
    shown = once()
    found = phases(backend)
    assert (found.pop("dead"), found.pop("waiting")) == ("Succeeded", "Succeeded")
    assert set(found.values()) == {"Pending"}
    assert shown.count("taking it up") == 2


def test_what_has_had_its_time_is_deleted(backend: LocalBackend, once: Callable[[], str], clock: Hands) -> None:
    ttl = {"secondsAfterSuccess": 1000}
    for name, spec in (("short", {"ttlStrategy": ttl}), ("long", {})):
        backend.workflows.submit(a_workflow(name, **spec), SubmitOptions())
        assert backend.workflows.wait(name).phase == "Succeeded"
    once()
    assert sorted(phases(backend)) == ["long", "short"]
    clock.time += 1000
    assert "workflow default/short: deleted\n" in once()
    assert sorted(phases(backend)) == ["long"]


def test_times_that_have_passed_are_made_up_for(
    backend: LocalBackend, once: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "carry_out_detached", lambda *_, **__: None)
    made = backend.objects.create(a_cron(schedules=["0 3 * * *"], workflowMetadata={"labels": {"a": "1"}}))
    days = ["--format", "2006-01-02", "--start", "2026-01-05", "--end", "2026-01-08"]
    done = CliRunner().invoke(cron, ["backfill", "c", *days, "--name", "x"], obj=backend, catch_exceptions=False)
    assert "Total Backfill Schedule: 3\n" in done.output
    found = [backend.workflows.get(name) for name in phases(backend)]
    owners = [one["metadata"]["ownerReferences"][0] for one in found]
    assert {(one["kind"], one["uid"]) for one in owners} == {("CronWorkflow", made["metadata"]["uid"])}
    assert {one["metadata"]["labels"]["a"] for one in found} == {"1"}
    times = [one["metadata"]["annotations"]["workflows.argoproj.io/scheduled-time"] for one in found]
    assert sorted(times) == [f"2026-01-0{day}T03:00:00Z" for day in (5, 6, 7)]
    once()
    assert list(phases(backend).values()) == ["Succeeded"] * 3


def test_the_log_is_left_as_it_was(once: Callable[[], str]) -> None:
    before = logging.getLogger("tiphys.controller").handlers[:]
    once()
    assert logging.getLogger("tiphys.controller").handlers == before


def test_the_time_zone_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    assert local_zone() == ZoneInfo("Europe/Berlin")
    monkeypatch.setenv("TZ", ":Asia/Tokyo")
    assert local_zone() == ZoneInfo("Asia/Tokyo")
    monkeypatch.setenv("TZ", "EST5EDT,M3.2.0,M11.1.0")
    assert local_zone().utcoffset(datetime(2026, 1, 1)) is not None  # noqa: DTZ001  # of a zone's clock


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_until_it_is_interrupted(home: Path, told: signal.Signals) -> None:
    """A process of its own: it starts a run every second, and ends cleanly."""
    home.mkdir()
    store = open_store(f"sqlite:///{home / 'tiphys.db'}")
    backend = LocalBackend(store, home=home, host=IdleHost())
    backend.objects.create(a_cron(template=NOTHING, schedules=["@every 1s"], successfulJobsHistoryLimit=100))
    code = "from tiphys.cli.argo.controller import controller; controller()"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TIPHYS_HOME": str(home)},
    ) as process:
        deadline = time.monotonic() + 60
        while list(phases(backend).values()).count("Succeeded") < 2:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, phases(backend)
            time.sleep(0.1)
        process.send_signal(told)
        shown = process.communicate(timeout=30)[0]
    assert process.returncode == 0, shown
    first, *lines = shown.splitlines()
    assert first.endswith("looking after schedules and workflows; Ctrl-C ends")
    assert "CronWorkflow default/c: started c-" in lines[0]
    assert " ending; " in lines[-1]
    names = sorted(phases(backend))
    assert len(names) == len(set(names)) >= 2
    stored = backend.find(Query.of(StoredObject))[0]
    assert from_epoch(0) + timedelta(seconds=int(names[0].removeprefix("c-"))) > stored.created_at
    store.close()
