"""Events that are sent to a real server: what they start, once, whatever happens between."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cloudevents.core.bindings import http
from cloudevents.core.bindings.http import HTTPMessage, from_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hera.events.models import Item
from hera.events.service import EventsService
from tests.contract.conftest import empty_postgres_url, postgres
from tests.integration.server_desk import PATIENCE, RunningServer, running_server, workflow

from tiphys._util.ids import new_id
from tiphys._util.times import to_epoch, utc_now
from tiphys.db.store import open_store
from tiphys.records.base import Query
from tiphys.records.events import EventState, ReceivedEvent
from tiphys.records.workflows import WorkflowSummary
from tiphys.services.events.signatures import CLIENTS, HEADER, WebhookClient, sign, verify
from tiphys.services.objects import ObjectService

__all__ = ["empty_postgres_url", "postgres"]

# Hera's own use of pydantic and of httpx.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20"),
    pytest.mark.filterwarnings("ignore:`verify=<str>` is deprecated"),
    pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload"),
]

TEMPLATE: dict[str, Any] = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "WorkflowTemplate",
    "metadata": {"name": "greet"},
    "spec": {
        "entrypoint": "main",
        "arguments": {"parameters": [{"name": "message", "value": "nothing"}]},
        "templates": [
            {
                "name": "main",
                "inputs": {"parameters": [{"name": "message", "value": "{{workflow.parameters.message}}"}]},
                "container": {"image": "busybox", "command": ["echo", "{{inputs.parameters.message}}"]},
            }
        ],
    },
}


def binding(name: str, selector: str, **submit: Any) -> dict[str, Any]:
    parameters = [{"name": "message", "valueFrom": {"event": "payload.message"}}]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowEventBinding",
        "metadata": {"name": name},
        "spec": {
            "event": {"selector": selector},
            "submit": {"workflowTemplateRef": {"name": "greet"}, "arguments": {"parameters": parameters}, **submit},
        },
    }


class Desk:
    """One namespace of a server."""

    def __init__(self, server: RunningServer, client: httpx2.Client, namespace: str, url: str = "") -> None:
        self.server, self.client, self.namespace = server, client, namespace
        self.store = open_store(url or f"sqlite:///{server.home / 'tiphys.db'}")

    def bind(self, *bindings: dict[str, Any]) -> None:
        self.client.post(f"/api/v1/workflow-templates/{self.namespace}", json={"template": TEMPLATE}).raise_for_status()
        for one in bindings:
            self.client.post(
                f"/api/v1/workflow-event-bindings/{self.namespace}", json={"workflowEventBinding": one}
            ).raise_for_status()

    def send(self, path: str = "", **given: Any) -> httpx2.Response:
        return self.client.post(f"/api/v1/events/{self.namespace}/{path}", **given)

    def events(self) -> list[ReceivedEvent]:
        with self.store.reader() as reader:
            return reader.find(Query.of(ReceivedEvent, workspace=self.namespace, order="id"))

    def settled(self) -> list[ReceivedEvent]:
        """The events, once none waits."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = self.events()
            if all(one.state is not EventState.QUEUED for one in found):
                return found
            time.sleep(0.05)
        raise AssertionError(f"some wait still: {found}")

    def workflows(self) -> list[WorkflowSummary]:
        with self.store.reader() as reader:
            return reader.find(Query.of(WorkflowSummary, workspace=self.namespace, order="id"))

    def whole(self, name: str) -> dict[str, Any]:
        found = self.client.get(f"/api/v1/workflows/{self.namespace}/{name}").raise_for_status().json()
        assert isinstance(found, dict)
        return found

    def finished(self, name: str) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = self.whole(name)
            if found["status"].get("phase") in ("Succeeded", "Failed", "Error"):
                return found
            time.sleep(0.1)
        raise AssertionError(f"{name} has not ended")


@pytest.fixture
def desk(server: RunningServer) -> Iterator[Desk]:
    with server.client() as client:
        made = Desk(server, client, f"events-{new_id()[-8:]}")
        with closing(made.store):
            yield made


