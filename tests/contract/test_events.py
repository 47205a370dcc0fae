"""Events on SQLite and PostgreSQL: carried out once, whoever takes them and whatever fails; news in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tiphys._util.times import from_epoch
from tiphys.db.store import open_store
from tiphys.engine.model import NodeType, Phase, WorkflowState
from tiphys.errors import ConflictError, ServiceError, StoreError, UsageError
from tiphys.ports.clock import Clock
from tiphys.ports.events import NewEvent, QueueFullError, SignatureError
from tiphys.ports.recorder import Change
from tiphys.records.base import Query
from tiphys.records.events import EventState, EventSubscription, ReceivedEvent, RunNotice
from tiphys.records.workflows import WorkflowRow, WorkflowSummary
from tiphys.services.backend import LocalBackend
from tiphys.services.events import dispatch, service
from tiphys.services.events.announcing import Announcer
from tiphys.services.events.delivery import LEASE, MOST_ATTEMPTS, Deliverer
from tiphys.services.events.dispatch import Dispatcher
from tiphys.services.workflows.service import WorkflowService
from tiphys.testing.playing import IdleHost
from tiphys.testing.store_samples import a_node, a_workflow
from tiphys.testing.store_tools import in_threads

TEMPLATE = {
    "kind": "WorkflowTemplate",
    "metadata": {"name": "t"},
    "spec": {"entrypoint": "m", "templates": [{"name": "m", "container": {"image": "busybox", "command": ["true"]}}]},
}


class SetClock(Clock):
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.time = 1_750_000_000.0

    def now(self) -> float:
        return self.time


def binding(name: str, selector: str = "true", /, **metadata: str) -> dict[str, Any]:
    submit = {"workflowTemplateRef": {"name": "t"}, "metadata": metadata}
    spec = {"event": {"selector": selector}, "submit": submit}
    return {"kind": "WorkflowEventBinding", "metadata": {"name": name}, "spec": spec}


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture
def backend(url: str, tmp_path: Path) -> Iterator[LocalBackend]:
    made = LocalBackend(open_store(url), home=tmp_path / "home", db_url=url, host=IdleHost())
    made.objects.create(TEMPLATE)
    yield made
    made.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    made = SetClock()
    monkeypatch.setattr(service, "utc_now", lambda: from_epoch(made.now()))
    return made


@pytest.fixture
def dispatcher(backend: LocalBackend, clock: SetClock) -> Callable[..., Dispatcher]:
    def make(owner: str = "here:1:1", alive: tuple[str, ...] = ("here:1:1",)) -> Dispatcher:
        return Dispatcher(
            backend.store, backend.workflows, clock=clock, owner=owner, is_alive=lambda name: name in alive
        )

    return make


def send(backend: LocalBackend, **given: Any) -> ReceivedEvent:
    found = backend.events.receive(NewEvent(**given))
    assert found is not None
    return found


def workflows(backend: LocalBackend) -> list[str]:
    return [row.name for row in backend.find(Query.of(WorkflowSummary, order="id"))]


def test_an_event_ends_with_the_workflows_it_starts(backend, dispatcher):
    backend.objects.create(binding("a", "payload == 1", name='"one"'))
    backend.objects.create(binding("b", "payload == 2"))
    event = send(backend, payload=1)
    assert dispatcher().dispatch() == 1
    found = backend.events.get(event.id)
    assert found.state is EventState.DONE
    (row,) = backend.find(Query.of(WorkflowSummary))
    assert found.outcomes == {"a": {"workflow": "one", "uid": row.id}}
    assert backend._host.started == [row.id]
    assert dispatcher().dispatch() == 0


def test_many_dispatchers_submit_once(backend, dispatcher):
    backend.objects.create(binding("a"))
    for number in range(12):
        send(backend, payload=number)
    in_threads(4, lambda number: dispatcher(owner=f"here:{number}:1").dispatch())
    assert len(workflows(backend)) == 12
    assert {one.state for one in backend.events.find()} == {EventState.DONE}


def test_many_deliveries_of_one_event_are_one(backend, clock):
    found = in_threads(8, lambda _: backend.events.receive(NewEvent(delivery="same")))
    assert sum(one is not None for one in found) == 1
    assert len(backend.events.find()) == 1


def test_deliveries_differ_by_discriminator_and_workspace(backend, clock):
    assert backend.events.receive(NewEvent(delivery="same")) is not None
    assert backend.events.receive(NewEvent(delivery="same", discriminator="d")) is not None
    assert backend.events.in_namespace("w").receive(NewEvent(delivery="same")) is not None
    assert backend.events.receive(NewEvent(delivery="same", payload="other")) is None


def test_a_signature_is_taken_once_whatever_the_delivery_is_called(backend, clock):
    assert backend.events.receive(NewEvent(delivery="a", signature="s")) is not None
    with pytest.raises(SignatureError, match="used before"):
        backend.events.receive(NewEvent(delivery="b", signature="s"))
    assert [one.delivery for one in backend.events.find()] == ["a"]


def test_a_full_queue_takes_no_more(backend, clock, monkeypatch):
    monkeypatch.setattr(service, "MOST_WAITING", 2)
    send(backend)
    send(backend)
    with pytest.raises(QueueFullError):
        backend.events.receive(NewEvent())


def test_an_event_whose_taker_died_is_taken_again(backend, dispatcher, clock):
    backend.objects.create(binding("a"))
    event = send(backend)
    dead = dispatcher(owner="here:9:9")
    (taken,) = dead._take()
    other = dispatcher()
    assert other.dispatch() == 0
    other.clean()
    assert other.dispatch() == 1
    assert len(workflows(backend)) == 1
    # It was only slow, and goes on now: what it does is not kept.
    dead._carry_out(taken)
    assert len(workflows(backend)) == 1
    assert backend.events.get(event.id).attempts == 2


def test_an_event_of_a_lost_machine_is_taken_when_its_lease_ends(backend, dispatcher, clock):
    backend.objects.create(binding("a"))
    send(backend)
    dispatcher(owner="elsewhere:9:9")._take()
    other = dispatcher(alive=("elsewhere:9:9",))
    other.clean()
    assert other.dispatch() == 0
    clock.time += dispatch.LEASE.total_seconds()
    assert other.dispatch() == 1
    assert len(workflows(backend)) == 1


def test_an_error_of_one_binding_is_kept_and_only_that_one_is_tried_again(backend, dispatcher, clock):
    backend.objects.create(binding("fine"))
    backend.objects.create(binding("wrong", "payload.a.b == 1"))
    event = send(backend, payload={})
    dispatcher().dispatch()
    found = backend.events.get(event.id[-6:])
    assert (found.state, sorted(found.outcomes)) == (EventState.DEAD, ["fine", "wrong"])
    backend.objects.update(binding("wrong", "payload.a?.b == nil"))
    backend.events.retry(event.id)
    dispatcher().dispatch()
    found = backend.events.get(event.id)
    assert found.state is EventState.DONE
    assert sorted(one["workflow"] for one in found.outcomes.values()) == sorted(workflows(backend))
    assert len(workflows(backend)) == 2
    with pytest.raises(ConflictError, match="not dead"):
        backend.events.retry(event.id)


def test_a_selector_that_would_never_end_ends_and_stops_nobody(backend, dispatcher, clock):
    backend.objects.create(binding("bomb", "all(1..100000, none(1..100000, # < 0))"))
    backend.objects.create(binding("fine"))
    event = send(backend)
    dispatcher().dispatch()
    outcomes = backend.events.get(event.id).outcomes
    assert "memory budget" in outcomes["bomb"]["error"]
    assert [outcomes["fine"]["workflow"]] == workflows(backend)


def test_a_name_that_is_taken_is_an_error_of_its_binding(backend, dispatcher, clock):
    backend.objects.create(binding("a", "true", name='"same"'))
    backend.objects.create(binding("b", "true", name='"same"'))
    event = send(backend)
    dispatcher().dispatch()
    outcomes = backend.events.get(event.id).outcomes
    assert outcomes["a"]["workflow"] == "same"
    assert "already" in outcomes["b"]["error"]


def test_a_failing_database_is_tried_again_after_pauses_and_then_given_up(backend, dispatcher, clock, monkeypatch):
    backend.objects.create(binding("a"))
    event = send(backend)
    failing = dispatcher()

    def fail(*_: Any) -> None:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(failing, "_submit", fail)
    taken = []
    for _ in range(2000):
        if failing.dispatch():
            taken.append(clock.time)
        clock.time += 1
    assert len(taken) == dispatch.MOST_ATTEMPTS
    pauses = [later - earlier for earlier, later in pairwise(taken)]
    assert pauses == sorted(pauses)
    found = backend.events.get(event.id)
    assert (found.state, "The disk is full." in found.message) == (EventState.DEAD, True)
    backend.events.retry(event.id)
    dispatcher().dispatch()
    assert backend.events.get(event.id).state is EventState.DONE


def test_workflows_that_were_stored_as_the_database_went_away_are_stored_once(backend, dispatcher, clock, monkeypatch):
    backend.objects.create(binding("a"))
    event = send(backend)
    start, mine, gone = WorkflowService.start, dispatcher(), [True, True]

    def lost(*_: Any) -> None:
        raise StoreError("The connection was lost.")

    monkeypatch.setattr(WorkflowService, "start", lost)
    transaction = backend.store.transaction
    kept = mine._submit

    def submit(*given: Any) -> None:
        try:
            kept(*given)
        finally:
            monkeypatch.setattr(WorkflowService, "start", start)
            monkeypatch.setattr(backend.store, "transaction", lambda: lost() if gone else transaction())

    monkeypatch.setattr(mine, "_submit", submit)
    mine.dispatch()
    assert (backend._host.started, len(workflows(backend))) == ([], 1)
    while gone:
        gone.pop()
        mine.dispatch()
    clock.time += 3600
    mine.dispatch()
    (stored,) = backend.find(Query.of(WorkflowSummary))
    ended = backend.events.get(event.id)
    assert (ended.state, ended.outcomes["a"]["uid"]) == (EventState.DONE, stored.id)
    # The keeper of the process that stored it begins with it (tests/integration/test_lost_answers.py).
    assert stored.owner == backend._host.owner


def test_what_ended_is_removed_after_a_while(backend, dispatcher, clock):
    event, waiting = send(backend), None
    dispatcher().dispatch()
    clock.time += service.RETENTION.total_seconds() - 1
    waiting = send(backend)
    dispatcher().clean()
    assert {one.id for one in backend.events.find()} == {event.id, waiting.id}
    clock.time += 2
    dispatcher().clean()
    assert [one.id for one in backend.events.find()] == [waiting.id]


# News --------------------------------------------------------------------------------------------------------------


class Receiver:
    """Takes posts, but for those that it is told to refuse."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.refuses: Callable[[str], bool] = lambda _: False

    def post(self, url: str, headers: Any, body: bytes) -> None:
        text = body.decode()
        if self.refuses(text):
            raise ServiceError("'host' answered with the status 500.")
        self.taken.append(text)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def deliverer(backend: LocalBackend, clock: SetClock, receiver: Receiver) -> Callable[..., Deliverer]:
    def make(owner: str = "here:1:1", alive: tuple[str, ...] = ("here:1:1",)) -> Deliverer:
        return Deliverer(
            backend.store, clock=clock, post=receiver.post, owner=owner, is_alive=lambda name: name in alive
        )

    return make


