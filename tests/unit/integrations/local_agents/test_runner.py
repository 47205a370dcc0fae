"""The agents' runner: launching, cancelling, taking up, deadlines."""

from __future__ import annotations

import threading
import time

import pytest
from tests.unit.integrations.local_agents.agency import CONFIG, LONG, WORKFLOW, Agency, template, threads

from tiphys.engine.model import Phase, Reason

WAITING = template("create", WORKFLOW, successCondition="status.phase == Succeeded")


@pytest.fixture
def looks(agency: Agency) -> threading.Semaphore:
    """Counts the looks at objects."""
    counted = threading.Semaphore(0)
    agency.cluster.at_get = lambda found: counted.release() or None  # type: ignore[func-returns-value]
    return counted


def test_waiting_tasks_need_no_threads(agency: Agency, looks: threading.Semaphore) -> None:
    with agency.runner(threads=2) as runner:
        for _ in range(20):
            runner.launch(agency.task(WAITING), agency.reports.put)
        for _ in range(20):
            assert looks.acquire(timeout=LONG)
        assert threads("tiphys-agent") <= 2
        runner.launch(agency.task(template("create", CONFIG), id="quick"), agency.reports.put)
        assert agency.next_report().task_id == "quick"
        agency.cluster.at_get = lambda found: found.update(status={"phase": "Succeeded"})
        assert {agency.next_report().phase for _ in range(20)} == {Phase.SUCCEEDED}


def test_launching_twice_is_launching_once(agency: Agency, looks: threading.Semaphore) -> None:
    with agency.runner() as runner:
        task = agency.task(WAITING)
        runner.launch(task, agency.reports.put)
        assert looks.acquire(timeout=LONG)
        runner.launch(task, agency.reports.put)
        agency.cluster.at_get = lambda found: found.update(status={"phase": "Succeeded"})
        assert agency.next_report().task_id == task.id
        assert sum(call[0] == "create" for call in agency.cluster.asked) == 1


def test_a_cancelled_task_is_not_reported(agency: Agency, looks: threading.Semaphore) -> None:
    with agency.runner() as runner:
        task = agency.task(WAITING)
        runner.launch(task, agency.reports.put)
        assert looks.acquire(timeout=LONG)
        runner.cancel(task.id, 0)
        runner.cancel("unknown", 0)
        agency.cluster.at_get = lambda found: found.update(status={"phase": "Succeeded"})
        runner.launch(agency.task(template("create", CONFIG), id="later"), agency.reports.put)
        assert agency.next_report().task_id == "later"
        assert runner.reattach([task], agency.reports.put) == set()
    assert agency.reports.empty()


def test_only_what_is_on_its_way_is_taken_up(agency: Agency, looks: threading.Semaphore) -> None:
    with agency.runner() as runner:
        first, second = agency.task(WAITING), agency.task(WAITING)
        runner.launch(first, lambda event: None)
        assert looks.acquire(timeout=LONG)
        assert runner.reattach([first, second], agency.reports.put) == {first.id}
        agency.cluster.at_get = lambda found: found.update(status={"phase": "Succeeded"})
        assert agency.next_report().task_id == first.id
    with agency.runner() as another:
        assert another.reattach([first, second], agency.reports.put) == set()


def test_a_deadline_ends_the_wait_and_says_what_for(agency: Agency) -> None:
    agency.cluster.at_get = lambda found: found.update(status={"phase": "Running"})
    finished = agency.run(WAITING, deadline=time.time() + 0.05)
    assert (finished.phase, finished.reason) == (Phase.FAILED, Reason.TIMED_OUT)
    name = agency.cluster.only("Workflow")["metadata"]["name"]
    assert finished.message == (
        f"Step exceeded its deadline while waiting for 'status.phase=Succeeded' of Workflow '{name}', which is Running"
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"suspend": {}}, "is not one of http, data, resource and plugin"),
        (
            template("create", {**CONFIG, "kind": "Pod"}),
            "'Pod' of v1, for which a cluster is needed: there is no kubeconfig",
        ),
        (
            {"data": {"source": {"artifactPaths": {"name": "x", "s3": {"key": "a"}}}}},
            "could not be carried out: KeyError",
        ),
    ],
)
def test_what_cannot_be_carried_out_is_an_error(agency: Agency, body, message, monkeypatch) -> None:
    def broken(artifact):
        raise KeyError("x")

    monkeypatch.setattr(agency.sources, "list_keys", broken)
    finished = agency.run(body)
    assert finished.phase is Phase.ERROR
    assert message in finished.message
