"""Tracks steps in MLflow: one run for each pipeline run, and below it one for each step.

From a step run to MLflow: its metadata `mlflow_run_id`, `mlflow_experiment_id` and, on a server, `mlflow_run_url`.
Back: the MLflow run's tags `tiphys.run_id`, `tiphys.run_name`, `tiphys.step_name`, `tiphys.step_run_id`.

MLflow's stack of active runs belongs to a thread, so parallel steps keep apart. Its tracking URI, its active experiment
and its autologging belong to the process: steps that run at the same time have to agree in them.
"""

from __future__ import annotations

import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tiphys._util.ids import dns_name
from tiphys.errors import ServiceError
from tiphys.integrations.mlflow.autologging import Autologging
from tiphys.integrations.mlflow.config import MLflowTrackerConfig, MLflowTrackerSettings, public_uri
from tiphys.integrations.mlflow.library import MlflowClient, MlflowException, mlflow
from tiphys.ports.ml_components import ExperimentTracker, StepInfo

_PARENT_TAG = "mlflow.parentRunId"
_KIND_TAG = "tiphys.kind"
_RUN_TAG = "tiphys.run_id"
_REMEMBERED = 500


@dataclass(slots=True)
class _PipelineRun:
    """What this process knows of the MLflow run of a pipeline run."""

    mlflow_id: str
    #: Steps that are tracked in it now.
    open_steps: int = 0
    #: Step name → whether its last attempt failed.
    failed: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Tracked:
    """A step between `start` and `end`."""

    uri: str
    mlflow_id: str
    pipeline_run: _PipelineRun
    autolog: bool
    thread: int
    #: MLflow run that was active in the thread before.
    outer: str | None


