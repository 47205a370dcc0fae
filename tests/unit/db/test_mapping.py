"""Values to the database's forms and back."""

from __future__ import annotations

from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.db.dialects import after_prefix
from tiphys.db.mapping import RecordMapping, from_json, from_micros, holdable, to_json, to_micros
from tiphys.db.schema import table_of
from tiphys.errors import UsageError
from tiphys.records.base import Record
from tiphys.records.runs import ExecutionStatus, Pipeline, Run


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.timezones()))  # noqa: DTZ001 (bounds)
def test_times_are_kept_to_the_microsecond(moment: datetime) -> None:
    assert from_micros(to_micros(moment)) == moment.astimezone(UTC)


def test_times_are_counted_from_the_epoch() -> None:
    assert to_micros(datetime(1970, 1, 1, 0, 0, 1, 5, UTC)) == 1_000_005
    assert to_micros(datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)) == -1_000_000


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")))
def test_text_that_can_be_held_is_not_changed(text: str) -> None:
    assert holdable(text) == text


@given(st.text(st.characters(codec=None)))
def test_any_text_can_be_held_after_it(text: str) -> None:
    held = holdable(text)
    held.encode()
    assert "\0" not in held


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=5), st.text(max_size=5))
def test_the_text_after_a_prefix_follows_all_that_begin_with_it(prefix: str, rest: str) -> None:
    upper = after_prefix(prefix)
    if upper is None:
        assert set(prefix) == {"\U0010ffff"}
    else:
        assert prefix + rest < upper
        upper.encode()


def test_the_text_after_a_prefix_is_the_next_one() -> None:
    assert after_prefix("ab") == "ac"
    assert after_prefix("a\U0010ffff") == "b"
    assert after_prefix("\ud7ff") == "\ue000"
    assert after_prefix("") is None


def test_json_takes_any_mapping_and_keeps_its_order() -> None:
    assert to_json(MappingProxyType({"b": 1, "a": MappingProxyType({})})) == '{"b":1,"a":{}}'
    assert to_json({}) == "{}"
    assert to_json([]) == "[]"
    assert from_json("{}") == {}


@pytest.mark.parametrize("value", [object(), {1, 2}, {"a": b"x"}, {("tuple",): 1}])
def test_json_refuses_the_rest(value: Any) -> None:
    with pytest.raises(UsageError, match="cannot be stored"):
        to_json(value)


def test_empty_objects_are_not_shared() -> None:
    first = from_json("{}")
    first["changed"] = True
    assert from_json("{}") == {}


def test_rows_hold_what_drivers_take() -> None:
    run = Run(
        id="r",
        name="n",
        workflow_uid="w",
        status=ExecutionStatus.FAILED,
        parameters={"x": 1},
        created_at=datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC),
    )
    mapping = RecordMapping(Run)
    row = dict(zip(mapping.names, mapping.row(run), strict=True))
    assert type(row["status"]) is str
    assert (row["status"], row["parameters"], row["created_at"], row["finished_at"]) == (
        "failed",
        '{"x":1}',
        1_000_000,
        None,
    )
    assert mapping.record(mapping.row(run)) == run


def test_a_class_that_is_no_kind_of_record() -> None:
    with pytest.raises(UsageError, match="Record is not a kind of record that is stored"):
        table_of(Record)
    assert table_of(Pipeline).name == "pipelines"
