"""Records and queries on their way: what one side writes the other reads."""

from __future__ import annotations

import json
import math
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, get_type_hints

import pytest

from tiphys.engine.model import Node, NodeType, Phase, Values
from tiphys.errors import UsageError
from tiphys.ports.backend import ModelRequest, NewArtifactVersion, TagRequest
from tiphys.ports.wire import OF_WORKSPACE, SHARED, dump, plain, read, read_filter, write_filter
from tiphys.records.base import Record, Where
from tiphys.records.runs import ExecutionStatus, Metadata, Run, StepRun

NOW = datetime(2026, 1, 31, 12, 30, 15, 123456, tzinfo=UTC)


def example(kind: type[Record]) -> Record:
    """A record whose every field has a value that is not its default."""
    values: dict[str, Any] = {}
    hints = get_type_hints(kind)
    for field in fields(kind):
        hint = str(hints[field.name])
        enum = hints[field.name]
        if isinstance(enum, type) and issubclass(enum, StrEnum):
            values[field.name] = list(enum)[-1]
        elif "datetime" in hint:
            values[field.name] = NOW
        elif "Mapping" in hint or enum is Any:
            values[field.name] = {"a": ["b"]} if "list" in hint else {"a": "b"}
        elif "bool" in hint:
            values[field.name] = field.default is MISSING or not field.default
        elif "int" in hint:
            values[field.name] = 7
        else:
            values[field.name] = f"{field.name} of 'ü'\n"
    return kind(**values)


@pytest.mark.parametrize("kind", [*OF_WORKSPACE.values(), *SHARED.values()], ids=lambda kind: kind.__name__)
def test_records_come_back_as_they_were(kind: type[Record]) -> None:
    record = example(kind)
    assert read(kind, json.loads(dump(record))) == record
    assert read(list[kind], plain([record, record])) == [record, record]  # type: ignore[valid-type]


@pytest.mark.parametrize(
    "value",
    [
        ModelRequest(name="m", version="3", card={"a": [1, None]}, tags=("t",)),
        TagRequest(name="t", exclusive=False),
        NewArtifactVersion(
            name="a", digest="d", size=1, uri="u", store="s", materializer="m", data_type="t", metadata={"k": 1.5}
        ),
        Node("i", "n", "d", NodeType.RETRY, Phase.ERROR, "t", outputs=Values({"a": "b"}, {"x": [{"k": 1}]}, "r", 3)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_requests_and_nodes_come_back_as_they_were(value: Any) -> None:
    assert read(type(value), plain(value)) == value


def test_metadata_holds_all_that_python_writes() -> None:
    odd = {"half": "\ud800", "nul": "\0", "infinite": math.inf, "nested": [{"x": None}], "large": 2**70}
    record = Metadata(id="i", entity_type="run", entity_id="r", key="k", value=odd, created_at=NOW)
    assert read(Metadata, plain(record)) == record
    (value,) = read(list[float], plain([math.nan]))
    assert math.isnan(value)


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(UsageError, match="no Run: name: Field required"):
        read(Run, {"id": "x", "workflow_uid": "u", "created_at": "2026-01-31T12:00:00Z"})
    with pytest.raises(UsageError, match="object cannot be sent"):
        dump({"a": object()})


@pytest.mark.parametrize(
    "where",
    [
        Where("name", "a:b\"'ü", "eq"),
        Where("name", ["a", "b"], "in"),
        Where("name", [], "in"),
        Where("name", "x", "prefix"),
        Where("pipeline_id", None, "ne"),
        Where("status", ExecutionStatus.RUNNING, "eq"),
        Where("status", [ExecutionStatus.RUNNING, ExecutionStatus.FAILED], "in"),
        Where("created_at", NOW, "ge"),
        Where("parameters", {"a": 1}, "eq"),
    ],
    ids=write_filter,
)
def test_conditions_come_back_as_they_were(where: Where) -> None:
    assert read_filter(Run, write_filter(where)) == where


def test_a_tuple_is_a_list_and_a_value_is_read_by_its_field() -> None:
    assert read_filter(Run, write_filter(Where("name", ("a",), "in"))).value == ["a"]
    assert read_filter(StepRun, "version:gt:1").value == 1
    assert read_filter(Run, 'created_at:lt:"2026-01-31T12:30:15.123456Z"').value == NOW


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no field ''"),
        ("size:eq:1", "no field 'size'"),
        ("name", "not a filter"),
        ("name:eq", "not a filter"),
        ("name:like:1", "not a filter"),
        ("name:eq:x", "not JSON"),
        ("name:eq:" + "[" * 100_000, "not JSON"),
        ("name:eq:1", "valid string"),
        ("name:in:1", "valid list"),
        ('status:eq:"odd"', "Input should be 'initializing'"),
        ('created_at:lt:"soon"', "datetime"),
    ],
)
def test_what_is_no_condition_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_filter(Run, text)