class _Process:
    """What all trackers of this process share, because MLflow has it once a process."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        #: (tracking URI, experiment id, pipeline run id) → its MLflow run; the latest ones.
        self.pipeline_runs: dict[tuple[str, str, str], _PipelineRun] = {}
        #: Tracking URIs of servers that answered once.
        self.reached: set[str] = set()
        self.autologging = Autologging()

    def remember(self, uri: str, experiment: str, run_id: str, run: _PipelineRun) -> None:
        """Keep `run`, and forget an old one if there are many."""
        self.pipeline_runs[uri, experiment, run_id] = run
        if len(self.pipeline_runs) > _REMEMBERED:
            oldest = next((key for key, known in self.pipeline_runs.items() if not known.open_steps), None)
            if oldest is not None:
                del self.pipeline_runs[oldest]


_process = _Process()


class MLflowTracker(ExperimentTracker):
    """Opens an MLflow run around each step that names the tracker; `mlflow.log_…` in the step goes there."""

    config: MLflowTrackerConfig

    def __init__(self, *, name: str, config: MLflowTrackerConfig) -> None:
        super().__init__(name=name, config=config)
        self._tracked: dict[str, _Tracked] = {}

    def start(self, step: StepInfo) -> dict[str, Any]:
        """Make the step's MLflow run the active one of this thread.

        Raises:
            ServiceError: the tracking server does not answer or refuses.
            StackError: the step's settings are wrong.
        """
        settings = self.config.settings_of(step.settings)
        uri = self.config.uri
        with self._errors_explained(uri), _process.lock:
            self._use(uri)
            client = MlflowClient(tracking_uri=uri)
            experiment = self._experiment(client, uri, settings.experiment_name or step.pipeline_name)
            mlflow.set_experiment(experiment_id=experiment)
            pipeline_run = self._pipeline_run(client, uri, experiment, step)
            outer = mlflow.active_run()
            run = self._open(settings, experiment, pipeline_run, step)
            pipeline_run.open_steps += 1
            if settings.autolog:
                _process.autologging.begin(log_models=settings.autolog_models)
        self._tracked[step.step_run_id] = _Tracked(
            uri,
            run.info.run_id,
            pipeline_run,
            settings.autolog,
            threading.get_ident(),
            outer.info.run_id if outer is not None else None,
        )
        links = {"mlflow_run_id": run.info.run_id, "mlflow_experiment_id": experiment}
        links["mlflow_tracking_uri"] = public_uri(uri)
        if uri.startswith(("http://", "https://")):
            page = f"{public_uri(uri).rstrip('/')}/#/experiments/{experiment}/runs/{run.info.run_id}"
            links["mlflow_run_url"] = page
        return links

    def end(self, step: StepInfo, *, failed: bool) -> None:
        """End the step's MLflow run, and the runs that the step left open in it.

        Raises:
            ServiceError: the tracking server does not answer or refuses.
        """
        tracked = self._tracked.pop(step.step_run_id, None)
        if tracked is None:
            return
        status = "FAILED" if failed else "FINISHED"
        with self._errors_explained(tracked.uri), _process.lock:
            if tracked.autolog:
                _process.autologging.end()
            client = MlflowClient(tracking_uri=tracked.uri)
            if tracked.thread == threading.get_ident():
                while (active := mlflow.active_run()) is not None and active.info.run_id != tracked.outer:
                    mlflow.end_run(status)
            pipeline_run = tracked.pipeline_run
            pipeline_run.open_steps -= 1
            pipeline_run.failed[step.step_name] = failed
            if tracked.mlflow_id != pipeline_run.mlflow_id:
                client.set_terminated(tracked.mlflow_id, status)
            if pipeline_run.open_steps:
                client.update_run(pipeline_run.mlflow_id, status="RUNNING")
            else:
                any_failed = any(pipeline_run.failed.values())
                client.set_terminated(pipeline_run.mlflow_id, "FAILED" if any_failed else "FINISHED")

    def _use(self, uri: str) -> None:
        """Point this process's MLflow to `uri`."""
        os.environ.update(self.config.environment())
        if uri not in _process.reached:
            _require_answer(uri)
            _process.reached.add(uri)
        mlflow.set_tracking_uri(uri)

    def _experiment(self, client: MlflowClient, uri: str, name: str) -> str:
        found = client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(client.create_experiment(name, artifact_location=self._artifact_location(uri, name)))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = client.get_experiment_by_name(name)
        if found is None or found.lifecycle_stage == "deleted":
            raise ServiceError(
                f"The MLflow experiment '{name}' was deleted on {public_uri(uri)}.",
                hint="Restore it with 'mlflow experiments restore', or set another 'experiment_name'.",
            )
        return str(found.experiment_id)

    def _artifact_location(self, uri: str, experiment: str) -> str | None:
        if self.config.artifact_location is not None:
            return self.config.artifact_location
        if not uri.startswith("sqlite:///"):
            return None
        # Where MLflow is not told, it writes below the working directory.
        database = Path(uri.removeprefix("sqlite:///")).absolute()
        return (database.parent / "artifacts" / dns_name(experiment)).as_uri()

    def _pipeline_run(self, client: MlflowClient, uri: str, experiment: str, step: StepInfo) -> _PipelineRun:
        """The MLflow run of the pipeline run: one for all processes that its steps run in."""
        known = _process.pipeline_runs.get((uri, experiment, step.run_id))
        if known is None:
            known = _PipelineRun(self._find_or_create(client, experiment, step))
            _process.remember(uri, experiment, step.run_id, known)
        if not known.open_steps:
            client.update_run(known.mlflow_id, status="RUNNING")
        return known

    def _find_or_create(self, client: MlflowClient, experiment: str, step: StepInfo) -> str:
        condition = f"tags.`{_RUN_TAG}` = '{step.run_id}' and tags.`{_KIND_TAG}` = 'run'"

        def found() -> list[str]:
            order = ["attributes.start_time ASC", "attributes.run_id ASC"]
            return [run.info.run_id for run in client.search_runs([experiment], condition, order_by=order)]

        before = found()
        if before:
            return before[0]
        created = client.create_run(
            experiment,
            run_name=step.run_name,
            tags={
                _RUN_TAG: step.run_id,
                _KIND_TAG: "run",
                "tiphys.run_name": step.run_name,
                "tiphys.pipeline_name": step.pipeline_name,
            },
        ).info.run_id
        # A step in another process may have done the same: all agree on the oldest.
        chosen = found()[0]
        if chosen != created:
            client.delete_run(created)
        return str(chosen)

    def _open(
        self, settings: MLflowTrackerSettings, experiment: str, pipeline_run: _PipelineRun, step: StepInfo
    ) -> mlflow.ActiveRun:
        if not settings.nested:
            return mlflow.start_run(run_id=pipeline_run.mlflow_id, nested=True, tags=dict(settings.tags) or None)
        return mlflow.start_run(
            experiment_id=experiment,
            run_name=step.step_name,
            nested=True,
            tags={
                _PARENT_TAG: pipeline_run.mlflow_id,
                _KIND_TAG: "step",
                _RUN_TAG: step.run_id,
                "tiphys.run_name": step.run_name,
                "tiphys.pipeline_name": step.pipeline_name,
                "tiphys.step_name": step.step_name,
                "tiphys.step_run_id": step.step_run_id,
                **({"tiphys.tags": ",".join(step.tags)} if step.tags else {}),
                **settings.tags,
            },
        )

    @contextmanager
    def _errors_explained(self, uri: str) -> Iterator[None]:
        try:
            yield
        except MlflowException as error:
            raise ServiceError(
                f"MLflow at {public_uri(uri)} (experiment tracker '{self.name}') refused: {error}",
                hint="Check the tracker's configuration and the server's log.",
            ) from error


def _require_answer(uri: str) -> None:
    """MLflow itself would try a server that is down for minutes."""
    if not uri.startswith(("http://", "https://")):
        return
    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=10).close()  # noqa: S310  http or https
    except urllib.error.HTTPError:
        return
    except (urllib.error.URLError, OSError) as error:
        raise ServiceError(
            f"No MLflow tracking server answers at {public_uri(uri)}: {getattr(error, 'reason', error)}.",
            hint="Start it, or correct the tracker's 'tracking_uri'.",
        ) from error
