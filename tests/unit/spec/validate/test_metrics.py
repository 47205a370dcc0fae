"""Rules for custom metrics. Facts: Argo v4.1, workflow/validate and workflow/metrics."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.spec.validate.manifests import Json, container, errors, workflow


def metric(**more: Any) -> Json:
    return container(metrics={"prometheus": [{"name": "m", "help": "h", "counter": {"value": "1"}} | more]})


METRICS: dict[str, tuple[Json, str]] = {
    "name": (metric(name="a.b"), "metric name 'a.b' is invalid"),
    "label": (metric(labels=[{"key": "a.b", "value": "v"}]), "metric label 'a.b' is invalid"),
    "help": (metric(help=""), "must contain a help string"),
    "realtime": (
        metric(counter=None, gauge={"realtime": True, "value": "{{resourcesDuration.cpu}}"}),
        "'resourcesDuration.*' metrics cannot be used in real-time",
    ),
    "gauge": (metric(counter=None, gauge={"realtime": True}), "missing gauge.value"),
    "counter": (metric(counter={}), "missing counter.value"),
    "histogram": (metric(counter=None, histogram={"buckets": [1]}), "missing histogram.value"),
    "buckets": (metric(counter=None, histogram={"value": "1"}), "must have at least one bucket"),
    "operation": (metric(counter=None, gauge={"value": "1", "operation": "Mul"}), "must be one of: Set, Add, Sub"),
    "nothing": (metric(counter=None), "exactly one of gauge, counter, histogram is required"),
    "when": (metric(when="a = b"), "is not a condition"),
    "variable": (metric(counter={"value": "{{inputs.parameters.x}}"}), "failed to resolve {{inputs.parameters.x}}"),
}


@pytest.mark.parametrize(("template", "phrase"), METRICS.values(), ids=METRICS)
def test_bad_metrics_have_one_error(template: Json, phrase: str) -> None:
    [error] = errors(workflow(template))

    assert error.startswith("templates.work.metrics.prometheus.m") or "a.b" in error
    assert phrase in error
