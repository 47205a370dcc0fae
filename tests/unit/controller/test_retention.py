"""Which ended workflows are removed by the rules of retention, and what the archive keeps of them."""

from __future__ import annotations

import json

import pytest

from tiphys._util.times import from_epoch
from tiphys.controller.cleaning import Cleaner
from tiphys.controller.retention import remove_what_is_not_kept
from tiphys.db.store import open_store
from tiphys.engine.model import Phase, WorkflowState
from tiphys.errors import ConflictError, NotFoundError
from tiphys.ports.clock import Clock
from tiphys.ports.store import WorkflowBatch
from tiphys.ports.workflows import SubmitOptions, WorkflowFilter
from tiphys.records.base import Query
from tiphys.records.retention import Retention
from tiphys.records.runs import Run
from tiphys.records.workflows import WorkflowRemoval, WorkflowRow, WorkflowSummary
from tiphys.services.backend import LocalBackend
from tiphys.services.retention import beyond, retention, set_retention
from tiphys.services.workflows.pods import log_of
from tiphys.testing.playing import IdleHost, a_request

BEGAN = 1_750_000_000.0
DAY = 86400
MAIN = {"name": "main", "container": {"image": "busybox", "command": ["true"]}}


class Hands(Clock):
    """A clock that a test sets."""

    time = BEGAN + 100

    def now(self):
        return self.time


@pytest.fixture
def clock():
    return Hands()


@pytest.fixture
def backend(tmp_path):
    made = LocalBackend(open_store(f"sqlite:///{tmp_path / 'tiphys.db'}"), home=tmp_path, host=IdleHost())
    yield made
    made.close()


@pytest.fixture
def end(backend):
    """A workflow that ended; those that are made later ended later."""
    count = iter(range(100))

    def call(name, phase="Succeeded", **spec):
        manifest = {"metadata": {"name": name}, "spec": {"entrypoint": "main", "templates": [MAIN], **spec}}
        uid = backend.workflows.submit(manifest, SubmitOptions())["metadata"]["uid"]
        ended = BEGAN + next(count) if Phase(phase).fulfilled else None
        state = WorkflowState(uid, name, Phase(phase), "", BEGAN, ended)
        with backend.store.transaction() as transaction:
            transaction.save(WorkflowBatch(uid, [], state))
        return uid

    return call


@pytest.fixture
def rules(backend):
    def call(**given):
        with backend.store.transaction() as transaction:
            set_retention(transaction, Retention(**given))

    return call


@pytest.fixture
def clean(backend, clock):
    cleaner = Cleaner(backend, clock=clock)

    def call():
        cleaner.clean()
        remove_what_is_not_kept(backend, cleaner, clock)

    return call


def names(backend, *, archive=False):
    return sorted(row.name for row in backend.workflows.find(WorkflowFilter(archive=archive)).items)


def test_rules_are_kept_and_replaced(backend, rules):
    with backend.store.reader() as reader:
        assert retention(reader) == Retention()
    rules(completed=3, archive=0)
    rules(archive=DAY, failed=2)
    with backend.store.reader() as reader:
        assert retention(reader) == Retention(archive=DAY, failed=2)


def test_the_newest_of_each_phase_are_kept(backend, end, rules, clean):
    for number in range(4):
        end(f"good-{number}")
        end(f"bad-{number}", "Failed")
        end(f"broken-{number}", "Error")
    end("runs", "Running")
    rules(completed=2, failed=0)
    clean()
    kept = ["broken-0", "broken-1", "broken-2", "broken-3", "good-2", "good-3", "runs"]
    assert names(backend) == kept
    assert names(backend, archive=True) == [name for name in kept if name != "runs"]


