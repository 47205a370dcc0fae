"""What the engine's host, the schedules and the log count, under the names of Argo's controller.

Argo's counters whose names have no `_total` are untyped here, as Prometheus' own end so. docs/server.md lists the names
that are left out, and why.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    UnknownMetricFamily,
)
from prometheus_client.registry import Collector

from tiphys._version import __version__
from tiphys.ports.engine_host import COMMIT_BOUNDS, RUNTIME_BOUNDS, HostFigures, TemplateName
from tiphys.server.log_format import LOG_MESSAGES
from tiphys.services.backend import LocalBackend

_PREFIX = "argo_workflows_"
#: Argo's name for the queue of what has happened to workflows; there is no other one here.
_QUEUE = {"queue_name": "workflow_queue"}
#: What is counted elsewhere → what it is.
_COUNTED = {
    "cronworkflows_triggered_total": "Workflows that CronWorkflows started here.",
    "cronworkflows_concurrencypolicy_triggered": "How often a concurrencyPolicy kept a CronWorkflow's workflows few.",
}

#: Labels and a number.
Sample = tuple[Mapping[str, str], float]


class HostMetrics(Collector):
    """Numbers of this process, since it began.

    Args:
        backend: The services.
    """

    def __init__(self, backend: LocalBackend) -> None:
        self._backend = backend

    def collect(self) -> Iterable[Metric]:
        """Now."""
        figures = self._backend.figures()
        yield _gauge("version", "The version that runs.", [({"version": __version__, "platform": _platform()}, 1)])
        # Each replica works; none stands by.
        yield _gauge("is_leader", "Whether it carries workflows out.", [({}, 1)])
        yield from _of_queue(figures)
        yield from _of_workflows(figures)
        yield from self._counted(figures)
        levels = [({"level": level}, count) for level, count in LOG_MESSAGES.read().items()]
        yield _count("log_messages", "Lines of the log.", levels)
        yield GaugeMetricFamily("tiphys_workflows_carried", "Workflows that are carried out here.", figures.workflows)
        yield GaugeMetricFamily("tiphys_tasks_open", "Tasks whose end is awaited here.", figures.tasks)

    def _counted(self, figures: HostFigures) -> Iterator[Metric]:
        counts = self._backend.counts.read()
        for name, told in _COUNTED.items():
            yield _count(name, told, [(dict(one.labels), n) for one, n in counts.items() if one.name == name])
        errors = [({"cause": cause}, n) for cause, n in figures.errors.items()]
        errors += [(dict(one.labels), n) for one, n in counts.items() if one.name == "error_count"]
        yield _count("error_count", "Errors of the controller.", errors)


def _of_queue(figures: HostFigures) -> Iterator[Metric]:
    yield _gauge("queue_depth_gauge", "Events that wait.", [(_QUEUE, figures.queue)])
    yield _count("queue_adds_count", "Events that came.", [(_QUEUE, figures.handled + figures.queue)])
    yield _count("queue_retries", "Batches that were tried again.", [(_QUEUE, figures.errors.get("store", 0))])
    for name in ("queue_longest_running", "queue_unfinished_work"):
        yield _gauge(name, "Seconds since the present batch of events was begun.", [(_QUEUE, figures.busy)])
    worker = {"worker_type": _QUEUE["queue_name"]}
    yield _gauge("workers_busy_count", "Whether it works.", [(worker, int(figures.busy > 0))])
    told = "Seconds that a batch of events and its transaction took."
    for name, labels in (("operation_duration_seconds", {}), ("queue_duration", _QUEUE)):
        yield _histogram(name, told, COMMIT_BOUNDS, [(labels, figures.commits, figures.commit_seconds)])


def _of_workflows(figures: HostFigures) -> Iterator[Metric]:
    for name, told, counts in (
        ("total_count", "Workflows that entered a phase here.", figures.entered),
        ("pods_total_count", "Pods that entered a phase here.", figures.pods),
    ):
        yield _count(name, told, [({"phase": phase, "namespace": where}, n) for (phase, where), n in counts.items()])
    phases = [({"phase": phase}, n) for phase, n in figures.open_pods.items()]
    yield _gauge("pods_gauge", "Pods that have not ended, of workflows that are carried out here.", phases)
    with_pods = {"True": figures.with_pods, "False": figures.workflows - figures.with_pods}
    conditions = [({"type": "PodRunning", "status": status}, n) for status, n in with_pods.items()]
    yield _gauge("workflow_condition", "Workflows that are carried out here, by condition.", conditions)
    yield _count(
        "workflowtemplate_triggered_total",
        "Workflows of a stored template that entered a phase here.",
        [({**_named(template), "phase": phase}, n) for (template, phase), n in figures.of_templates.items()],
    )
    yield _histogram(
        "workflowtemplate_runtime",
        "Seconds that workflows of a stored template ran.",
        RUNTIME_BOUNDS,
        [(_named(template), took.counts, took.seconds) for template, took in figures.runtimes.items()],
    )
    taken = [({"lock_name": key}, n) for key, n in figures.locks_taken.items()]
    yield _count("locks_taken_total", "How often locks were taken here.", taken)


def _named(template: TemplateName) -> dict[str, str]:
    return {
        "name": template.name,
        "namespace": template.namespace,
        "cluster_scope": str(template.is_cluster_scoped).lower(),
    }


def _platform() -> str:
    return f"{platform.system()}/{platform.machine()}".lower()


def _gauge(name: str, told: str, samples: Sequence[Sample]) -> Metric:
    made = Metric(_PREFIX + name, told, "gauge")
    for labels, value in samples:
        made.add_sample(made.name, dict(labels), value)
    return made


def _count(name: str, told: str, samples: Sequence[Sample]) -> Metric:
    full = _PREFIX + name
    if not name.endswith("_total"):
        made: Metric = UnknownMetricFamily(full, told)
    else:
        made = CounterMetricFamily(full, told)
    for labels, value in samples:
        made.add_sample(full, dict(labels), value)
    return made


def _histogram(
    name: str, told: str, bounds: Sequence[float], series: Sequence[tuple[Mapping[str, str], Sequence[int], float]]
) -> Metric:
    """A histogram: of each series its labels, a number for each bound and one for what is above, and the sum."""
    labels = sorted({key for one, _, _ in series for key in one})
    made = HistogramMetricFamily(_PREFIX + name, told, labels=labels)
    for one, counts, total in series:
        buckets = list(zip([*map(str, bounds), "+Inf"], accumulate(counts), strict=True))
        made.add_metric([one[key] for key in labels], buckets=buckets, sum_value=total)
    return made
