"""`/metrics`: Argo's names for what Argo's controller tells of, and ours for the server itself.

Counters stand in memory; what the database tells is kept some seconds, and each question is answered by an index.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric, UnknownMetricFamily
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from tiphys._util.times import to_epoch, utc_now
from tiphys._version import __version__
from tiphys.engine.model import Phase
from tiphys.ports.engine_host import COMMIT_BOUNDS, HostFigures
from tiphys.records.base import Query
from tiphys.records.metrics import MetricValue
from tiphys.records.runs import ExecutionStatus, Run
from tiphys.records.workflows import WorkflowSummary
from tiphys.server.auth.permissions import Action, needs
from tiphys.services.backend import LocalBackend
from tiphys.services.workflows.metric_store import exposition

#: Seconds that answers of the database are kept.
FRESH = 10.0
_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PHASES = (Phase.PENDING, Phase.RUNNING, Phase.SUCCEEDED, Phase.FAILED, Phase.ERROR)
_LATENCIES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """All that a server can be measured by.

    Args:
        backend: The services.
    """

    def __init__(self, backend: LocalBackend) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self._requests = Counter(
            "tiphys_http_requests", "Requests answered.", ("method", "route", "status"), registry=registry
        )
        self._latency = Histogram(
            "tiphys_http_request_seconds",
            "Seconds until an answer began.",
            ("method", "route"),
            buckets=_LATENCIES,
            registry=registry,
        )
        self._open = Gauge("tiphys_http_requests_open", "Requests that are being answered.", registry=registry)
        self._stored = _Stored(backend)
        registry.register(_Host(backend))
        registry.register(self._stored)

    def begun(self) -> None:
        """A request came."""
        self._open.inc()

    def ended(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered.

        Args:
            method: Its verb.
            route: The path with the names of its parameters: nothing that a client chooses.
            status: The answer's.
            seconds: Until the answer began.
        """
        self._open.dec()
        self._requests.labels(method, route, str(status)).inc()
        self._latency.labels(method, route).observe(seconds)

    def text(self) -> str:
        """All of them, as Prometheus reads them."""
        ours = generate_latest(self._registry).decode()
        return ours + exposition(self._stored.custom(), to_epoch(utc_now()))


def metrics(request: Request) -> Response:
    """GET /metrics. They name workspaces, so who asks needs a role in one."""
    needs("metrics", Action.READ)(request)
    text: str = request.app.state.metrics.text()
    return Response(text, media_type=_TYPE)


class _Host(Collector):
    """What the engine's host counts; counters under Argo's names are untyped, as Prometheus' own end in `_total`."""

    def __init__(self, backend: LocalBackend) -> None:
        self._backend = backend

    def collect(self) -> Iterable[Metric]:
        """Now."""
        figures = self._backend.figures()
        version = GaugeMetricFamily("argo_workflows_version", "The version that runs.", labels=("version",))
        version.add_metric((__version__,), 1)
        yield version
        depth = GaugeMetricFamily("argo_workflows_queue_depth_gauge", "Events that wait.", labels=("queue_name",))
        depth.add_metric(("workflow_queue",), figures.queue)
        yield depth
        busy = GaugeMetricFamily("argo_workflows_workers_busy_count", "Whether it works.", labels=("worker_type",))
        busy.add_metric(("workflow_queue",), int(figures.busy > 0))
        yield busy
        errors = UnknownMetricFamily("argo_workflows_error_count", "Errors of the controller.", labels=("cause",))
        for cause, count in figures.errors.items():
            errors.add_metric((cause,), count)
        yield errors
        ended = UnknownMetricFamily(
            "argo_workflows_total_count", "Workflows that ended here.", labels=("phase", "namespace")
        )
        for labels, count in figures.ended.items():
            ended.add_metric(labels, count)
        yield ended
        yield _durations(figures)
        yield GaugeMetricFamily("tiphys_workflows_carried", "Workflows that are carried out here.", figures.workflows)
        yield GaugeMetricFamily("tiphys_tasks_open", "Tasks whose end is awaited here.", figures.tasks)


def _durations(figures: HostFigures) -> Metric:
    bounds = [*map(str, COMMIT_BOUNDS), "+Inf"]
    counts = accumulate(figures.commits)
    return HistogramMetricFamily(
        "argo_workflows_operation_duration_seconds",
        "Seconds that a batch of events and its transaction took.",
        buckets=list(zip(bounds, counts, strict=True)),
        sum_value=figures.commit_seconds,
    )


class _Stored(Collector):
    """What the database knows, as it was at most some seconds ago."""

    def __init__(self, backend: LocalBackend) -> None:
        self._backend = backend
        self._lock = threading.Lock()
        self._known: tuple[list[Metric], list[MetricValue]] = ([], [])
        self._until = 0.0

    def collect(self) -> Iterable[Metric]:
        """Numbers of workflows and runs, and how long the database took to tell them."""
        return self._fresh()[0]

    def custom(self) -> list[MetricValue]:
        """Values of the custom metrics of workflows."""
        return self._fresh()[1]

    def _fresh(self) -> tuple[list[Metric], list[MetricValue]]:
        with self._lock:
            if time.monotonic() >= self._until:
                self._known = list(self._asked()), self._backend.find(Query.of(MetricValue))
                self._until = time.monotonic() + FRESH
            return self._known

    def _asked(self) -> Iterator[Metric]:
        count = self._backend.count
        start = time.monotonic()
        workflows = GaugeMetricFamily("argo_workflows_gauge", "Workflows in the database.", labels=("phase",))
        for phase in _PHASES:
            workflows.add_metric((phase,), count(Query.of(WorkflowSummary, phase=phase.value)))
        yield workflows
        runs = GaugeMetricFamily("tiphys_runs", "Runs in the database.", labels=("status",))
        for status in ExecutionStatus:
            runs.add_metric((status.value,), count(Query.of(Run, status=status.value)))
        yield runs
        took = time.monotonic() - start
        yield GaugeMetricFamily("tiphys_database_seconds", "Seconds that counting what is stored took.", took)
