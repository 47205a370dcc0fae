"""A home with a few records, and the command line on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tiphys._util.canonical import canonical_json
from tiphys._util.ids import new_id
from tiphys._util.times import utc_now
from tiphys.cli.main import main
from tiphys.db.store import open_store
from tiphys.ports.backend import Backend, ModelRequest, NewArtifactVersion
from tiphys.records.artifacts import ArtifactUse, ArtifactVersion
from tiphys.records.base import EntityType
from tiphys.records.runs import ExecutionStatus, Pipeline, Run, StepRun
from tiphys.records.stacks import ComponentType
from tiphys.services.backend import LocalBackend

Invoke = Callable[..., Result]


class World:
    """Makes records as the engine would."""

    def __init__(self, backend: LocalBackend) -> None:
        self.backend = backend
        self.began = datetime(2026, 1, 31, 12, tzinfo=UTC)

    def pipeline(self, name: str) -> Pipeline:
        record = Pipeline(id=new_id(), name=name, created_at=self.began)
        with self.backend.store.transaction() as transaction:
            return transaction.ensure(record, "workspace", "name")

    def run(self, name: str, pipeline: str = "churn", status: str = "completed", **changes: Any) -> Run:
        values: dict[str, Any] = {
            "id": new_id(),
            "name": name,
            "pipeline_id": self.pipeline(pipeline).id,
            "pipeline_name": pipeline,
            "workflow_uid": new_id(),
            "status": ExecutionStatus(status),
            "created_at": utc_now(),
            "started_at": self.began,
            "finished_at": self.began + timedelta(seconds=3),
            **changes,
        }
        run = Run(**values)
        with self.backend.store.transaction() as transaction:
            transaction.add(run)
        return run

    def step(self, run: Run, name: str, status: str = "completed", *, seconds: float = 1.5, **changes: Any) -> StepRun:
        values: dict[str, Any] = {
            "id": new_id(),
            "run_id": run.id,
            "name": name,
            "node_id": f"{run.name}-{name}",
            "status": ExecutionStatus(status),
            "source": f"train:{name}",
            "started_at": self.began,
            "finished_at": self.began + timedelta(seconds=seconds),
            **changes,
        }
        step = StepRun(**values)
        with self.backend.store.transaction() as transaction:
            transaction.add(step)
        return step

    def output(
        self, step: StepRun, name: str, content: bytes, *, artifact: str | None = None, **changes: Any
    ) -> ArtifactVersion:
        store = self.backend.stacks.component(ComponentType.ARTIFACT_STORE)
        tree = store.commit_bytes("data.json", content)  # type: ignore[attr-defined]
        request = NewArtifactVersion(
            name=artifact or f"churn::{step.name}::{name}",
            digest=tree.digest,
            size=tree.size,
            uri=tree.uri,
            store="default",
            materializer="m:M",
            data_type="builtins.int",
            has_custom_name=artifact is not None,
            step_run_id=step.id,
            run_id=step.run_id,
        )
        version = self.backend.artifacts.create_version(replace(request, **changes))
        self.use(step, version, "out", name)
        return version

    def use(self, step: StepRun, version: ArtifactVersion, direction: str, name: str) -> None:
        record = ArtifactUse(
            id=new_id(), step_run_id=step.id, artifact_version_id=version.id, direction=direction, name=name
        )
        with self.backend.store.transaction() as transaction:
            transaction.add(record)

    def metadata(self, entity: EntityType, id: str, **values: Any) -> None:
        self.backend.labels.log_metadata(values, [(entity, id)])

    def model(self, name: str, count: int = 1) -> list[str]:
        return [self.backend.models.ensure_version(ModelRequest(name=name)).id for _ in range(count)]


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[LocalBackend]:
    home = tmp_path / "home"
    home.mkdir()
    made = LocalBackend(open_store(f"sqlite:///{home / 'tiphys.db'}"), home=home)
    yield made
    made.close()


@pytest.fixture
def world(backend: LocalBackend) -> World:
    return World(backend)


def invoking(backend: Backend) -> Invoke:
    """Calls the command line; the exit code must be the expected one (0)."""

    def call(*arguments: str, code: int = 0, input: str | None = None) -> Result:
        result = CliRunner().invoke(main, arguments, obj=backend, input=input, catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result

    return call


@pytest.fixture
def invoke(backend: LocalBackend) -> Invoke:
    """Call the command line."""
    return invoking(backend)


@pytest.fixture
def read(invoke: Invoke) -> Callable[..., Any]:
    """Call with `-o json` and read the answer."""

    def call(*arguments: str) -> Any:
        return json.loads(invoke(*arguments, "-o", "json").stdout)

    return call


@pytest.fixture
def two_runs(world: World) -> Mapping[str, Any]:
    """Two runs of one pipeline that differ in a parameter, code, a metric and an output."""
    found: dict[str, Any] = {}
    for number, rate in ((1, 0.1), (2, 0.2)):
        run = world.run(f"churn-{number}", parameters={"rate": rate, "seed": 7})
        load = world.step(run, "load", "completed" if number == 1 else "cached", code_digest="a" * 64)
        parts = {"code": f"{number}" * 64, "code_parts": {"scale": f"{number}" * 64}, "parameters": {"rate": str(rate)}}
        train = world.step(
            run,
            "train",
            seconds=1.0 * number,
            code_digest=f"{number}" * 64,
            cache_key=f"{number}" * 64,
            cache_parts=canonical_json(parts),
            parameters={"rate": rate},
        )
        if number == 1:
            found["data"] = world.output(load, "output", b"[1]")
        else:
            world.use(load, found["data"], "out", "output")
        world.use(train, found["data"], "in", "data")
        world.output(train, "output", b"%d" % number, artifact="churn_model")
        world.metadata(EntityType.STEP_RUN, train.id, accuracy=0.8 + number / 100, note="text")
        found[run.name] = run
    return found
