from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tiphys.controller.turns import Turn, next_turns
from tiphys.records.queue import limit_key

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def turn(uid: str, workspace: str = "w", age: int = 0, **fields: object) -> Turn:
    return Turn(uid=uid, workspace=workspace, created_at=BEGIN - timedelta(seconds=age), **fields)  # type: ignore[arg-type]


def test_without_limits_it_is_everybodys_turn() -> None:
    assert next_turns([turn("a"), turn("b")], [turn("c")], {}) == (["a", "b"], {})


def test_larger_priorities_first_then_the_oldest() -> None:
    waiting = [turn("new"), turn("old", age=9), turn("urgent", priority=5)]
    assert next_turns(waiting, [], {})[0] == ["urgent", "old", "new"]


def test_the_workspace_of_which_the_fewest_run_goes_first() -> None:
    waiting = [turn(f"a{n}", "a", age=100 - n) for n in range(4)] + [turn(f"b{n}", "b", age=50 - n) for n in range(2)]
    assert next_turns(waiting, [], {limit_key(): 4})[0] == ["a0", "b0", "a1", "b1"]
    running = [turn(f"r{n}", "a") for n in range(2)]
    assert next_turns(waiting, running, {limit_key(): 5})[0] == ["b0", "b1", "a0"]


def test_what_waits_for_a_limit_lets_others_pass_and_says_why() -> None:
    limits = {limit_key(workspace="w", pipeline="train"): 1, limit_key(label="gpu=big"): 1}
    waiting = [
        turn("first", age=9, pipeline="train"),
        turn("second", age=8, pipeline="train"),
        turn("large", age=7, labels={"gpu": "big"}),
        turn("larger", age=6, labels={"gpu": "big"}),
        turn("other", age=5),
        turn("elsewhere", "v", age=4, pipeline="train"),
    ]
    chosen, reasons = next_turns(waiting, [turn("r", labels={"gpu": "big"})], limits)
    assert set(chosen) == {"first", "other", "elsewhere"}
    assert reasons == {
        "second": "Waiting in the queue: at most 1 workflows of the pipeline 'train' of the workspace 'w' run at once.",
        "large": "Waiting in the queue: at most 1 workflows with the label gpu=big run at once.",
        "larger": "Waiting in the queue: at most 1 workflows with the label gpu=big run at once.",
    }


turns = st.lists(
    st.builds(
        turn,
        st.uuids().map(str),
        st.sampled_from("vw"),
        st.integers(0, 9),
        priority=st.integers(0, 2),
        labels=st.sampled_from([{}, {"gpu": "big"}]),
    ),
    max_size=12,
)
LIMITS = (limit_key(), limit_key(workspace="v"), limit_key(label="gpu=big"))


@given(turns, turns, st.dictionaries(st.sampled_from(LIMITS), st.integers(0, 6)))
def test_no_limit_is_passed_and_nobody_waits_for_nothing(
    waiting: list[Turn], running: list[Turn], limits: dict[str, int]
) -> None:
    chosen, reasons = next_turns(waiting, running, limits)
    assert sorted([*chosen, *reasons]) == sorted(one.uid for one in waiting)

    def keys(one: Turn) -> set[str]:
        concerned = (
            {LIMITS[0]} | ({LIMITS[1]} if one.workspace == "v" else set()) | ({LIMITS[2]} if one.labels else set())
        )
        return concerned & limits.keys()

    before = Counter(key for one in running for key in keys(one))
    after = before + Counter(key for one in waiting if one.uid in chosen for key in keys(one))
    assert all(after[key] <= max(limit, before[key]) for key, limit in limits.items())
    assert all(any(after[key] >= limits[key] for key in keys(one)) for one in waiting if one.uid in reasons)
