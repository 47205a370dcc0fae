"""Containers of a set, and what a task tells of its progress."""

from __future__ import annotations

import pytest
from tests.unit.engine.flows import Drive, each_way, flow, steps

from tiphys.engine.events import ShutdownRequested, TaskFinished, TaskProgressed
from tiphys.engine.model import NodeType, Phase, Values
from tiphys.engine.status.workflow import workflow_status

SET = {
    "name": "set",
    "containerSet": {
        "containers": [{"name": "main", "image": "i"}, {"name": "b", "image": "i", "dependencies": ["main"]}]
    },
}
OK = (Phase.SUCCEEDED, "", 0)
NO = (Phase.FAILED, "b: Error (exit code 2)", 2)


@each_way
@pytest.mark.parametrize(("last", "phase"), [(OK, Phase.SUCCEEDED), (NO, Phase.FAILED)])
def test_each_container_has_a_node(drive: type[Drive], last: tuple[Phase, str, int | None], phase: Phase) -> None:
    run = drive(flow({"name": "a", "template": "set"}, {"name": "c", "depends": "a"}, templates=[SET]))
    pod = run.node("a")
    assert pod.type is NodeType.POD

    commands = run.handle(TaskFinished(run.task("a").id, phase, containers={"main": OK, "b": last}), after=1)
    assert commands == (["launch c"] if phase is Phase.SUCCEEDED else ["finish"])
    node = run.node("b")
    assert (node.name, node.type, node.parent_id) == ("wf.a.b", NodeType.CONTAINER, run.node("a").id)
    assert (node.phase, node.message, node.outputs) == (last[0], last[1], Values(exit_code=last[2]))
    assert (node.started_at, node.finished_at) == (100.0, 101.0)


@each_way
def test_each_attempt_has_its_own(drive: type[Drive]) -> None:
    again = {**SET, "retryStrategy": {"limit": 1}}
    run = drive(steps([{"name": "a", "template": "set"}], templates=[again]))
    failed = TaskFinished(run.task("a(0)").id, Phase.FAILED, containers={"main": OK, "b": NO})

    assert run.handle(failed) == ["launch a(1)"]
    assert run.handle(TaskFinished(run.task("a(1)").id, Phase.SUCCEEDED, containers={"main": OK, "b": OK})) == [
        "finish"
    ]
    assert [node.name for node in run.machine.nodes() if node.type is NodeType.CONTAINER] == [
        "wf[0].a(0).main", "wf[0].a(0).b", "wf[0].a(1).main", "wf[0].a(1).b",
    ]  # fmt: skip


@each_way
def test_a_container_that_never_ran_has_no_exit_code(drive: type[Drive]) -> None:
    run = drive(flow({"name": "a", "template": "set"}, templates=[SET]))
    containers = {"main": NO, "b": (Phase.FAILED, "main failed", None)}
    run.handle(TaskFinished(run.task("a").id, Phase.FAILED, containers=containers))

    assert run.node("b").outputs is None


@each_way
def test_containers_in_the_status(drive: type[Drive]) -> None:
    run = drive(flow({"name": "a", "template": "set"}, templates=[SET]))
    run.handle(TaskFinished(run.task("a").id, Phase.SUCCEEDED, containers={"main": OK, "b": OK}))

    nodes = workflow_status(run.workflow, run.machine.state, run.machine.nodes())["nodes"]
    pod, main, last = (nodes[run.node(name).id] for name in ("a", "main", "b"))
    assert (pod["children"], main["children"], main["boundaryID"]) == ([main["id"]], [last["id"]], pod["id"])


@each_way
def test_progress(drive: type[Drive]) -> None:
    run = drive(flow({"name": "a"}, {"name": "b"}))
    assert run.handle(TaskProgressed(run.task("a").id, "3/10")) == []
    assert run.node("a").progress == "3/10"

    run.handle(TaskProgressed("uid/wf-1/0", "1/2"))
    late = TaskProgressed(run.task("a").id, "4/10")
    run.end("a")
    run.handle(late)
    assert run.node("a").progress == "3/10"
    assert run.end("b") == ["finish"]


def test_what_a_task_tells_beside_its_progress() -> None:
    run = Drive(flow({"name": "a"}))
    run.handle(TaskProgressed(run.task("a").id, "1/2", "half of it"))
    run.handle(TaskProgressed(run.task("a").id, "2/2"))
    assert (run.node("a").progress, run.node("a").message) == ("2/2", "half of it")

    run.handle(TaskProgressed(run.task("a").id, message="all of it"))
    assert (run.node("a").progress, run.node("a").message) == ("2/2", "all of it")
    run.end("a")
    assert run.node("a").message == ""


def test_the_same_progress_again_changes_nothing() -> None:
    run = Drive(flow({"name": "a"}))
    told = TaskProgressed(run.task("a").id, "1/2")
    run.handle(told)
    run.machine.handle(told, run.now)

    assert run.machine.take_changes() == (None, [])


@each_way
@pytest.mark.parametrize("told", ["2/4", ""])
def test_progress_in_the_status(drive: type[Drive], told: str) -> None:
    sh = {"name": "sh", "container": {"image": "i"}}
    run = drive(flow({"name": "a", "template": "sh"}, {"name": "b", "template": "sh"}, templates=[sh]))
    if told:
        run.handle(TaskProgressed(run.task("a").id, told))
    run.end("b")

    status = workflow_status(run.workflow, run.machine.state, run.machine.nodes())
    assert status["nodes"][run.node("a").id]["progress"] == (told or "0/1")
    assert status["progress"] == ("3/5" if told else "1/2")


@each_way
def test_what_a_stop_ends_keeps_its_progress(drive: type[Drive]) -> None:
    run = drive(flow({"name": "a"}))
    run.handle(TaskProgressed(run.task("a").id, "1/2"))
    run.handle(ShutdownRequested("Stop"))

    assert (run.node("a").phase, run.node("a").progress) == (Phase.FAILED, "1/2")