@pytest.mark.parametrize("runner", ["inline", "process", "container"])
@pytest.mark.parametrize("listed", [True, False])
def test_runs_of_pipelines_are_not_counted_and_stay(backend, end, rules, clean, runner, listed):
    run = backend.runs.submit(a_request(run_name="pipeline-run", runner=runner, listed=listed))
    state = WorkflowState(run.workflow_uid, "pipeline-run", Phase.SUCCEEDED, "", BEGAN, BEGAN + 1)
    with backend.store.transaction() as transaction:
        transaction.save(WorkflowBatch(run.workflow_uid, [], state))
    end("a")
    end("b")
    rules(completed=1)
    clean()
    assert [row.name for row in backend.find(Query.of(WorkflowSummary, name=["a", "b"]))] == ["b"]
    assert backend.find(Query.of(WorkflowSummary, id=run.workflow_uid))
    assert backend.runs.get(run.id) == run


def test_the_oldest_go_first_and_only_so_many_at_once(backend, end):
    for number in range(5):
        end(f"w-{number}")
    with backend.store.reader() as reader:
        assert [row.name for row in beyond(reader, Retention(completed=1), limit=2)] == ["w-0", "w-1"]


def test_what_is_deleted_stays_in_the_archive(backend, end, rules):
    rules(archive=0)
    uid = end("w")
    log = log_of(backend.home, uid, "w")
    log.parent.mkdir(parents=True)
    log.write_text("hello")
    backend.workflows.delete("w")
    assert names(backend) == []
    assert names(backend, archive=True) == ["w"]
    assert backend.workflows.get("w", uid=uid)["status"]["phase"] == "Succeeded"
    assert log.read_text() == "hello"
    assert len(backend.find(Query.of(Run))) == 1
    assert [told.name for told in backend.find(Query.of(WorkflowRemoval))] == ["w"]
    with pytest.raises(NotFoundError):
        backend.workflows.delete("w")
    backend.workflows.delete("", uid=uid, archive=True)
    assert names(backend, archive=True) == []
    assert backend.find(Query.of(Run)) == []
    assert not log.exists()
    assert len(backend.find(Query.of(WorkflowRemoval))) == 1


def test_without_an_archive_what_is_deleted_is_gone(backend, end):
    end("w")
    backend.workflows.delete("w")
    assert names(backend, archive=True) == []


def test_what_outlived_its_time_goes_from_the_list_to_the_archive(backend, end, rules, clean, clock):
    rules(archive=DAY)
    end("w", ttlStrategy={"secondsAfterCompletion": 10})
    end("stays")
    clean()
    assert names(backend) == ["stays"]
    assert names(backend, archive=True) == ["stays", "w"]
    clock.time = BEGAN + DAY + 60
    clean()
    # What the list has is not the archive's to remove.
    assert names(backend, archive=True) == ["stays"]


def test_an_archive_for_ever(backend, end, rules, clean, clock):
    rules(archive=0)
    end("w")
    backend.workflows.delete("w")
    clock.time = BEGAN + 10_000 * DAY
    clean()
    assert names(backend, archive=True) == ["w"]


def test_an_archived_workflow_is_retried_unless_its_name_is_taken(backend, end, rules):
    rules(archive=0)
    first = end("w", "Failed")
    backend.workflows.delete("w")
    end("w", "Failed")
    with pytest.raises(ConflictError, match="bears the name w by now"):
        backend.workflows.retry("", uid=first)
    backend.workflows.delete("w")
    assert backend.workflows.retry("", uid=first)["metadata"]["uid"] == first
    assert [row.id for row in backend.workflows.find(WorkflowFilter()).items] == [first]


def test_the_artifacts_that_go_with_a_workflow_go_once(backend, end, rules):
    rules(archive=DAY)
    uid = end("w", artifactGC={"strategy": "OnWorkflowDeletion"})
    backend.workflows.delete("w")
    with backend.store.reader() as reader:
        assert json.loads(reader.get(WorkflowRow, uid).manifest)["spec"]["artifactGC"]
        assert reader.get(WorkflowRow, uid).finished_at == from_epoch(BEGAN)
    backend.workflows.delete("", uid=uid, archive=True)
    assert names(backend, archive=True) == []
