"""Servers on one PostgreSQL database: what one leaves, however it ends, others carry on; nothing is committed twice."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx2
from tests.contract.conftest import postgres, postgres_template, postgres_url
from tests.integration.replicas import Fleet, fleet

from tiphys.records.queue import limit_key
from tiphys.services.policies import PolicyService

__all__ = ["postgres", "postgres_template", "postgres_url"]

COUNT = 12


def all_succeeded(found: Fleet, count: int) -> None:
    rows = found.rows()
    assert [row.phase for row in rows] == ["Succeeded"] * count
    with found.store.reader() as reader:
        for row in rows:
            assert [str(node.phase) for node in reader.load_nodes(row.id)] == ["Succeeded"]
        assert reader.owners() == set()


def test_what_a_killed_replica_carried_out_others_take_up(postgres_url: str, tmp_path: Path) -> None:
    with fleet(postgres_url, tmp_path / "f") as found:
        first, second, third = found.start("a"), found.start("a"), found.start("b")
        found.submit(first, COUNT, seconds=4)
        assert len(found.owned_by(first)) == COUNT
        found.wait(lambda: len(found.noted("begin")) == COUNT, "all to begin")
        found.kill(first)
        found.wait(lambda: len(found.owned_by(second)) + len(found.owned_by(third)) == COUNT, "them to be taken up")
        followed = {row.id for row in found.owned_by(second)}
        assert 0 < len(followed) < COUNT
        found.wait_for_all()
        all_succeeded(found, COUNT)
        # In the same home the containers themselves are taken up.
        begun = found.noted("begin")
        assert {begun[uid] for uid in followed} == {1}


def test_a_replica_that_was_stopped_for_too_long_commits_nothing(postgres_url: str, tmp_path: Path) -> None:
    with fleet(postgres_url, tmp_path / "f") as found:
        first, second, third = found.start("a"), found.start("a"), found.start("b")
        found.submit(first, COUNT, seconds=12)
        found.wait(lambda: len(found.noted("begin")) == COUNT, "all to begin")
        first.process.send_signal(signal.SIGSTOP)
        took = found.wait(
            lambda: len(found.owned_by(second)) + len(found.owned_by(third)) == COUNT, "them to be taken up"
        )
        print(f"taken up {took:.1f} s after the first one was stopped")
        followed = {row.id for row in found.owned_by(second)}
        assert 0 < len(followed) < COUNT
        first.process.send_signal(signal.SIGCONT)
        found.wait_for_all()
        all_succeeded(found, COUNT)
        begun, ended = found.noted("begin"), found.noted("end")
        assert {uid: begun[uid] for uid in ended} == {uid: 1 if uid in followed else 2 for uid in ended}
        # The first one's containers were ended, or are the very ones that the second one took up.
        assert set(ended.values()) == {1}
        found.submit(first, 1, seconds=0)
        found.wait_for_all()
        all_succeeded(found, COUNT + 1)
        said = first.end()
        assert said.count("was taken up by another process meanwhile") == COUNT
        assert "Traceback" not in said


def test_a_replica_that_ends_gives_its_workflows_back_at_once(postgres_url: str, tmp_path: Path) -> None:
    with fleet(postgres_url, tmp_path / "f") as found:
        first, second = found.start(), found.start()
        found.submit(first, COUNT, seconds=2)
        found.wait(lambda: len(found.noted("begin")) == COUNT, "all to begin")
        first.end()
        found.running.remove(first)
        took = found.wait(lambda: len(found.owned_by(second)) == COUNT, "them to be taken up")
        print(f"taken up {took:.1f} s after the end")
        found.wait_for_all()
        all_succeeded(found, COUNT)


def test_what_waits_in_the_queue_begins_as_places_become_free_on_another_replica_too(
    postgres_url: str, tmp_path: Path
) -> None:
    with fleet(postgres_url, tmp_path / "f") as found:
        first, second = found.start(), found.start()
        PolicyService(found.store).set_queue_limit(limit_key(workspace="w"), 3)
        found.submit(first, 9, seconds=0.5)
        found.submit(second, 2, seconds=0.1, namespace="v")
        waits = [row for row in found.rows() if not row.owner and row.finished_at is None]
        assert waits
        with httpx2.Client(base_url=first.url) as client:
            status = client.get(f"/api/v1/workflows/w/{waits[-1].name}").raise_for_status().json()["status"]
        first.end()
        most = 0
        while any(row.finished_at is None for row in found.rows()):
            most = max(most, sum(row.owner != "" and row.workspace == "w" for row in found.rows()))
        all_succeeded(found, 11)
    assert status["phase"] == "Pending"
    assert status["message"] == "Waiting in the queue: at most 3 workflows of the workspace 'w' run at once."
    assert most == 3
