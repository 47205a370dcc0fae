"""`artifact gc` beside runs: what a version points to stays, and so does what a running step has just stored."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tiphys import Client, load_artifact, pipeline, save_artifact, step
from tiphys.sdk.session import current_backend
from tiphys.services.artifacts import CLOCK_STEP, ArtifactService

#: What is older than the file system's clock may be behind here is not kept for its age; seconds.
NO_GRACE = 0.02 - CLOCK_STEP


class Collector(threading.Thread):
    """Removes garbage all the time, however young."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.rounds = 0
        self.error: BaseException | None = None
        self._end = threading.Event()

    def run(self) -> None:
        artifacts = current_backend().artifacts
        assert isinstance(artifacts, ArtifactService)
        try:
            while not self._end.is_set():
                artifacts.gc(dry_run=False, grace=NO_GRACE)
                self.rounds += 1
        except BaseException as error:  # noqa: BLE001  # asserted below
            self.error = error

    def end(self) -> None:
        self._end.set()
        self.join()
        assert self.error is None
        assert self.rounds > 0


@pytest.fixture
def collector() -> Iterator[None]:
    current_backend()
    collector = Collector()
    collector.start()
    yield
    collector.end()


@step(enable_cache=False)
def produce(number: int) -> tuple[np.ndarray, dict[str, int], Path]:
    print(f"step {number}")
    folder = Path(f"files-{number}")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("a", "b"):
        (folder / name).write_text(f"{name} {number}")
        time.sleep(0.01)
    return np.full(10, number), {"number": number}, folder


@step(enable_cache=False)
def consume(array: np.ndarray, values: dict[str, int], folder: Path) -> int:
    time.sleep(0.02)
    return int(array[0]) + values["number"] + len((folder / "a").read_text())


@pytest.mark.parametrize("runner", ["inline", "process"])
@pytest.mark.usefixtures("collector")
def test_what_runs_store_is_never_removed(runner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    @pipeline(runner=runner, enable_cache=False)
    def p() -> None:
        for number in range(4):
            consume(*produce(number))

    runs = [p() for _ in range(2)]
    assert [str(run.status) for run in runs] == ["completed"] * 2
    versions = Client().list_artifact_versions(size=1000)
    assert len(versions) == 2 * 4 * 4
    for version in versions:
        version.load()
    for run in runs:
        assert run.steps["produce"].logs() == ["step 0"]


@pytest.mark.usefixtures("collector")
def test_equal_data_that_is_stored_again_while_it_is_removed() -> None:
    """The data is garbage, then a run stores it again: it must be there when its version is."""

    @step(enable_cache=False)
    def again() -> dict[str, Any]:
        return {"always": "the same"}

    @pipeline
    def p() -> None:
        again()

    for _ in range(60):
        run = p()
        version = run.steps["again"].output
        assert version.load() == {"always": "the same"}
        Client().delete_pipeline_run(run.name)
        Client().delete_artifact_version(version.id)


def test_garbage_goes_and_the_rest_stays() -> None:
    kept, gone = save_artifact([1], "kept"), save_artifact([2], "gone")
    Client().delete_artifact_version("gone")
    time.sleep(0.03)
    artifacts = current_backend().artifacts
    assert [digest for digest, _ in artifacts.gc(dry_run=True, grace=NO_GRACE)] == [gone.digest]
    assert artifacts.gc(dry_run=True) == []
    assert [digest for digest, _ in artifacts.gc(dry_run=False, grace=NO_GRACE)] == [gone.digest]
    assert artifacts.gc(dry_run=False, grace=NO_GRACE) == []
    assert not Path(gone.uri).exists()
    assert load_artifact("kept") == [1]
    assert Path(kept.uri).exists()
