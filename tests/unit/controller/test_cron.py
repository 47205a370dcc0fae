"""Schedules: what is due, what is started, and what is written down.

Values of the cases are those of argo-workflows, workflow/cron/operator_test.go, where it has them.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys._util.times import from_epoch, to_epoch
from tiphys.controller import cron as cron_module
from tiphys.controller.cleaning import Cleaner
from tiphys.controller.cron import CronScheduler
from tiphys.controller.schedules import (
    COMPLETED,
    LAST_SCHEDULE,
    Refuse,
    Skip,
    Start,
    Stop,
    Terminate,
    due,
    is_over,
    is_wanted,
    missed_run,
    next_due,
    reconciled,
    refused,
    schedule_text,
    started,
    surplus,
    times_between,
    variables,
)
from tiphys.db.store import open_store
from tiphys.engine.model import Phase, WorkflowState
from tiphys.errors import ExpressionError, ServiceError
from tiphys.ports.clock import Clock
from tiphys.ports.store import WorkflowBatch
from tiphys.ports.workflows import SubmitOptions
from tiphys.records.base import Query
from tiphys.records.objects import ObjectKind, StoredObject
from tiphys.records.workflows import WorkflowRow, WorkflowSummary
from tiphys.services.backend import LocalBackend
from tiphys.services.counts import Counted
from tiphys.spec.library import CronWorkflow
from tiphys.testing.playing import IdleHost

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
MAIN = {"name": "main", "container": {"image": "busybox", "command": ["true"]}}


def at(text):
    return datetime.fromisoformat(f"2026-03-04T{text}Z")


def a_cron(status=None, annotations=None, labels=None, **spec):
    return CronWorkflow.from_json(
        {
            "metadata": {
                "name": "nightly",
                "namespace": "team",
                "uid": "u",
                "annotations": annotations or {},
                "labels": labels or {},
            },
            "spec": {"schedules": ["* * * * *"], **spec},
            "status": status or {},
        }
    )


def used_before(last, **spec):
    """A schedule that ran at `last`."""
    cron = a_cron({"lastScheduledTime": last}, **spec)
    return a_cron({"lastScheduledTime": last}, {LAST_SCHEDULE: schedule_text(cron.spec)}, **spec)


def child(number, phase="Running", *, seconds=None, **changes):
    values = {
        "id": f"u{number}",
        "name": f"nightly-{number}",
        "workspace": "team",
        "phase": phase,
        "created_at": NOON,
        "finished_at": None if phase in ("Pending", "Running") else NOON + timedelta(seconds=seconds or number),
    }
    return WorkflowSummary(**{**values, **changes})


def reference(number):
    return {"name": f"nightly-{number}", "namespace": "team", "uid": f"u{number}"}


# Times


@pytest.mark.parametrize(
    ("schedules", "since", "now", "expected"),
    [
        (["* * * * *"], "12:00:30", "12:00:59", []),
        (["* * * * *"], "12:00:30", "12:01:00", ["12:01:00"]),
        (["* * * * *"], "12:01:00", "12:01:00", []),
        (["* * * * *"], "12:00:30", "12:05:10", ["12:05:00"]),
        (["* * * * *", "0 * * * *"], "11:59:30", "12:00:00", ["12:00:00"]),
        (["30 * * * *", "0 * * * *"], "11:29:30", "12:00:10", ["11:30:00", "12:00:00"]),
        (["@every 90s"], "12:00:00", "12:01:29", []),
        (["@every 90s"], "12:00:00", "12:01:30", ["12:01:30"]),
    ],
)
def test_times_between(schedules, since, now, expected):
    assert times_between(a_cron(schedules=schedules), at(since), at(now)) == [at(text) for text in expected]


@given(minutes=st.integers(1, 5000), steps=st.lists(st.integers(1, 400), min_size=1, max_size=20))
def test_no_time_is_met_twice(minutes, steps):
    """However often it is looked, each minute is met at most once, and the last one is."""
    cron, since, met = a_cron(), NOON + timedelta(minutes=minutes), []
    now = since
    for step in steps:
        now += timedelta(seconds=step)
        times = times_between(cron, since, now)
        met += times
        since = max([since, *times])
    assert met == sorted(set(met))
    assert now - since < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("spec", "zone", "expected"),
    [
        ({}, UTC, "03:00:00"),
        ({"timezone": "Europe/Berlin"}, UTC, "02:00:00"),
        ({}, ZoneInfo("Europe/Berlin"), "02:00:00"),
        ({"timezone": "Pacific/Auckland"}, ZoneInfo("Europe/Berlin"), None),
    ],
)
def test_the_zone_of_a_schedule(spec, zone, expected):
    cron = a_cron(schedules=["0 3 * * *"], **spec)
    found = times_between(cron, at("01:00:00"), at("05:00:00"), zone)
    assert found == ([at(expected)] if expected else [])
    if expected:
        assert next_due(cron, at("01:00:00"), zone) == at(expected)


def test_a_schedule_without_a_next_time():
    assert next_due(a_cron(schedules=["0 0 31 2 *"]), NOON).year == 9999


@pytest.mark.parametrize(
    ("deadline", "now", "expected"),
    [
        (35, "12:01:30", "12:01:00"),
        (25, "12:01:30", None),
        (None, "12:01:30", None),
        (0, "12:01:30", None),
        (30, "12:01:30", None),
        (10**15, "12:01:30", "12:01:00"),
        (7200, "13:00:30", "13:00:00"),
        (35, "12:00:45", None),
    ],
)
def test_at_most_one_missed_run_within_the_deadline(deadline, now, expected):
    spec = {} if deadline is None else {"startingDeadlineSeconds": deadline}
    found = missed_run(used_before("2026-03-04T12:00:00Z", **spec), at(now))
    assert found == (at(expected) if expected else None)


def test_nothing_is_missed_by_a_schedule_that_is_new():
    spec = {"startingDeadlineSeconds": 120}
    last = {"lastScheduledTime": "2026-03-04T12:00:00Z"}
    assert missed_run(a_cron(**spec), at("12:01:30")) is None
    assert missed_run(a_cron(last, **spec), at("12:01:30")) is None
    assert missed_run(a_cron(last, {LAST_SCHEDULE: "0 * * * *"}, **spec), at("12:01:30")) is None
    zoned = used_before("2026-03-04T12:00:00Z", timezone="Pacific/Niue", **spec)
    assert zoned.metadata.annotations == {LAST_SCHEDULE: "CRON_TZ=Pacific/Niue * * * * *"}
    assert missed_run(zoned, at("12:01:30")) == at("12:01:00")


def test_of_several_schedules_the_latest_is_caught_up():
    spec = {"schedules": ["* * * * *", "0 * * * *"], "startingDeadlineSeconds": 120}
    assert missed_run(used_before("2026-03-04T11:58:00Z", **spec), at("12:01:30")) == at("12:01:00")


# Decisions


START = Start("nightly-1772625600", NOON)
LAST = "cronworkflow.lastScheduledTime"


@pytest.mark.parametrize(
    ("cron", "active", "expected"),
    [
        (a_cron(), ["a"], [START]),
        (a_cron(concurrencyPolicy="Allow"), ["a"], [START]),
        (a_cron(concurrencyPolicy="Forbid"), [], [START]),
        (
            a_cron(concurrencyPolicy="Forbid"),
            ["a"],
            [Skip(NOON, "concurrencyPolicy is Forbid, and a has not ended", by_policy=True)],
        ),
        (a_cron(concurrencyPolicy="Replace"), [], [START]),
        (a_cron(concurrencyPolicy="Replace"), ["a", "b"], [Terminate("a"), Terminate("b"), START]),
        (a_cron(suspend=True), [], [Skip(NOON, "it is suspended")]),
        (
            a_cron({"phase": "Stopped"}),
            [],
            [Skip(NOON, "it is stopped, as its stopStrategy was met")],
        ),
        (
            a_cron({"failed": 3}, stopStrategy={"expression": "cronworkflow.failed >= 3"}),
            [],
            [Stop(), Skip(NOON, "its stopStrategy is met")],
        ),
        (a_cron({"failed": 2}, stopStrategy={"expression": "cronworkflow.failed >= 3"}), [], [START]),
        (a_cron(when="{{cronworkflow.failed}} > 0"), [], [Skip(NOON, "its condition `when` is false")]),
        (a_cron({"failed": 1}, when="{{cronworkflow.failed}} > 0"), [], [START]),
        (a_cron({"lastScheduledTime": "2026-03-04T12:00:00Z"}), [], []),
    ],
)
def test_what_is_decided(cron, active, expected):
    assert due(cron, active, [NOON], NOON) == expected


def test_what_cannot_be_decided():
    (found,) = due(a_cron(when="{{cronworkflow.other}}"), [], [NOON], NOON)
    assert isinstance(found, Refuse)
    assert found.condition == "SubmissionError"
    assert "run policy error: '{{cronworkflow.other}}' cannot be resolved" in found.message
    (found,) = due(a_cron(stopStrategy={"expression": "1 + 1"}), [], [NOON], NOON)
    assert isinstance(found, Refuse)
    assert (found.condition, "stopping condition" in found.message) == ("SpecError", True)


def test_one_run_forbids_the_next_of_the_same_look():
    later = NOON + timedelta(minutes=30)
    first, second = due(a_cron(concurrencyPolicy="Forbid"), [], [NOON, later], later)
    assert first == START
    assert isinstance(second, Skip)
    replacing = due(a_cron(concurrencyPolicy="Replace"), [], [NOON, later], later)
    assert replacing == [START, Terminate(START.name), Start("nightly-1772627400", later)]
    once_an_hour = f"{{{{= {LAST} == nil || (now() - {LAST}).Seconds() > 3600 }}}}"
    assert [type(one) for one in due(a_cron(when=once_an_hour), [], [NOON, later], later)] == [Start, Skip]


HALF_AN_HOUR_AGO = {"lastScheduledTime": "2026-03-04T11:30:00Z"}


@pytest.mark.parametrize(
    ("status", "when", "expected"),
    [
        (
            HALF_AN_HOUR_AGO,
            f"{{{{= {LAST} == nil || ( (now() - {LAST}).Seconds() > 30) }}}}",
            True,
        ),
        (
            HALF_AN_HOUR_AGO,
            f"{{{{= {LAST} == nil && ( (now() - {LAST}).Seconds() < 30) }}}}",
            False,
        ),
        (HALF_AN_HOUR_AGO, "{{= cronworkflow.lastScheduledTime != nil }}", True),
        ({}, "{{= cronworkflow.lastScheduledTime == nil }}", True),
        (HALF_AN_HOUR_AGO, "{{= (now() - cronworkflow.lastScheduledTime).Minutes() >= 30 }}", True),
        (HALF_AN_HOUR_AGO, "{{= (now() - cronworkflow.lastScheduledTime).Minutes() <  50 }}", True),
        ({}, "", True),
        ({}, "{{cronworkflow.name}} == nightly && {{cronworkflow.namespace}} != other", True),
        ({}, "'{{cronworkflow.labels.app}}' == 'x'", True),
        ({}, "{{=cronworkflow.labels['app'] == 'y'}}", False),
        (HALF_AN_HOUR_AGO, "'{{cronworkflow.lastScheduledTime}}' == '2026-03-04T11:30:00Z'", True),
    ],
)
def test_when(status, when, expected):
    assert is_wanted(a_cron(status, labels={"app": "x"}, when=when), NOON) is expected


def test_variables_have_json_too():
    found = variables(a_cron(labels={"a": "1"}, annotations={"b": "2"}))
    assert (found["cronworkflow.labels.json"], found["cronworkflow.annotations.json"]) == ('{"a":"1"}', '{"b":"2"}')
    assert (found["cronworkflow.failed"], found["cronworkflow.succeeded"]) == (0, 0)


def test_a_stop_strategy_gives_a_boolean():
    with pytest.raises(ExpressionError, match="must give true or false"):
        is_over(a_cron(stopStrategy={"expression": "'yes'"}), NOON)


# The status


def test_active_ones_are_noted_and_ended_ones_are_counted():
    cron = a_cron({"active": [reference(1), reference(2), reference(3), reference(4)], "failed": 1})
    children = [child(1, "Succeeded"), child(2, "Failed"), child(3, "Error"), child(5), child(6, "Succeeded")]
    found = reconciled(cron, children, NOON).status
    assert [one["name"] for one in found.active] == ["nightly-5"]
    assert (found.succeeded, found.failed, found.phase) == (1, 3, None)
    assert reconciled(cron.model_copy(update={"status": found}), children, NOON).status == found


def test_the_end_of_a_run_may_end_the_schedule():
    cron = a_cron({"active": [reference(1)]}, stopStrategy={"expression": "cronworkflow.succeeded >= 1"})
    found = reconciled(cron, [child(1, "Succeeded")], NOON)
    assert (found.status.phase, found.metadata.labels) == ("Stopped", {COMPLETED: "true"})
    assert reconciled(cron, [child(1, "Failed")], NOON).status.phase is None
    broken = a_cron({"active": [reference(1)]}, stopStrategy={"expression": "cronworkflow.other.x"})
    assert reconciled(broken, [child(1, "Failed")], NOON).status.failed == 1


def test_a_start_and_a_refusal_are_noted():
    made = {"metadata": {"name": "nightly-1", "namespace": "team", "uid": "u1"}}
    wrong = refused(refused(a_cron(), "SubmissionError", "first"), "SubmissionError", "second").status
    assert [(one.type, one.status, one.message) for one in wrong.conditions] == [("SubmissionError", "True", "second")]
    assert (wrong.failed, wrong.phase) == (2, None)
    assert refused(a_cron(), "SpecError", "no").status.failed == 0
    found = started(a_cron(wrong.to_json()), made, NOON).status
    assert (found.phase, found.last_scheduled_time, found.conditions) == ("Active", "2026-03-04T12:00:00Z", None)
    assert [one["uid"] for one in found.active] == ["u1"]
    assert started(a_cron(), None, NOON).status.active is None


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, ["nightly-2", "nightly-1", "nightly-11"]),
        ({"successfulJobsHistoryLimit": 0, "failedJobsHistoryLimit": 2}, [f"nightly-{n}" for n in (5, 4, 3, 2, 1)]),
        ({"successfulJobsHistoryLimit": 5, "failedJobsHistoryLimit": 0}, ["nightly-12", "nightly-11"]),
        ({"successfulJobsHistoryLimit": 9, "failedJobsHistoryLimit": 9}, []),
    ],
)
def test_the_history_keeps_what_ended_last(spec, expected):
    children = [child(n, "Succeeded") for n in (3, 1, 5, 2, 4)] + [child(11, "Failed"), child(12, "Error"), child(20)]
    assert [one.name for one in surplus(a_cron(**spec), children)] == expected


# Carrying it out


class Hands(Clock):
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = to_epoch(datetime.now(UTC).replace(second=0, microsecond=0)) + 86400

    def now(self) -> float:
        return self.time


@pytest.fixture
def host():
    return IdleHost()


@pytest.fixture
def backend(tmp_path, host):
    made = LocalBackend(open_store(f"sqlite:///{tmp_path / 'tiphys.db'}"), home=tmp_path, host=host)
    yield made
    made.close()


@pytest.fixture
def clock():
    return Hands()


@pytest.fixture
def scheduler(backend, clock):
    return a_scheduler(backend, clock)


def a_scheduler(backend, clock, **options):
    return CronScheduler(backend, Cleaner(backend, clock=clock), clock=clock, **options)


@pytest.fixture
def create(backend):
    def call(**spec):
        spec = {"schedules": ["* * * * *"], "workflowSpec": {"entrypoint": "main", "templates": [MAIN]}, **spec}
        return backend.objects.create({"kind": "CronWorkflow", "metadata": {"name": "c"}, "spec": spec})

    return call


@pytest.fixture
def names(backend):
    return lambda: sorted(row.name for row in backend.find(Query.of(WorkflowSummary)))


@pytest.fixture
def status(backend):
    return lambda: backend.objects.get(ObjectKind.CRON_WORKFLOW, "c").get("status") or {}


def end(backend, clock, name, phase="Succeeded"):
    uid = backend.workflows.get(name)["metadata"]["uid"]
    state = WorkflowState(uid, name, Phase(phase), "", clock.time, clock.time)
    with backend.store.transaction() as transaction:
        transaction.save(WorkflowBatch(uid, [], state))


def test_a_schedule_starts_a_workflow_each_minute(backend, scheduler, create, clock, names, status, host):
    create(workflowMetadata={"labels": {"a": "1"}, "annotations": {"b": "2"}})
    scheduler.look()
    assert names() == []
    clock.time += 59
    scheduler.look()
    assert names() == []
    clock.time += 1
    scheduler.look()
    scheduler.look()
    first = f"c-{int(clock.time)}"
    assert names() == [first]
    made = backend.workflows.get(first)
    assert host.started == [made["metadata"]["uid"]]
    assert made["metadata"]["labels"]["workflows.argoproj.io/cron-workflow"] == "c"
    assert made["metadata"]["labels"]["a"] == "1"
    moment = from_epoch(clock.time).strftime("%Y-%m-%dT%H:%M:%SZ")
    annotations = made["metadata"]["annotations"]
    assert annotations == {
        "workflows.argoproj.io/scheduled-time": moment,
        "b": "2",
        "tiphys.dev/runner": "sandbox",
    }
    assert (status()["phase"], status()["lastScheduledTime"]) == ("Active", moment)
    assert [one["name"] for one in status()["active"]] == [first]
    clock.time += 60
    scheduler.look()
    assert len(names()) == 2


def test_what_ended_is_counted_and_the_history_is_kept_short(backend, scheduler, create, clock, names, status):
    create(successfulJobsHistoryLimit=1, failedJobsHistoryLimit=1)
    scheduler.look()
    for phase in ("Succeeded", "Failed", "Succeeded", "Error"):
        clock.time += 60
        scheduler.look()
        end(backend, clock, f"c-{int(clock.time)}", phase)
    scheduler.synchronize()
    assert names() == [f"c-{int(clock.time) - 60}", f"c-{int(clock.time)}"]
    assert (status()["succeeded"], status()["failed"], status()["active"]) == (2, 2, [])


def test_two_processes_start_a_run_once(backend, create, clock, names, status):
    create()
    one, other = a_scheduler(backend, clock), a_scheduler(backend, clock)
    for scheduler in (one, other):
        scheduler.look()
    clock.time += 60
    for scheduler in (one, other, one, other):
        scheduler.look()
    assert names() == [f"c-{int(clock.time)}"]
    end(backend, clock, names()[0])
    for scheduler in (one, other):
        scheduler.synchronize()
    assert status()["succeeded"] == 1


def test_a_run_that_was_started_but_not_noted_is_not_started_again(backend, create, clock, names, status):
    """As after a crash between the two."""
    create()
    scheduler = a_scheduler(backend, clock)
    scheduler.look()
    clock.time += 60
    name = f"c-{int(clock.time)}"
    label = {"workflows.argoproj.io/cron-workflow": "c"}
    manifest = {"metadata": {"name": name, "labels": label}, "spec": {"entrypoint": "main", "templates": [MAIN]}}
    backend.workflows.submit(manifest, SubmitOptions())
    scheduler.look()
    assert names() == [name]
    assert [one["name"] for one in status()["active"]] == [name]
    assert status()["lastScheduledTime"]
    assert "conditions" not in status()


def test_a_missed_run_is_caught_up_once(backend, create, clock, names):
    create(startingDeadlineSeconds=100)
    scheduler = a_scheduler(backend, clock)
    scheduler.look()
    clock.time += 60
    scheduler.look()
    clock.time += 630
    restarted = a_scheduler(backend, clock)
    restarted.look()
    restarted.look()
    assert len(names()) == 2
    assert names()[-1] == f"c-{int(clock.time) - 30}"
    clock.time += 630
    backend.objects.update({**backend.objects.get(ObjectKind.CRON_WORKFLOW, "c")})
    late = a_scheduler(backend, clock)
    clock.time += 71
    late.look()
    assert len(names()) == 3


def test_what_was_forbidden_is_caught_up_when_it_may_run(backend, create, clock, names, scheduler):
    create(concurrencyPolicy="Forbid", startingDeadlineSeconds=50)
    scheduler.look()
    clock.time += 60
    scheduler.look()
    clock.time += 60
    scheduler.look()
    assert len(names()) == 1
    clock.time += 20
    end(backend, clock, names()[0])
    scheduler.look()
    scheduler.look()
    assert names()[1:] == [f"c-{int(clock.time) - 20}"]


def test_replace_terminates_what_runs(backend, create, clock, names, scheduler, host):
    create(concurrencyPolicy="Replace")
    scheduler.look()
    clock.time += 60
    scheduler.look()
    uid = backend.workflows.get(names()[0])["metadata"]["uid"]
    clock.time += 60
    scheduler.look()
    assert host.shut == [(uid, "Terminate")]
    assert len(names()) == 2


def test_what_cannot_be_replaced_stays(backend, create, clock, names, scheduler, status, host, monkeypatch):
    create(concurrencyPolicy="Replace")
    scheduler.look()
    clock.time += 60
    scheduler.look()

    def refuse(uid, strategy):
        raise ServiceError("no")

    monkeypatch.setattr(host, "shut_down", refuse)
    clock.time += 60
    scheduler.look()
    assert len(names()) == 1
    (condition,) = status()["conditions"]
    assert (condition["type"], status()["failed"]) == ("SubmissionError", 1)
    assert condition["message"] == f"run policy error: error stopping workflow {names()[0]}: no"


def test_a_submission_that_fails_is_told_and_not_repeated(backend, create, clock, names, scheduler, status):
    parameter = {"name": "p", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}}
    spec = {"entrypoint": "main", "templates": [MAIN], "arguments": {"parameters": [parameter]}}
    create(workflowSpec=spec, startingDeadlineSeconds=50)
    scheduler.look()
    clock.time += 60
    for _ in range(5):
        scheduler.look()
        clock.time += 1
    (condition,) = status()["conditions"]
    assert condition["type"] == "SubmissionError"
    assert condition["message"].startswith("Failed to submit Workflow: ")
    assert status()["failed"] == 1
    labels = {"workflows.argoproj.io/configmap-type": "Parameter"}
    backend.objects.create({"kind": "ConfigMap", "metadata": {"name": "m", "labels": labels}, "data": {"k": "v"}})
    clock.time += 60
    scheduler.look()
    assert len(names()) == 1
    assert "conditions" not in status()


def test_a_schedule_that_is_not_valid_any_more(backend, create, clock, names, scheduler, status):
    template = {"metadata": {"name": "t"}, "spec": {"entrypoint": "main", "templates": [MAIN]}}
    backend.objects.create({"kind": "WorkflowTemplate", **template})
    create(workflowSpec={"workflowTemplateRef": {"name": "t"}})
    backend.objects.delete(ObjectKind.WORKFLOW_TEMPLATE, "t")
    scheduler.look()
    clock.time += 60
    scheduler.look()
    assert (names(), [one["type"] for one in status()["conditions"]]) == ([], ["SpecError"])
    backend.objects.create({"kind": "WorkflowTemplate", **template})
    clock.time += 60
    scheduler.look()
    assert (len(names()), "conditions" in status()) == (1, False)


def test_a_stopped_schedule_starts_nothing(backend, create, clock, names, scheduler, status):
    create(stopStrategy={"expression": "cronworkflow.succeeded >= 1"})
    scheduler.look()
    clock.time += 60
    scheduler.look()
    end(backend, clock, names()[0])
    clock.time += 60
    scheduler.look()
    scheduler.look()
    assert len(names()) == 1
    assert status()["phase"] == "Stopped"
    assert backend.objects.get(ObjectKind.CRON_WORKFLOW, "c")["metadata"]["labels"] == {COMPLETED: "true"}


def test_a_changed_schedule_begins_anew(backend, create, clock, names, scheduler):
    create(startingDeadlineSeconds=10000)
    scheduler.look()
    clock.time += 60
    scheduler.look()
    changed = backend.objects.get(ObjectKind.CRON_WORKFLOW, "c")
    changed["spec"]["schedules"] = ["@every 2m"]
    backend.objects.update(changed)
    clock.time += 600
    scheduler.look()
    clock.time += 119
    scheduler.look()
    assert len(names()) == 1
    clock.time += 1
    scheduler.look()
    assert len(names()) == 2


def test_a_single_round_looks_back(backend, create, clock, names):
    create()
    clock.time += 20
    a_scheduler(backend, clock, look_back=timedelta(minutes=1)).look()
    assert names() == [f"c-{int(clock.time) - 20}"]
    a_scheduler(backend, clock, look_back=timedelta(minutes=1)).look()
    assert len(names()) == 1


def test_nothing_before_its_creation_is_due(backend, create, clock, names):
    made = create()
    clock.time = to_epoch(datetime.fromisoformat(made["metadata"]["creationTimestamp"])) + 0.999
    a_scheduler(backend, clock, look_back=timedelta(minutes=1)).look()
    assert names() == []


def test_children_of_an_older_schedule_of_that_name_are_left(backend, create, clock, names, scheduler, status):
    create(successfulJobsHistoryLimit=0)
    scheduler.look()
    clock.time += 60
    scheduler.look()
    end(backend, clock, names()[0])
    backend.objects.delete(ObjectKind.CRON_WORKFLOW, "c")
    scheduler.look()
    create(successfulJobsHistoryLimit=0)
    scheduler.look()
    assert len(names()) == 1
    assert status() == {}


def test_one_schedule_that_fails_does_not_keep_the_others(
    backend, create, clock, names, scheduler, monkeypatch, caplog
):
    create()
    other = backend.objects.get(ObjectKind.CRON_WORKFLOW, "c")
    backend.objects.create({**other, "metadata": {"name": "d"}})
    scheduler.look()
    real = cron_module.times_between

    def failing(cron, *rest):
        if cron.metadata.name == "c":
            raise ExpressionError("no")
        return real(cron, *rest)

    monkeypatch.setattr(cron_module, "times_between", failing)
    clock.time += 60
    scheduler.look()
    assert names() == [f"d-{int(clock.time)}"]
    assert "CronWorkflow default/c: no" in caplog.text


def test_what_others_wrote_meanwhile_is_kept(backend, create, clock, scheduler):
    """A status is written into the object as it stands then."""
    create()
    scheduler.look()
    stored = backend.find(Query.of(StoredObject))[0]
    changed = backend.objects.get(ObjectKind.CRON_WORKFLOW, "c")
    changed["spec"]["suspend"] = True
    backend.objects.update(changed)
    scheduler._change(stored, cron_module.stopped)
    found = backend.objects.get(ObjectKind.CRON_WORKFLOW, "c")
    assert (found["spec"]["suspend"], found["status"]["phase"]) == (True, "Stopped")
    assert found["metadata"]["resourceVersion"] == "3"
    scheduler._change(stored, cron_module.stopped)
    assert backend.objects.get(ObjectKind.CRON_WORKFLOW, "c")["metadata"]["resourceVersion"] == "3"


def test_the_rows_of_children_are_told_apart_by_namespace(backend, create, clock, names, scheduler, status):
    create(concurrencyPolicy="Forbid")
    scheduler.look()
    manifest = {"metadata": {"name": "x", "labels": {"workflows.argoproj.io/cron-workflow": "c"}}}
    manifest["spec"] = {"entrypoint": "main", "templates": [MAIN]}
    backend.workflows.in_namespace("elsewhere").submit(manifest)
    clock.time += 60
    scheduler.look()
    assert len(names()) == 2
    rows = backend.find(Query.of(WorkflowRow, workspace="default"))
    assert [one["uid"] for one in status()["active"]] == [row.id for row in rows]
    assert replace(rows[0], manifest="").workspace == "default"


@pytest.mark.parametrize("restarted", [False, True])
def test_a_clock_that_is_put_back_starts_nothing_twice(backend, clock, create, names, restarted):
    create(successfulJobsHistoryLimit=0, concurrencyPolicy="Forbid")
    scheduler = a_scheduler(backend, clock)
    scheduler.look()
    clock.time += 60
    scheduler.look()
    (first,) = names()
    end(backend, clock, first)
    clock.time -= 30
    if restarted:
        scheduler = a_scheduler(backend, clock, look_back=timedelta(minutes=5))
    scheduler.look()  # its history is looked after all the same
    assert names() == []
    clock.time += 30
    scheduler.look()
    assert names() == []
    clock.time += 60
    scheduler.look()
    assert names() == [f"c-{int(clock.time)}"]


def test_a_last_run_of_another_day_is_none(backend, clock, create, names):
    create()
    scheduler = a_scheduler(backend, clock)
    clock.time += 10 * 86400
    scheduler.look()
    clock.time += 60
    scheduler.look()
    (wrong,) = names()
    clock.time -= 10 * 86400
    scheduler.look()
    clock.time += 60
    scheduler.look()
    assert names() == sorted([wrong, f"c-{int(clock.time)}"])


def test_what_schedules_do_is_counted(backend, create, clock, scheduler):
    create(concurrencyPolicy="Forbid")
    scheduler.look()
    for _ in range(3):
        clock.time += 60
        scheduler.look()
    where = (("name", "c"), ("namespace", "default"))
    assert backend.counts.read() == {
        Counted("cronworkflows_triggered_total", where): 1,
        Counted("cronworkflows_concurrencypolicy_triggered", (("concurrency_policy", "Forbid"), *where)): 2,
    }
