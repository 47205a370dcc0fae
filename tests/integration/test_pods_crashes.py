"""Pods whose pod server or whose engine is killed: nothing is left running, nothing is lost without a word."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.pod_desk import LONG, PodDesk, shell

from tiphys.engine.events import TaskFinished, TaskReady
from tiphys.engine.model import Phase
from tiphys.integrations.local.pods.folder import PodFolder, Server, in_use
from tiphys.integrations.local.pods.processes import children_of
from tiphys.ports.runner import Task
from tiphys.testing.runner_contract import wait_until

FLAVOURS = ["process", "sandbox"]


@pytest.fixture(params=FLAVOURS)
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PodDesk]:
    desk = PodDesk(tmp_path, request.param)
    yield desk
    desk.runner.close()


def is_marked(mark: str) -> bool:
    """Whether a process runs with this text in its environment."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes():
                return True
        except OSError:
            continue
    return False


def marked(script: str, mark: str) -> dict[str, Any]:
    return shell(script, env=[{"name": "MARK", "value": mark}])


def log_of(desk: PodDesk, task: Task) -> str:
    """What its main container has written."""
    log = Path(PodFolder(str(desk.home), task.id).path + ".main.log")
    return log.read_text() if log.exists() else ""


def server_of(desk: PodDesk) -> tuple[int, int]:
    """Ids of the guard and the server."""
    wait_until(lambda: desk.runner._connection is not None and children_of(desk.runner._connection.pid))
    assert desk.runner._connection is not None
    guard = desk.runner._connection.pid
    return guard, children_of(guard)[0]


def test_a_pod_server_that_is_killed_takes_its_containers_with_it(desk: PodDesk) -> None:
    desk.sh("true")
    chance = random.Random(7)
    for number in range(25):
        mark = f"{desk.flavour}-{number}-{os.getpid()}"
        scripts = ["sleep 1000 & sleep 1000", "true", "(setsid sleep 1000 &); sleep 1000", "sleep 0.02"]
        tasks = [desk.launch(marked(script, mark)) for script in scripts]
        time.sleep(chance.random() * 0.06)
        os.kill(server_of(desk)[1], signal.SIGKILL)
        time.sleep(0.05)
        # What had not begun was ordered again, from a new pod server; all else is reported.
        told: dict[str, TaskFinished] = {}
        while not {tasks[1].id, tasks[3].id} <= set(told):
            finished = desk.next_report()
            told[finished.task_id] = finished
        waiting = [tasks[index].id for index in (0, 2) if tasks[index].id not in told]
        for task_id in waiting:
            desk.runner.cancel(task_id, 0)
        for finished in told.values():
            assert finished.phase is Phase.SUCCEEDED or "was lost" in finished.message
        wait_until(lambda mark=mark: not is_marked(f"MARK={mark}"))


def test_what_had_begun_is_not_ordered_again_though_its_files_are_gone(desk: PodDesk) -> None:
    mark = f"gone-{desk.flavour}-{os.getpid()}"
    # A daemon is ready when its process has started: in a sandbox, before that has found its files.
    task = desk.launch({**marked("echo up; sleep 1000", mark), "daemon": True})
    assert desk.news.get(timeout=LONG) == TaskReady(task.id, "127.0.0.1")
    wait_until(lambda: "up" in log_of(desk, task))
    # As the host of executor plugins does that takes the place of a dead one.
    PodFolder(str(desk.home), task.id).remove()
    os.kill(server_of(desk)[1], signal.SIGKILL)
    assert "was lost" in desk.next_report().message
    assert not is_marked(f"MARK={mark}")


def test_a_pod_whose_files_were_removed_harms_no_other(desk: PodDesk) -> None:
    removed = desk.launch(shell("echo up; sleep 0.5"))
    wait_until(lambda: "up" in log_of(desk, removed))
    other = desk.launch(shell("sleep 1.5"))
    PodFolder(str(desk.home), removed.id).remove()
    told = {report.task_id: report.phase for report in (desk.next_report(), desk.next_report())}
    assert told[other.id] is Phase.SUCCEEDED


def test_a_pod_that_cannot_be_begun_harms_no_other(desk: PodDesk) -> None:
    other, refused = desk.launch(shell("sleep 1")), desk.task(shell("true"))
    folder = PodFolder(str(desk.home), refused.id)
    Path(folder.path, "in-its-way").mkdir(parents=True)
    desk.runner.launch(refused, desk.report)
    found = {report.task_id: report for report in (desk.next_report(), desk.next_report())}
    assert found[other.id].phase is Phase.SUCCEEDED
    assert found[refused.id].phase is Phase.ERROR
    assert "could not be prepared" in found[refused.id].message
    assert not folder.exists()