def test_an_event_runs_the_workflow_of_the_binding_that_it_meets(desk: Desk) -> None:
    desk.bind(
        binding("met", 'payload.message != "" && metadata["x-argo-e2e"] == ["true"] && discriminator == "mine"'),
        binding("not-met", 'discriminator == "other"'),
    )
    answer = desk.send("mine", json={"message": "hello events"}, headers={"X-Argo-E2E": "true"})
    assert (answer.status_code, answer.json()) == (200, {})
    (event,) = desk.settled()
    assert event.state is EventState.DONE
    (row,) = desk.workflows()
    found = desk.finished(row.name)
    assert found["status"]["phase"] == "Succeeded"
    assert found["spec"]["arguments"]["parameters"] == [{"name": "message", "value": "hello events"}]
    assert found["metadata"]["labels"]["workflows.argoproj.io/workflow-event-binding"] == "met"
    assert found["metadata"]["labels"]["workflows.argoproj.io/workflow-template"] == "greet"
    assert row.name.startswith("greet-")


def test_bindings_are_listed_as_argo_lists_them(desk: Desk) -> None:
    desk.bind(binding("one", "true"), binding("two", "false"))
    found = desk.client.get(f"/api/v1/workflow-event-bindings/{desk.namespace}").raise_for_status().json()
    assert [one["metadata"]["name"] for one in found["items"]] == ["one", "two"]


def test_one_binding_that_fails_does_not_stop_the_others(desk: Desk) -> None:
    desk.bind(binding("broken", "payload.list[3] == 1"), binding("fine", "true"))
    assert desk.send("", json={"message": "m"}).status_code == 200
    (event,) = desk.settled()
    assert event.state is EventState.DEAD
    assert "payload.list[3]" in event.outcomes["broken"]["error"]
    assert [row.name for row in desk.workflows()] == [event.outcomes["fine"]["workflow"]]


@pytest.mark.parametrize("header", ["Idempotency-Key", "X-GitHub-Delivery"])
def test_a_delivery_that_comes_again_submits_once(desk: Desk, header: str) -> None:
    desk.bind(binding("b", "true"))
    for _ in range(3):
        assert desk.send("", json={"message": "m"}, headers={header: "same"}).status_code == 200
    assert desk.send("", json={"message": "m"}, headers={header: "other"}).status_code == 200
    assert len(desk.settled()) == 2
    assert len(desk.workflows()) == 2


def test_hera_sends_events(desk: Desk) -> None:
    desk.bind(binding("b", "true"))
    service = EventsService(host=desk.server.url, verify_ssl=desk.server.authority, namespace=desk.namespace)
    service.receive_event("x", Item({"message": "of Hera"}))
    desk.settled()
    (row,) = desk.workflows()
    assert desk.whole(row.name)["spec"]["arguments"]["parameters"][0]["value"] == "of Hera"


def clients(**found: str) -> dict[str, Any]:
    return {"kind": "Secret", "metadata": {"name": CLIENTS}, "stringData": found}


def store_secret(desk: Desk, **found: str) -> None:
    ObjectService(desk.store, home=desk.server.home, namespace=desk.namespace).create(clients(**found))


def test_a_namespace_with_webhook_clients_takes_what_they_signed_and_nothing_else(desk: Desk) -> None:
    desk.bind(binding("b", "true"))
    store_secret(desk, github="type: github\nsecret: shh", generic="type: hmac\nsecret: hush")
    body = json.dumps({"message": "signed"}).encode()
    right = hmac.new(b"shh", body, hashlib.sha256).hexdigest()
    sha1 = hmac.new(b"shh", body, hashlib.sha1).hexdigest()
    for headers in ({}, {"X-Hub-Signature": f"sha1={sha1}"}, {"X-Hub-Signature-256": f"sha256={right[::-1]}"}):
        answer = desk.send("", content=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, 7)
    assert desk.events() == []
    assert desk.send("", content=body, headers={"X-Hub-Signature-256": f"sha256={right}"}).status_code == 200
    (event,) = desk.settled()
    assert event.sender == "github"
    assert "x-hub-signature-256" not in event.metadata

    stamped = {HEADER: sign("hush", body, now=to_epoch(utc_now()))}
    assert desk.send("", content=body, headers=stamped).status_code == 200
    assert desk.send("", content=body, headers={**stamped, "Idempotency-Key": "new"}).status_code == 403
    old = {HEADER: sign("hush", body, now=to_epoch(utc_now()) - 301)}
    assert desk.send("", content=body, headers=old).status_code == 403
    assert [one.sender for one in desk.settled()] == ["github", "generic"]


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_cloud_events_of_the_library(desk: Desk, mode: str) -> None:
    desk.bind(binding("b", 'metadata["ce-type"] == ["org.example.made"] && metadata["ce-subject"] == ["a b"]'))
    attributes = {"type": "org.example.made", "source": "/here", "id": "1", "subject": "a b", "specversion": "1.0"}
    made = CloudEvent({**attributes, "datacontenttype": "application/json"}, {"message": "of the cloud"})
    sent = (http.to_binary if mode == "binary" else http.to_structured)(made, JSONFormat())
    for _ in range(2):
        assert desk.send("", content=sent.body, headers=sent.headers).status_code == 200
    assert [one.state for one in desk.settled()] == [EventState.DONE]
    (row,) = desk.workflows()
    assert desk.whole(row.name)["spec"]["arguments"]["parameters"][0]["value"] == "of the cloud"


