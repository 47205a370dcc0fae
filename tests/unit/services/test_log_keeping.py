"""Logs are stored in parts while they are written, and read as if they were one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiphys.engine.model import Node, NodeType, Phase, WorkflowState
from tiphys.ports.store import WorkflowBatch
from tiphys.ports.workflows import LogQuery, SubmitOptions
from tiphys.records.base import Query
from tiphys.records.logs import LogPart
from tiphys.sdk.logs.files import PART, live_path
from tiphys.sdk.pods.log_times import note_size, times_of
from tiphys.services.backend import LocalBackend
from tiphys.services.log_keeping import AGE, LogKeeper
from tiphys.services.workflows.pods import log_of
from tiphys.testing.playing import step_body

TIME = "2026-01-31T12:00:00.000000Z"


class Hours:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hours():
    return Hours()


@pytest.fixture
def keeper(backend, hours):
    backend.logs.close()  # it would look by itself
    return LogKeeper(backend.store, home=backend.home, stacks=backend.stacks, clock=hours)


def numbered(first: int, count: int) -> str:
    return "".join(f"{TIME} stdout line {number}\n" for number in range(first, first + count))


def text_of(backend, run, **options) -> list[str]:
    return [line for _, line in backend.runs.logs(run.id, **options)]


def look(keeper: LogKeeper, *uids: str, ended: tuple[str, ...] = ()) -> None:
    keeper._going, keeper._ended = frozenset(uids), set(ended)
    keeper.look()


@pytest.fixture
def played(play):
    """A run whose step 'a' has begun."""
    made = play()
    made.a = made.launch(made.task(step_body("a")))
    return made


@pytest.fixture
def live(backend, played) -> Path:
    path = live_path(backend.home, played.run.id, "a", 0)
    path.parent.mkdir(parents=True)
    return path


def end(played, phase: Phase) -> None:
    played.state(phase)
    with played.store.transaction() as transaction:
        transaction.save(WorkflowBatch(played.uid, [], WorkflowState(played.uid, "p", phase, "", 1.0, 2.0)))


@pytest.fixture
def run_of_pods(backend):
    """A workflow of one pod that has ended: its uid, its node's id, and what reads its log."""
    template = {"name": "main", "container": {"image": "busybox"}}
    made = backend.workflows.submit({"spec": {"entrypoint": "main", "templates": [template]}}, SubmitOptions(name="w"))
    uid = made["metadata"]["uid"]
    node = Node(
        id="w",
        name="w",
        display_name="w",
        type=NodeType.POD,
        phase=Phase.SUCCEEDED,
        template="main",
        started_at=1.0,
        finished_at=2.0,
    )
    with backend.store.transaction() as transaction:
        transaction.save(WorkflowBatch(uid, [node], WorkflowState(uid, "w", Phase.SUCCEEDED, "", 1.0, 2.0)))
    log_of(backend.home, uid, "w").parent.mkdir(parents=True, exist_ok=True)

    def entries(**query):
        return list(backend.workflows.logs("w", LogQuery(**query)))

    return uid, "w", entries


def test_what_makes_a_part_is_stored_at_once_and_the_rest_when_it_has_waited(backend, keeper, hours, played, live):
    live.write_text(numbered(0, 100_000) + f"{TIME} stdout half a l")
    look(keeper, played.run.workflow_uid)
    (part,) = backend.find(Query.of(LogPart))
    assert (part.start, 0 < PART - part.size < 200) == (0, True)
    hours.now += AGE - 1
    look(keeper, played.run.workflow_uid)
    look(keeper, played.run.workflow_uid)
    assert backend.count(Query.of(LogPart)) == 1
    hours.now += AGE + 1
    look(keeper, played.run.workflow_uid)
    parts = backend.find(Query.of(LogPart, order="id"))
    assert [each.start for each in parts] == [0, parts[0].size]
    assert sum(each.size for each in parts) == live.read_text().rindex("\n") + 1


def test_another_machine_reads_what_is_stored(backend, keeper, hours, played, live, tmp_path):
    live.write_text(numbered(0, 150_000))
    look(keeper, played.run.workflow_uid)
    live.unlink()  # the machine is gone
    elsewhere = LocalBackend(backend.store, home=tmp_path / "elsewhere")
    elsewhere.stacks = backend.stacks  # the artifact store is not
    found = text_of(backend, played.run)
    assert found == [f"line {number}" for number in range(len(found))]
    assert len(found) > 50_000
    # The attempt is begun anew, and its log follows what the lost one had written.
    again = live_path(backend.home, played.run.id, "a", 0)
    again.write_text(f"{TIME[:-2]}9Z stdout anew\n")
    assert text_of(backend, played.run) == [*found, "anew"]


