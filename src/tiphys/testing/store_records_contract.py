"""What every metadata store must do with single records: keep them, keep them apart, change them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiphys._util.ids import new_id
from tiphys.engine.commands import Launch
from tiphys.errors import AlreadyExistsError, NotFoundError, StoreError, UsageError
from tiphys.ports.store import Store, WorkflowBatch
from tiphys.records.artifacts import Artifact, ArtifactUse
from tiphys.records.base import EntityType, Query, Record, Where
from tiphys.records.models import ModelVersion
from tiphys.records.runs import ExecutionStatus, Metadata, Pipeline, Run
from tiphys.testing.store_samples import (
    KINDS,
    NOW,
    UNIQUE,
    a_metadata,
    a_node,
    a_pipeline,
    a_run,
    an_artifact,
    records_of,
    sample,
)
from tiphys.testing.store_tools import PROPERTY, in_threads, undone


class RecordContract:
    """Tests of records, what is unique, transactions and changes."""

    # Records: what goes in comes out.

    @pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
    @settings(PROPERTY, max_examples=15)
    @given(data=st.data())
    def test_any_record_comes_back_equal(self, store: Store, kind: type[Record], data: st.DataObject) -> None:
        record = data.draw(records_of(kind))
        with undone(store) as tx:
            tx.add(record)
            found = tx.get(kind, record.id)
            assert found == record
            assert type(found) is kind

    def test_records_are_kept_by_the_database(self, make_store: Callable[[], Store]) -> None:
        first, run = make_store(), a_run("r", status=ExecutionStatus.FAILED, parameters={"a": [1, None]})
        with first.transaction() as tx:
            tx.add(run)
        first.close()
        with make_store().reader() as reader:
            assert reader.get(Run, run.id) == run

    def test_values_come_back_with_their_types(self, store: Store) -> None:
        with store.transaction() as tx:
            tx.add(a_run("r", status=ExecutionStatus.CACHED), an_artifact("a", has_custom_name=False))
        with store.reader() as reader:
            (run,) = reader.find(Query.of(Run))
            (artifact,) = reader.find(Query.of(Artifact))
        assert isinstance(run.status, ExecutionStatus)
        assert run.created_at.tzinfo is UTC
        assert artifact.has_custom_name is False

    def test_records_of_several_kinds_are_added_together(self, store: Store) -> None:
        records = [a_pipeline("p"), an_artifact("a"), a_pipeline("q"), an_artifact("b")]
        with store.transaction() as tx:
            tx.add(*records)
        with store.reader() as reader:
            assert reader.get_many(Pipeline, [r.id for r in records]) == {r.id: r for r in records[::2]}
            assert reader.get_many(Artifact, [r.id for r in records]) == {r.id: r for r in records[1::2]}

    def test_adding_nothing_changes_nothing(self, store: Store) -> None:
        with store.transaction() as tx:
            tx.add()
            assert tx.count(Query.of(Pipeline)) == 0

    def test_unknown_ids_are_not_found(self, store: Store) -> None:
        with store.reader() as reader:
            assert reader.get(Run, "none") is None
            assert reader.get_many(Run, ["none"]) == {}
            assert reader.get_many(Run, []) == {}

    def test_a_time_of_another_zone_is_the_same_moment(self, store: Store) -> None:
        moment = datetime(2026, 1, 1, 2, 0, tzinfo=timezone(timedelta(hours=2)))
        with store.transaction() as tx:
            tx.add(a_pipeline("p", created_at=moment))
            (found,) = tx.find(Query.of(Pipeline))
        assert found.created_at == moment
        assert found.created_at.utcoffset() == timedelta(0)

    def test_a_time_without_zone_is_refused(self, store: Store) -> None:
        naive = datetime(2026, 1, 1)  # noqa: DTZ001 (the point of the test)
        with store.transaction() as tx, pytest.raises(UsageError, match="time zone"):
            tx.add(a_pipeline("p", created_at=naive))

    def test_what_is_not_json_is_refused(self, store: Store) -> None:
        with store.transaction() as tx, pytest.raises(UsageError, match="not a JSON value"):
            tx.add(a_metadata("k", object()))

    def test_none_in_a_field_that_must_be_set_is_refused(self, store: Store) -> None:
        with pytest.raises(UsageError, match="must not be None"), store.transaction() as tx:
            tx.add(a_pipeline("p", description=None))

    def test_numbers_that_are_not_finite_are_kept(self, store: Store) -> None:
        with store.transaction() as tx:
            tx.add(a_metadata("inf", [math.inf, -math.inf]), a_metadata("nan", math.nan))
            inf, nan = tx.find(Query.of(Metadata, order="key"))
        assert inf.value == [math.inf, -math.inf]
        assert math.isnan(nan.value)

    def test_what_no_text_can_hold_is_replaced_in_messages_and_kept_in_json(self, store: Store) -> None:
        odd = "a\0b\ud800c"
        with store.transaction() as tx:
            tx.add(a_run("r", message=odd, parameters={"p": odd}))
            (run,) = tx.find(Query.of(Run))
        assert run.parameters == {"p": odd}
        assert run.message.startswith("a\ufffdb\ufffd")
        assert run.message.endswith("c")

    def test_a_member_of_an_enumeration_may_stand_for_a_text(self, store: Store) -> None:
        with store.transaction() as tx:
            tx.add(a_metadata("k", 1, entity_type=EntityType.STEP_RUN))
            assert tx.count(Query.of(Metadata, entity_type="step_run")) == 1
            assert tx.count(Query.of(Metadata, entity_type=EntityType.STEP_RUN)) == 1
            assert tx.count(Query.of(Metadata, entity_type=[EntityType.STEP_RUN])) == 1

    # What is unique.

    @pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
    def test_an_id_is_given_once(self, store: Store, kind: type[Record]) -> None:
        record = sample(kind)
        with store.transaction() as tx:
            tx.add(record)
        with pytest.raises(AlreadyExistsError, match=f"{kind.__name__} with the same"), store.transaction() as tx:
            tx.add(record)

    @pytest.mark.parametrize(("kind", "unique"), UNIQUE, ids=lambda value: getattr(value, "__name__", None))
    def test_records_differ_in_what_is_unique(self, store: Store, kind: type[Record], unique: tuple[str, ...]) -> None:
        first = sample(kind)
        with store.transaction() as tx:
            tx.add(first)
        others = {"number": 2, "name": "y"} if kind is ModelVersion else {}
        same = {name: value for name, value in others.items() if name not in unique}
        second = replace(first, id=new_id(), **same)
        with pytest.raises(AlreadyExistsError) as caught, store.transaction() as tx:
            tx.add(second)
        assert all(field in caught.value.message for field in unique)
        hints = get_type_hints(kind)
        for field in unique:
            if field == "type":
                continue
            changed: Any = 7 if hints[field] is int else "other"
            rest: dict[str, Any] = {"number": 7, "name": "other"} if kind is ModelVersion else {}
            with undone(store) as tx:
                tx.add(replace(second, **{**rest, field: changed}))

    def test_an_artifact_version_may_be_used_twice_under_one_name(self, store: Store) -> None:
        uses = [
            ArtifactUse(id=new_id(), step_run_id="s", artifact_version_id="v", direction="in", name="xs")
            for _ in range(2)
        ]
        with store.transaction() as tx:
            tx.add(*uses)
            assert tx.find(Query.of(ArtifactUse, order="id")) == uses

    # Transactions.

    def test_an_exception_undoes_everything(self, store: Store) -> None:
        kept = a_pipeline("kept")
        with store.transaction() as tx:
            tx.add(kept)
        with pytest.raises(ZeroDivisionError), store.transaction() as tx:
            tx.add(a_pipeline("lost"))
            tx.update(Pipeline, kept.id, description="changed")
            tx.save(WorkflowBatch("w", nodes=[a_node("n")], outbox=[Launch("t", "n")]))
            raise ZeroDivisionError
        with store.reader() as reader:
            assert reader.find(Query.of(Pipeline)) == [kept]
            assert reader.load_nodes("w") == []

    def test_an_error_of_the_database_ends_the_transaction_even_if_it_is_caught(self, store: Store) -> None:
        record = a_pipeline("p")
        with pytest.raises(StoreError, match="Nothing of the transaction was kept"), store.transaction() as tx:
            tx.add(record)
            with pytest.raises(AlreadyExistsError):
                tx.add(record)
        with store.reader() as reader:
            assert reader.count(Query.of(Pipeline)) == 0

    def test_a_refused_request_does_not_end_the_transaction(self, store: Store) -> None:
        with store.transaction() as tx:
            tx.add(a_pipeline("p"))
            with pytest.raises(NotFoundError):
                tx.update(Pipeline, "none", name="q")
            with pytest.raises(UsageError):
                tx.find(Query.of(Pipeline, nothing=1))
        with store.reader() as reader:
            assert reader.count(Query.of(Pipeline)) == 1

    def test_others_see_a_transaction_once_it_is_committed(self, store: Store) -> None:
        with store.transaction() as tx:
            tx.add(a_pipeline("p"))
            assert tx.count(Query.of(Pipeline)) == 1
            with store.reader() as reader:
                assert reader.count(Query.of(Pipeline)) == 0
        with store.reader() as reader:
            assert reader.count(Query.of(Pipeline)) == 1

    def test_a_reader_sees_one_moment(self, store: Store) -> None:
        with store.reader() as reader:
            assert reader.count(Query.of(Pipeline)) == 0
            with store.transaction() as tx:
                tx.add(a_pipeline("p"))
            assert reader.count(Query.of(Pipeline)) == 0
            assert reader.find(Query.of(Pipeline)) == []

    def test_a_transaction_inside_another_one_is_refused(self, store: Store) -> None:
        with pytest.raises(StoreError, match="inside another one"), store.transaction(), store.transaction():
            pass
        with store.transaction() as tx:
            tx.add(a_pipeline("p"))

    def test_a_closed_store_says_so(self, store: Store) -> None:
        store.close()
        store.close()
        for work in (store.reader, store.transaction):
            with pytest.raises(StoreError, match="was closed"), work():
                pass

    # Changes.

    def test_update_sets_the_named_fields(self, store: Store) -> None:
        run = a_run("r")
        changes: dict[str, Any] = {
            "status": ExecutionStatus.COMPLETED,
            "finished_at": NOW + timedelta(microseconds=1),
            "parameters": {"x": 1},
            "pipeline_id": "p",
        }
        with store.transaction() as tx:
            tx.add(run)
            tx.update(Run, run.id, **changes)
            assert tx.get(Run, run.id) == replace(run, **changes)
            tx.update(Run, run.id, finished_at=None, pipeline_id=None)
            assert tx.get(Run, run.id) == replace(run, status=ExecutionStatus.COMPLETED, parameters={"x": 1})

    def test_update_touches_one_record(self, store: Store) -> None:
        one, two = a_pipeline("one"), a_pipeline("two")
        with store.transaction() as tx:
            tx.add(one, two)
            tx.update(Pipeline, one.id, description="d")
            assert tx.get(Pipeline, two.id) == two

    def test_update_of_what_a_query_finds(self, store: Store) -> None:
        one, two, other = a_pipeline("one"), a_pipeline("two"), a_pipeline("other", workspace="w")
        with store.transaction() as tx:
            tx.add(one, two, other)
            query = Query(Pipeline, (Where("workspace", "default"), Where("created_at", NOW, "le")))
            assert tx.update_found(query, description="d", created_at=NOW + timedelta(days=1)) == 2
            assert tx.update_found(query, description="e") == 0
            found = {row.name: row.description for row in tx.find(Query.of(Pipeline))}
        assert found == {"one": "d", "two": "d", "other": ""}

    def test_one_of_many_threads_gets_what_all_want(self, store: Store) -> None:
        wanted = a_pipeline("wanted")
        with store.transaction() as tx:
            tx.add(wanted)

        def take(number: int) -> int:
            with store.transaction() as tx:
                return tx.update_found(Query.of(Pipeline, id=wanted.id, description=""), description=str(number + 1))

        assert sorted(in_threads(8, take)) == [0] * 7 + [1]

    def test_update_of_an_unknown_record(self, store: Store) -> None:
        with store.transaction() as tx:
            for changes in ({"name": "x"}, {}):
                with pytest.raises(NotFoundError, match="no Pipeline with the id 'none'"):
                    tx.update(Pipeline, "none", **changes)

    def test_update_to_a_taken_name(self, store: Store) -> None:
        one, two = a_pipeline("one"), a_pipeline("two")
        with store.transaction() as tx:
            tx.add(one, two)
        with pytest.raises(AlreadyExistsError, match="workspace and name"), store.transaction() as tx:
            tx.update(Pipeline, two.id, name="one")

    def test_update_of_what_is_no_field(self, store: Store) -> None:
        with store.transaction() as tx, pytest.raises(UsageError, match="no field 'nothing'"):
            tx.update(Pipeline, "p", nothing=1)

    def test_delete_counts_what_there_was(self, store: Store) -> None:
        records = [a_pipeline(name) for name in "abc"]
        with store.transaction() as tx:
            tx.add(*records)
            assert tx.delete(Pipeline, [records[0].id, "none", records[2].id]) == 2
            assert tx.find(Query.of(Pipeline)) == [records[1]]
            assert tx.delete(Pipeline, []) == 0

    def test_what_a_query_finds_is_removed(self, store: Store) -> None:
        records = [a_pipeline(name, description=name[0]) for name in ("a1", "b1", "a2", "c1")]
        with store.transaction() as tx:
            tx.add(*records)
            assert tx.delete_found(Query.of(Pipeline, description=["a", "c", "x"])) == 3
            assert tx.find(Query.of(Pipeline)) == [records[1]]
            assert tx.delete_found(Query.of(Pipeline, description=[])) == 0
            assert tx.delete_found(Query.of(Pipeline)) == 1
            assert tx.delete_found(Query.of(Pipeline)) == 0

    def test_ensure_adds_or_finds(self, store: Store) -> None:
        first, second = an_artifact("a"), an_artifact("a", last_number=9)
        with store.transaction() as tx:
            assert tx.ensure(first, "workspace", "name") is first
            assert tx.ensure(second, "workspace", "name") == first
            assert tx.ensure(an_artifact("a", workspace="w"), "workspace", "name").workspace == "w"
            assert tx.count(Query.of(Artifact)) == 2

    def test_put_adds_or_replaces_all_but_the_id(self, store: Store) -> None:
        unique = ("entity_type", "entity_id", "key")
        first = a_metadata("k", 1, step_run_id="s")
        second = a_metadata("k", {"v": 2}, created_at=NOW + timedelta(days=1))
        with store.transaction() as tx:
            tx.put(first, *unique)
            tx.put(second, *unique)
            tx.put(a_metadata("other", 3), *unique)
            assert tx.get(Metadata, first.id) == replace(second, id=first.id)
            assert tx.count(Query.of(Metadata)) == 2

    def test_ensure_and_put_ask_for_fields_that_are_unique(self, store: Store) -> None:
        with store.transaction() as tx:
            with pytest.raises(UsageError, match="do not tell one Artifact from all others"):
                tx.ensure(an_artifact("a"), "name")
            with pytest.raises(UsageError, match="do not tell one Artifact from all others"):
                tx.put(an_artifact("a"), "name")

    def test_numbers_are_given_out_in_order(self, store: Store) -> None:
        artifact = an_artifact("a", last_number=4)
        with store.transaction() as tx:
            tx.add(artifact)
            assert tx.next_number(Artifact, artifact.id) == 5
            assert tx.next_number(Artifact, artifact.id, 3) == 6
            assert tx.next_number(Artifact, artifact.id) == 9
            assert tx.get(Artifact, artifact.id) == replace(artifact, last_number=9)

    def test_numbers_of_what_has_none(self, store: Store) -> None:
        with store.transaction() as tx:
            with pytest.raises(NotFoundError):
                tx.next_number(Artifact, "none")
            with pytest.raises(UsageError, match="gives out no numbers"):
                tx.next_number(Pipeline, "none")
