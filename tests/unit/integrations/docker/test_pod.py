"""The order of a pod's containers, on an engine that does at once what it is told."""

from __future__ import annotations

import queue
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.integrations.docker.planning import planned

from tiphys.engine.events import TaskFinished, TaskProgressed, TaskReady
from tiphys.errors import ServiceError
from tiphys.integrations.docker.engine import (
    ContainerEngine,
    Creation,
    EngineSettings,
    Found,
    NoSuchContainerError,
    State,
)
from tiphys.integrations.docker.folder import TaskFolder
from tiphys.integrations.docker.pod import NETWORK, Pod, PodResult


class InstantEngine:
    """Containers end as soon as they are started, or when they are told to.

    Args:
        codes: Container → exit codes of its executions; None: it runs until it is told to end.
    """

    def __init__(self, codes: dict[str, list[int | None]]) -> None:
        self.codes = codes
        self.story: list[str] = []
        self.networks: dict[str, str] = {}
        self._ends: dict[str, queue.SimpleQueue[int]] = {}

    def need_image(self, image: str, pull: str) -> None:
        self.story.append(f"image {image}")

    def create(self, wanted: Creation) -> str:
        name = wanted.labels["tiphys.dev/container"]
        self.networks[name] = wanted.network
        self._ends[name] = queue.SimpleQueue()
        return name

    def start(self, container: str) -> None:
        self.story.append(f"start {container}")
        codes = self.codes.get(container, [0])
        if codes == []:
            raise ServiceError("no such program")
        code = codes.pop(0)
        if code is not None:
            self._ends[container].put(code)

    def signal(self, container: str, name: str) -> None:
        self.story.append(f"{name} {container}")
        self._ends[container].put({"SIGTERM": 143, "SIGKILL": 137}[name])

    def wait(self, container: str) -> int:
        return self._ends[container].get(timeout=10)

    def state(self, container: str) -> State:
        return State("exited", 0, 1.0, 2.0, "")

    def address(self, container: str) -> str:
        return "10.0.0.1"

    def copy_log(self, container: str, path: str) -> None:
        Path(path).write_text("")

    def output(self, container: str, *, since: float) -> bytes:
        return b"out\n\n"

    def remove(self, containers: list[str]) -> None:
        self.story += [f"remove {container}" for container in containers]


