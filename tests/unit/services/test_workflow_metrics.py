"""Custom metrics of workflows, as the engine carries them out: what is looked at when, and what is kept and printed."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tiphys._util.times import from_epoch, utc_now
from tiphys.cli.argo.metrics import metrics
from tiphys.cli.argo.printing import head_text
from tiphys.controller.work import Orders, Work
from tiphys.engine.events import ShutdownRequested, TaskFinished, TimerFired, WorkflowStarted
from tiphys.engine.model import Phase, Values
from tiphys.errors import ExpressionError, SpecError, StoreError
from tiphys.ports.clock import Clock
from tiphys.ports.workflows import SubmitOptions
from tiphys.records.base import Query
from tiphys.records.metrics import MetricKind, MetricValue
from tiphys.records.workflows import WorkflowRow
from tiphys.services.recorder import MLRecorder
from tiphys.services.workflows.metric_samples import Moment, sample_of
from tiphys.services.workflows.metric_store import exposition
from tiphys.spec.template import Prometheus

BEGAN = 1_750_000_000.0


def gauge(name="g", value="1", *, labels=None, when=None, **fields):
    return metric(name, {"gauge": {"value": value, **fields}}, labels=labels, when=when)


def counter(name="c", value="1", *, labels=None, when=None):
    return metric(name, {"counter": {"value": value}}, labels=labels, when=when)


def histogram(name="h", value="1", *, buckets=(1, 5)):
    return metric(name, {"histogram": {"value": value, "buckets": list(buckets)}})


def metric(name, kind, *, labels=None, when=None, help="what it is"):
    made = {"name": name, "help": help, **kind}
    if labels:
        made["labels"] = [{"key": key, "value": value} for key, value in labels.items()]
    return made | ({"when": when} if when else {})


def pod(*metrics, name="main", **fields):
    measured = {"metrics": {"prometheus": list(metrics)}} if metrics else {}
    return {"name": name, "container": {"image": "busybox", "command": ["true"]}, **measured, **fields}


class Flow:
    """A workflow that the engine carries out; its pods end when a test says so."""

    def __init__(self, backend, recorder, *templates, name="w", **spec):
        self.backend, self.recorder = backend, recorder
        made = backend.workflows.submit(
            {"spec": {"entrypoint": templates[0]["name"], "templates": list(templates), **spec}},
            SubmitOptions(name=name),
        )
        self.uid = made["metadata"]["uid"]
        self.tasks = {}
        self._take_up()
        self.tell(WorkflowStarted(), 0)

    def _take_up(self):
        with self.backend.store.transaction() as transaction:
            stored = transaction.load_workflow(self.uid)
            self.work = Work.restore(stored, None, transaction, self.recorder._clock)

    def crash(self):
        """Another process, which knows what is stored, goes on."""
        self.recorder = MLRecorder(self.backend, clock=self.recorder._clock)
        self._take_up()

    def tell(self, event, at):
        orders = Orders()
        self.recorder._clock.moment = BEGAN + at
        with self.backend.store.transaction() as transaction:
            self.work.handle(event, transaction, self.recorder, orders)
            self.work.commit(transaction, self.recorder)
        self.tasks |= {task.name: task.id for task in orders.launch}
        return orders

    def finish(self, name="", at=1, phase=Phase.SUCCEEDED, **outputs):
        """End a task; without a name the one that was launched last."""
        name = name or list(self.tasks)[-1]
        values = Values(**outputs) if outputs else None
        return self.tell(TaskFinished(self.tasks[name], phase, outputs=values), at)

    def condition(self, type):
        found = self.backend.workflows.get("", uid=self.uid)["status"].get("conditions") or ()
        return next((one["message"] for one in found if one["type"] == type), None)


class Watch(Clock):
    """A clock that tests set."""

    moment = BEGAN

    def now(self):
        return self.moment


@pytest.fixture
def start(backend):
    return lambda *templates, **spec: Flow(backend, MLRecorder(backend, clock=Watch()), *templates, **spec)


@pytest.fixture
def values(backend):
    """What the metrics say: `name{label="value"}` → number, as printed."""

    def read(at=100.0):
        text = exposition(backend.find(Query.of(MetricValue)), BEGAN + at)
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        return {
            line.rpartition(" ")[0].removeprefix("argo_workflows_"): float(line.rpartition(" ")[2]) for line in lines
        }

    return read


# What a node's metrics may say


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{{duration}}", 3.0),
        ("{{outputs.parameters.rows}}", 12.0),
        ("{{outputs.result}}", 7.0),
        ("{{exitCode}}", 0.0),
        ("{{inputs.parameters.size}}", 5.0),
        ("{{workflow.parameters.scale}}", 40.0),
        ("{{workflow.duration}}", 3.0),
        ("{{retries}}", 0.0),
        ("{{resourcesDuration.cpu}}", 6.0),
        ("{{resourcesDuration.memory}}", 3.0),
        ("{{=asInt(outputs.parameters.rows) * 2}}", 24.0),
        ("1.5e1", 15.0),
        ("-.5", -0.5),
        ("+Inf", math.inf),
    ],
)
def test_a_node_tells_its_variables_when_it_ends(start, values, value, expected):
    template = pod(
        gauge("g", value, labels={"phase": "{{status}}", "of": "{{workflow.name}}"}),
        inputs={"parameters": [{"name": "size", "default": "5"}]},
        outputs={"parameters": [{"name": "rows", "valueFrom": {"path": "/rows"}}]},
    )
    template["container"]["resources"] = {"requests": {"cpu": 2}}
    flow = start(template, arguments={"parameters": [{"name": "scale", "value": "40"}]})
    assert values() == {}
    flow.finish(at=3, parameters={"rows": "12"}, result="7", exit_code=0)
    assert values() == {'g{phase="Succeeded",of="w"}': expected}
    assert flow.condition("MetricsError") is None


@pytest.mark.parametrize(
    ("operation", "given", "expected"),
    [("Set", ["5", "2"], 2.0), ("Add", ["5", "2"], 7.0), ("Sub", ["5", "2"], -7.0), (None, ["5", "2"], 2.0)],
)
def test_a_gauge_is_set_raised_or_lowered(start, values, operation, given, expected):
    fields = {"operation": operation} if operation else {}
    for number, value in enumerate(given):
        start(pod(gauge("g", value, **fields)), name=f"w{number}").finish()
    assert values() == {"g": expected}


def test_workflows_share_a_counter_by_name_and_labels(start, values):
    for number, (label, value) in enumerate([("a", "1"), ("b", "2"), ("a", "3.5")]):
        start(pod(counter("c", value, labels={"l": label})), name=f"w{number}").finish()
    assert values() == {'c{l="a"}': 4.5, 'c{l="b"}': 2.0}


def test_a_histogram_counts_into_its_buckets(start, values):
    for number, value in enumerate(["0.5", "1", "3", "9"]):
        start(pod(histogram("h", value)), name=f"w{number}").finish()
    assert values() == {
        'h_bucket{le="1"}': 2.0,
        'h_bucket{le="5"}': 3.0,
        'h_bucket{le="+Inf"}': 4.0,
        "h_sum": 13.5,
        "h_count": 4.0,
    }


def test_a_condition_is_looked_at_after_its_tags_are_filled(start, values):
    template = pod(
        counter("failed", when="{{status}} == Failed"),
        counter("slow", when="{{duration}} > 2"),
        counter("fine", when="{{status}} == Succeeded"),
    )
    start(template).finish(at=1)
    assert values() == {"fine": 1.0}


# Which nodes


def loop(**fields):
    return {
        "name": "loop",
        "dag": {"tasks": [{"name": "t", "template": "main", "withItems": [1, 2, 3], **fields}]},
        "metrics": {"prometheus": [counter("loops", "{{duration}}", labels={"status": "{{status}}"})]},
    }


def test_each_item_of_a_loop_counts_and_the_loop_itself_once(start, values):
    flow = start(loop(), pod(counter()))
    for number, name in enumerate(sorted(flow.tasks), 1):
        flow.finish(name, number)
    assert values() == {"c": 3.0, 'loops{status="Succeeded"}': 3.0}


def test_skipped_nodes_do_not_count(start, values):
    dag = {"name": "d", "dag": {"tasks": [{"name": "a", "template": "main", "when": "1 == 2"}]}}
    start(dag, pod(counter()))
    assert values() == {}


def test_failed_attempts_count_and_the_last_one_through_its_retry_node(start, values):
    template = pod(
        counter("c", labels={"status": "{{status}}", "retries": "{{retries}}"}),
        retryStrategy={"limit": 2, "retryPolicy": "Always"},
    )
    flow = start(template)
    flow.finish(at=1, phase=Phase.FAILED)
    assert values() == {'c{status="Failed",retries="0"}': 1.0}
    flow.finish(at=2)
    assert values() == {'c{status="Failed",retries="0"}': 1.0, 'c{status="Succeeded",retries="1"}': 1.0}


@pytest.mark.parametrize("kind", ["steps", "inline", "defaults", "hook", "reference"])
def test_metrics_are_found_wherever_a_template_stands(backend, start, values, kind):
    leaf, spec = pod(counter()), {}
    templates = [{"name": "d", "dag": {"tasks": [{"name": "a", "template": "main"}]}}, leaf]
    if kind == "steps":
        templates[0] = {"name": "d", "steps": [[{"name": "a", "template": "inner"}]]}
        templates.append({"name": "inner", "steps": [[{"name": "b", "template": "main", "withItems": [1]}]]})
    elif kind == "inline":
        inline = {key: value for key, value in leaf.items() if key != "name"}
        templates = [{"name": "d", "dag": {"tasks": [{"name": "a", "inline": inline}]}}]
    elif kind == "defaults":
        templates = [pod()]
        spec = {"templateDefaults": {"metrics": leaf["metrics"]}}
    elif kind == "hook":
        templates = [pod(), pod(counter(), name="bye")]
        spec = {"onExit": "bye"}
    else:
        stored = {"entrypoint": "main", "templates": [leaf]}
        backend.objects.create({"kind": "WorkflowTemplate", "metadata": {"name": "t"}, "spec": stored})
        call = {"name": "a", "templateRef": {"name": "t", "template": "main"}}
        templates = [{"name": "d", "dag": {"tasks": [call]}}]
    flow = start(*templates, **spec)
    done = set()
    while set(flow.tasks) - done:
        name = next(name for name in flow.tasks if name not in done)
        done.add(name)
        flow.finish(name, len(done))
    assert values() == {"c": 1.0}


@pytest.mark.parametrize("crash_after", [0, 1, 2, 3])
def test_each_end_counts_once_across_a_crash(start, values, crash_after):
    flow = start(loop(), pod(counter()))
    for number, name in enumerate(sorted(flow.tasks)):
        if number == crash_after:
            flow.crash()
        flow.finish(name, number + 1)
    assert values()["c"] == 3.0


def test_a_transaction_that_is_lost_takes_its_samples_with_it(start, values, backend, monkeypatch):
    flow = start(pod(counter()))
    commit = flow.work.commit

    def fail(*arguments):
        commit(*arguments)
        raise StoreError("the connection was lost")

    monkeypatch.setattr(flow.work, "commit", fail)
    with pytest.raises(StoreError):
        flow.finish()
    assert values() == {}
    flow.crash()
    flow.finish()
    assert values() == {"c": 1.0}


# The workflow's own


def test_a_workflow_is_measured_when_it_ends(start, values):
    own = [
        gauge("took", "{{workflow.duration}}", labels={"status": "{{workflow.status}}"}),
        gauge("result", "{{outputs.parameters.rows}}"),
        gauge("shared", "{{workflow.outputs.parameters.all}}"),
    ]
    template = pod(outputs={"parameters": [{"name": "rows", "globalName": "all", "valueFrom": {"path": "/r"}}]})
    flow = start(template, metrics={"prometheus": own})
    assert values() == {}
    flow.finish(at=4, parameters={"rows": "9"})
    assert values() == {'took{status="Succeeded"}': 4.0, "result": 9.0, "shared": 9.0}


def test_realtime_gauges_grow_until_their_node_or_workflow_ends(start, values):
    template = pod(gauge("node", "{{duration}}", realtime=True), gauge("inner", "{{workflow.duration}}", realtime=True))
    dag = {"name": "d", "dag": {"tasks": [{"name": "a", "template": "main"}, {"name": "b", "template": "last"}]}}
    own = {"prometheus": [gauge("flow", "{{workflow.duration}}", realtime=True)]}
    flow = start(dag, template, pod(name="last"), metrics=own)
    assert values(2) == {"flow": 2.0, "inner": 2.0, "node": 2.0}
    flow.finish("a", 3)
    assert values(5) == {"flow": 5.0, "inner": 5.0, "node": 3.0}
    flow.finish("b", 6)
    assert values(9) == {"flow": 6.0, "inner": 6.0, "node": 3.0}


def test_a_workflow_that_is_terminated_stops_its_realtime_gauges(start, values):
    flow = start(pod(gauge("node", "{{duration}}", realtime=True)))
    flow.tell(ShutdownRequested("Terminate"), 2)
    flow.tell(TimerFired("nothing"), 3)
    assert values(9) == {"node": 2.0}


# What cannot be told


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (gauge(value="{{outputs.parameters.no}}"), "metric 'g': '{{outputs.parameters.no}}' cannot be resolved"),
        (gauge(value="{{status}}"), "gives 'Succeeded', which is no number"),
        (gauge(value="1_0"), "no number"),
        (gauge(value="{{retries}}", realtime=True), "not available as a realtime"),
        (gauge(value="3", realtime=True), "can only have a variable"),
        (gauge(when="{{status}}"), "Invalid 'when' expression"),
    ],
)
def test_what_cannot_be_told_is_a_condition_and_no_failure(start, values, backend, given, message):
    flow = start(pod(given, counter()))
    flow.finish()
    assert message in flow.condition("MetricsError")
    assert values() == {"c": 1.0}
    assert backend.workflows.get("w")["status"]["phase"] == "Succeeded"


def test_an_amount_that_is_none_is_a_mistake_of_the_metric(start, backend):
    template = pod(gauge(value="{{resourcesDuration.cpu}}"), inputs={"parameters": [{"name": "n", "default": "1"}]})
    template["container"]["resources"] = {"limits": {"cpu": "{{inputs.parameters.n}}"}}
    flow = start(template)
    flow.finish()
    assert "is not a quantity" in flow.condition("MetricsError")
    assert backend.workflows.get("w")["status"]["phase"] == "Succeeded"


def test_what_the_pods_of_a_template_used_is_summed_up(start, values):
    dag = loop()
    dag["metrics"]["prometheus"] = [gauge("all", "{{resourcesDuration.cpu}}")]
    template = pod(gauge("one", "{{resourcesDuration.cpu}}", labels={"took": "{{duration}}"}))
    template["container"]["resources"] = {"requests": {"cpu": "500m"}}
    flow = start(dag, template)
    for name, at in zip(sorted(flow.tasks), (2, 4, 8), strict=True):
        flow.finish(name, at)
    assert list(values().values()) == [7.0, 1.0, 2.0, 4.0]


def test_a_name_keeps_its_kind_help_and_buckets(start, values):
    start(pod(counter("a"), histogram("b")), name="w1").finish()
    flow = start(pod(gauge("a"), metric("a", {"counter": {"value": "1"}}, help="other"), histogram("b", buckets=(2,))))
    flow.finish()
    found = flow.condition("MetricsError")
    assert "metric 'a' is a counter already" in found
    assert "metric 'a' has the help 'what it is' already" in found
    assert "metric 'b' has other buckets already" in found
    assert values()["a"] == 1.0


def test_many_nodes_with_the_same_mistake_are_told_of_once(start):
    flow = start(loop(), pod(gauge(value="x")))
    for name in sorted(flow.tasks):
        flow.finish(name)
    assert flow.condition("MetricsError").count("metric 'g'") == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "g", "gauge": {"value": "1"}}, "must contain a help"),
        ({"name": "g", "help": "h"}, "one of gauge, counter and histogram"),
        ({"name": "{{n}}", "help": "h", "gauge": {"value": "1"}}, "no name"),
        (
            {"name": "g", "help": "h", "gauge": {"value": "1"}, "labels": [{"key": "a-b", "value": ""}]},
            "'a-b' is no name",
        ),
    ],
)
def test_a_metric_is_complete_and_well_named(fields, message):
    moment = Moment(variables={}, growing={}, now=0.0, seed="")
    with pytest.raises(ExpressionError, match=message):
        sample_of(Prometheus.from_json(fields), moment)


def test_workflows_without_metrics_leave_nothing(start, backend, monkeypatch):
    def refuse(*_):
        raise AssertionError("nothing of a workflow without metrics is looked at")

    monkeypatch.setattr("tiphys.services.workflows.metrics.WorkflowMetrics", refuse)
    start(pod()).finish()
    assert backend.find(Query.of(MetricValue)) == []


# The text


def test_the_text_is_prometheus_own():
    def series(name, kind, data, help="h", **labels):
        return MetricValue(
            id=name + str(labels),
            name=name,
            key="",
            kind=kind,
            description=help,
            labels=labels,
            data=data,
            updated_at=from_epoch(BEGAN),
        )

    found = exposition(
        [
            series("b", MetricKind.GAUGE, {"value": math.nan}, "two\nlines \\", l='a "quote"\n\\'),
            series("a", MetricKind.COUNTER, {"value": 3.0}, x="2"),
            series("a", MetricKind.COUNTER, {"value": 0.25}, x="1"),
            series("c", MetricKind.GAUGE, {"since": 90.0}),
        ],
        100.0,
    )
    assert found == (
        "# HELP argo_workflows_a h\n"
        "# TYPE argo_workflows_a counter\n"
        'argo_workflows_a{x="1"} 0.25\n'
        'argo_workflows_a{x="2"} 3\n'
        "# HELP argo_workflows_b two\\nlines \\\\\n"
        "# TYPE argo_workflows_b gauge\n"
        'argo_workflows_b{l="a \\"quote\\"\\n\\\\"} NaN\n'
        "# HELP argo_workflows_c h\n"
        "# TYPE argo_workflows_c gauge\n"
        "argo_workflows_c 10\n"
    )
    assert exposition([], 0.0) == ""


@given(
    st.lists(st.floats(0.001, 1e6), min_size=1, max_size=4, unique=True).map(sorted),
    st.lists(st.integers(0, 5), min_size=5, max_size=5),
)
def test_buckets_of_a_histogram_never_fall(buckets, counts):
    data = {"buckets": buckets, "counts": counts[: len(buckets) + 1], "sum": 0.0}
    series = MetricValue(id="i", name="h", key="", kind=MetricKind.HISTOGRAM, data=data, updated_at=from_epoch(BEGAN))
    lines = [line for line in exposition([series], 0.0).splitlines() if "_bucket" in line]
    shown = [int(line.rpartition(" ")[2]) for line in lines]
    assert all(low <= high for low, high in pairwise(shown))
    assert shown[-1] == sum(data["counts"])


# workflowMetadata


def labelled(backend, *, arguments=(), **metadata):
    spec = {"entrypoint": "main", "templates": [pod()], "workflowMetadata": metadata}
    spec["arguments"] = {"parameters": [{"name": name, "value": value} for name, value in arguments]}
    return backend.workflows.submit(
        {"metadata": {"labels": {"old": "1", "kept": "k"}}, "spec": spec}, SubmitOptions(name="w")
    )


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("'x'", "x"),
        ("workflow.parameters.p", "v"),
        ("workflow.name + '-' + workflow.namespace", "w-default"),
        ("workflow.labels.old", "1"),
        ("workflow.labels.own", "2"),
        ("workflow.annotations.note", "n"),
        ("workflow.creationTimestamp.Y", str(utc_now().year)),
        ("workflow.serviceAccountName + '.' + workflow.mainEntrypoint", "default.main"),
        ("string(asInt('4') + 1)", "5"),
    ],
)
def test_labels_come_from_expressions(backend, expression, expected):
    made = labelled(
        backend,
        arguments=[("p", "v")],
        labels={"own": "2"},
        annotations={"note": "n"},
        labelsFrom={"new": {"expression": expression}, "kept": {"expression": "'other'"}},
    )
    assert made["metadata"]["labels"] == {"old": "1", "kept": "other", "own": "2", "new": expected}
    (row,) = backend.find(Query.of(WorkflowRow))
    assert dict(row.labels) == made["metadata"]["labels"]
    assert json.loads(row.manifest)["metadata"]["annotations"]["note"] == "n"


def test_labels_may_hold_tags(backend):
    made = labelled(backend, arguments=[("p", "v")], labels={"a": "{{workflow.parameters.p}}-{{workflow.name}}"})
    assert made["metadata"]["labels"]["a"] == "v-w"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"labelsFrom": {"l": {"expression": "1 + 1"}}}, "must be a string"),
        ({"labelsFrom": {"l": {"expression": "'not a label'"}}}, "'not a label' cannot be the value of the label 'l'"),
        ({"labelsFrom": {"l": {"expression": f"'{'x' * 64}'"}}}, "cannot be the value"),
        ({"labelsFrom": {"l": {"expression": "[1][5]"}}}, "spec.workflowMetadata.labelsFrom.l.expression"),
        ({"labels": {"l": "-x"}}, "cannot be the value"),
    ],
)
def test_a_wrong_label_refuses_the_workflow(backend, fields, message):
    with pytest.raises(SpecError, match=message.replace("(", r"\(")):
        labelled(backend, **fields)
    assert backend.find(Query.of(WorkflowRow)) == []


# What is said of a workflow when it is submitted


def test_fields_without_effect_and_the_runner_are_told(backend):
    spec = {"entrypoint": "main", "templates": [pod(nodeSelector={"disk": "fast"})], "dnsPolicy": "Default"}
    backend.workflows.submit({"spec": spec}, SubmitOptions(name="w", runner="process"))
    shown = backend.workflows.get("w")
    assert shown["metadata"]["annotations"] == {"tiphys.dev/runner": "process"}
    assert shown["status"]["conditions"] == [
        {
            "type": "SpecWarning",
            "status": "True",
            "message": "without effect on this machine (runner process): spec.dnsPolicy, templates.main.nodeSelector",
        }
    ]


def test_a_workflow_without_such_fields_has_no_warning(backend):
    backend.workflows.submit({"spec": {"entrypoint": "main", "templates": [pod()]}}, SubmitOptions(name="w"))
    shown = backend.workflows.get("w")
    assert shown["metadata"]["annotations"] == {"tiphys.dev/runner": "sandbox"}
    assert "conditions" not in shown["status"]


def test_the_terminal_shows_the_runner(backend):
    backend.workflows.submit({"spec": {"entrypoint": "main", "templates": [pod()]}}, SubmitOptions(name="w"))
    assert f"{'Runner:':<20} sandbox\n" in head_text(backend.workflows.get("w"))


def test_the_command_prints_what_the_metrics_say(start, backend):
    start(pod(counter("c", "2"))).finish()
    result = CliRunner().invoke(metrics, obj=backend)
    assert result.output == (
        "# HELP argo_workflows_c what it is\n# TYPE argo_workflows_c counter\nargo_workflows_c 2\n"
    )
