"""What one custom metric says at one moment: its texts filled in, its condition looked at, its value read.

Semantics: Argo, workflow/controller/operator.go `computeMetrics` and workflow/metrics/metrics_custom.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tiphys.engine import expressions
from tiphys.errors import ExpressionError
from tiphys.lang import tags, when
from tiphys.records.metrics import MetricKind
from tiphys.spec.template import Counter, Gauge, Histogram, Prometheus
from tiphys.spec.validate.names import is_metric_name

#: A number as Go's strconv.ParseFloat reads it, but for hexadecimal ones.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|[+-]?inf(?:inity)?|nan", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What metrics may refer to at the moment at which they are looked at."""

    #: Values by dotted names.
    variables: Mapping[str, str]
    #: Of what grows with time the moment from which on it counts, epoch seconds; of what has ended nothing.
    growing: Mapping[str, float]
    #: Epoch seconds.
    now: float
    #: Tells the randomness of its expressions from that of others.
    seed: str

    def fill(self, text: str) -> str:
        """A text with its tags replaced.

        Raises:
            ExpressionError: one stands for nothing.
        """
        return tags.parse(text).fill(self.variables.get, self._evaluate)

    def _evaluate(self, source: str) -> str:
        return expressions.evaluate_text(source, self.variables, now=self.now, seed=self.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A value for one series of a metric."""

    name: str
    kind: MetricKind
    help: str
    labels: Mapping[str, str] = field(default_factory=dict)
    value: float = 0.0
    #: Of a gauge: "Set", "Add" or "Sub".
    operation: str = "Set"
    #: Of a histogram: the upper bounds, ascending.
    buckets: tuple[float, ...] = ()
    #: Of a gauge that grows with time: from when on it counts, epoch seconds.
    since: float | None = None


def is_realtime(metric: Prometheus) -> bool:
    """Whether a metric is a gauge that grows with time."""
    return metric.gauge is not None and bool(metric.gauge.realtime)


def sample_of(metric: Prometheus, moment: Moment) -> Sample | None:
    """What a metric says; None if its condition does not hold.

    Raises:
        ExpressionError: it cannot be told; the message names the metric.
    """
    try:
        return _sample_of(metric, moment)
    except ExpressionError as error:
        raise ExpressionError(f"metric '{metric.name or ''}': {error.message}", hint=error.hint) from error


def _sample_of(metric: Prometheus, moment: Moment) -> Sample | None:
    if not metric.help:
        raise ExpressionError("it must contain a help string under 'help'.")
    name = moment.fill(metric.name or "")
    labels = {moment.fill(label.key or ""): moment.fill(label.value or "") for label in metric.labels or ()}
    for found in (name, *labels):
        if not is_metric_name(found):
            raise ExpressionError(f"'{found}' is no name: only letters, digits and '_' can stand in one.")
    if not when.evaluate(moment.fill(metric.when or "")):
        return None
    kind, given = _kind(metric)
    value, since = _realtime(given.value or "", moment) if is_realtime(metric) else (_number(given, moment), None)
    return Sample(
        name=name,
        kind=kind,
        help=moment.fill(metric.help),
        labels=labels,
        value=value,
        operation=(metric.gauge.operation if metric.gauge is not None else None) or "Set",
        buckets=tuple(sorted(metric.histogram.buckets or ())) if metric.histogram is not None else (),
        since=since,
    )


def _kind(metric: Prometheus) -> tuple[MetricKind, Gauge | Counter | Histogram]:
    if metric.gauge is not None:
        return MetricKind.GAUGE, metric.gauge
    if metric.histogram is not None:
        return MetricKind.HISTOGRAM, metric.histogram
    if metric.counter is not None:
        return MetricKind.COUNTER, metric.counter
    raise ExpressionError("one of gauge, counter and histogram is needed.")


def _number(given: Gauge | Counter | Histogram, moment: Moment) -> float:
    text = moment.fill(given.value or "")
    if not _NUMBER.fullmatch(text):
        raise ExpressionError(f"its value '{given.value}' gives '{text[:100]}', which is no number.")
    return float(text)


def _realtime(value: str, moment: Moment) -> tuple[float, float | None]:
    """The value now, and from when on it counts if it still grows."""
    name = tags.parse(value).single
    if name is None:
        raise ExpressionError("a realtime gauge can only have a variable as its value.")
    since = moment.growing.get(name)
    if since is not None:
        return moment.now - since, since
    if name not in ("duration", "workflow.duration"):
        raise ExpressionError(f"'{name}' is not available as a realtime metric.")
    return float(moment.variables[name]), None
