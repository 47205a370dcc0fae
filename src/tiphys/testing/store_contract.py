"""What every metadata store must do. A backend's test class derives from `StoreContract` and overrides `make_store`."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from itertools import chain
from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiphys._util.ids import new_id
from tiphys.engine.commands import Cancel, Launch
from tiphys.engine.model import Node, NodeType, Phase, Reason, Values, WorkflowState
from tiphys.errors import AlreadyExistsError, NotFoundError, StoreError, UsageError
from tiphys.ports.store import Lease, Reader, Store, Transaction, WorkflowBatch
from tiphys.records.access import Account, ApiKey, RoleBinding, SigningKey
from tiphys.records.artifacts import Artifact, ArtifactType, ArtifactUse, ArtifactVersion
from tiphys.records.base import EntityType, Operator, Query, Record, Where
from tiphys.records.events import EventSubscription, ReceivedEvent, RunNotice, SeenSignature
from tiphys.records.logs import LogPart
from tiphys.records.metrics import MetricValue
from tiphys.records.models import ModelLink, ModelStage, ModelVersion, RegisteredModel
from tiphys.records.objects import StoredObject
from tiphys.records.queue import QueuedWorkflow
from tiphys.records.runs import ExecutionStatus, Metadata, Pipeline, Run, StepRun
from tiphys.records.servers import KeptAnswer, ServerAddress
from tiphys.records.stacks import Component, ComponentType, Service, StackRecord
from tiphys.records.synchronization import LockClaim, LockLimit, Memo
from tiphys.records.tags import TagLink, TagRecord
from tiphys.records.workflows import WorkflowRemoval, WorkflowRequest, WorkflowRow, WorkflowSummary

NOW = datetime(2026, 2, 3, 4, 5, 6, 789012, UTC)

KINDS: tuple[type[Record], ...] = (
    Pipeline,
    Run,
    StepRun,
    Metadata,
    Artifact,
    ArtifactVersion,
    ArtifactUse,
    RegisteredModel,
    ModelVersion,
    ModelLink,
    TagRecord,
    TagLink,
    Component,
    StackRecord,
    Service,
    StoredObject,
    LockClaim,
    LockLimit,
    Memo,
    MetricValue,
    QueuedWorkflow,
    WorkflowRemoval,
    WorkflowRequest,
    WorkflowRow,
    LogPart,
    ReceivedEvent,
    SeenSignature,
    EventSubscription,
    RunNotice,
    Account,
    RoleBinding,
    ApiKey,
    SigningKey,
    ServerAddress,
    KeptAnswer,
)

#: Kind and the fields that no two of its records share.
UNIQUE: tuple[tuple[type[Record], tuple[str, ...]], ...] = (
    (Pipeline, ("workspace", "name")),
    (Run, ("workspace", "name")),
    (StepRun, ("run_id", "name", "version")),
    (Metadata, ("entity_type", "entity_id", "key")),
    (Artifact, ("workspace", "name")),
    (StoredObject, ("kind", "namespace", "name")),
    (LockClaim, ("workflow_uid", "holder", "key")),
    (LockLimit, ("key",)),
    (QueuedWorkflow, ("workflow_uid",)),
    (Memo, ("namespace", "cache", "key")),
    (MetricValue, ("name", "key")),
    (ArtifactVersion, ("artifact_id", "version")),
    (RegisteredModel, ("workspace", "name")),
    (ModelVersion, ("model_id", "name")),
    (ModelVersion, ("model_id", "number")),
    (ModelLink, ("model_version_id", "target_type", "target_id")),
    (TagRecord, ("workspace", "name")),
    (TagLink, ("tag_id", "entity_type", "entity_id")),
    (Component, ("workspace", "type", "name")),
    (StackRecord, ("workspace", "name")),
    (ReceivedEvent, ("workspace", "discriminator", "delivery")),
    (SeenSignature, ("signature",)),
    (EventSubscription, ("workspace", "name")),
    (Account, ("name",)),
    (RoleBinding, ("account_id", "workspace")),
    (ApiKey, ("prefix",)),
)

#: The store is the same for all examples (each is undone), and the suite runs once for each backend.
_PROPERTY = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.differing_executors,
        HealthCheck.too_slow,
    ],
)

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_OBJECT = st.dictionaries(st.text(max_size=5), _JSON, max_size=3)
_TIME = st.datetimes(
    datetime(1900, 1, 1),  # noqa: DTZ001 (hypothesis adds the time zones)
    datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
)
_FLOAT = st.floats(allow_nan=False, allow_infinity=False)
_BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    str: _TEXT,
    int: st.integers(-(2**63), 2**63 - 1),
    bool: st.booleans(),
    datetime: _TIME,
    Any: _JSON,
}


def _field_values(hint: Any) -> st.SearchStrategy[Any]:
    arguments = get_args(hint)
    if NoneType in arguments:
        (rest,) = (argument for argument in arguments if argument is not NoneType)
        return st.none() | _field_values(rest)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return st.sampled_from(hint)
    return _BY_TYPE.get(hint, _OBJECT)


def records_of(kind: type[Record]) -> st.SearchStrategy[Record]:
    """Any record of a kind, with a fresh id."""
    hints = get_type_hints(kind)
    values = {field.name: _field_values(hints[field.name]) for field in fields(kind) if field.name != "id"}
    return st.builds(kind, id=st.builds(new_id), **values)


_VALUES = st.builds(
    Values,
    parameters=st.dictionaries(st.text(max_size=5), st.text(max_size=8), max_size=3),
    artifacts=st.dictionaries(st.text(max_size=5), _OBJECT | st.lists(_OBJECT, max_size=3), max_size=3),
    result=st.none() | st.text(max_size=8),
    exit_code=st.none() | st.integers(-1, 255),
)
_NODES = st.builds(
    Node,
    id=_TEXT,
    name=_TEXT,
    display_name=_TEXT,
    type=st.sampled_from(NodeType),
    phase=st.sampled_from(Phase),
    template=_TEXT,
    boundary_id=st.none() | _TEXT,
    task_name=_TEXT,
    attempt=st.integers(0, 100),
    parent_id=st.none() | st.text(max_size=8),
    message=st.text(max_size=8),
    reason=st.sampled_from(Reason),
    started_at=st.none() | _FLOAT,
    finished_at=st.none() | _FLOAT,
    inputs=st.none() | _VALUES,
    outputs=st.none() | _VALUES,
    hooked=st.booleans(),
)


def a_pipeline(name: str, **fields: Any) -> Pipeline:
    """A pipeline of that name."""
    return Pipeline(**{"id": new_id(), "name": name, "created_at": NOW, **fields})


def a_run(name: str, **fields: Any) -> Run:
    """A run of that name."""
    return Run(**{"id": new_id(), "name": name, "workflow_uid": new_id(), "created_at": NOW, **fields})


def an_artifact(name: str, **fields: Any) -> Artifact:
    """An artifact of that name."""
    return Artifact(**{"id": new_id(), "name": name, "created_at": NOW, **fields})


def a_metadata(key: str, value: Any, **fields: Any) -> Metadata:
    """Metadata of one run."""
    base = {"id": new_id(), "entity_type": EntityType.RUN, "entity_id": "r", "created_at": NOW}
    return Metadata(**{**base, "key": key, "value": value, **fields})


def a_workflow(uid: str, **fields: Any) -> WorkflowRow:
    """A workflow that waits."""
    return WorkflowRow(**{"id": uid, "name": "wf", "manifest": "{}", "created_at": NOW, **fields})


def a_node(name: str, **fields: Any) -> Node:
    """A running node whose id is that of its name."""
    base = {"id": f"id-{name}", "name": name, "display_name": name, "type": NodeType.PLUGIN, "phase": Phase.RUNNING}
    return Node(**{**base, "template": "t", **fields})


def _sample(kind: type[Record]) -> Record:
    """A record of a kind with plain values; two of them differ in the id only."""
    hints = get_type_hints(kind)
    simple: dict[Any, Any] = {str: "x", int: 1, bool: False, datetime: NOW, Any: None}
    values: dict[str, Any] = {
        name: None if NoneType in get_args(hint) else next(iter(hint)) if _is_enum(hint) else simple.get(hint, {})
        for name, hint in hints.items()
    }
    return kind(**{**values, "id": new_id()})


def _is_enum(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, StrEnum)


class _UndoError(Exception):
    """Ends a transaction without a trace."""


@contextmanager
def _undone(store: Store) -> Iterator[Transaction]:
    """A transaction that leaves nothing behind."""
    with pytest.raises(_UndoError), store.transaction() as tx:
        yield tx
        raise _UndoError


def in_threads(number: int, work: Callable[[int], Any]) -> list[Any]:
    """The results of `work(0) … work(number - 1)`, begun together in threads of their own."""
    results: list[Any] = [None] * number
    errors: list[BaseException] = []
    together = threading.Barrier(number)

    def run(index: int) -> None:
        try:
            together.wait()
            results[index] = work(index)
        except BaseException as error:  # noqa: BLE001 (raised below)
            errors.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


class StoreContract:
    """The suite. `make_store` is to open the same empty database each time it is called in one test."""

    @pytest.fixture
    def make_store(self) -> Iterator[Callable[[], Store]]:
        """Overridden by a backend's test class."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, make_store: Callable[[], Store]) -> Store:
        return make_store()

    # Records: what goes in comes out.

    @pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
    @settings(_PROPERTY, max_examples=15)
    @given(data=st.data())
    def test_any_record_comes_back_equal(self, store: Store, kind: type[Record], data: st.DataObject) -> None:
        record = data.draw(records_of(kind))
        with _undone(store) as tx:
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
        record = _sample(kind)
        with store.transaction() as tx:
            tx.add(record)
        with pytest.raises(AlreadyExistsError, match=f"{kind.__name__} with the same"), store.transaction() as tx:
            tx.add(record)

    @pytest.mark.parametrize(("kind", "unique"), UNIQUE, ids=lambda value: getattr(value, "__name__", None))
    def test_records_differ_in_what_is_unique(self, store: Store, kind: type[Record], unique: tuple[str, ...]) -> None:
        first = _sample(kind)
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
            with _undone(store) as tx:
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

    # Workflows.

    @settings(_PROPERTY, max_examples=25)
    @given(nodes=st.lists(_NODES, max_size=3, unique_by=lambda node: node.id))
    def test_any_nodes_come_back_equal(self, store: Store, nodes: list[Node]) -> None:
        with _undone(store) as tx:
            tx.save(WorkflowBatch("w", nodes=nodes))
            assert tx.load_nodes("w") == nodes

    def test_nodes_stay_in_the_order_they_were_first_written(self, store: Store) -> None:
        nodes = [a_node(name) for name in "dbca"]
        with store.transaction() as tx:
            tx.save(WorkflowBatch("w", nodes=nodes[:2]))
            tx.save(WorkflowBatch("other", nodes=nodes))
            tx.save(WorkflowBatch("w", nodes=[nodes[2], nodes[0], nodes[3]]))
        with store.transaction() as tx:
            changed = replace(nodes[1], phase=Phase.SUCCEEDED, outputs=Values({"o": "1"}), finished_at=1.1)
            tx.save(WorkflowBatch("w", nodes=[nodes[3], changed]))
            assert tx.load_nodes("w") == [nodes[0], changed, nodes[2], nodes[3]]

    def test_the_status_is_written_and_read(self, store: Store) -> None:
        row = a_workflow("w", owner="me", runner="process", manifest='{"a": 1}')
        state = WorkflowState(
            "w", "wf", Phase.RUNNING, "busy", 1770091506.1234567, None, shutdown="Stop", suspended=True
        )
        with store.transaction() as tx:
            tx.add(row)
            tx.save(WorkflowBatch("w", state=state))
        with store.reader() as reader:
            stored = reader.load_workflow("w")
        assert stored is not None
        assert stored.state == state
        started = datetime(2026, 2, 3, 4, 5, 6, 123457, UTC)
        changes: dict[str, Any] = {
            "phase": "Running",
            "message": "busy",
            "shutdown": "Stop",
            "suspended": True,
            "started_at": started,
        }
        assert stored.row == replace(row, **changes)

    def test_a_workflow_that_was_only_added_has_its_rows_status(self, store: Store) -> None:
        with store.transaction() as tx:
            tx.add(a_workflow("w", phase="Failed", message="m", started_at=NOW, finished_at=NOW))
            stored = tx.load_workflow("w")
        assert stored is not None
        assert stored.state == WorkflowState("w", "wf", Phase.FAILED, "m", NOW.timestamp(), NOW.timestamp())
        assert (stored.nodes, stored.outbox) == ([], [])

    @pytest.mark.parametrize("phase", [Phase.PENDING, Phase.RUNNING, Phase.SUCCEEDED, Phase.FAILED, Phase.ERROR])
    def test_a_finished_workflow_has_no_owner(self, store: Store, phase: Phase) -> None:
        with store.transaction() as tx:
            tx.add(a_workflow("w", owner="me"), a_workflow("other", owner="me"))
            tx.save(WorkflowBatch("w", state=WorkflowState("w", "wf", phase)))
            owners = {row.id: row.owner for row in tx.find(Query.of(WorkflowRow))}
        assert owners == {"w": "" if phase.fulfilled else "me", "other": "me"}

    def test_the_status_of_an_unknown_workflow(self, store: Store) -> None:
        with store.transaction() as tx:
            with pytest.raises(NotFoundError):
                tx.save(WorkflowBatch("w", state=WorkflowState("w", "wf")))
            assert tx.load_workflow("w") is None
            assert tx.load_nodes("w") == []

    def test_commands_stay_until_they_are_acknowledged(self, store: Store) -> None:
        commands: list[Launch | Cancel] = [
            Launch("w/b/0", "b"),
            Launch("w/a/0", "a"),
            Cancel("w/b/0", "b"),
            Launch("w/c/0", "c"),
        ]

        def outbox() -> list[Launch | Cancel]:
            with store.reader() as reader:
                stored = reader.load_workflow("w")
            assert stored is not None
            return stored.outbox

        with store.transaction() as tx:
            tx.add(a_workflow("w"), a_workflow("v"))
            tx.save(WorkflowBatch("w", outbox=commands[:2]))
            tx.save(WorkflowBatch("v", outbox=[Launch("v/a/0", "a")]))
        with store.transaction() as tx:
            tx.save(WorkflowBatch("w", outbox=commands[1:]))
        assert outbox() == commands
        with store.transaction() as tx:
            tx.save(WorkflowBatch("w", acknowledged=["w/b/0", "v/a/0", "unknown"]))
        assert outbox() == [commands[1], commands[3]]
        with store.reader() as reader:
            other = reader.load_workflow("v")
        assert other is not None
        assert other.outbox == [Launch("v/a/0", "a")]

    def test_a_command_is_not_acknowledged_by_its_own_batch(self, store: Store) -> None:
        with store.transaction() as tx:
            tx.add(a_workflow("w"))
            tx.save(WorkflowBatch("w", outbox=[Launch("t", "n")]))
            tx.save(WorkflowBatch("w", outbox=[Cancel("t", "n")], acknowledged=["t"]))
            stored = tx.load_workflow("w")
        assert stored is not None
        assert stored.outbox == [Cancel("t", "n")]

    @pytest.mark.parametrize("by_query", [False, True])
    def test_a_workflow_takes_its_nodes_and_commands_with_it(self, store: Store, by_query: bool) -> None:
        node = a_node("n")
        with store.transaction() as tx:
            for uid in ("w", "v"):
                tx.add(a_workflow(uid))
                tx.save(WorkflowBatch(uid, nodes=[node], outbox=[Launch("t", "n")]))
            gone = tx.delete_found(Query.of(WorkflowRow, id="w")) if by_query else tx.delete(WorkflowRow, ["w"])
            assert gone == 1
            tx.add(a_workflow("w"))
            again, other = tx.load_workflow("w"), tx.load_workflow("v")
        assert again is not None
        assert (again.nodes, again.outbox) == ([], [])
        assert other is not None
        assert (other.nodes, other.outbox) == ([node], [Launch("t", "n")])

    def test_labels_of_workflows_are_asked_for(self, store: Store) -> None:
        with store.transaction() as tx:
            tx.add(
                a_workflow("a", labels={"team": "red", "size": "1"}),
                a_workflow("b", labels={"team": "blue"}, workspace="other"),
                a_workflow("c"),
            )
            tx.add(a_workflow("d", labels={"team": "red"}))
            tx.delete(WorkflowRow, ["d"])

        def found(tx: Reader, op: Operator, key: str, values: tuple[str, ...] | None) -> list[str]:
            query = Query(WorkflowSummary, (Where("labels", (key, values), op),), order="id")
            assert tx.count(query) == len(tx.find(query))
            return [row.id for row in tx.find(query)]

        with store.reader() as reader:
            assert found(reader, "has", "team", ("red",)) == ["a"]
            assert found(reader, "has", "team", ("red", "blue")) == ["a", "b"]
            assert found(reader, "has", "team", None) == ["a", "b"]
            assert found(reader, "has", "team", ("green",)) == []
            assert found(reader, "lacks", "team", ("red",)) == ["b", "c"]
            assert found(reader, "lacks", "size", None) == ["b", "c"]
            assert (reader.label_keys(None), reader.label_keys("other")) == (["size", "team"], ["team"])
            assert (reader.label_values("team", None), reader.label_values("team", "other")) == (
                ["blue", "red"],
                ["blue"],
            )
        with store.transaction() as tx:
            tx.update(WorkflowRow, "c", labels={"team": "green"})
        with store.reader() as reader:
            assert found(reader, "has", "team", ("green",)) == ["c"]
        with store.reader() as reader, pytest.raises(UsageError, match="labels of workflows"):
            reader.find(Query(StoredObject, (Where("labels", ("a", None), "has"),)))

    def test_a_workflow_is_claimed_from_whom_it_was_thought_to_belong_to(self, store: Store) -> None:
        with store.transaction() as tx:
            tx.add(a_workflow("w", owner="a"))
            assert tx.claim("w", "b", expected="") is False
            assert tx.claim("w", "b", expected="a") is True
            assert tx.claim("w", "c", expected="a") is False
            assert tx.claim("none", "c", expected="") is False
            (row,) = tx.find(Query.of(WorkflowRow))
        assert row.owner == "b"

    def test_workflows_are_held_by_their_owner_alone(self, store: Store) -> None:
        with store.transaction() as tx:
            tx.add(a_workflow("v", owner="a"), a_workflow("w", owner="b"), a_workflow("x", owner="a"), a_workflow("y"))
            assert tx.hold(["v", "w", "y", "none"], "a") == {"v"}
            assert tx.hold([], "a") == set()
            assert (tx.owned("a"), tx.owned("c")) == ({"v", "x"}, set())
            assert tx.owners() == {"a", "b"}

    def test_a_lease_holds_from_its_renewal_on_by_the_clock_of_the_database(self, store: Store) -> None:
        with store.transaction() as tx:
            tx.renew("a", place="here", serving=True, seconds=60)
            tx.renew("b", place="there", serving=False, seconds=-1)
        with store.reader() as reader:
            assert reader.leases() == [Lease("a", "here", True, 1, True), Lease("b", "there", False, 1, False)]
        with store.transaction() as tx:
            tx.renew("b", place="here", serving=True, seconds=60)
            tx.end_leases(["a", "none"])
            assert tx.leases() == [Lease("b", "here", True, 2, True)]

    # Together with others.

    def test_who_holds_a_workflow_keeps_it_until_the_transaction_ends(self, make_store: Callable[[], Store]) -> None:
        stores = [make_store(), make_store()]
        with stores[0].transaction() as tx:
            tx.add(a_workflow("w", owner="a"))
        order: list[str] = []

        def work(index: int) -> None:
            if index:
                held.wait()
                with stores[1].transaction() as tx:
                    order.append(f"claimed: {tx.claim('w', 'b', expected='a')}")
            else:
                with stores[0].transaction() as tx:
                    assert tx.hold(["w"], "a") == {"w"}
                    held.set()
                    time.sleep(0.2)  # the other one asks meanwhile
                    order.append("done")

        held = threading.Event()
        in_threads(2, work)
        assert order == ["done", "claimed: True"]
        with stores[0].transaction() as tx:
            assert tx.hold(["w"], "a") == set()

    def test_what_is_serialized_is_done_one_after_the_other(self, make_store: Callable[[], Store]) -> None:
        stores = [make_store(), make_store()]
        inside: list[int] = []

        def work(index: int) -> int:
            with stores[index % 2].transaction() as tx:
                tx.serialize("a name")
                inside.append(index)
                time.sleep(0.01)
                found = len(inside)
                inside.remove(index)
                return found

        assert in_threads(8, work) == [1] * 8

    def test_numbers_of_many_threads_have_no_gaps(self, store: Store) -> None:
        artifact = an_artifact("a")
        with store.transaction() as tx:
            tx.add(artifact)

        def take(_: int) -> list[int]:
            taken = []
            for _ in range(10):
                with store.transaction() as tx:
                    taken.append(tx.next_number(Artifact, artifact.id))
            return taken

        results = in_threads(20, take)
        assert all(numbers == sorted(numbers) for numbers in results)
        assert sorted(chain.from_iterable(results)) == list(range(1, 201))

    def test_many_threads_ensure_one_record(self, store: Store) -> None:
        def ensure(index: int) -> str:
            with store.transaction() as tx:
                return tx.ensure(an_artifact("a", last_number=index), "workspace", "name").id

        ids = in_threads(20, ensure)
        with store.reader() as reader:
            (found,) = reader.find(Query.of(Artifact))
        assert set(ids) == {found.id}

    def test_many_threads_put_one_record(self, store: Store) -> None:
        def put(index: int) -> None:
            with store.transaction() as tx:
                tx.put(a_metadata("k", index), "entity_type", "entity_id", "key")

        in_threads(20, put)
        with store.reader() as reader:
            assert reader.count(Query.of(Metadata)) == 1

    def test_one_of_many_claims(self, make_store: Callable[[], Store]) -> None:
        stores = [make_store(), make_store()]
        with stores[0].transaction() as tx:
            tx.add(a_workflow("w"))

        def claim(index: int) -> bool:
            with stores[index % 2].transaction() as tx:
                return tx.claim("w", f"owner-{index}", expected="")

        won = in_threads(20, claim)
        with stores[1].reader() as reader:
            (row,) = reader.find(Query.of(WorkflowRow))
        assert won.count(True) == 1
        assert row.owner == f"owner-{won.index(True)}"

    def test_readers_and_writers_do_not_disturb_each_other(self, store: Store) -> None:
        def work(index: int) -> None:
            for turn in range(10):
                if index % 2:
                    with store.transaction() as tx:
                        tx.add(*(a_pipeline(f"{index}-{turn}-{number}") for number in range(3)))
                else:
                    with store.reader() as reader:
                        assert reader.count(Query.of(Pipeline)) % 3 == 0

        in_threads(10, work)
        with store.reader() as reader:
            assert reader.count(Query.of(Pipeline)) == 150

    def test_a_model_version_with_its_links(self, store: Store) -> None:
        """The rest of the kinds in one plain use, so that a failure reads easily."""
        model = RegisteredModel(id=new_id(), name="m", card={"licence": "MIT"}, created_at=NOW)
        version = ModelVersion(
            id=new_id(), model_id=model.id, model_name="m", name="1", number=1, stage=ModelStage.STAGING, created_at=NOW
        )
        artifact = ArtifactVersion(
            id=new_id(),
            artifact_id="a",
            name="a",
            version="1",
            number=1,
            type=ArtifactType.MODEL,
            digest="sha256:0",
            uri="u",
            materializer="m:C",
            data_type="builtins.int",
            created_at=NOW,
        )
        link = ModelLink(
            id=new_id(),
            model_version_id=version.id,
            target_type=EntityType.ARTIFACT_VERSION,
            target_id=artifact.id,
            created_at=NOW,
        )
        component = Component(
            id=new_id(), name="c", type=ComponentType.ORCHESTRATOR, flavor="local", configuration={}, created_at=NOW
        )
        with store.transaction() as tx:
            tx.add(model, version, artifact, link, component)
        with store.reader() as reader:
            assert reader.find(Query.of(ModelVersion, model_id=model.id, stage=ModelStage.STAGING)) == [version]
            assert reader.find(Query.of(ModelLink, target_id=artifact.id)) == [link]
            assert reader.find(Query.of(ArtifactVersion, digest="sha256:0")) == [artifact]
            assert reader.find(Query.of(Component, type=ComponentType.ORCHESTRATOR)) == [component]
