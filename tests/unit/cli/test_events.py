"""`tiphys event` and `tiphys argo event-binding`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tiphys._util.ids import new_id
from tiphys._util.times import utc_now
from tiphys.ports.events import NewEvent
from tiphys.records.base import Query
from tiphys.records.events import EventState, EventSubscription, ReceivedEvent, RunNotice

BINDING = """\
kind: WorkflowTemplate
metadata: {name: greet}
spec: {entrypoint: m, templates: [{name: m, container: {image: busybox}}]}
---
kind: WorkflowEventBinding
metadata: {name: b, labels: {app: x}}
spec:
  event: {selector: payload.a.b == 1}
  submit: {workflowTemplateRef: {name: greet}}
"""


@pytest.fixture
def dead(backend):
    """An event that a binding failed for."""
    event = backend.events.receive(
        NewEvent(discriminator="d\x1b[2J", payload={"é": "\x9b2J"}, metadata={"x-a": ["1", "\x1b"]})
    )
    with backend.store.transaction() as transaction:
        outcomes = {"b": {"error": "no b"}, "c": {"workflow": "wf-1", "uid": "u"}}
        transaction.update(ReceivedEvent, event.id, state=EventState.DEAD, outcomes=outcomes)
    return event


def test_bindings_are_stored_objects(invoke, tmp_path):
    file = tmp_path / "b.yaml"
    file.write_text(BINDING)
    invoke("argo", "template", "create", str(file))
    assert invoke("argo", "event-binding", "create", str(file), "-o", "name").stdout == "b\n"
    assert invoke("argo", "event-binding", "list").stdout == "NAME\nb\n"
    assert invoke("argo", "event-binding", "lint", str(file)).exit_code == 0
    assert invoke("argo", "event-binding", "delete", "b").stdout == "WorkflowEventBinding 'b' deleted\n"


def test_a_binding_whose_selector_cannot_be_read_is_refused(invoke, tmp_path):
    file = tmp_path / "b.yaml"
    file.write_text(BINDING.replace("payload.a.b == 1", "garbage!!!!"))
    invoke("argo", "template", "create", str(file))
    assert "selector" in invoke("argo", "event-binding", "create", str(file), code=2).stderr


def test_events_are_listed_and_shown(invoke, read, backend, dead):
    waiting = backend.events.receive(NewEvent())
    assert invoke("event", "list", "-o", "name").stdout == f"{waiting.id}\n{dead.id}\n"
    assert invoke("event", "list", "--state", "dead", "-o", "name").stdout == f"{dead.id}\n"
    assert invoke("event", "list", "--limit", "1", "-o", "name").stdout == f"{waiting.id}\n"
    assert invoke("event", "list", "-n", "other").stderr == "No events.\n"
    table = invoke("event", "list", "-A").stdout
    assert "wf-1" in table
    assert "\x1b" not in table
    shown = invoke("event", "show", dead.id[-8:]).stdout
    assert all(part in shown for part in ("no b", "workflow wf-1", r'"é": "\u009b2J"', r"1, \u001b"))
    assert not {"\x1b", "\x9b"} & set(shown)
    assert read("event", "show", dead.id)["payload"] == {"é": "\x9b2J"}
    assert "no event 'zzz'" in invoke("event", "show", "zzz", code=2).stderr


def test_a_dead_event_is_tried_again(invoke, backend, dead):
    assert invoke("event", "retry", dead.id).stdout == f"The event {dead.id} waits again.\n"
    assert backend.events.get(dead.id).state is EventState.QUEUED
    assert "not dead, but queued" in invoke("event", "retry", dead.id, code=2).stderr


def test_subscriptions(invoke, backend):
    url = "http://127.0.0.1:9/x"
    assert "private network" in invoke("event", "subscription", "create", "s", "--url", url, code=2).stderr
    made = invoke("event", "subscription", "create", "s", "--url", url, "--private", "--type", "dev.tiphys.run").stdout
    (stored,) = backend.find(Query.of(EventSubscription))
    assert made.split()[-1] == stored.secret
    assert len(stored.secret) >= 32
    assert "already" in invoke("event", "subscription", "create", "s", "--url", url, "--private", code=2).stderr
    listed = invoke("event", "subscription", "list")
    assert listed.stdout.splitlines()[1].split()[:5] == ["s", url, "dev.tiphys.run", "0", "0"]
    for form in ("table", "wide", "json", "yaml", "name"):
        assert stored.secret not in invoke("event", "subscription", "list", "-o", form).stdout
    assert json.loads(invoke("event", "subscription", "list", "-o", "json").stdout)[0]["subscription"]["url"] == url
    assert "--yes" in invoke("event", "subscription", "delete", "s", code=2).stderr
    invoke("event", "subscription", "delete", "s", "--yes")
    assert backend.find(Query.of(EventSubscription)) == []
    assert "no subscription 's'" in invoke("event", "subscription", "delete", "s", "--yes", code=2).stderr


def test_news_that_were_given_up_are_listed_and_posted_again(invoke, read, backend):
    invoke("event", "subscription", "create", "s", "--url", "http://127.0.0.1:9/x", "--private")
    (stored,) = backend.find(Query.of(EventSubscription))
    now = utc_now()
    common = {"subscription_id": stored.id, "workflow_uid": "u", "source": "/x", "happened_at": now, "due_at": now}
    news = [
        RunNotice(id=new_id(), event_id=kind, type=kind, subject="r", state=state, message="status 503", **common)
        for kind, state in (("one", EventState.DEAD), ("two", EventState.DEAD), ("three", EventState.QUEUED))
    ]
    with backend.store.transaction() as transaction:
        transaction.add(*news)
    assert [one["type"] for one in read("event", "subscription", "news", "s")] == ["one", "two", "three"]
    listed = invoke("event", "subscription", "news", "s", "--state", "dead").stdout
    assert "status 503" in listed
    assert "three" not in listed
    assert "has the id 'zzz'" in invoke("event", "subscription", "resend", "s", "zzz", code=2).stderr
    assert "has the id" in invoke("event", "subscription", "resend", "s", news[2].id, code=2).stderr
    assert invoke("event", "subscription", "resend", "s", news[0].id[-12:]).stdout == "1 news of s wait again.\n"
    assert [one["type"] for one in read("event", "subscription", "news", "s", "--state", "dead")] == ["two"]
    assert invoke("event", "subscription", "resend", "s").stdout == "1 news of s wait again.\n"
    assert invoke("event", "subscription", "resend", "s").stdout == "No news of s was given up.\n"
    assert {(one.attempts, one.message) for one in backend.events.news("s", states=[EventState.QUEUED])} >= {(0, "")}
    for words in (("news", "t"), ("resend", "t"), ("news", "s", "-n", "other")):
        assert "There is no subscription" in invoke("event", "subscription", *words, code=2).stderr


def test_a_subscriptions_secret_is_not_short(invoke):
    result = invoke("event", "subscription", "create", "s", "--url", "http://h/", "--secret", "short", code=2)
    assert "must have 16" in result.stderr


def test_the_database_of_a_secret_is_for_its_owner_alone(invoke, backend):
    invoke("event", "subscription", "create", "s", "--url", "http://127.0.0.1/", "--private")
    modes = {Path(file).stat().st_mode & 0o077 for file in backend.home.glob("tiphys.db*")}
    assert modes == {0}
