"""Tasks that wait for the client of their run."""

from __future__ import annotations

import pytest

from tiphys.engine.events import TaskFinished
from tiphys.engine.model import Node, NodeType, Phase, Values, WorkflowState
from tiphys.errors import ConflictError
from tiphys.ports.runner import Task
from tiphys.services.client_tasks import FORGOTTEN, SILENCE, ClientTasks


class Clock:
    def __init__(self):
        self.time = 1000.0

    def __call__(self):
        return self.time


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tasks(clock):
    return ClientTasks(now=clock)


@pytest.fixture
def reports():
    return []


def task(name, uid="wf"):
    return Task(
        id=f"{uid}/{name}/0",
        workflow_uid=uid,
        node_id=name,
        name=name,
        attempt=0,
        body={},
        inputs=Values(),
        last_attempt=True,
        deadline=None,
    )


def end(name, uid="wf"):
    return TaskFinished(f"{uid}/{name}/0", Phase.SUCCEEDED)


def ids(offer):
    return [one.node_id for one in offer.tasks]


def sit(tasks, session="one", *, observes=False):
    return tasks.sit_down("wf", session, observes=observes)


def test_a_client_is_offered_what_it_does_not_carry_out(tasks, reports):
    sit(tasks)
    tasks.launch(task("a"), reports.append)
    tasks.launch(task("b"), reports.append)
    assert ids(tasks.offer("wf", [])) == ["a", "b"]
    assert ids(tasks.offer("wf", ["wf/a/0"])) == ["b"]
    assert tasks.has_offer("wf", ["wf/a/0"])
    assert not tasks.has_offer("wf", ["wf/a/0", "wf/b/0"])


def test_an_end_is_reported_once(tasks, reports):
    sit(tasks)
    tasks.launch(task("a"), reports.append)
    tasks.report("wf", [end("a")])
    tasks.report("wf", [end("a"), end("unknown")])
    assert reports == [end("a")]
    assert ids(tasks.offer("wf", [])) == []


def test_what_is_cancelled_is_taken_back(tasks, reports):
    sit(tasks)
    tasks.launch(task("a"), reports.append)
    tasks.cancel("wf/a/0", 1)
    assert tasks.has_offer("wf", ["wf/a/0"])
    assert tasks.offer("wf", ["wf/a/0"]).cancel == ["wf/a/0"]
    tasks.report("wf", [end("a")])
    assert reports == []


def test_of_a_workflow_that_is_not_taken_up_yet_nothing_is_taken_back(tasks, reports):
    sit(tasks)  # the server was restarted; its controller has not come to this workflow
    assert tasks.offer("wf", ["wf/a/0"]).cancel == []
    assert not tasks.has_offer("wf", ["wf/a/0"])
    assert tasks.reattach([task("a"), task("b")], reports.append) == {"wf/a/0", "wf/b/0"}
    assert ids(tasks.offer("wf", ["wf/a/0"])) == ["b"]


def test_a_report_that_the_server_lost_is_taken_when_the_task_is_open_again(tasks, reports):
    sit(tasks)
    tasks.launch(task("a"), reports.append)
    tasks.report("wf", [end("a")])
    tasks.reattach([task("a")], reports.append)  # its commit failed
    assert ids(tasks.offer("wf", [])) == ["a"]
    tasks.report("wf", [end("a")])
    assert len(reports) == 2


def test_one_client_at_a_time(tasks, clock):
    assert sit(tasks, "one")
    assert not sit(tasks, "one")
    with pytest.raises(ConflictError):
        sit(tasks, "two")
    clock.time += SILENCE + 1
    assert not tasks.is_attended("wf")
    assert sit(tasks, "two")
    with pytest.raises(ConflictError):
        sit(tasks, "one")


def test_a_client_whose_request_waits_is_there_however_long(tasks, clock):
    sit(tasks)
    with tasks.waiting("wf", lambda: None):
        clock.time += 10 * SILENCE
        assert tasks.is_attended("wf")
    assert tasks.is_attended("wf")
    clock.time += SILENCE + 1
    assert not tasks.is_attended("wf")


def test_a_later_request_takes_the_place_of_one_that_waits(tasks):
    sit(tasks)
    woken = []
    with tasks.waiting("wf", lambda: woken.append(1)) as first_is_superseded:
        assert not first_is_superseded()
        with tasks.waiting("wf", lambda: woken.append(2)) as second_is_superseded:
            assert woken == [1]
            assert first_is_superseded()
            assert not second_is_superseded()
            tasks.launch(task("a"), print)
            assert woken == [1, 2]


def test_changed_nodes_are_told_once_and_the_end_until_it_is_heard(tasks):
    sit(tasks, observes=True)
    node = Node("n", "wf.n", "n", NodeType.PLUGIN, Phase.RUNNING, "t")
    tasks.watch("wf", WorkflowState("wf", "wf", Phase.RUNNING), [node])
    assert tasks.has_nodes("wf")
    offer = tasks.offer("wf", [])
    assert (offer.nodes, offer.state.phase) == ([node], Phase.RUNNING)
    assert tasks.offer("wf", []).state is None
    tasks.watch("wf", WorkflowState("wf", "wf", Phase.SUCCEEDED), [])
    assert tasks.offer("wf", ["wf/late/0"]).cancel == ["wf/late/0"]
    assert tasks.offer("wf", []).state.phase is Phase.SUCCEEDED


def test_nodes_that_nobody_watches_are_not_kept(tasks):
    sit(tasks)
    tasks.watch("wf", None, [Node("n", "wf.n", "n", NodeType.PLUGIN, Phase.RUNNING, "t")])
    assert not tasks.has_nodes("wf")


def test_clients_that_never_came_back_are_forgotten(tasks, clock, reports):
    sit(tasks)
    tasks.launch(task("a"), reports.append)
    tasks.cancel("wf/a/0", 1)
    clock.time += FORGOTTEN + 1
    tasks.sit_down("other", "two", observes=False)
    assert not tasks.is_attended("wf")
    assert "wf" not in tasks._seats
    assert "wf" not in tasks._open


def test_the_run_of_a_dead_process_is_free_at_once(tasks):
    sit(tasks, "one")
    with tasks.waiting("wf", lambda: None):
        tasks.bury(["another"])
        assert tasks.is_attended("wf")
        tasks.bury(["one"])
        assert not tasks.is_attended("wf")
    tasks.bury(["one"])
    assert sit(tasks, "two")


def test_a_run_that_was_just_submitted_is_its_clients(tasks, clock):
    assert tasks.reserve("wf")
    assert tasks.is_attended("wf")
    assert not tasks.reserve("wf")
    assert sit(tasks, "one")
    assert not tasks.reserve("wf")
    clock.time += SILENCE + 1
    assert tasks.reserve("wf")
    assert sit(tasks, "two")


def test_a_request_that_comes_after_the_end_waits_for_nothing(tasks):
    sit(tasks)
    with tasks.waiting("wf", lambda: None) as first_is_superseded:
        tasks.leave("wf")  # another request of the same client was told of the end
        assert first_is_superseded()
    with tasks.waiting("wf", lambda: None) as is_superseded:
        assert is_superseded()
    assert tasks.offer("wf", []).superseded
    assert not tasks.has_nodes("wf")


def test_tasks_of_other_workflows_are_not_found(tasks, reports):
    tasks.launch(task("a", uid="theirs"), reports.append)
    assert tasks.find("theirs", "theirs/a/0") is not None
    assert tasks.find("mine", "theirs/a/0") is None
