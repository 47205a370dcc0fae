from __future__ import annotations

import pytest

from tiphys.engine.model import Phase
from tiphys.errors import NotFoundError
from tiphys.testing.fake_runner import FAILURE, SUCCESS, WAITING, FakeRunner, Outcome, World
from tiphys.testing.tasks import step_task


@pytest.fixture
def task(tmp_path):
    def task(name: str, attempt: int = 0, **rest):
        return step_task(len, home=tmp_path, name=name, attempt=attempt, **rest)

    return task


def test_steps_succeed_unless_scripted(task):
    world, reports = World({"b": FAILURE}), []
    runner = FakeRunner(world)
    runner.launch(task("a"), reports.append)
    runner.launch(task("b"), reports.append)
    assert [report.phase for report in reports] == [Phase.SUCCEEDED, Phase.FAILED]
    assert reports[0].outputs.artifacts["output"]["name"] == "p::a::output"
    assert world.order == ["a", "b"]


def test_outcomes_follow_the_attempts(task):
    world, reports = World({"a": [FAILURE, FAILURE, SUCCESS]}), []
    runner = FakeRunner(world)
    for attempt in range(4):
        runner.launch(task("a", attempt), reports.append)
    assert [report.phase for report in reports] == [Phase.FAILED, Phase.FAILED, Phase.SUCCEEDED, Phase.SUCCEEDED]
    assert world.attempts("a") == 4


def test_an_outcome_may_depend_on_the_task(task):
    reports = []
    runner = FakeRunner(World({"a": lambda task: Outcome(parameters={"x": task.inputs.parameters["n"]})}))
    runner.launch(task("a", parameters={"n": 5}), reports.append)
    assert reports[0].outputs.parameters == {"x": "5"}


def test_the_world_survives_its_controller(task):
    world, lost, found = World({"a": WAITING}), [], []
    a, b, c = task("a"), task("b"), task("c")
    first = FakeRunner(world, immediate=False)
    first.launch(a, lost.append)
    first.launch(b, lost.append)
    first.close()
    second = FakeRunner(world)
    assert second.reattach([a, b, c], found.append) == {a.id, b.id}
    assert [report.task_id for report in found] == [b.id]
    second.launch(a, found.append)
    world.finish("a")
    second.deliver()
    assert [report.task_id for report in found] == [b.id, a.id]
    assert (lost, world.executions[a.id], world.launches[a.id]) == ([], 1, 2)


def test_reports_can_be_held_back(task):
    reports = []
    runner = FakeRunner(immediate=False)
    for name in "abc":
        runner.launch(task(name), reports.append)
    counts = [len(reports), runner.deliver(2), len(reports), runner.deliver(), len(reports)]
    assert counts == [0, 2, 2, 1, 3]


def test_a_cancelled_task_is_not_reported(task):
    world, reports = World({"a": WAITING}), []
    runner = FakeRunner(world)
    a = task("a")
    runner.launch(a, reports.append)
    runner.cancel(a.id, 0)
    assert (world.cancelled, reports, runner.deliver()) == ([a.id], [], 0)
    with pytest.raises(NotFoundError, match="No task of the step 'a' runs"):
        world.finish("a")