@pytest.fixture
def subscription(backend: LocalBackend, clock: SetClock) -> EventSubscription:
    return backend.events.subscribe("s", "http://127.0.0.1:1/", private=True)


def announce(backend: LocalBackend, uid: str, *phases: Phase) -> None:
    """Have a run go through phases."""
    subscriptions = backend.find(Query.of(EventSubscription))
    with backend.store.transaction() as transaction:
        if transaction.get(WorkflowRow, uid) is None:
            transaction.add(a_workflow(uid, name=f"wf-{uid}"))
        row = transaction.get(WorkflowSummary, uid)
        assert row is not None
        announcer = Announcer(subscriptions, row)
        for phase in phases:
            now = from_epoch(1_750_000_000.0)
            announcer.announce(transaction, Change(uid, WorkflowState(uid, "wf", phase, started_at=1.0)), now)


def waiting(backend: LocalBackend) -> list[RunNotice]:
    return backend.find(Query.of(RunNotice, order="id"))


def turn(deliverer: Deliverer) -> int:
    return sum(deliverer.deliver(one) for one in deliverer.due())


def test_news_are_posted_in_order_and_removed(backend, subscription, deliverer, receiver):
    announce(backend, "u", Phase.RUNNING, Phase.SUCCEEDED)
    assert turn(deliverer()) == 2
    assert ["dev.tiphys.run.started" in receiver.taken[0], "dev.tiphys.run.succeeded" in receiver.taken[1]] == [
        True
    ] * 2
    assert waiting(backend) == []
    assert deliverer().due() == []


