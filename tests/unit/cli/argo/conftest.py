"""The command line on a backend whose engine does nothing, and workflows that are carried on by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tiphys.db.store import open_store
from tiphys.engine.model import Node, NodeType, Phase, Values, WorkflowState
from tiphys.ports.store import WorkflowBatch
from tiphys.services.backend import LocalBackend
from tiphys.services.workflows import service
from tiphys.testing.playing import IdleHost

BEGAN = 1_750_000_000.0

HELLO = """\
metadata:
  name: hello
  labels: {app: x}
kind: Workflow
spec:
  entrypoint: main
  arguments: {parameters: [{name: who, value: you}]}
  templates:
  - name: main
    container: {image: busybox, command: [echo, "{{workflow.parameters.who}}"]}
"""


@pytest.fixture
def host() -> IdleHost:
    return IdleHost()


@pytest.fixture
def detached(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Uids of workflows that processes of their own were started for."""
    uids: list[str] = []
    monkeypatch.setattr(service, "carry_out_detached", lambda given, **_: uids.extend(given))
    return uids


@pytest.fixture
def backend(tmp_path: Path, host: IdleHost, detached: list[str]) -> Iterator[LocalBackend]:
    home = tmp_path / "home"
    home.mkdir()
    made = LocalBackend(open_store(f"sqlite:///{home / 'tiphys.db'}"), home=home, host=host)
    # What is to be carried out by another process is being carried out.
    host.alive.add("")
    yield made
    made.close()


@pytest.fixture
def hello(tmp_path: Path) -> str:
    path = tmp_path / "hello.yaml"
    path.write_text(HELLO)
    return str(path)


@pytest.fixture
def carry(backend: LocalBackend) -> Callable[..., None]:
    """Carries a workflow to a phase, with one pod."""

    def call(name: str, phase: str, message: str = "", artifacts: dict[str, Any] | None = None) -> None:
        uid = backend.workflows.get(name)["metadata"]["uid"]
        ended = Phase(phase).fulfilled
        state = WorkflowState(uid, name, Phase(phase), message, BEGAN, BEGAN + 65 if ended else None)
        root = Node(
            id=name,
            name=name,
            display_name=name,
            type=NodeType.POD,
            phase=Phase(phase),
            template="main",
            message=message,
            started_at=BEGAN,
            finished_at=BEGAN + 65 if ended else None,
            outputs=Values(artifacts=dict(artifacts)) if artifacts else None,
        )
        with backend.store.transaction() as transaction:
            transaction.save(WorkflowBatch(uid, [root], state))

    return call
