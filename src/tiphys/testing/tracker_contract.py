"""What every experiment tracker has to do, as tests: derive from `TrackerContract` and give the fixtures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any

from tiphys._util.ids import new_id
from tiphys.ports.ml_components import ExperimentTracker, StepInfo


def step_info(name: str, **changes: Any) -> StepInfo:
    """A step of one run."""
    info = StepInfo(
        pipeline_name="training", run_name="training-1", run_id="run-1", step_name=name, step_run_id=new_id()
    )
    return replace(info, **changes)


class TrackerContract(ABC):
    """Derive, implement the methods, and give a fixture `tracker`."""

    @abstractmethod
    def log(self, key: str, value: float) -> None:
        """What a user's step calls to log a metric."""

    @abstractmethod
    def logged(self, metadata: dict[str, Any]) -> dict[str, float]:
        """The metrics of the tracker's run to which the metadata of `start` lead."""

    @abstractmethod
    def status(self, metadata: dict[str, Any]) -> str:
        """Say running, finished or failed."""

    @abstractmethod
    def is_active(self) -> bool:
        """Whether something that is logged now in this thread would go into a run."""

    def test_a_step_is_tracked(self, tracker: ExperimentTracker) -> None:
        info = step_info("train")
        metadata = tracker.start(info)
        self.log("rmse", 1.5)
        assert self.status(metadata) == "running"
        tracker.end(info, failed=False)
        assert self.logged(metadata) == {"rmse": 1.5}
        assert self.status(metadata) == "finished"
        assert not self.is_active()

    def test_a_failed_step(self, tracker: ExperimentTracker) -> None:
        info = step_info("train")
        metadata = tracker.start(info)
        tracker.end(info, failed=True)
        assert self.status(metadata) == "failed"
        assert not self.is_active()

    def test_parallel_steps_do_not_mix(self, tracker: ExperimentTracker) -> None:
        barrier = Barrier(3)

        def work(number: int) -> dict[str, Any]:
            info = step_info(f"train_{number}")
            metadata = tracker.start(info)
            barrier.wait()
            self.log("number", number)
            barrier.wait()
            tracker.end(info, failed=False)
            return metadata

        with ThreadPoolExecutor(3) as threads:
            found = list(threads.map(work, range(3)))
        assert [self.logged(metadata) for metadata in found] == [{"number": number} for number in range(3)]

    def test_the_end_of_a_step_that_never_began(self, tracker: ExperimentTracker) -> None:
        tracker.end(step_info("train"), failed=False)
        assert not self.is_active()
