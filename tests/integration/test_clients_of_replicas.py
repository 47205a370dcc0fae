"""A client whose requests go now to one replica, now to the other: its run is in the memory of one of them."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import Popen

import httpx2
import pytest
from tests.contract.conftest import postgres, postgres_template, postgres_url
from tests.e2e.programs import ended_at_last, start_script, wait_until
from tests.integration.replicas import Fleet, fleet
from tests.integration.round_robin import round_robin
from tests.integration.server_desk import RunningServer, running_server
from tests.integration.test_connected import notes, said, script
from tests.integration.test_remote_runs import share_the_artifacts

from tiphys.records.base import Query
from tiphys.records.runs import Run, StepRun

__all__ = ["notes", "postgres", "postgres_template", "postgres_url", "script"]
STEPS = ["work", "work_2", "work_3", "work_4", "work_5"]


class Replicas:
    """Two of them, each with a home of its own, and what stands before them."""

    def __init__(self, found: Fleet, stack: ExitStack) -> None:
        self.fleet = found
        self.servers = [found.start(), found.start()]
        self.targets = [server.url for server in self.servers]
        self.url = stack.enter_context(round_robin(self.targets))

    def holder(self) -> RunningServer:
        (holder,) = (server for server in self.servers if self.fleet.owned_by(server))
        return holder

    def runs(self) -> list[Run]:
        with self.fleet.store.reader() as reader:
            return reader.find(Query.of(Run, order="id"))

    def expect_each_step_once(self, count: int = 1) -> None:
        runs = self.runs()
        assert [str(run.status) for run in runs] == ["completed"] * count
        with self.fleet.store.reader() as reader:
            for run in runs:
                steps = reader.find(Query.of(StepRun, run_id=run.id, order="name"))
                assert [one.name for one in steps if str(one.status) == "completed"] == STEPS


@pytest.fixture
def replicas(tmp_path: Path, postgres_url: str) -> Iterator[Replicas]:
    with ExitStack() as stack:
        found = stack.enter_context(fleet(postgres_url, tmp_path / "fleet"))
        share_the_artifacts(found, tmp_path)
        yield Replicas(found, stack)


def completed(process: Popen[str]) -> None:
    output, errors = process.communicate(timeout=120)
    assert "status completed" in output, errors


def each_once(notes: Path) -> None:
    assert Counter(notes.read_text().splitlines()) == {
        f"{word} {number}": 1 for word in ("begin", "end") for number in range(5)
    }


def test_each_step_is_carried_out_once(home: Path, replicas: Replicas, script: Path, notes: Path) -> None:
    with ended_at_last(start_script(script, TIPHYS_URL=replicas.url)) as client:
        completed(client)
    each_once(notes)
    replicas.expect_each_step_once()


def test_the_one_that_holds_it_dies(home: Path, replicas: Replicas, script: Path, notes: Path) -> None:
    with ended_at_last(start_script(script, TIPHYS_URL=replicas.url, PAUSE="1")) as client:
        wait_until(lambda: said(notes, "begin 1"), "the second step", client)
        holder = replicas.holder()
        replicas.targets.remove(holder.url)
        replicas.fleet.kill(holder)
        completed(client)
    each_once(notes)
    replicas.expect_each_step_once()


def test_a_client_that_is_started_again_goes_on(home: Path, replicas: Replicas, script: Path, notes: Path) -> None:
    with ended_at_last(start_script(script, TIPHYS_URL=replicas.url, PAUSE="1")) as client:
        wait_until(lambda: said(notes, "begin 1"), "the second step", client)
        client.send_signal(signal.SIGKILL)
        client.communicate()
    with ended_at_last(start_script(script, TIPHYS_URL=replicas.url)) as client:
        completed(client)
    replicas.expect_each_step_once()
    assert notes.read_text().count("begin 0") == 1


def test_two_clients_have_a_run_each(home: Path, replicas: Replicas, script: Path, notes: Path) -> None:
    with ended_at_last(start_script(script, TIPHYS_URL=replicas.url, PAUSE="1")) as one:
        wait_until(lambda: said(notes, "begin 0"), "the first step", one)
        with ended_at_last(start_script(script, TIPHYS_URL=replicas.url)) as other:
            completed(other)
            completed(one)
    replicas.expect_each_step_once(2)


def test_logs_are_followed_through_any(home: Path, replicas: Replicas, script: Path, notes: Path) -> None:
    with ended_at_last(start_script(script, TIPHYS_URL=replicas.url, PAUSE="1")) as client:
        wait_until(lambda: said(notes, "begin 0"), "the first step", client)
        (other,) = (server for server in replicas.servers if server is not replicas.holder())
        (run,) = replicas.runs()
        path = f"{other.url}/api/tiphys/v1/workspaces/default/runs/{run.id}/logs?follow=true"
        seen = []
        with httpx2.stream("GET", path, timeout=60) as response:
            for line in response.iter_lines():
                if "working on 0" in line:
                    seen.append(said(notes, "end 4"))
                last = line
        completed(client)
    assert seen == [False]  # it was live
    assert json.loads(last) == {"result": {"end": True}}


def test_they_trust_each_others_certificates(
    home: Path, tmp_path: Path, postgres_url: str, script: Path, notes: Path
) -> None:
    with ExitStack() as stack:
        found = stack.enter_context(fleet(postgres_url, tmp_path / "fleet"))
        holder, other = (
            stack.enter_context(running_server(tmp_path / name, TIPHYS_DB_URL=postgres_url))
            for name in ("holder", "other")
        )
        process = start_script(script, TIPHYS_URL=holder.url, TIPHYS_CA=holder.authority, PAUSE="60")
        with ended_at_last(process), other.client() as client, found.store.reader() as reader:
            wait_until(lambda: said(notes, "begin 0"), "the first step", process)
            (run,) = reader.find(Query.of(Run))
            response = client.get(f"/api/tiphys/v1/workspaces/default/runs/{run.id}/interruption")
            # Only the holder knows whether its client is there.
            assert (response.status_code, response.json()) == (200, {"interrupted": False})
