"""What every metadata store must find."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tiphys.errors import UsageError
from tiphys.ports.store import Store
from tiphys.records.artifacts import Artifact
from tiphys.records.base import Operator, Query, Where
from tiphys.records.runs import ExecutionStatus, Pipeline, Run
from tiphys.testing.store_samples import NOW, a_pipeline, a_run, an_artifact


class QueryContract:
    """Tests of queries."""

    # Queries.

    @pytest.fixture
    def people(self, store: Store) -> dict[str, Run]:
        """Runs a … e; their pipeline ids, message and start differ."""
        rows: dict[str, dict[str, Any]] = {
            "a": {"pipeline_id": None, "message": "", "started_at": None, "status": ExecutionStatus.FAILED},
            "b": {"pipeline_id": "p1", "message": "100% done", "started_at": NOW, "status": ExecutionStatus.RUNNING},
            "c": {"pipeline_id": "p2", "message": "100_ DONE", "started_at": NOW + timedelta(microseconds=1)},
            "d": {"pipeline_id": "p2", "message": "ünïcode\U0010ffff", "started_at": NOW - timedelta(days=1)},
            "e": {"pipeline_id": None, "message": "100", "started_at": None, "parameters": {"x": 1}},
        }
        runs = {name: a_run(name, **values) for name, values in rows.items()}
        with store.transaction() as tx:
            tx.add(*runs.values())
        return runs

    @pytest.mark.parametrize(
        ("field", "op", "value", "expected"),
        [
            ("name", "eq", "b", "b"),
            ("name", "eq", "z", ""),
            ("name", "ne", "b", "acde"),
            ("name", "in", ["a", "e", "z"], "ae"),
            ("name", "in", [], ""),
            ("name", "gt", "c", "de"),
            ("name", "ge", "c", "cde"),
            ("name", "lt", "c", "ab"),
            ("name", "le", "c", "abc"),
            ("pipeline_id", "eq", None, "ae"),
            ("pipeline_id", "ne", None, "bcd"),
            ("pipeline_id", "eq", "p2", "cd"),
            # Null is another value than "p2".
            ("pipeline_id", "ne", "p2", "abe"),
            ("pipeline_id", "in", [None], "ae"),
            ("pipeline_id", "in", ["p1", None], "abe"),
            ("pipeline_id", "gt", "p1", "cd"),
            ("status", "eq", ExecutionStatus.FAILED, "a"),
            ("status", "eq", "failed", "a"),
            ("status", "in", [ExecutionStatus.FAILED, "running"], "ab"),
            ("started_at", "eq", NOW, "b"),
            ("started_at", "gt", NOW, "c"),
            ("started_at", "le", NOW, "bd"),
            ("started_at", "in", [NOW, NOW - timedelta(days=1)], "bd"),
            ("started_at", "eq", None, "ae"),
            ("message", "prefix", "100", "bce"),
            ("message", "prefix", "100%", "b"),
            ("message", "prefix", "100_", "c"),
            ("message", "prefix", "", "abcde"),
            ("message", "prefix", "ünïcode\U0010ffff", "d"),
            ("pipeline_id", "prefix", "", "bcd"),
            ("message", "contains", "done", "b"),
            ("message", "contains", "DONE", "c"),
            ("message", "contains", "%", "b"),
            ("message", "contains", "_", "c"),
            ("message", "contains", "ï", "d"),
            ("parameters", "eq", {"x": 1}, "e"),
            ("parameters", "ne", {"x": 1}, "abcd"),
            ("parameters", "in", [{"x": 1}, {"x": 2}], "e"),
        ],
    )
    def test_conditions(
        self, store: Store, people: dict[str, Run], field: str, op: Operator, value: Any, expected: str
    ) -> None:
        query = Query(Run, (Where(field, value, op),), order="name")
        with store.reader() as reader:
            found = reader.find(query)
            assert found == [people[name] for name in expected]
            assert reader.count(query) == len(expected)

    def test_booleans_and_numbers(self, store: Store) -> None:
        records = [an_artifact("a", last_number=3), an_artifact("b", has_custom_name=False, last_number=2**40)]
        with store.transaction() as tx:
            tx.add(*records)
            assert tx.find(Query.of(Artifact, has_custom_name=False)) == [records[1]]
            assert tx.find(Query.of(Artifact, has_custom_name=[True])) == [records[0]]
            assert tx.find(Query.of(Artifact, last_number=[2**40, 5])) == [records[1]]
            assert tx.find(Query(Artifact, (Where("last_number", 3, "gt"),))) == [records[1]]

    def test_all_conditions_hold_together(self, store: Store, people: dict[str, Run]) -> None:
        query = Query(Run, (Where("pipeline_id", "p2"), Where("message", "100", "prefix"), Where("name", "z", "ne")))
        with store.reader() as reader:
            assert reader.find(query) == [people["c"]]

    @pytest.mark.parametrize(
        ("where", "message"),
        [
            (Where("nothing", 1), "A Run has no field 'nothing'"),
            (Where("name", 1), "holds text and was compared with 1"),
            (Where("started_at", "yesterday"), "holds time"),
            (Where("started_at", "2026", "prefix"), "part of a text"),
            (Where("parameters", {}, "gt"), "has no order"),
            (Where("parameters", "x", "contains"), "part of a text"),
            (Where("name", None, "gt"), "cannot be compared with None"),
            (Where("name", None, "contains"), "cannot be compared with None"),
            (Where("name", "x", "like"), "'like' is not an operator"),  # type: ignore[arg-type]  # the point
        ],
    )
    def test_conditions_that_make_no_sense_are_refused(self, store: Store, where: Where, message: str) -> None:
        with store.reader() as reader:
            for _ in range(2):
                with pytest.raises(UsageError, match=message):
                    reader.find(Query(Run, (where,)))

    def test_an_order_that_is_no_field_is_refused(self, store: Store) -> None:
        with store.reader() as reader, pytest.raises(UsageError, match="no field 'nothing'"):
            reader.find(Query.of(Run, order="-nothing"))

    @pytest.mark.usefixtures("people")
    def test_newest_first_unless_said_otherwise(self, store: Store) -> None:
        with store.reader() as reader:
            assert [run.name for run in reader.find(Query.of(Run))] == list("edcba")
            assert [run.name for run in reader.find(Query.of(Run, order="id"))] == list("abcde")
            assert [run.name for run in reader.find(Query.of(Run, limit=2))] == list("ed")
            assert reader.find(Query.of(Run, limit=0)) == []
            assert reader.count(Query.of(Run, limit=2)) == 5

    def test_text_is_sorted_by_code_points(self, store: Store) -> None:
        names = ["é", "a", "Z", "_", "B", "ab", "a b", "\U0001f600", "\uffff"]
        with store.transaction() as tx:
            tx.add(*map(a_pipeline, names))
            assert [pipeline.name for pipeline in tx.find(Query.of(Pipeline, order="name"))] == sorted(names)

    @pytest.mark.parametrize("order", ["id", "-id", "name", "-name", "pipeline_id", "-pipeline_id", "-started_at"])
    @pytest.mark.parametrize("size", [1, 2, 3])
    def test_pages_hold_every_record_once(self, store: Store, people: dict[str, Run], order: str, size: int) -> None:
        field, reverse = order.removeprefix("-"), order.startswith("-")

        def key(run: Run) -> tuple[Any, ...]:
            value = getattr(run, field)
            return (value is not None, value or "", run.id) if value is not None else (False, run.id)

        query = Query(Run, (Where("name", "a", "ne"),), order=order, limit=size)
        pages: list[Run] = []
        with store.reader() as reader:
            while page := reader.find(query):
                assert len(page) <= size
                pages += page
                query = replace(query, after=page[-1])
        expected = [run for name, run in people.items() if name != "a"]
        assert pages == sorted(expected, key=key, reverse=reverse)

    def test_ten_thousand_ids_at_once(self, store: Store) -> None:
        records = [a_pipeline(f"p{number}") for number in range(10_000)]
        ids = [record.id for record in records]
        with store.transaction() as tx:
            tx.add(*records)
            assert len(tx.get_many(Pipeline, ids)) == 10_000
            assert tx.count(Query.of(Pipeline, id=ids)) == 10_000
            assert tx.find(Query(Pipeline, (Where("id", [*ids, "x"], "in"),), order="id", limit=3)) == records[:3]
            assert tx.delete(Pipeline, ids[1:]) == 9_999
