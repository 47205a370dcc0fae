"""Workspaces of one server: what one has is not there for the others, by the services and by the API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.contract.served import client_of, served
from tiphys._util.ids import new_id
from tiphys._util.times import utc_now
from tiphys.client.connection import Connection
from tiphys.db.store import open_store
from tiphys.engine.model import Phase
from tiphys.errors import InvariantError, NotFoundError, UsageError
from tiphys.integrations.local.artifact_store import LocalArtifactStore
from tiphys.ports.backend import Backend, ModelRequest, TagRequest
from tiphys.ports.wire import API, OF_WORKSPACE
from tiphys.records.artifacts import Artifact, ArtifactVersion
from tiphys.records.base import EntityType, Query, Record
from tiphys.records.models import ModelStage, ModelVersion
from tiphys.records.queue import QueuedWorkflow
from tiphys.records.runs import Metadata, Pipeline, Run, StepRun
from tiphys.records.stacks import ComponentType
from tiphys.records.synchronization import LockLimit
from tiphys.records.tags import TagRecord
from tiphys.services.backend import LocalBackend
from tiphys.services.recorder import MLRecorder
from tiphys.testing.backend_contract import a_config_map, a_version
from tiphys.testing.playing import IdleHost, Played, a_request, step_body

KINDS = sorted(OF_WORKSPACE.items())


@dataclass
class World:
    whole: LocalBackend
    #: The workspace that has everything.
    owner: Backend
    #: One that has a run of the same name, and nothing else of its own.
    other: Backend
    run: Run
    step: StepRun
    version: ArtifactVersion
    model_version: ModelVersion

    def everything(self) -> dict[str, list[Record]]:
        return {name: self.whole.find(Query(kind, order="id")) for name, kind in KINDS}


def fill(whole: LocalBackend, workspace: str) -> Played:
    backend = whole.in_workspace(workspace)
    request = a_request(run_name="first", model=ModelRequest(name="m"), tags=(TagRequest(name="t"),))
    played = Played(backend, whole.store, MLRecorder(whole), request)
    played.execute(step_body("load"), values={"output": [1, 2]})
    played.state(Phase.SUCCEEDED)
    backend.labels.log_metadata({"k": 1}, [(EntityType.RUN, played.run.id)])
    uid = played.run.workflow_uid
    with whole.store.transaction() as transaction:
        transaction.add(QueuedWorkflow(id=new_id(), workflow_uid=uid, workspace=workspace, created_at=utc_now()))
    return played


@pytest.fixture(params=["sqlite_url", "postgres_url"])
def whole(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalBackend]:
    url = request.getfixturevalue(request.param)
    backend = LocalBackend(open_store(url), home=tmp_path / "home", db_url=url, host=IdleHost())
    yield backend
    backend.close()


@pytest.fixture(params=["services", "api"])
def world(request: pytest.FixtureRequest, whole: LocalBackend, tmp_path: Path) -> Iterator[World]:
    played = fill(whole, "mine")
    fill(whole, "theirs")
    mine = whole.in_workspace("mine")
    (step,) = mine.runs.steps(played.run.id)
    (version,) = mine.find(Query.of(ArtifactVersion))
    with ExitStack() as stack:
        owner: Backend = mine
        other: Backend = whole.in_workspace("theirs")
        if request.param == "api":
            connection = Connection(stack.enter_context(served(whole)))
            stack.callback(connection.close)
            owner = client_of(connection, tmp_path, workspace="mine")
            other = client_of(connection, tmp_path, workspace="theirs")
        yield World(whole, owner, other, played.run, step, version, mine.models.get_version("m"))


def test_each_sees_its_own_records_and_no_others(world: World) -> None:
    everything = world.everything()
    for name, kind in KINDS:
        mine, theirs = world.owner.find(Query(kind, order="id")), world.other.find(Query(kind, order="id"))
        assert mine, name
        assert theirs, name
        assert sorted(one.id for one in (*mine, *theirs)) == [one.id for one in everything[name]], name
        assert not {one.id for one in mine} & {one.id for one in theirs}
        assert (world.owner.count(Query(kind)), world.other.count(Query(kind))) == (len(mine), len(theirs))
        assert world.other.find(Query.of(kind, id=[one.id for one in mine])) == []
        assert world.owner.find(Query(kind, limit=1, order="id")) == mine[:1]


def test_ids_of_another_workspace_are_not_there(world: World) -> None:
    run, version, model = world.run.id, world.version.id, world.model_version
    labels = world.other.labels
    before = world.everything()
    refused: list[Callable[[], Any]] = [
        lambda: world.other.runs.get(run),
        lambda: world.other.runs.get(run[:30]),
        lambda: world.other.runs.steps(run),
        lambda: world.other.runs.nodes(run),
        lambda: list(world.other.runs.logs(run)),
        lambda: world.other.runs.stop(run),
        lambda: world.other.runs.delete(run),
        lambda: world.other.artifacts.get_version(version),
        lambda: world.other.artifacts.get_version(version[:30]),
        lambda: world.other.artifacts.create_version(a_version(run_id=run)),
        lambda: world.other.artifacts.create_version(a_version(step_run_id=world.step.id)),
        lambda: world.other.models.get(model.model_id),
        lambda: world.other.models.get_version("m", model.id),
        lambda: world.other.models.set_stage(model.id, ModelStage.PRODUCTION),
        lambda: world.other.models.link(model.id, EntityType.RUN, [run]),
        lambda: world.other.models.link(world.other.models.get_version("m").id, EntityType.RUN, [run]),
        lambda: world.other.models.delete_version(model.id),
        lambda: world.other.models.delete(model.model_id),
        lambda: labels.log_metadata({"k": 2}, [(EntityType.RUN, run)]),
        lambda: labels.log_metadata({"k": 2}, [(EntityType.STEP_RUN, world.step.id)]),
        lambda: labels.add_tags([TagRequest(name="t")], EntityType.RUN, run),
        lambda: labels.remove_tags(["t"], EntityType.RUN, run),
    ]
    for ask in refused:
        with pytest.raises(NotFoundError):
            ask()
    assert world.other.artifacts.delete_versions([version]) == 0
    assert labels.metadata_of(EntityType.RUN, [run]) == {run: {}}
    assert labels.tags_of(EntityType.RUN, [run]) == {run: []}
    assert world.everything() == before


def test_names_are_looked_up_in_ones_own_workspace(world: World) -> None:
    assert world.owner.runs.get("first") == world.run
    assert world.other.runs.get("first").id != world.run.id
    assert world.other.models.get("m").id != world.owner.models.get("m").id
    world.other.labels.delete_tag("t")
    assert world.owner.labels.tags_of(EntityType.RUN, [world.run.id]) == {world.run.id: ["t"]}
    assert [tag.name for tag in world.owner.find(Query.of(TagRecord))] == ["t"]
    assert world.other.find(Query.of(Pipeline, name="p"))[0].workspace == "theirs"


def test_stacks_are_the_same_for_all(world: World) -> None:
    assert world.owner.stacks.active() == world.other.stacks.active()


def test_data_of_other_workspaces_is_in_use(whole: LocalBackend) -> None:
    fill(whole, "mine")
    store = whole.stacks.component(ComponentType.ARTIFACT_STORE)
    assert isinstance(store, LocalArtifactStore)
    orphan = store.commit_bytes("data.json", b"nobody's")
    removed = whole.in_workspace("theirs").artifacts.gc(dry_run=True, grace=-60.0)
    assert [digest for digest, _ in removed] == [orphan.digest]


def test_metadata_of_schedules_is_found_by_its_namespace(whole: LocalBackend) -> None:
    made = whole.objects.in_namespace("mine").create(a_config_map())
    entity = (EntityType.SCHEDULE, made["metadata"]["uid"])
    whole.in_workspace("mine").labels.log_metadata({"k": 1}, [entity])
    assert whole.in_workspace("mine").count(Query.of(Metadata)) == 1
    assert whole.in_workspace("theirs").count(Query.of(Metadata)) == 0


def test_an_id_of_another_workspace_is_answered_as_one_that_never_was(whole: LocalBackend) -> None:
    fill(whole, "mine")
    with served(whole) as url:
        connection = Connection(url)
        for name, kind in KINDS:
            record = whole.in_workspace("mine").find(Query(kind, limit=1))[0]
            assert connection.ask("GET", f"{API}/workspaces/mine/{name}/{record.id}")["id"] == record.id
            with pytest.raises(NotFoundError, match=record.id):
                connection.ask("GET", f"{API}/workspaces/theirs/{name}/{record.id}")
            with pytest.raises(NotFoundError, match=record.id):
                connection.ask("GET", f"{API}/workspaces/theirs/{name}", query={"after": record.id})
        connection.close()


def test_what_belongs_to_no_workspace_is_not_asked_for_in_one(whole: LocalBackend) -> None:
    for ask in (whole.in_workspace("mine").find, whole.in_workspace("mine").count):
        with pytest.raises(UsageError, match="A LockLimit belongs to no workspace"):
            ask(Query(LockLimit))


def test_records_of_another_workspace_are_neither_written_nor_removed(whole: LocalBackend) -> None:
    run = fill(whole, "mine").run
    with whole.in_workspace("theirs").store.transaction() as transaction:
        with pytest.raises(InvariantError):
            transaction.add(replace(run, id="new", name="new"))
        with pytest.raises(NotFoundError):
            transaction.update(Run, run.id, name="new")
        with pytest.raises(NotFoundError):
            transaction.next_number(Artifact, whole.find(Query.of(Artifact))[0].id)
        assert transaction.delete(Run, [run.id]) == 0
        assert transaction.delete_found(Query.of(StepRun, run_id=run.id)) == 0
        assert transaction.delete_found(Query(Metadata)) == 0
    assert whole.runs.get(run.id) == run
    assert (whole.count(Query(StepRun)), whole.count(Query(Metadata))) == (1, 1)
