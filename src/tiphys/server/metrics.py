"""`/metrics`: Argo's names for what Argo's controller tells of, and ours for the server itself.

Counters stand in memory; what the database tells is kept some seconds, and each question is answered by an index.
"""

from __future__ import annotations

import threading
import time
from collections import Counter as Numbers
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from tiphys._util.times import to_epoch, utc_now
from tiphys.engine.model import Phase
from tiphys.records.base import Query
from tiphys.records.metrics import MetricValue
from tiphys.records.runs import ExecutionStatus, Run
from tiphys.records.synchronization import LockClaim
from tiphys.records.workflows import WorkflowSummary
from tiphys.server.auth.permissions import Action, needs
from tiphys.server.host_metrics import HostMetrics
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
        registry.register(HostMetrics(backend))
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
        for name, told, granted in (
            ("held", "Holders of locks.", True),
            ("pending", "Holders that wait for locks.", False),
        ):
            locks = GaugeMetricFamily(f"argo_workflows_locks_{name}", told, labels=("lock_name",))
            claims = Numbers(claim.key for claim in self._backend.find(Query.of(LockClaim, granted=granted)))
            for key, number in claims.items():
                locks.add_metric((key,), number)
            yield locks
        took = time.monotonic() - start
        yield GaugeMetricFamily("tiphys_database_seconds", "Seconds that counting what is stored took.", took)