def test_news_tell_each_phase_once_and_of_steps_that_do_something(backend, subscription, clock):
    row = a_workflow("u", name="wf")
    announcer, now = Announcer([subscription], row), from_epoch(clock.now())
    changes = [
        Change("u", WorkflowState("u", "wf", Phase.PENDING)),
        Change("u", WorkflowState("u", "wf", Phase.RUNNING), nodes=[a_node("n"), a_node("d", type=NodeType.DAG)]),
        Change("u", WorkflowState("u", "wf", Phase.RUNNING, message="m"), nodes=[a_node("n", progress="1/2")]),
        Change("u", WorkflowState("u", "wf", Phase.FAILED), nodes=[a_node("n", phase=Phase.FAILED, message="no")]),
    ]
    with backend.store.transaction() as transaction:
        for change in changes:
            announcer.announce(transaction, change, now)
    found = waiting(backend)
    assert [one.type.removeprefix("dev.tiphys.") for one in found] == [
        "run.started",
        "step.started",
        "step.failed",
        "run.failed",
    ]
    assert found[2].data["status"]["nodes"]["id-n"]["message"] == "no"
    assert len({one.event_id for one in found}) == 4


def test_only_types_that_are_wanted_are_written(backend, clock):
    backend.events.subscribe("s", "http://127.0.0.1:1/", types=["dev.tiphys.run.f"], private=True)
    announce(backend, "u", Phase.RUNNING, Phase.FAILED)
    assert [one.type for one in waiting(backend)] == ["dev.tiphys.run.failed"]