class Stage:
    """Carries pods out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reports: list[TaskFinished | TaskReady | TaskProgressed] = []

    def pod(self, body: dict[str, Any], engine: InstantEngine, network: str = "bridge") -> Pod:
        folder = TaskFolder(str(self.folder), "u/wf-1/0")
        folder.claim()
        return Pod(
            planned(body, folder=str(folder.path)),
            engine=cast(ContainerEngine, engine),
            settings=EngineSettings(network=network),
            folder=folder,
            home="h",
            report=self.reports.append,
        )

    def play(self, body: dict[str, Any], engine: InstantEngine, network: str = "bridge") -> PodResult:
        return self.pod(body, engine, network).run([])


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def container(name: str, *after: str) -> dict[str, Any]:
    return {"name": name, "image": "i", "dependencies": list(after)}


def group(*containers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"containerSet": {"containers": list(containers), **more}}


MAIN = {"container": {"image": "i"}}


def codes_of(result: PodResult) -> dict[str, int | None]:
    return {end["name"]: end["code"] for end in result.ends}


def test_one_container(stage: Stage) -> None:
    engine = InstantEngine({})
    result = stage.play(MAIN, engine)
    assert (codes_of(result), result.output, result.ids) == ({"main": 0}, "out\n", {"main": "main"})
    assert engine.story == ["image i", "start main"]
    assert engine.networks == {"main": "bridge"}


def test_init_containers_run_one_after_another_and_stop_at_a_failure(stage: Stage) -> None:
    engine = InstantEngine({"b": [2]})
    body = {**MAIN, "initContainers": [container("a"), container("b"), container("c")]}
    result = stage.play(body, engine)
    assert engine.story == ["image i", "start a", "start b"]
    assert codes_of(result) == {"a": 0, "b": 2, "c": None, "main": None}


def test_sidecars_start_before_main_and_are_ended_after_it(stage: Stage) -> None:
    engine = InstantEngine({"s": [None]})
    result = stage.play({**MAIN, "sidecars": [container("s")]}, engine)
    assert engine.story == ["image i", f"start {NETWORK}", "start s", "start main", "SIGTERM s"]
    assert codes_of(result) == {"main": 0, "s": 143}
    assert engine.networks == {NETWORK: "bridge", "s": f"container:{NETWORK}", "main": f"container:{NETWORK}"}


def test_on_the_hosts_network_nobody_holds_it(stage: Stage) -> None:
    engine = InstantEngine({"s": [None]})
    stage.play({**MAIN, "sidecars": [container("s")]}, engine, network="host")
    assert engine.networks == {"s": "host", "main": "host"}


def test_a_container_that_cannot_be_started(stage: Stage) -> None:
    result = stage.play(MAIN, InstantEngine({"main": []}))
    assert result.ends == ({"name": "main", "role": "main", "code": 64, "error": "no such program"},)


def test_a_container_of_a_set_is_tried_again(stage: Stage) -> None:
    engine = InstantEngine({"a": [1, 1, 0]})
    result = stage.play(group(container("a"), container("b", "a"), retryStrategy={"retries": "3"}), engine)
    assert [each for each in engine.story if each.startswith("start ")] == [
        f"start {NETWORK}",
        "start a",
        "start a",
        "start a",
        "start b",
    ]
    assert codes_of(result) == {"a": 0, "b": 0}


def cancel_when_started(engine: InstantEngine, pod: Pod, grace: float) -> None:
    start = engine.start

    def starting(container: str) -> None:
        start(container)
        pod.cancel(grace)

    engine.start = starting  # type: ignore[method-assign]


def test_cancelling(stage: Stage) -> None:
    engine = InstantEngine({"main": [None]})
    pod = stage.pod(MAIN, engine)
    cancel_when_started(engine, pod, 5)
    result = pod.run([])
    assert (result.cancelled, result.output) == (True, None)
    assert engine.story == ["image i", "start main", "SIGTERM main"]


def test_what_is_cancelled_early_is_not_started(stage: Stage) -> None:
    engine = InstantEngine({})
    pod = stage.pod(MAIN, engine)
    pod.cancel(5)
    assert pod.run([]).cancelled
    assert engine.story == ["image i"]


def test_a_pause_between_two_tries_ends_with_the_pod(stage: Stage) -> None:
    engine = InstantEngine({"a": [1], "b": [None]})
    body = group(container("a"), container("b"), retryStrategy={"retries": "2", "duration": "1h"})
    pod = stage.pod(body, engine)
    cancel_when_started(engine, pod, 5)
    assert pod.run([]).cancelled
    assert engine.story[-1] == "SIGTERM b"


def test_who_does_not_end_is_killed(stage: Stage) -> None:
    engine = InstantEngine({"main": [None]})
    pod = stage.pod(MAIN, engine)
    told = engine.signal
    engine.signal = lambda container, name: None if name == "SIGTERM" else told(container, name)  # type: ignore[method-assign]
    cancel_when_started(engine, pod, 0.0)
    assert codes_of(pod.run([])) == {"main": 137}


def test_a_container_that_somebody_removed(stage: Stage) -> None:
    engine = InstantEngine({})

    def wait(container: str) -> int:
        raise NoSuchContainerError("gone")

    engine.wait = wait  # type: ignore[method-assign]
    with pytest.raises(NoSuchContainerError):
        stage.play(MAIN, engine)


def test_a_daemon_is_told_when_it_is_ready(stage: Stage) -> None:
    engine = InstantEngine({"main": [None]})
    pod = stage.pod({**MAIN, "daemon": True}, engine)
    stage_report = stage.reports.append

    def report(event: TaskFinished | TaskReady | TaskProgressed) -> None:
        stage_report(event)
        pod.cancel(1)

    pod._report = report
    pod.run([])
    assert stage.reports == [TaskReady("u/wf-1/0", "10.0.0.1")]


def test_what_is_there_is_not_made_again(stage: Stage) -> None:
    engine = InstantEngine({})
    engine._ends["a"] = queue.SimpleQueue()
    engine._ends["a"].put(0)
    pod = stage.pod({**MAIN, "initContainers": [container("a")]}, engine)
    result = pod.run([Found("a", "u/wf-1/0", "a", 1.0)])
    assert engine.story == ["start main"]
    assert codes_of(result) == {"a": 0, "main": 0}


def test_what_was_made_and_not_started_is_made_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = InstantEngine({})
    monkeypatch.setattr(engine, "state", lambda _: State("created", 0, 0.0, 0.0, ""))
    stage.pod(MAIN, engine).run([Found("old", "u/wf-1/0", "main", 1.0)])
    assert engine.story == ["remove old", "start main"]


@given(
    edges=st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(lambda edge: edge[0] < edge[1])),
    failing=st.sets(st.integers(0, 5)),
)
def test_sets_follow_their_dependencies(
    edges: set[tuple[int, int]], failing: set[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    engine = InstantEngine({f"c{number}": [3] for number in failing})
    containers = [
        container(f"c{number}", *(f"c{before}" for before, after in sorted(edges) if after == number))
        for number in range(6)
    ]
    result = Stage(tmp_path_factory.mktemp("pod")).play(group(*containers), engine)
    codes = codes_of(result)
    order = [int(each.removeprefix("start c")) for each in engine.story if each.startswith("start c")]
    for number in range(6):
        before = [each for each, after in edges if after == number]
        if any(codes[f"c{each}"] for each in before):
            assert number not in order
            assert codes[f"c{number}"] == 3
        else:
            assert all(order.index(each) < order.index(number) for each in before)
            assert codes[f"c{number}"] == (3 if number in failing else 0)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("ERROR (catatonit:6): failed to exec pid1: No such file or directory\n", "failed to exec pid1: No such file"),
        ("[FATAL tini (7)] exec x failed: No such file or directory\n", "exec x failed: No such file"),
        ("ERROR: something else\n", None),
    ],
)
def test_programs_that_are_not_in_the_image(stage: Stage, line: str, why: str | None) -> None:
    engine = InstantEngine({"main": [1]})
    engine.copy_log = lambda _, path: Path(path).write_text(line) and None  # type: ignore[method-assign, misc]
    [end] = stage.play(MAIN, engine).ends
    assert end["code"] == (1 if why is None else 64)
    assert (end["error"] or "").startswith(why or "")
