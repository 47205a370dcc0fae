"""The MLflow tracker on a SQLite file, and against servers that do not do as they should."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from sklearn.linear_model import Lasso, Ridge

from tiphys.errors import ServiceError, StackError
from tiphys.integrations.mlflow.config import MLflowTrackerConfig
from tiphys.integrations.mlflow.library import MlflowClient, mlflow
from tiphys.integrations.mlflow.tracker import MLflowTracker
from tiphys.testing.tracker_contract import TrackerContract, step_info

#: MLflow's autologging calls what scikit-learn and pandas have deprecated.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def clean_mlflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(os.environ, "MLFLOW_TRACKING_URI", "")
    monkeypatch.setitem(os.environ, "MLFLOW_EXPERIMENT_ID", "")
    yield
    while mlflow.active_run() is not None:
        mlflow.end_run()


@pytest.fixture
def config(tmp_path: Path, empty_mlflow_database: Path) -> MLflowTrackerConfig:
    shutil.copy(empty_mlflow_database, tmp_path)
    return MLflowTrackerConfig(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")


@pytest.fixture
def tracker(config: MLflowTrackerConfig) -> MLflowTracker:
    return MLflowTracker(name="mlflow", config=config)


@pytest.fixture
def client(config: MLflowTrackerConfig) -> MlflowClient:
    return MlflowClient(tracking_uri=config.uri)


class TestMLflowTracker(TrackerContract):
    @pytest.fixture(autouse=True)
    def _client(self, client: MlflowClient) -> None:
        self.client = client

    def log(self, key: str, value: float) -> None:
        mlflow.log_metric(key, value)

    def logged(self, metadata: dict[str, Any]) -> dict[str, float]:
        return dict(self.client.get_run(metadata["mlflow_run_id"]).data.metrics)

    def status(self, metadata: dict[str, Any]) -> str:
        return str(self.client.get_run(metadata["mlflow_run_id"]).info.status).lower()

    def is_active(self) -> bool:
        return mlflow.active_run() is not None


def test_a_run_for_the_pipeline_and_one_for_each_step(tracker: MLflowTracker, client: MlflowClient) -> None:
    found = {}
    for name in ("train", "evaluate"):
        info = step_info(name, tags=("nightly",), settings={"tags": {"team": "blue"}})
        found[name] = tracker.start(info)
        tracker.end(info, failed=name == "evaluate")

    experiment = client.get_experiment_by_name("training")
    assert experiment.experiment_id == found["train"]["mlflow_experiment_id"]
    assert "mlflow_run_url" not in found["train"]
    runs = client.search_runs([experiment.experiment_id])
    parent = next(run for run in runs if run.data.tags["tiphys.kind"] == "run")
    assert parent.info.run_name == "training-1"
    assert parent.info.status == "FAILED"
    steps = {run.info.run_name: run for run in runs if run is not parent}
    assert {name: run.info.run_id for name, run in steps.items()} == {
        name: metadata["mlflow_run_id"] for name, metadata in found.items()
    }
    tags = steps["train"].data.tags
    assert tags["mlflow.parentRunId"] == parent.info.run_id
    assert (tags["tiphys.run_id"], tags["tiphys.step_name"], tags["team"]) == ("run-1", "train", "blue")
    assert tags["tiphys.tags"] == "nightly"


def test_a_second_attempt_makes_the_pipeline_run_good(tracker: MLflowTracker, client: MlflowClient) -> None:
    for failed in (True, False):
        info = step_info("train")
        metadata = tracker.start(info)
        tracker.end(info, failed=failed)
    parent = client.get_run(metadata["mlflow_run_id"]).data.tags["mlflow.parentRunId"]
    assert client.get_run(parent).info.status == "FINISHED"


def test_flat_logging_into_the_pipelines_run(tracker: MLflowTracker, client: MlflowClient) -> None:
    ids = set()
    for name in ("train", "evaluate"):
        info = step_info(name, settings={"nested": False, "experiment_name": "flat"})
        ids.add(tracker.start(info)["mlflow_run_id"])
        mlflow.log_metric(name, 1)
        tracker.end(info, failed=False)
    (only,) = ids
    assert set(client.get_run(only).data.metrics) == {"train", "evaluate"}
    assert client.get_run(only).info.status == "FINISHED"
    assert [run.info.run_id for run in client.search_runs([client.get_experiment_by_name("flat").experiment_id])] == [
        only
    ]


def test_what_the_step_leaves_open_is_ended_and_an_outer_run_is_not(
    tracker: MLflowTracker, client: MlflowClient, config: MLflowTrackerConfig, tmp_path: Path
) -> None:
    mlflow.set_tracking_uri(config.uri)
    outer = mlflow.start_run(
        experiment_id=client.create_experiment("own", artifact_location=(tmp_path / "own").as_uri())
    )
    info = step_info("train")
    metadata = tracker.start(info)
    inner = mlflow.start_run(nested=True)
    tracker.end(info, failed=True)
    active = mlflow.active_run()
    assert active is not None
    assert active.info.run_id == outer.info.run_id
    assert client.get_run(inner.info.run_id).info.status == "FAILED"
    assert client.get_run(metadata["mlflow_run_id"]).info.status == "FAILED"


def test_a_step_that_ends_its_run_itself(tracker: MLflowTracker, client: MlflowClient) -> None:
    info = step_info("train")
    metadata = tracker.start(info)
    mlflow.end_run()
    tracker.end(info, failed=True)
    assert client.get_run(metadata["mlflow_run_id"]).info.status == "FAILED"


def test_files_are_kept_beside_the_database(tracker: MLflowTracker, tmp_path: Path) -> None:
    info = step_info("train")
    tracker.start(info)
    mlflow.log_text("hello", "note.txt")
    tracker.end(info, failed=False)
    (kept,) = (tmp_path / "artifacts").rglob("note.txt")
    assert kept.read_text() == "hello"


def test_models_are_logged_by_themselves_while_a_step_is_tracked(tracker: MLflowTracker, client: MlflowClient) -> None:
    info = step_info("train")
    metadata = tracker.start(info)
    Ridge(alpha=0.25).fit([[0.0], [1.0]], [0.0, 1.0])
    tracker.end(info, failed=False)
    run = client.get_run(metadata["mlflow_run_id"])
    assert run.data.params["alpha"] == "0.25"
    assert "training_mean_squared_error" in run.data.metrics

    before = len(client.search_runs([metadata["mlflow_experiment_id"], "0"]))
    Ridge().fit([[0.0], [1.0]], [0.0, 1.0])
    assert len(client.search_runs([metadata["mlflow_experiment_id"], "0"])) == before

    info = step_info("train", settings={"autolog": False})
    metadata = tracker.start(info)
    Ridge().fit([[0.0], [1.0]], [0.0, 1.0])
    tracker.end(info, failed=False)
    assert client.get_run(metadata["mlflow_run_id"]).data.params == {}


def test_models_that_are_fitted_at_the_same_time_are_all_logged(tracker: MLflowTracker, client: MlflowClient) -> None:
    barrier = Barrier(3)

    def work(alpha: float) -> str:
        info = step_info(f"train_{alpha}")
        metadata = tracker.start(info)
        barrier.wait()
        Lasso(alpha=alpha).fit([[0.0], [1.0]] * 1000, [0.0, 1.0] * 1000)
        barrier.wait()
        tracker.end(info, failed=False)
        return str(client.get_run(metadata["mlflow_run_id"]).data.params["alpha"])

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(work, [0.5, 0.25, 0.125])) == ["0.5", "0.25", "0.125"]


def test_imports_in_another_thread_do_not_stop_a_tracked_step(tracker: MLflowTracker) -> None:
    """MLflow's own hook for later imports makes two threads wait for each other."""
    done = threading.Event()

    def import_things() -> None:
        while not done.is_set():
            sys.modules.pop("this_module_does_not_exist", None)
            try:
                __import__("this_module_does_not_exist")
            except ImportError:
                continue

    def track() -> None:
        for number in range(5):
            info = step_info(f"train_{number}")
            tracker.start(info)
            tracker.end(info, failed=False)
        done.set()

    threads = [threading.Thread(target=work, daemon=True) for work in (import_things, track)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def test_a_server_that_is_down(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    config = MLflowTrackerConfig(tracking_uri=f"http://me:secret@127.0.0.1:{port}")
    with pytest.raises(ServiceError, match=rf"No MLflow tracking server answers at http://127\.0\.0\.1:{port}:"):
        MLflowTracker(name="mlflow", config=config).start(step_info("train"))


class _Refusing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(403)
        self.end_headers()
        self.wfile.write(b"you shall not pass")

    do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_a_server_that_refuses() -> None:
    with HTTPServer(("127.0.0.1", 0), _Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        config = MLflowTrackerConfig(tracking_uri=f"http://127.0.0.1:{server.server_port}", token="t0ken")
        with pytest.raises(ServiceError, match=r"experiment tracker 'remote'\) refused: .*you shall not pass"):
            MLflowTracker(name="remote", config=config).start(step_info("train"))
        server.shutdown()
    assert mlflow.active_run() is None
    assert os.environ.pop("MLFLOW_TRACKING_TOKEN") == "t0ken"


def test_wrong_settings(tracker: MLflowTracker) -> None:
    with pytest.raises(StackError, match="experiment"):
        tracker.start(step_info("train", settings={"experiment": "x"}))


def test_a_deleted_experiment(tracker: MLflowTracker, client: MlflowClient) -> None:
    info = step_info("train")
    metadata = tracker.start(info)
    tracker.end(info, failed=False)
    client.delete_experiment(metadata["mlflow_experiment_id"])
    with pytest.raises(ServiceError, match="'training' was deleted"):
        tracker.start(step_info("train"))
