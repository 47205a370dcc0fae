"""What every metadata store must do for the engine, also among others that do the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiphys._util.ids import new_id
from tiphys.engine.commands import Cancel, Launch
from tiphys.engine.model import Node, Phase, Values, WorkflowState
from tiphys.errors import NotFoundError, UsageError
from tiphys.ports.store import Lease, Reader, Store, WorkflowBatch
from tiphys.records.artifacts import Artifact, ArtifactType, ArtifactVersion
from tiphys.records.base import EntityType, Operator, Query, Where
from tiphys.records.models import ModelLink, ModelStage, ModelVersion, RegisteredModel
from tiphys.records.objects import StoredObject
from tiphys.records.runs import Metadata, Pipeline
from tiphys.records.stacks import Component, ComponentType
from tiphys.records.workflows import WorkflowRow, WorkflowSummary
from tiphys.testing.store_samples import NODES, NOW, a_metadata, a_node, a_pipeline, a_workflow, an_artifact
from tiphys.testing.store_tools import PROPERTY, in_threads, undone


class WorkflowContract:
    """Tests of workflows, their owners, and of many threads and stores at once."""

    # Workflows.

    @settings(PROPERTY, max_examples=25)
    @given(nodes=st.lists(NODES, max_size=3, unique_by=lambda node: node.id))
    def test_any_nodes_come_back_equal(self, store: Store, nodes: list[Node]) -> None:
        with undone(store) as tx:
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