def test_nothing_is_told_twice_whatever_becomes_of_the_live_file(backend, keeper, played, live, monkeypatch):
    live.write_text(numbered(0, 60_000))
    told = []

    def meanwhile(_seconds):
        if len(told) == 60_000:
            live.write_text(numbered(0, 120_000))
            look(keeper, played.run.workflow_uid)
        else:
            finish(played)
            look(keeper, ended=(played.run.workflow_uid,))
            assert not live.exists()

    def finish(played):
        played.succeed(played.a, result={"log_digest": None})
        end(played, Phase.SUCCEEDED)

    monkeypatch.setattr("tiphys.services.runs.time.sleep", meanwhile)
    for _, line in backend.runs.logs(played.run.id, follow=True):
        told.append(line)
    assert told == [f"line {number}" for number in range(120_000)]
    assert text_of(backend, played.run) == told


def test_a_new_keeper_goes_on_where_the_last_one_was(backend, keeper, hours, played, live):
    live.write_text(numbered(0, 100_000))
    look(keeper, played.run.workflow_uid)
    live.write_text(numbered(0, 200_000))
    look(LogKeeper(backend.store, home=backend.home, stacks=backend.stacks), played.run.workflow_uid)
    parts = backend.find(Query.of(LogPart, order="id"))
    assert len(parts) == 2
    assert parts[1].start == parts[0].size


def test_parts_of_a_log_that_its_step_stored_whole_are_forgotten(backend, keeper, hours, played, live):
    live.write_text(numbered(0, 10))
    look(keeper, played.run.workflow_uid)
    hours.now += AGE
    look(keeper, played.run.workflow_uid)
    assert backend.count(Query.of(LogPart)) == 1
    digest = played.artifacts.commit_bytes("log.txt", live.read_bytes()).digest
    played.succeed(played.a, result={"log_digest": digest})
    end(played, Phase.SUCCEEDED)
    look(keeper, ended=(played.run.workflow_uid,))
    assert backend.count(Query.of(LogPart)) == 0
    assert text_of(backend, played.run) == [f"line {number}" for number in range(10)]


def test_what_a_stopped_step_wrote_is_stored_but_stays_while_it_may_write_more(backend, keeper, played, live):
    live.write_text(numbered(0, 3))
    end(played, Phase.FAILED)
    look(keeper, ended=(played.run.workflow_uid,))
    assert live.exists()
    assert keeper._ended == {played.run.workflow_uid}
    assert backend.count(Query.of(LogPart)) == 1


def test_garbage_collection_keeps_parts_until_their_run_is_deleted(backend, keeper, played, live):
    live.write_text(numbered(0, 100_000))
    played.succeed(played.a, result={"log_digest": None})
    end(played, Phase.SUCCEEDED)
    look(keeper, ended=(played.run.workflow_uid,))
    digests = {part.digest for part in backend.find(Query.of(LogPart))}
    assert len(digests) == 2
    removed = {digest for digest, _ in backend.artifacts.gc(dry_run=False, grace=-10)}
    assert not removed & digests
    backend.runs.delete(played.run.id)
    removed = {digest for digest, _ in backend.artifacts.gc(dry_run=False, grace=-10)}
    assert digests <= removed


def test_a_containers_long_log_is_whole_in_the_store_with_its_times(backend, keeper, run_of_pods):
    uid, node, entries = run_of_pods
    log = log_of(backend.home, uid, node)
    with log.open("w") as file:
        for number in range(5):
            file.write("".join(f"line {number} {index} {'x' * 80}\n" for index in range(20_000)))
            file.flush()
            note_size(str(log), 0)
    before = entries()
    look(keeper, ended=(uid,))
    assert not log.exists()
    assert not Path(times_of(str(log))).exists()
    assert backend.count(Query.of(LogPart, log=node)) > 1
    assert entries() == before
    assert entries(tail=3) == before[-3:]
    assert entries(since=before[-5].at) == [each for each in before if each.at >= before[-5].at]


def test_a_containers_short_log_stays_where_it_is(backend, keeper, run_of_pods):
    uid, node, entries = run_of_pods
    log = log_of(backend.home, uid, node)
    log.write_text("a line\n")
    look(keeper, ended=(uid,))
    assert log.exists()
    assert backend.count(Query.of(LogPart)) == 0
    assert [each.content for each in entries()] == ["a line"]