def test_after_the_death_of_its_pod_server_a_runner_goes_on(desk: PodDesk) -> None:
    assert desk.result("echo 1") == "1"
    guard, server = server_of(desk)
    os.kill(server, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{guard}").exists())
    assert desk.result("echo 2") == "2"


def test_a_pod_server_without_its_guard_goes_on(desk: PodDesk) -> None:
    desk.sh("true")
    guard, _ = server_of(desk)
    os.kill(guard, signal.SIGKILL)
    assert desk.result("echo 1") == "1"


_ENGINE = """
import json, sys
from pathlib import Path
from tests.integration.pod_desk import PodDesk
desk = PodDesk(Path(sys.argv[1]), sys.argv[2])
for body in json.load(sys.stdin):
    desk.launch(body)
print("launched", flush=True)
while True:
    print(desk.next_report().task_id, flush=True)
"""


def start_engine(home: Path, flavour: str, bodies: list[dict[str, Any]]) -> subprocess.Popen[str]:
    """A process that launches tasks and can be killed."""
    engine = subprocess.Popen(
        [sys.executable, "-c", _ENGINE, str(home), flavour],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert engine.stdin is not None
    assert engine.stdout is not None
    engine.stdin.write(json.dumps(bodies))
    engine.stdin.close()
    assert engine.stdout.readline() == "launched\n"
    return engine


def kill(engine: subprocess.Popen[str]) -> None:
    engine.kill()
    engine.wait()
    if engine.stdout is not None:
        engine.stdout.close()


def kill_all_of(engine: subprocess.Popen[str], folder: PodFolder) -> None:
    """Kill an engine and its pod server, which has this pod, with its guard."""
    server = folder.server()
    assert server is not None
    guard = int(Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[1])
    for pid in (engine.pid, guard, server.pid):
        os.kill(pid, signal.SIGKILL)
    kill(engine)
    wait_until(lambda: not server.is_alive())


@pytest.fixture
def box(tmp_path: Path) -> Iterator[PodDesk]:
    """Sandboxes."""
    desk = PodDesk(tmp_path, "sandbox")
    yield desk
    desk.runner._jobs.clear()
    desk.runner.close()


@pytest.fixture(params=FLAVOURS)
def orphans(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PodDesk]:
    """A desk for what another process launched in the same home."""
    desk = PodDesk(tmp_path, request.param)
    yield desk
    desk.runner.close()


def output(path: str) -> dict[str, Any]:
    return {"outputs": {"parameters": [{"name": "p", "valueFrom": {"path": path}}]}}


def test_what_an_engine_left_is_taken_up(orphans: PodDesk) -> None:
    path = "out" if orphans.flavour == "process" else "/out"
    go = orphans.home / "pods"
    bodies = [
        {**shell(f"echo 1 > {path}; echo first"), **output(path)},
        {**shell(f"sleep 1; echo 2 > {path}; echo second"), **output(path)},
        marked("sleep 1000", f"left-{os.getpid()}-{orphans.flavour}"),
    ]
    engine = start_engine(orphans.home, orphans.flavour, bodies)
    tasks = [orphans.task(body, name=f"n{number}") for number, body in enumerate(bodies)]
    unknown = orphans.task(bodies[0], name="unknown")
    wait_until(lambda: all(PodFolder(str(orphans.home), task.id).server() for task in tasks))
    kill(engine)
    assert go.is_dir()
    found = orphans.runner.reattach([*tasks, unknown], orphans.report)
    assert found == {task.id for task in tasks}
    told = {}
    for _ in range(2):
        finished = orphans.next_report()
        assert finished.outputs is not None
        told[finished.task_id] = (finished.outputs.parameters["p"], finished.outputs.result)
    assert told == {tasks[0].id: ("1", "first"), tasks[1].id: ("2", "second")}
    orphans.runner.cancel(tasks[2].id, 0)
    wait_until(lambda: not is_marked(f"MARK=left-{os.getpid()}-{orphans.flavour}"))


def test_what_a_pod_was_made_of_may_be_gone_when_it_is_taken_up(box: PodDesk) -> None:
    box.cluster.secrets["s"] = {"k": b"hidden"}
    mounts = [{"name": "s", "mountPath": "/s"}, {"name": "v", "mountPath": "/v"}]
    body = {
        **shell(
            "cat /s/k > /v/out; echo $K",
            volumeMounts=mounts,
            env=[{"name": "K", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        ),
        "volumes": [{"name": "s", "secret": {"secretName": "s"}}, {"name": "v", "emptyDir": {}}],
        **output("/v/out"),
    }
    task = box.task(body)
    folder = PodFolder(str(box.home), task.id)
    collected = box.runner._collect
    box.runner._collect = lambda job, result: None  # type: ignore[method-assign]  # it dies before that
    box.runner.launch(task, box.report)
    wait_until(folder.result)
    box.runner._collect = collected  # type: ignore[method-assign]
    box.cluster.secrets.clear()
    second = box.make_runner()
    assert second.reattach([task], box.report) == {task.id}
    finished = box.next_report()
    second.close()
    assert finished.phase is Phase.SUCCEEDED, finished.message
    assert finished.outputs is not None
    assert (finished.outputs.parameters["p"], finished.outputs.result) == ("hidden", "hidden")


def test_a_launch_repeated_by_another_engine_changes_nothing(orphans: PodDesk, tmp_path: Path) -> None:
    body = shell("sleep 0.5; echo $ARGO_NODE_ID")
    engine = start_engine(orphans.home, orphans.flavour, [body])
    task = orphans.task(body, name="n0")
    folder = PodFolder(str(orphans.home), task.id)
    wait_until(folder.server)
    first = folder.server()
    orphans.runner.launch(task, orphans.report)
    finished = orphans.next_report()
    assert finished.outputs is not None
    assert finished.outputs.result == "n0"
    assert folder.server() == first
    kill(engine)


def test_a_daemon_of_another_engine_is_ready(orphans: PodDesk) -> None:
    body = {**shell("sleep 1000"), "daemon": True}
    engine = start_engine(orphans.home, orphans.flavour, [body])
    task = orphans.task(body, name="n0")
    wait_until(lambda: PodFolder(str(orphans.home), task.id).is_ready())
    kill(engine)
    assert orphans.runner.reattach([task], orphans.report) == {task.id}
    assert orphans.news.get(timeout=LONG) == TaskReady(task.id, "127.0.0.1")


def test_engine_and_pod_server_die_together(orphans: PodDesk) -> None:
    for number in range(5):
        mark = f"both-{orphans.flavour}-{number}-{os.getpid()}"
        body = marked("sleep 1000 & sleep 1000", mark)
        engine = start_engine(orphans.home, orphans.flavour, [body])
        task = orphans.task(body, name="n0")
        folder = PodFolder(str(orphans.home), task.id)
        wait_until(folder.server)
        kill_all_of(engine, folder)
        assert orphans.runner.reattach([task], orphans.report) == set()
        wait_until(lambda mark=mark: not is_marked(f"MARK={mark}"))
        assert not folder.exists()


def test_a_pod_server_ends_when_its_engine_is_gone_and_nothing_runs(orphans: PodDesk) -> None:
    engine = start_engine(orphans.home, orphans.flavour, [shell("sleep 0.3")])
    folder = PodFolder(str(orphans.home), orphans.task({}, name="n0").id)
    wait_until(folder.server)
    server = folder.server()
    assert server is not None
    kill(engine)
    wait_until(lambda: not server.is_alive())
    assert folder.result() is not None


def test_the_death_of_a_pod_leaves_its_namesake_of_another_home_alone(orphans: PodDesk, tmp_path: Path) -> None:
    other = PodDesk(tmp_path / "other", orphans.flavour)
    body = shell("sleep 2; echo done")
    task = other.launch(body, name="n0")
    wait_until(PodFolder(str(other.home), task.id).server)
    engine = start_engine(orphans.home, orphans.flavour, [body])
    folder = PodFolder(str(orphans.home), task.id)
    wait_until(folder.server)
    kill_all_of(engine, folder)
    assert orphans.runner.reattach([task], orphans.report) == set()
    finished = other.next_report()
    other.runner.close()
    assert finished.outputs is not None
    assert finished.outputs.result == "done"


def test_a_pod_server_lives_as_long_as_what_it_was_just_starting(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    # Stands for a process that is forked, and killed before its child has become the container.
    script = "import os, sys; from tiphys.integrations.local.pods.folder import take_lock; "
    script += "print(take_lock(sys.argv[1]).lock, flush=True); os.fork() or sys.stdin.read(); os._exit(0)"
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "home")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    server = Server(process.pid, process.stdout.readline().strip())
    process.wait()
    assert server.is_alive()
    assert in_use(server.lock)
    process.stdin.close()  # the child ends
    process.stdout.close()
    wait_until(lambda: not server.is_alive())
    assert not Server(process.pid, f"{server.lock}-unknown").is_alive()
