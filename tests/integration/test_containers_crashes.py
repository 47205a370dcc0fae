"""Containers whose engine of workflows is killed: nothing is lost, nothing is done twice, nothing is left for ever."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.container_desk import ContainerDesk, podman, shell, sidecar

from tiphys.engine.model import Phase
from tiphys.integrations.docker import runner
from tiphys.integrations.docker.folder import TaskFolder
from tiphys.testing.runner_contract import wait_until


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with podman() as host:
        yield host


@pytest.fixture
def desk(host: str, tmp_path: Path) -> Iterator[ContainerDesk]:
    desk = ContainerDesk(tmp_path, host)
    yield desk
    desk.close()


_ENGINE = """
import json, sys
from pathlib import Path
from tests.integration.container_desk import ContainerDesk
desk = ContainerDesk(Path(sys.argv[1]), sys.argv[2])
for body in json.load(sys.stdin):
    desk.launch(body, log=f"{sys.argv[1]}/logs/{body['name']}")
print("launched", flush=True)
while True:
    desk.next_report()
    print("reported", flush=True)
"""


class Engine:
    """A process that launches tasks and can be killed."""

    def __init__(self, desk: ContainerDesk, bodies: list[dict[str, Any]]) -> None:
        command = [sys.executable, "-c", _ENGINE, str(desk.home), desk.settings.host]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(bodies))
        self.process.stdin.close()
        self.await_line("launched")

    def await_line(self, line: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == f"{line}\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def named(name: str, body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "name": name}


def test_what_an_engine_left_is_taken_up(desk: ContainerDesk, tmp_path: Path) -> None:
    out = {"outputs": {"parameters": [{"name": "p", "valueFrom": {"path": "/out"}}]}}
    init = sidecar("i", "echo init > /vol/i; sleep 1", volumeMounts=[{"name": "v", "mountPath": "/vol"}])
    mounts = [{"name": "v", "mountPath": "/vol"}]
    bodies = [
        named("a", {**shell("echo started; sleep 3; echo 1 > /out; echo done"), **out}),
        named("b", {**shell("echo started; echo 2 > /out; echo done"), **out}),
        # Its second container is started by who takes it up.
        named(
            "c",
            {
                **shell("cat /vol/i > /out; echo done", volumeMounts=mounts),
                **out,
                "initContainers": [init],
                "volumes": [{"name": "v", "emptyDir": {}}],
            },
        ),
        named("d", shell("echo started; sleep 1000")),
    ]
    engine = Engine(desk, bodies)
    wait_until(lambda: len(desk.containers()) >= 3 and "i" in desk.containers())
    wait_until(lambda: TaskFolder(str(desk.home), "u/n1/0").report() is not None)
    engine.kill()
    tasks = [
        desk.task(body, name=f"n{number}", log=f"{desk.home}/logs/{body['name']}") for number, body in enumerate(bodies)
    ]
    unknown = desk.task(bodies[0], name="unknown")
    assert desk.runner.reattach([*tasks, unknown], desk.report) == {task.id for task in tasks}
    told = {}
    for _ in range(3):
        finished = desk.next_report()
        assert finished.phase is Phase.SUCCEEDED, finished.message
        assert finished.outputs is not None
        told[finished.task_id] = (finished.outputs.parameters["p"], finished.outputs.result)
    assert told == {
        tasks[0].id: ("1", "started\ndone"),
        tasks[1].id: ("2", "started\ndone"),
        tasks[2].id: ("init", "done"),
    }
    assert (tmp_path / "logs" / "a").read_text() == "started\ndone\n"
    desk.runner.cancel(tasks[3].id, 0)
    wait_until(lambda: desk.containers() == [])


def test_a_launch_repeated_by_the_next_engine_changes_nothing(desk: ContainerDesk, tmp_path: Path) -> None:
    noted = tmp_path / "noted"
    noted.mkdir()
    body = {
        **shell("echo x >> /noted/f; sleep 2; echo done", volumeMounts=[{"name": "n", "mountPath": "/noted"}]),
        "volumes": [{"name": "n", "hostPath": {"path": str(noted)}}],
    }
    engine = Engine(desk, [named("a", body)])
    wait_until((noted / "f").exists)
    engine.kill()
    finished = desk.run(named("a", body), name="n0")
    assert finished.outputs is not None
    assert finished.outputs.result == "done"
    assert (noted / "f").read_text() == "x\n"


def test_a_container_that_was_made_and_not_started(desk: ContainerDesk) -> None:
    task = desk.task(shell("echo done"))
    real = desk.runner._engine
    started = real.start

    def die(container: str) -> None:
        raise KeyboardInterrupt

    real.start = die  # type: ignore[method-assign]  # the process is killed at that point
    desk.runner._clean = lambda *_, **__: None  # type: ignore[method-assign]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("threading.excepthook", lambda _: None)
        desk.runner.launch(task, desk.report)
        wait_until(lambda: desk.containers() == ["main"])
        wait_until(lambda: not any(each.name == f"tiphys-{task.name}" for each in desk.runner._threads))
    real.start = started  # type: ignore[method-assign]
    second = desk.make_runner()
    assert second.reattach([task], desk.report) == {task.id}
    finished = desk.next_report()
    second.close()
    assert finished.phase is Phase.SUCCEEDED, finished.message
    desk.runner._jobs.clear()


def test_orphans_are_removed(desk: ContainerDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(desk, [named("a", shell("sleep 1000"))])
    wait_until(lambda: desk.containers() == ["main"])
    living = desk.make_runner()
    monkeypatch.setattr(runner, "ORPHANED", 0.2)
    living._sweep()
    assert desk.containers() == ["main"]
    engine.kill()
    living._sweep()
    assert desk.containers() == []
    living.close()
