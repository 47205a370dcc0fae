"""Port: experiment trackers, registries, deployers and validators: what a stack's ML components can do."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tiphys.ports.component import StackComponent
from tiphys.records.stacks import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class StepInfo:
    """Where a step stands, for components that are called around it."""

    pipeline_name: str
    run_name: str
    run_id: str
    step_name: str
    step_run_id: str
    tags: tuple[str, ...] = ()
    #: The component's settings of this step (`settings={"experiment_tracker": {…}}`).
    settings: Mapping[str, Any] = field(default_factory=dict)


class ExperimentTracker(StackComponent):
    """Receives metrics and parameters; opened and closed around each step that names it."""

    @abstractmethod
    def start(self, step: StepInfo) -> dict[str, Any]:
        """Begin to track `step`; returns metadata for the step run (links to the tracker's run)."""

    @abstractmethod
    def end(self, step: StepInfo, *, failed: bool) -> None:
        """The step ended."""


class ModelDeployer(StackComponent):
    """Serves models. What it started is described by `Service` records, which the caller keeps."""

    @abstractmethod
    def deploy(self, service: Service, model: Any, *, timeout: float) -> Service:
        """Start to serve `model` and wait until it answers; returns the record with its `state` filled in.

        Raises:
            StepTimeoutError: it did not answer in `timeout` seconds (what was started is stopped again).
        """

    @abstractmethod
    def start(self, service: Service, *, timeout: float) -> Service:
        """Start a stopped service again."""

    @abstractmethod
    def stop(self, service: Service, *, timeout: float) -> Service:
        """End it; one that does not run is left as it is."""

    @abstractmethod
    def is_running(self, service: Service) -> bool:
        """Whether it answers."""

    @abstractmethod
    def prediction_url(self, service: Service) -> str | None:
        """Where predictions are asked for, if it runs."""

    @abstractmethod
    def logs(self, service: Service, *, follow: bool = False) -> Iterator[str]:
        """Lines of its log."""


class ModelRegistry(StackComponent):
    """A catalogue of models outside of Tiphys."""

    @abstractmethod
    def register(self, name: str, model: Any, *, description: str, metadata: Mapping[str, Any]) -> str:
        """Register a version of a model; returns the version."""

    @abstractmethod
    def versions(self, name: str) -> list[Mapping[str, Any]]:
        """Versions of a model, newest first: {version, stage, description, uri, created_at}."""

    @abstractmethod
    def load(self, name: str, version: str) -> Any:
        """Load the model of a version."""