def test_news_that_is_refused_holds_up_its_run_and_no_other(backend, subscription, deliverer, receiver, clock):
    announce(backend, "a", Phase.RUNNING, Phase.SUCCEEDED)
    announce(backend, "b", Phase.RUNNING, Phase.SUCCEEDED)
    receiver.refuses = lambda text: "wf-a" in text and "run.started" in text
    turn(deliverer())
    assert ["wf-b" in one for one in receiver.taken] == [True, True]
    assert backend.events.subscriptions()[0].subscription.message == "'host' answered with the status 500."
    receiver.refuses = lambda text: False
    assert turn(deliverer()) == 0
    clock.time += 10
    assert turn(deliverer()) == 2
    assert ["wf-a" in one and kind in one for one, kind in zip(receiver.taken[2:], ("started", "succe"), strict=True)]
    assert backend.events.subscriptions()[0].subscription.message == ""


def test_news_is_given_up_at_last_and_what_follows_is_posted(backend, subscription, deliverer, receiver, clock):
    announce(backend, "a", Phase.RUNNING, Phase.SUCCEEDED)
    tried = 0

    def refuse(text: str) -> bool:
        nonlocal tried
        tried += "run.started" in text
        return "run.started" in text

    receiver.refuses = refuse
    began = clock.time
    while waiting(backend) and waiting(backend)[-1].state is EventState.QUEUED and clock.time < began + 86_400:
        turn(deliverer())
        clock.time += 30
    assert tried == MOST_ATTEMPTS
    assert 3600 < clock.time - began < 3 * 3600
    (status,) = backend.events.subscriptions()
    assert (len(receiver.taken), status.waiting, status.dead) == (1, 0, 1)
    (given_up,) = backend.events.news("s", states=[EventState.DEAD])
    assert (given_up.type, given_up.message) == ("dev.tiphys.run.started", "'host' answered with the status 500.")
    receiver.refuses = lambda text: "run.succeeded" in text
    assert backend.events.resend("s", [given_up.id[-8:]]) == 1
    clock.time += 30
    assert turn(deliverer()) == 1
    assert waiting(backend) == []
    assert ["run.started" in one for one in receiver.taken] == [False, True]


