from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.unit.cli.conftest import Invoke

from tiphys._util.times import utc_now
from tiphys.records.queue import QueuedWorkflow
from tiphys.services.backend import LocalBackend
from tiphys.testing.store_samples import a_workflow


def test_limits_are_set_listed_and_deleted(invoke: Invoke, read: Callable[..., Any]) -> None:
    invoke("queue", "limit", "set", "100")
    invoke("queue", "limit", "set", "10", "--workspace", "team")
    invoke("queue", "limit", "set", "3", "--pipeline", "train")
    invoke("queue", "limit", "set", "2", "--pipeline", "train")
    invoke("queue", "limit", "set", "1", "--label", "gpu=big")
    found = {each["key"]: each["limit_count"] for each in read("queue", "limit", "list")}
    assert found == {
        "queue/all": 100,
        "queue/workspace/team": 10,
        "queue/pipeline/default/train": 2,
        "queue/label/gpu=big": 1,
    }
    invoke("queue", "limit", "delete", "--label", "gpu=big")
    said = invoke("queue", "limit", "delete", "--label", "gpu=big", code=2).output
    assert "There is no limit of workflows with the label gpu=big." in said
    assert len(read("queue", "limit", "list")) == 3


def test_a_label_stands_alone_and_has_a_value(invoke: Invoke) -> None:
    for wrong in (("--label", "gpu"), ("--label", "a=b", "--workspace", "w")):
        assert "--label KEY=VALUE" in invoke("queue", "limit", "set", "1", *wrong, code=2).output


def test_what_waits_is_listed_with_what_it_waits_for(invoke: Invoke, backend: LocalBackend) -> None:
    assert "Nothing waits." in invoke("queue", "list").output
    with backend.store.transaction() as transaction:
        transaction.add(
            a_workflow("u", name="first"),
            a_workflow("v", name="second"),
            QueuedWorkflow(id="1", workflow_uid="u", message="Waiting for it.", created_at=utc_now()),
            QueuedWorkflow(id="2", workflow_uid="v", admitted=True, created_at=utc_now()),
        )
    lines = invoke("queue", "list").output.splitlines()[1:]
    assert [line.split()[1] for line in lines] == ["first", "second"]
    assert lines[0].endswith("Waiting for it.")
    assert lines[1].endswith("Given back by a process that ended.")
