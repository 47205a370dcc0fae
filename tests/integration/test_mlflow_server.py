"""A stack with an MLflow tracker, against a real tracking server."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tiphys import pipeline, step
from tiphys.errors import RunFailedError
from tiphys.integrations.mlflow.library import MlflowClient, mlflow
from tiphys.integrations.mlflow.process import start_detached
from tiphys.records.stacks import ComponentType
from tiphys.sdk.client import Client
from tiphys.sdk.session import current_backend

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_mlflow_database: Path) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_mlflow_database, folder / "mlflow.db")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = start_detached(
        [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
            *("--artifacts-destination", str(folder / "artifacts")),
        ],
        environment={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        log=folder / "log",
        descriptors=[],
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while not answers(url):
            assert process.is_alive(), (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.1)
        yield url
    finally:
        process.end(5)


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}/health", timeout=5).close()
    except (urllib.error.URLError, OSError):
        return False
    return True


@step(experiment_tracker="tracker")
def train(fail: bool) -> float:
    mlflow.log_metric("rmse", 0.5)
    mlflow.log_text("notes", "notes.txt")
    if fail:
        raise ValueError("no convergence")
    return 0.5


@pipeline
def tracked(fail: bool = False) -> None:
    train(fail)


def use_tracker(url: str) -> None:
    stacks = current_backend().stacks
    stacks.register_component(ComponentType.EXPERIMENT_TRACKER, "tracker", "mlflow", {"tracking_uri": url})
    stacks.register("tracking", {ComponentType.EXPERIMENT_TRACKER: ["tracker"]}, activate=True)


def test_from_a_step_to_its_page_and_back(server: str) -> None:
    use_tracker(server)
    run = tracked()
    metadata = run.steps["train"].run_metadata
    found = MlflowClient(server).get_run(metadata["mlflow_run_id"])
    assert found.info.status == "FINISHED"
    assert found.data.metrics == {"rmse": 0.5}
    assert found.data.tags["tiphys.step_run_id"] == run.steps["train"].id
    assert found.data.tags["tiphys.run_name"] == run.name
    page = f"{server}/#/experiments/{found.info.experiment_id}/runs/{found.info.run_id}"
    assert metadata["mlflow_run_url"] == page
    assert [file.path for file in MlflowClient(server).list_artifacts(found.info.run_id)] == ["notes.txt"]

    # A result from the cache keeps its link, and makes no new MLflow run.
    again = tracked()
    assert str(again.steps["train"].status) == "cached"
    assert again.steps["train"].run_metadata["mlflow_run_url"] == page
    assert len(MlflowClient(server).search_runs([found.info.experiment_id])) == 2


def test_a_step_that_fails(server: str) -> None:
    use_tracker(server)
    with pytest.raises(RunFailedError, match="no convergence"):
        tracked(fail=True)
    metadata = Client().list_pipeline_runs()[0].steps["train"].run_metadata
    assert MlflowClient(server).get_run(metadata["mlflow_run_id"]).info.status == "FAILED"
    assert mlflow.active_run() is None
