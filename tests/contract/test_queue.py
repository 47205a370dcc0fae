"""Who takes what from the queue, on both databases and from several processes' stores at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tiphys.controller.queue import admit, claim, give_back, is_waiting, take
from tiphys.db.store import SqlStore
from tiphys.ports.store import Store
from tiphys.records.base import Query
from tiphys.records.queue import QueuedWorkflow, limit_key
from tiphys.records.workflows import WorkflowRow
from tiphys.services.policies import PolicyService
from tiphys.testing.store_samples import a_workflow
from tiphys.testing.store_tools import in_threads


@pytest.fixture(params=["sqlite", "postgres"])
def stores(request: pytest.FixtureRequest, open_and_close: Callable[[str], SqlStore]) -> list[Store]:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return [open_and_close(url), open_and_close(url)]


def submit(store: Store, uid: str, **fields: object) -> WorkflowRow:
    with store.transaction() as tx:
        row = admit(tx, a_workflow(uid, **fields), None, owner="a")
        tx.add(row)
        return row


def claimed(store: Store, owner: str, **options: object) -> list[str]:
    with store.transaction() as tx:
        return [each.workflow_uid for each in claim(tx, owner, **options)]  # type: ignore[arg-type]


def end(store: Store, uid: str) -> None:
    with store.transaction() as tx:
        tx.update(WorkflowRow, uid, owner="", phase="Succeeded", finished_at=a_workflow("x").created_at)


def waiting(store: Store) -> dict[str, str]:
    with store.reader() as reader:
        return {each.workflow_uid: each.message for each in reader.find(Query.of(QueuedWorkflow, order="id"))}


def test_without_limits_nobody_waits(stores: list[Store]) -> None:
    assert submit(stores[0], "w").owner == "a"
    assert waiting(stores[0]) == {}


def test_beyond_a_limit_they_wait_until_one_has_ended(stores: list[Store]) -> None:
    PolicyService(stores[0]).set_queue_limit(limit_key(workspace="default"), 1)
    assert [submit(stores[0], uid).owner for uid in ("u", "v", "w")] == ["a", "", ""]
    reason = "Waiting in the queue: at most 1 workflows of the workspace 'default' run at once."
    assert waiting(stores[0]) == {"v": reason, "w": reason}
    assert claimed(stores[1], "b") == []
    end(stores[0], "u")
    assert claimed(stores[1], "b", only={"w"}) == ["w"]
    PolicyService(stores[0]).delete_queue_limit(limit_key(workspace="default"))
    assert claimed(stores[1], "b") == ["v"]
    assert waiting(stores[0]) == {}


def test_a_newcomer_does_not_go_before_those_who_wait(stores: list[Store]) -> None:
    PolicyService(stores[0]).set_queue_limit(limit_key(), 1)
    submit(stores[0], "u")
    submit(stores[0], "v")
    end(stores[0], "u")
    assert submit(stores[0], "w").owner == ""
    assert submit(stores[0], "x", priority=1).owner == "a"


def test_what_was_given_back_keeps_its_place_and_goes_first(stores: list[Store]) -> None:
    PolicyService(stores[0]).set_queue_limit(limit_key(), 1)
    submit(stores[0], "u")
    submit(stores[0], "v", priority=9)
    with stores[0].transaction() as tx:
        give_back(tx, "a", ["u", "v"])
        assert not is_waiting(tx, "u")
        assert is_waiting(tx, "v")
    assert claimed(stores[1], "b") == ["u"]


def test_what_was_taken_by_other_means_or_removed_leaves_the_queue(stores: list[Store]) -> None:
    PolicyService(stores[0]).set_queue_limit(limit_key(), 0)
    for uid in ("u", "v", "w"):
        submit(stores[0], uid)
    with stores[0].transaction() as tx:
        assert take(tx, "u", "b", expected="")
        tx.delete(WorkflowRow, ["v"])
        tx.claim("w", "b", expected="")
    assert set(waiting(stores[0])) == {"w"}
    PolicyService(stores[0]).set_queue_limit(limit_key(), 9)
    assert claimed(stores[0], "c") == []
    assert waiting(stores[0]) == {}


def test_shares_of_several(stores: list[Store]) -> None:
    PolicyService(stores[0]).set_queue_limit(limit_key(), 0)
    for number in range(5):
        submit(stores[0], f"w{number}")
    PolicyService(stores[0]).set_queue_limit(limit_key(), 4)
    assert [len(claimed(stores[0], owner, of=2)) for owner in "abc"] == [2, 1, 1]


def test_many_at_once_never_pass_the_limit_and_take_each_once(stores: list[Store]) -> None:
    PolicyService(stores[0]).set_queue_limit(limit_key(), 0)
    for number in range(12):
        submit(stores[0], f"w{number}")
    PolicyService(stores[0]).set_queue_limit(limit_key(), 7)

    def work(index: int) -> list[str]:
        store = stores[index % 2]
        if index % 3 == 0:
            row = submit(store, f"new-{index}", priority=index)
            return [row.id] if row.owner else []
        return claimed(store, f"owner-{index}", of=3)

    taken = [uid for found in in_threads(8, work) for uid in found]
    while more := claimed(stores[0], "last"):
        taken += more
    assert len(taken) == len(set(taken)) == 7
    with stores[0].reader() as reader:
        owned = [row for row in reader.find(Query.of(WorkflowRow)) if row.owner]
    assert {row.id for row in owned} == set(taken)
    assert len(waiting(stores[1])) == 15 - 7
