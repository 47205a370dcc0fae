"""Custom metrics of workflows: one value for each name and set of labels, whichever workflow gave it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from tiphys.records.base import Record


class MetricKind(StrEnum):
    """What a metric's value means, as Prometheus has it."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricValue(Record):
    """One series of a metric; unique by name and key."""

    name: str
    #: Digest of the labels.
    key: str
    kind: MetricKind
    #: What Prometheus calls the help; one for all series of a name.
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    #: {value}; of a gauge that grows with time {since: epoch seconds}; of a histogram {buckets, counts, sum}, a count
    #: being that of its bucket alone, and one more standing for what is above the last.
    data: Mapping[str, Any] = field(default_factory=dict)
    #: How many samples it was given; raising it holds the row, so that two processes do not lose each other's samples.
    last_number: int = 0
    #: Of a gauge that grows with time: the workflow at whose end it stops.
    workflow_uid: str | None = None
    updated_at: datetime