def test_dead_news_are_removed_after_a_week(backend, subscription, deliverer, receiver, clock):
    announce(backend, "a", Phase.RUNNING)
    with backend.store.transaction() as transaction:
        until = from_epoch(clock.now()) + service.RETENTION
        transaction.update_found(Query.of(RunNotice), state=EventState.DEAD, due_at=until)
    deliverer().clean()
    assert len(waiting(backend)) == 1
    clock.time += service.RETENTION.total_seconds() + 1
    deliverer().clean()
    assert waiting(backend) == []


def test_news_that_nobody_can_be_told_are_removed_after_a_week(backend, subscription, deliverer, clock):
    announce(backend, "a", Phase.RUNNING, Phase.SUCCEEDED)
    clock.time += service.RETENTION.total_seconds() - 1
    deliverer().clean()
    assert len(waiting(backend)) == 2
    clock.time += 2
    deliverer().clean()
    assert waiting(backend) == []


def test_one_process_posts_for_a_subscription(backend, subscription, deliverer, receiver, clock):
    announce(backend, "a", Phase.RUNNING)
    seen = deliverer().due()
    results = in_threads(4, lambda number: deliverer(owner=f"here:{number}:1").deliver(seen[0]))
    assert sum(results) == 1
    assert len(receiver.taken) == 1


def test_a_subscription_whose_poster_died_is_taken_over(backend, subscription, deliverer, receiver, clock):
    announce(backend, "a", Phase.RUNNING)
    with backend.store.transaction() as transaction:
        until = from_epoch(clock.now()) + LEASE
        transaction.update(EventSubscription, subscription.id, owner="here:9:9", due_at=until)
    assert deliverer(alive=("here:1:1", "here:9:9")).due() == []
    assert turn(deliverer()) == 1


def test_a_subscription_that_is_deleted_takes_its_news_with_it(backend, subscription, deliverer):
    announce(backend, "a", Phase.RUNNING)
    late = backend.find(Query.of(EventSubscription))
    backend.events.unsubscribe("s")
    assert waiting(backend) == []
    # A run that began before tells on.
    row = backend.find(Query.of(WorkflowSummary))[0]
    with backend.store.transaction() as transaction:
        change = Change("a", WorkflowState("a", "wf", Phase.FAILED))
        Announcer(late, row).announce(transaction, change, row.created_at + timedelta(1))
    deliverer().clean()
    assert waiting(backend) == []


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "target", ["http://127.0.0.1/", "http://localhost:80/", "http://169.254.169.254/latest", "ftp://h/"]
)
def test_subscriptions_to_private_addresses_are_refused(backend, target):
    with pytest.raises(UsageError):
        backend.events.subscribe("s", target)
