"""Keeps the values of custom metrics in the database, and prints them in Prometheus' text format.

A value belongs to a name and a set of labels, as in Argo: all workflows that use both share it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import accumulate, groupby
from math import isnan
from typing import Any

from tiphys._util.canonical import digest_of
from tiphys._util.ids import new_id
from tiphys.errors import ExpressionError
from tiphys.ports.store import Reader, Transaction
from tiphys.records.base import Query
from tiphys.records.metrics import MetricKind, MetricValue
from tiphys.services.workflows.metric_samples import Sample

#: Stands before every name in the text, as before Argo's.
PREFIX = "argo_workflows_"


def add_sample(transaction: Transaction, sample: Sample, *, uid: str, now: datetime) -> None:
    """Add a sample to its series.

    Args:
        transaction: Where it is kept.
        sample: What was measured.
        uid: The workflow that gave it.
        now: The present.

    Raises:
        ExpressionError: the name is that of another kind of metric, or of one with another help or other buckets.
    """
    _expect_same(transaction, sample)
    labels = dict(sample.labels)
    series = transaction.ensure(
        MetricValue(
            id=new_id(),
            name=sample.name,
            key=digest_of(labels),
            kind=sample.kind,
            description=sample.help,
            labels=labels,
            data=_nothing(sample),
            updated_at=now,
        ),
        "name",
        "key",
    )
    # This holds the row until the end of the transaction, and so what is read next stays true.
    transaction.next_number(MetricValue, series.id)
    present = transaction.get(MetricValue, series.id) or series
    transaction.update(
        MetricValue,
        series.id,
        data=_added(present.data, sample),
        workflow_uid=uid if sample.since is not None else None,
        updated_at=now,
    )


def stop_growing(transaction: Transaction, uid: str, finished_at: float) -> None:
    """Fix the gauges that grew with a workflow at what they are at its end, epoch seconds."""
    for series in transaction.find(Query.of(MetricValue, workflow_uid=uid)):
        data = {"value": finished_at - series.data["since"]}
        transaction.update(MetricValue, series.id, data=data, workflow_uid=None)


def _expect_same(reader: Reader, sample: Sample) -> None:
    others = reader.find(Query.of(MetricValue, name=sample.name, limit=1))
    if not others:
        return
    other, start = others[0], f"metric '{sample.name}'"
    if other.kind is not sample.kind:
        raise ExpressionError(f"{start} is a {other.kind} already, and cannot be a {sample.kind}.")
    if other.description != sample.help:
        raise ExpressionError(f"{start} has the help '{other.description}' already, which cannot be changed.")
    if sample.kind is MetricKind.HISTOGRAM and tuple(other.data["buckets"]) != sample.buckets:
        raise ExpressionError(f"{start} has other buckets already, which cannot be changed.")


def _nothing(sample: Sample) -> dict[str, Any]:
    if sample.kind is MetricKind.HISTOGRAM:
        return {"buckets": list(sample.buckets), "counts": [0] * (len(sample.buckets) + 1), "sum": 0.0}
    return {"value": 0.0}


def _added(data: Mapping[str, Any], sample: Sample) -> dict[str, Any]:
    """A series' data with one sample more."""
    if sample.kind is MetricKind.HISTOGRAM:
        counts = list(data["counts"])
        # What is no number compares with none, and is above the last bound.
        place = bisect_left(data["buckets"], sample.value) if not isnan(sample.value) else -1
        counts[place] += 1
        return {**data, "counts": counts, "sum": data["sum"] + sample.value}
    if sample.since is not None:
        return {"since": sample.since}
    before = data.get("value", 0.0)
    if sample.kind is MetricKind.COUNTER or sample.operation == "Add":
        return {"value": before + sample.value}
    return {"value": before - sample.value if sample.operation == "Sub" else sample.value}


def exposition(values: Iterable[MetricValue], now: float) -> str:
    """All values as Prometheus reads them (text format 0.0.4), by name and labels.

    Args:
        values: The series.
        now: The present, epoch seconds, for gauges that grow with time.
    """
    ordered = sorted(values, key=lambda series: (series.name, sorted(series.labels.items())))
    lines: list[str] = []
    for name, group in groupby(ordered, key=lambda series: series.name):
        several = list(group)
        full = PREFIX + name
        lines.append(f"# HELP {full} {_escaped(several[0].description)}")
        lines.append(f"# TYPE {full} {several[0].kind}")
        for series in several:
            lines += _lines(full, series, now)
    return "".join(f"{line}\n" for line in lines)


def _lines(name: str, series: MetricValue, now: float) -> Iterator[str]:
    data = series.data
    if series.kind is not MetricKind.HISTOGRAM:
        value = now - data["since"] if "since" in data else data["value"]
        yield f"{name}{_labels(series.labels)} {_shown(value)}"
        return
    for bound, count in zip([*data["buckets"], float("inf")], accumulate(data["counts"]), strict=True):
        yield f"{name}_bucket{_labels({**series.labels, 'le': _shown(bound)})} {count}"
    yield f"{name}_sum{_labels(series.labels)} {_shown(data['sum'])}"
    yield f"{name}_count{_labels(series.labels)} {sum(data['counts'])}"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_quoted(value)}"' for key, value in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', '\\"')


def _shown(value: float) -> str:
    number = float(value)
    if isnan(number):
        return "NaN"
    if number in (float("inf"), float("-inf")):
        return "+Inf" if number > 0 else "-Inf"
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
