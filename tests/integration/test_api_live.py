"""What a run does is told while it does it, by the API and to a client that follows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.contract.served import client_of, served

from tiphys.client.backend import ClientBackend
from tiphys.client.connection import Connection
from tiphys.db.store import open_store
from tiphys.engine.model import Node, NodeType, Phase
from tiphys.errors import NotFoundError
from tiphys.ports.store import WorkflowBatch
from tiphys.ports.wire import API
from tiphys.sdk.logs.files import live_path
from tiphys.server import streams
from tiphys.services.backend import LocalBackend
from tiphys.services.recorder import MLRecorder
from tiphys.testing.playing import IdleHost, Played, step_body

EVENTS = {"Accept": "text/event-stream"}


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalBackend]:
    monkeypatch.setattr(streams, "PAUSE", 0.01)
    monkeypatch.setattr(streams, "KEEP_ALIVE", 0.05)
    made = LocalBackend(open_store(f"sqlite:///{tmp_path / 'tiphys.db'}"), home=tmp_path, host=IdleHost())
    yield made
    made.close()


@pytest.fixture
def played(backend: LocalBackend) -> Played:
    return Played(backend.in_workspace("mine"), backend.store, MLRecorder(backend))


@pytest.fixture
def url(backend: LocalBackend) -> Iterator[str]:
    with served(backend) as address:
        yield address


def frames(lines: Iterator[str]) -> Iterator[Any]:
    """What comes in events, None for a sign of life."""
    for line in lines:
        if line.startswith("data:"):
            yield json.loads(line.removeprefix("data:"))
        elif line:
            yield None


def a_node(phase: Phase) -> Node:
    return Node("load-0", "p.load", "load", NodeType.PLUGIN, phase, "load")


def save(played: Played, *nodes: Node) -> None:
    with played.store.transaction() as transaction:
        transaction.save(WorkflowBatch(played.uid, nodes=nodes))


def test_a_run_is_told_as_it_is_and_as_it_changes_until_it_ends(played: Played, url: str) -> None:
    save(played, a_node(Phase.RUNNING))
    path = f"{url}{API}/workspaces/mine/runs/{played.run.id}/events"
    with httpx2.stream("GET", path, headers=EVENTS, timeout=30.0) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = frames(answer.iter_lines())
        first = next(told)["result"]
        assert (first["run"]["status"], [node["phase"] for node in first["nodes"]]) == ("running", ["Running"])
        assert next(told) is None
        save(played, a_node(Phase.SUCCEEDED))
        changed = next(frame for frame in told if frame)["result"]
        assert [(node["id"], node["phase"]) for node in changed["nodes"]] == [("load-0", "Succeeded")]
        played.state(Phase.SUCCEEDED)
        last = [frame for frame in told if frame]
    assert [(frame["result"]["run"]["status"], frame["result"]["nodes"]) for frame in last] == [("completed", [])]


def test_events_of_a_run_that_is_not_there(url: str, played: Played) -> None:
    answer = httpx2.get(f"{url}{API}/workspaces/other/runs/{played.run.id}/events", headers=EVENTS)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def logged(*texts: str) -> str:
    return "".join(f"2026-01-31T12:00:00.000000Z stdout {text}\n" for text in texts)


@pytest.fixture
def open_client(tmp_path: Path) -> Iterator[Callable[[str], ClientBackend]]:
    with ExitStack() as stack:

        def opened(url: str) -> ClientBackend:
            client = client_of(Connection(url, patience=60.0), tmp_path, workspace="mine")
            stack.callback(client.close)
            return client

        yield opened


def test_lines_are_given_as_they_are_written(
    backend: LocalBackend, played: Played, url: str, open_client: Callable[[str], ClientBackend]
) -> None:
    client = open_client(url)
    task = played.launch(played.task(step_body("load")))
    place = live_path(backend.home, played.run.id, "load", 0)
    place.parent.mkdir(parents=True)
    with place.open("w", buffering=1) as log:
        log.write(logged("one"))
        lines = client.runs.logs(played.run.id, follow=True)
        assert next(lines) == ("load", "one")
        log.write(logged("two"))
        assert next(lines) == ("load", "two")
    played.succeed(task)  # type: ignore[arg-type]  # it was not answered from the cache
    played.state(Phase.SUCCEEDED)
    assert list(lines) == []


def test_following_goes_on_when_the_server_is_back(
    backend: LocalBackend, played: Played, open_client: Callable[[str], ClientBackend]
) -> None:
    played.launch(played.task(step_body("load")))
    place = live_path(backend.home, played.run.id, "load", 0)
    place.parent.mkdir(parents=True)
    place.write_text(logged("one", "two"))
    with served(backend) as url:
        port = int(url.rpartition(":")[2])
        client = open_client(url)
        lines = client.runs.logs(played.run.id, follow=True)
        assert [next(lines), next(lines)] == [("load", "one"), ("load", "two")]
    place.write_text(logged("one", "two", "three"))
    with served(backend, port=port):
        assert next(lines) == ("load", "three")
        played.state(Phase.SUCCEEDED)
        assert list(lines) == []


def test_steps_that_are_not_there(played: Played, url: str, open_client: Callable[[str], ClientBackend]) -> None:
    client = open_client(url)
    played.execute(step_body("load"))
    played.state(Phase.SUCCEEDED)
    with pytest.raises(NotFoundError, match="no step 'train'") as caught:
        list(client.runs.logs(played.run.id, step="train"))
    assert caught.value.hint == "It has: load."