@pytest.mark.parametrize(
    ("content", "status", "told"),
    [
        (b"{", 400, "is not JSON"),
        (b"NaN", 400, "is not JSON"),
        (b"[" * 101 + b"]" * 101, 400, "nested"),
        (b"[" * 100_000, 400, "is not JSON"),
        (b'"' + b"x" * 2 * 1024 * 1024 + b'"', 413, "at most"),
    ],
    ids=["half", "nan", "deep", "bomb", "large"],
)
def test_bad_events_are_refused_and_not_kept(desk: Desk, content: bytes, status: int, told: str) -> None:
    answer = desk.send("", content=content)
    assert (answer.status_code, told in answer.json()["message"]) == (status, True)
    assert desk.events() == []


def test_a_hundred_megabytes_are_refused(desk: Desk) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 1_000_000

    assert desk.send("", content=chunks()).status_code == 413


@pytest.mark.parametrize("path", ["a%00b", "a%0ab", "d" * 254])
def test_a_discriminator_is_one_line(desk: Desk, path: str) -> None:
    assert desk.send(path, json={}).status_code == 400


def test_what_was_answered_is_carried_out_after_a_crash_and_once(tmp_path: Path) -> None:
    """The server is killed again and again, at moments that are whatever they are."""
    home = tmp_path / "home"
    sent = 0
    for round_number in range(3):
        with running_server(home) as server, server.client() as client:
            desk = Desk(server, client, "crash")
            with closing(desk.store):
                if round_number == 0:
                    desk.bind(binding("b", "true"))
                for _ in range(10):
                    desk.send(
                        "", json={"message": f"m{sent}"}, headers={"Idempotency-Key": str(sent)}
                    ).raise_for_status()
                    sent += 1
                # Sent once more, as a sender does that has not heard of the end.
                desk.send("", json={"message": "again"}, headers={"Idempotency-Key": str(sent - 1)}).raise_for_status()
            server.end(signal.SIGKILL)
    with running_server(home) as server, server.client() as client:
        desk = Desk(server, client, "crash")
        with closing(desk.store):
            events = desk.settled()
            rows = desk.workflows()
            values = sorted(desk.finished(row.name)["spec"]["arguments"]["parameters"][0]["value"] for row in rows)
    assert [one.state for one in events] == [EventState.DONE] * sent
    assert values == sorted(f"m{number}" for number in range(sent))


# News --------------------------------------------------------------------------------------------------------------


_CREATE = ("event", "subscription", "create", "s", "--private")
_LIST = ("event", "subscription", "list", "-o", "json")


