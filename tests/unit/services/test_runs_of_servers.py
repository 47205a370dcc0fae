"""Runs of a server: those that wait in the queue, and those that another server on the database carries out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tiphys._util.ids import new_id
from tiphys._util.times import utc_now
from tiphys.errors import HeldElsewhereError, UsageError
from tiphys.records.base import Query
from tiphys.records.queue import QueuedWorkflow
from tiphys.records.runs import Run
from tiphys.records.servers import ServerAddress
from tiphys.records.workflows import WorkflowRow
from tiphys.testing.playing import IdleHost, a_request

SESSION = "a-session"
CODE = {"store": "default", "digest": "sha256:1"}


class FullHost(IdleHost):
    """Has everything wait."""

    def __init__(self):
        super().__init__()
        self.awaited = []
        self.pipelines = []

    def admit(self, transaction, row, pipeline, *, detached):
        self.pipelines.append(pipeline)
        queued = QueuedWorkflow(id=new_id(), workflow_uid=row.id, labels=row.labels, created_at=row.created_at)
        transaction.add(queued)
        return replace(row, owner="")

    def await_turn(self, uid):
        self.awaited.append(uid)


@pytest.fixture
def full(backend):
    found = FullHost()
    backend.connect(found)
    return found


def test_one_with_code_waits_for_its_turn(backend, full):
    run = backend.runs.submit(a_request(code=CODE))
    assert full.awaited == [run.workflow_uid]
    assert full.pipelines == ["p"]
    assert full.started == []


def test_one_whose_steps_are_carried_out_elsewhere_does_not(backend, full):
    for run in (backend.runs.submit(a_request()), backend.runs.submit(a_request(by_client=True))):
        assert run.workflow_uid in full.started
    assert full.awaited == []


def test_one_that_waits_is_not_interrupted(backend, full):
    first, second = (backend.runs.submit(a_request(code=CODE, spec_digest="d")) for _ in range(2))
    assert first.id != second.id
    assert not backend.runs.is_interrupted(first)
    assert full.resumed == []


@pytest.fixture
def elsewhere(backend, host):
    """A client's run that another server has taken up."""
    run = backend.runs.submit(a_request(by_client=True, spec_digest="d"))
    backend.clients.sit_down(run.workflow_uid, SESSION, observes=False)
    host.alive.add("there:1:1")
    with backend.store.transaction() as transaction:
        transaction.update(WorkflowRow, run.workflow_uid, owner="there:1:1")
        transaction.add(ServerAddress(id="there:1:1", url="https://there:1", certificate="C", created_at=utc_now()))
    return run


def test_who_has_it_is_to_be_asked(backend, elsewhere):
    with pytest.raises(HeldElsewhereError) as caught:
        backend.runs.expect_here(*backend.runs.with_workflow(elsewhere.id))
    assert (caught.value.url, caught.value.certificate) == ("https://there:1", "C")
    with pytest.raises(HeldElsewhereError):
        backend.runs.resume(elsewhere.id)


def test_whether_it_is_interrupted_only_who_has_it_knows(backend, elsewhere):
    with pytest.raises(HeldElsewhereError):
        backend.runs.submit(a_request(by_client=True, spec_digest="d"))
    assert backend.count(Query.of(Run)) == 1
    with backend.store.transaction() as transaction:
        transaction.delete(ServerAddress, ["there:1:1"])
    # It did not say where it is: the run is left to it.
    assert backend.runs.submit(a_request(by_client=True, spec_digest="d")).id != elsewhere.id


def test_when_that_one_dies_the_client_sits_down_anew(backend, host, elsewhere):
    host.alive.remove("there:1:1")
    backend.runs.expect_here(*backend.runs.with_workflow(elsewhere.id))
    assert backend.clients.sit_down(elsewhere.workflow_uid, SESSION, observes=False)


def test_it_is_not_watched_where_somebody_else_was_quicker(backend, host, elsewhere, monkeypatch):
    monkeypatch.setattr(host, "resume", lambda _: False)
    host.alive.remove("there:1:1")
    with pytest.raises(HeldElsewhereError):
        backend.runs.attend(elsewhere, backend.clients.watch)


@pytest.mark.parametrize("code", [{}, {"store": "default"}, {"digest": "sha256:1"}, {**CODE, "store": ""}])
def test_code_that_is_nowhere_is_refused(backend, full, code):
    with pytest.raises(UsageError, match="`store`"):
        backend.runs.submit(a_request(code=code))
    assert backend.find(Query.of(Run)) == []


@pytest.mark.parametrize("name", ["code_tree", "models", "reuse", "step_names", "substitutions"])
def test_what_is_told_of_a_run_is_not_what_somebody_says(backend, name):
    run = backend.runs.submit(a_request(config={name: 7, "entry": "run.py"}))
    assert run.config == {"entry": "run.py"}
    assert backend.artifacts.gc(dry_run=True) == []
