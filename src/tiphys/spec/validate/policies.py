"""Policies of a template or workflow: retries, locks, memoization, metrics.

(Semantics: Argo, workflow/validate, workflow/metrics `ValidateMetricValues`, workflow/sync.)
"""

from __future__ import annotations

from tiphys.spec.base import Loose
from tiphys.spec.template import Memoize, Metrics, Prometheus, RetryStrategy, Synchronization
from tiphys.spec.validate.conditions import check_when
from tiphys.spec.validate.findings import Findings, Place
from tiphys.spec.validate.names import is_metric_name
from tiphys.spec.validate.references import check_expression
from tiphys.spec.validate.scope import Scope
from tiphys.spec.validate.values import check_duration, check_resources, check_whole, check_word

_RETRY_POLICIES = ("Always", "OnFailure", "OnError", "OnTransientError")
#: Variables of a further attempt.
RETRY_VARIABLES = ("retries", "lastRetry.exitCode", "lastRetry.status", "lastRetry.duration", "lastRetry.message")


def check_retry(strategy: RetryStrategy | None, scope: Scope, place: Place, findings: Findings) -> None:
    """A retry strategy; `scope` holds the variables of attempts."""
    if strategy is None:
        return
    check_word(strategy.retry_policy, _RETRY_POLICIES, place.field("retryPolicy"), findings)
    check_whole(strategy.limit, place.field("limit"), findings, least=0)
    check_expression(strategy.expression, scope, place.field("expression"), findings)
    backoff = strategy.backoff
    if backoff is not None:
        at = place.field("backoff")
        if not backoff.duration:
            findings.error(at.field("duration"), "is required")
        check_duration(backoff.duration, at.field("duration"), findings)
        check_duration(backoff.max_duration, at.field("maxDuration"), findings)
        check_duration(backoff.cap, at.field("cap"), findings)
        check_whole(backoff.factor, at.field("factor"), findings, least=1)


def check_synchronization(locks: Synchronization | None, place: Place, findings: Findings) -> None:
    """Every lock says which."""
    for number, mutex in enumerate((locks and locks.mutexes) or ()):
        if not mutex.name:
            findings.error(place.item("mutexes", number), "name is required")
    for number, semaphore in enumerate((locks and locks.semaphores) or ()):
        at = place.item("semaphores", number)
        config_map = semaphore.config_map_key_ref
        if (config_map is None) == (semaphore.database is None):
            findings.error(at, "exactly one of configMapKeyRef and database is required")
        if config_map is not None and not (config_map.name and config_map.key):
            findings.error(at.field("configMapKeyRef"), "name and key are required")
        if semaphore.database is not None and not semaphore.database.key:
            findings.error(at.field("database", "key"), "is required")


def check_memoize(memoize: Memoize | None, place: Place, findings: Findings) -> None:
    """A memo has a key and a place."""
    if memoize is None:
        return
    if not memoize.key:
        findings.error(place.field("key"), "is required")
    config_map = memoize.cache.config_map if memoize.cache else None
    if config_map is None or not config_map.name:
        findings.error(place.field("cache", "configMap", "name"), "is required")
    check_duration(memoize.max_age, place.field("maxAge"), findings, unit=True)


def check_metrics(metrics: Metrics | None, place: Place, findings: Findings) -> None:
    """Custom metrics are such as Prometheus takes."""
    for number, metric in enumerate((metrics and metrics.prometheus) or ()):
        _check_metric(metric, place.item("prometheus", number, metric.name), findings)


def _check_metric(metric: Prometheus, place: Place, findings: Findings) -> None:
    if not is_metric_name(metric.name or ""):
        findings.error(
            place,
            f"metric name '{metric.name or ''}' is invalid. Metric names must contain alphanumeric characters or '_'",
        )
    for number, label in enumerate(metric.labels or ()):
        if not is_metric_name(label.key or ""):
            findings.error(
                place.item("labels", number),
                f"metric label '{label.key or ''}' is invalid: keys may only contain alphanumeric characters or '_'",
            )
    if not metric.help:
        findings.error(place, f"metric '{metric.name or ''}' must contain a help string under 'help: ' field")
    check_when(metric.when, place.field("when"), findings)
    _check_metric_value(metric, place, findings)


def _check_metric_value(metric: Prometheus, place: Place, findings: Findings) -> None:
    kinds = {"gauge": metric.gauge, "counter": metric.counter, "histogram": metric.histogram}
    given = {name: kind for name, kind in kinds.items() if kind is not None}
    if len(given) != 1:
        findings.error(place, "exactly one of gauge, counter, histogram is required")
    for name, kind in given.items():
        if not kind.value:
            findings.error(place.field(name), f"missing {name}.value")
    gauge = metric.gauge
    if gauge is not None:
        if gauge.realtime and "resourcesDuration." in (gauge.value or ""):
            findings.error(place.field("gauge"), "'resourcesDuration.*' metrics cannot be used in real-time")
        check_word(gauge.operation, ("Set", "Add", "Sub"), place.field("gauge", "operation"), findings)
    if metric.histogram is not None and not metric.histogram.buckets:
        findings.error(place.field("histogram", "buckets"), "must have at least one bucket")


def check_pod_resources(resources: Loose | None, place: Place, findings: Findings) -> None:
    """What a whole pod may ask for: processors, memory and huge pages, and no claims."""
    if resources is None:
        return
    if resources.get("claims"):
        findings.error(place.field("claims"), "is not supported for pod-level resources")
    for kind in ("limits", "requests"):
        amounts = resources.get(kind)
        for name in amounts if isinstance(amounts, dict) else ():
            if name not in ("cpu", "memory") and not name.startswith("hugepages-"):
                findings.error(
                    place,
                    f'"{name}" is not a valid pod-level resource, only cpu, memory and hugepages-* are supported',
                )
    check_resources(resources, place, findings)