class Receiver:
    """Takes news, once it is told to."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.taken: list[tuple[dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if outer.open.is_set():
                    outer.taken.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(204 if outer.open.is_set() else 503)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nobody reads it."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/news"

    def types(self) -> list[str]:
        return [json.loads(body)["type"].removeprefix("dev.tiphys.") for _, body in self.taken]

    def wait_for(self, number: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while len(self.taken) < number and time.monotonic() < deadline:
            time.sleep(0.05)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def tiphys(home: Path, *arguments: str) -> str:
    """What a command prints."""
    environment = {**os.environ, "TIPHYS_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-m", "tiphys", *arguments], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_news_of_a_run_are_posted_in_order_signed_and_after_a_crash(tmp_path: Path, receiver: Receiver) -> None:
    home = tmp_path / "home"
    receiver.open.clear()
    with running_server(home, "--private-targets") as server, server.client() as client:
        said = tiphys(home, *_CREATE, "--url", receiver.url, "-n", "news")
        secret = said.split()[-1]
        desk = Desk(server, client, "news")
        with closing(desk.store):
            made = client.post("/api/v1/workflows/news", json={"workflow": workflow("true")}).raise_for_status().json()
            desk.finished(made["metadata"]["name"])
        server.end(signal.SIGKILL)
    receiver.open.set()
    with running_server(home, "--private-targets"):
        receiver.wait_for(4)
    assert receiver.types() == ["run.started", "step.started", "step.succeeded", "run.succeeded"]
    for headers, body in receiver.taken:
        verify([WebhookClient("us", "hmac", secret)], headers, body, now=to_epoch(utc_now()))
        event = from_structured(HTTPMessage(headers, body), JSONFormat())
        assert event.get_source() == f"/api/v1/workflows/news/{made['metadata']['name']}"
        assert event.get_data()["metadata"]["uid"] == made["metadata"]["uid"]
    shown = json.loads(tiphys(home, *_LIST, "-n", "news"))
    assert [(one["waiting"], one["dead"]) for one in shown] == [(0, 0)]
    assert secret not in json.dumps(shown)


def test_news_are_not_posted_to_this_machine_unless_the_server_allows_it(tmp_path: Path, receiver: Receiver) -> None:
    home = tmp_path / "home"
    with running_server(home) as server, server.client() as client:
        tiphys(home, *_CREATE, "--url", receiver.url)
        client.post("/api/v1/workflows/default", json={"workflow": workflow("true")}).raise_for_status()
        deadline, found = time.monotonic() + PATIENCE, ""
        while not found and time.monotonic() < deadline:
            found = json.loads(tiphys(home, *_LIST))[0]["subscription"]["message"]
    assert "private network" in found
    assert receiver.taken == []


def test_a_tiphys_starts_what_another_one_tells_of(tmp_path: Path) -> None:
    """The news that one server posts are events that another takes, with their signature."""
    with (
        running_server(tmp_path / "b", "--insecure") as other,
        httpx2.Client(base_url=other.url, timeout=PATIENCE) as client,
    ):
        desk = Desk(other, client, "b")
        with closing(desk.store):
            desk.bind(binding("b", 'metadata["ce-type"] == ["dev.tiphys.run.succeeded"]'))
            store_secret(desk, tiphys="type: hmac\nsecret: a-key-of-some-length")
            url = f"{other.url}/api/v1/events/b/"
            with running_server(tmp_path / "a", "--private-targets") as server, server.client() as first:
                options = ("--url", url, "--secret", "a-key-of-some-length", "--type", "dev.tiphys.run")
                tiphys(tmp_path / "a", *_CREATE, *options)
                first.post("/api/v1/workflows/default", json={"workflow": workflow("true")}).raise_for_status()
                deadline = time.monotonic() + PATIENCE
                while not desk.workflows() and time.monotonic() < deadline:
                    time.sleep(0.1)
            assert len(desk.workflows()) == 1
            assert [one.sender for one in desk.settled()] == ["tiphys", "tiphys"]
            assert desk.send("word", json={}).status_code == 403
        assert "an event for b/'word' from 127.0.0.1 was refused" in other.end()


def test_two_servers_on_one_database_submit_each_delivery_once(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Each delivery is sent to both, and one of them is killed."""
    home, database = tmp_path / "home", {"TIPHYS_DB_URL": request.getfixturevalue("empty_postgres_url")}
    with (
        running_server(home, **database) as first,
        running_server(home, **database) as second,
        first.client() as to_first,
        second.client() as to_second,
    ):
        desk = Desk(second, to_second, "both", database["TIPHYS_DB_URL"])
        with closing(desk.store):
            desk.bind(binding("b", "true"))
            for number in range(20):
                for client in (to_first, to_second)[number >= 10 :]:
                    given = {"json": {"message": f"m{number}"}, "headers": {"Idempotency-Key": str(number)}}
                    client.post("/api/v1/events/both/", **given).raise_for_status()
                if number == 9:
                    first.end(signal.SIGKILL)
            assert [one.state for one in desk.settled()] == [EventState.DONE] * 20
            found = [desk.finished(row.name) for row in desk.workflows()]
    values = sorted(one["spec"]["arguments"]["parameters"][0]["value"] for one in found)
    assert values == sorted(f"m{number}" for number in range(20))
    assert {one["status"]["phase"] for one in found} == {"Succeeded"}
