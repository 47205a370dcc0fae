"""What happens together is written together: several reports in one batch of the controller."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiphys.controller.work import Orders, Work
from tiphys.db.store import open_store
from tiphys.engine.events import WorkflowStarted
from tiphys.ports.clock import SystemClock
from tiphys.records.base import Query
from tiphys.records.runs import StepRun
from tiphys.sdk.compiler.run import request_of
from tiphys.sdk.config import ExecutionMode
from tiphys.sdk.pipeline import pipeline
from tiphys.sdk.step import step
from tiphys.services.backend import LocalBackend
from tiphys.services.recorder import MLRecorder
from tiphys.testing.fake_runner import FAILURE, SUCCESS, FakeRunner, report_of
from tiphys.testing.playing import IdleHost


@pytest.mark.parametrize("mode", [ExecutionMode.FAIL_FAST, ExecutionMode.STOP_ON_FAILURE])
def test_a_step_that_is_launched_and_cancelled_in_one_batch_never_was(tmp_path: Path, mode: ExecutionMode) -> None:
    @step
    def work(number: int) -> int:
        return number

    @pipeline(execution_mode=mode, enable_cache=False, parallelism=2)
    def three() -> None:
        for number in range(3):
            work(number)

    store = open_store(f"sqlite:///{tmp_path / 'tiphys.db'}")
    backend = LocalBackend(store, home=tmp_path, host=IdleHost())
    recorder = MLRecorder(backend)
    run = backend.runs.submit(request_of(three.compile()))
    with store.transaction() as transaction:
        stored = transaction.load_workflow(run.workflow_uid)
        assert stored is not None
        taken = Work.restore(stored, FakeRunner(), transaction, SystemClock())
        first = Orders()
        taken.handle(WorkflowStarted(), transaction, recorder, first)
        taken.commit(transaction, recorder)
    with store.transaction() as transaction:
        second = Orders()
        for task, outcome in zip(first.launch, (SUCCESS, FAILURE), strict=True):
            taken.handle(report_of(task, outcome), transaction, recorder, second)
        taken.commit(transaction, recorder)
        left = transaction.load_workflow(run.workflow_uid)
    assert left is not None
    assert left.outbox == [] or mode is ExecutionMode.STOP_ON_FAILURE
    names = {found.name: str(found.status) for found in backend.find(Query.of(StepRun, run_id=run.id))}
    if mode is ExecutionMode.FAIL_FAST:
        assert second.launch == []
        assert names == {"work": "completed", "work_2": "failed"}
        assert str(backend.runs.get(run.id).status) == "failed"
    else:
        assert [task.step_name for task in second.launch] == ["work_3"]
        assert names == {"work": "completed", "work_2": "failed", "work_3": "running"}
    backend.close()
