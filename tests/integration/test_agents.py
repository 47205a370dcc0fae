"""Agents against real servers: HTTP on loopback, and objects in a database."""

from __future__ import annotations

import json
import queue
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from tiphys.db.store import open_store
from tiphys.engine.events import TaskFinished
from tiphys.engine.model import Phase, Reason, Values, WorkflowState
from tiphys.errors import ConflictError
from tiphys.integrations.local.agents import http as http_module
from tiphys.integrations.local.agents.plugin_host import PluginHost
from tiphys.integrations.local.agents.runner import AgentRunner
from tiphys.integrations.local.artifact_store import LocalArtifactStore
from tiphys.integrations.local.config import LocalArtifactStoreConfig
from tiphys.ports.object_keeper import ObjectKeeper
from tiphys.ports.runner import Runner, Task
from tiphys.ports.store import WorkflowBatch
from tiphys.records.base import Query
from tiphys.records.workflows import WorkflowRequest
from tiphys.services.backend import LocalBackend
from tiphys.services.workflows.resource_actions import ResourceActions
from tiphys.testing.playing import IdleHost

LONG = 60.0
BEGAN = 1_750_000_000.0
OK, FAILED, ERROR = Phase.SUCCEEDED, Phase.FAILED, Phase.ERROR


class NoSources:
    """There are no other places."""

    def fetch(self, artifact: Any, into: Path) -> None:
        raise AssertionError(artifact)

    def list_keys(self, artifact: Any) -> list[str]:
        raise AssertionError(artifact)


def no_cluster() -> ObjectKeeper:
    raise AssertionError


def no_pods() -> Runner:
    raise AssertionError


class Agency:
    """A runner over a database, with an engine that does nothing."""

    def __init__(self, home: Path) -> None:
        url = f"sqlite:///{home / 'tiphys.db'}"
        self.host = IdleHost()
        self.backend = LocalBackend(open_store(url), home=home, db_url=url, host=self.host)
        self.actions = ResourceActions(self.backend.objects, self.backend.workflows, runner="process")
        self.runner = AgentRunner(
            actions=self.actions,
            cluster=no_cluster,
            secrets=self.backend.objects.secret,
            store=LocalArtifactStore(name="s", config=LocalArtifactStoreConfig(path=str(home / "artifacts"))),
            sources=lambda _: NoSources(),
            plugins=PluginHost(home, flavour="process", pods=no_pods),
        )
        self.reports: queue.SimpleQueue[TaskFinished] = queue.SimpleQueue()
        self.launched = 0

    def launch(self, body: dict[str, Any], *, deadline: float | None = None) -> Task:
        self.launched += 1
        task = Task(
            id=f"uid/n{self.launched}/0",
            workflow_uid="uid",
            node_id="n",
            name="step",
            attempt=0,
            body={"name": "t", **body},
            inputs=Values(),
            deadline=deadline,
            context={"workflow": "parent", "namespace": "default"},
        )
        self.runner.launch(task, self.reports.put)
        return task

    def run(self, body: dict[str, Any], **rest: Any) -> TaskFinished:
        task = self.launch(body, **rest)
        finished = self.reports.get(timeout=LONG)
        assert finished.task_id == task.id
        return finished

    def call(self, url: str, **http: Any) -> tuple[Phase, str, str | None]:
        finished = self.run({"http": {"url": url, **http}})
        return finished.phase, finished.message, finished.outputs.result if finished.outputs else None

    def resource(self, action: str, manifest: Any = None, **rest: Any) -> TaskFinished:
        return self.run(template(action, manifest, **rest))

    def carry(self, manifest: dict[str, Any], phase: Phase) -> None:
        """What the engine would do to a workflow."""
        uid, name = manifest["metadata"]["uid"], manifest["metadata"]["name"]
        state = WorkflowState(uid, name, phase, "", BEGAN, BEGAN + 1 if phase.fulfilled else None)
        with self.backend.store.transaction() as transaction:
            transaction.save(WorkflowBatch(uid, [], state))


def template(action: str, manifest: Any = None, *, outputs: Any = None, **rest: Any) -> dict[str, Any]:
    text = {} if manifest is None else {"manifest": json.dumps(manifest)}
    parameters = [{"name": name, "valueFrom": source} for name, source in (outputs or {}).items()]
    return {"resource": {"action": action, **text, **rest}, "outputs": {"parameters": parameters}}


@pytest.fixture
def agency(tmp_path: Path) -> Iterator[Agency]:
    agency = Agency(tmp_path)
    yield agency
    agency.runner.close()
    agency.backend.close()


# HTTP


class Server(ThreadingHTTPServer):
    """Answers as the path says, and remembers the requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[Handler] = []
        self.gate = threading.Event()
        self.scheme = "http"

    def url(self, path: str) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server
    body = b""

    def log_message(self, *arguments: Any) -> None:
        pass

    def answer(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append(self)
        kind, _, rest = self.path.partition("?")[0].lstrip("/").partition("/")
        if kind == "wait":
            self.server.gate.wait(LONG)
        status = int(rest) if kind == "status" else 302 if kind == "redirect" else 200
        content = {"echo": self.body, "big": b"x" * 100}.get(kind, b"fine \xc3\xbc")
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("x-some-thing", "1")
        self.send_header("X-Some-Thing", "2")
        if kind == "redirect":
            self.send_header("Location", "/redirect/" if rest == "" else f"/{rest}")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = answer


@pytest.fixture
def make_server() -> Iterator[Callable[[], Server]]:
    servers: list[Server] = []

    def make() -> Server:
        server = Server()
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        return server

    yield make
    for server in servers:
        server.gate.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def server(make_server: Callable[[], Server]) -> Server:
    return make_server()


@pytest.mark.parametrize(
    ("path", "condition", "expected"),
    [
        ("/status/200", "", (OK, "")),
        ("/status/204", "", (OK, "")),
        ("/status/404", "", (FAILED, "received non-2xx response code: 404")),
        ("/status/503", "", (FAILED, "received non-2xx response code: 503")),
        ("/redirect/status/404", "", (FAILED, "received non-2xx response code: 404")),
        ("/status/404", "response.statusCode == 404", (OK, "")),
        ("/", 'response.body contains "fine ü"', (OK, "")),
        ("/", 'response.headers["X-Some-Thing"] == ["1", "2"]', (OK, "")),
        ("/", "asInt(response.headers['Content-Length'][0]) == len(response.body) + 1", (OK, "")),
        ("/", "response.statusCode != 200", (FAILED, "successCondition 'response.statusCode != 200' evaluated false")),
        (
            "/",
            "request.method == 'GET' && request.url endsWith '/' && request.headers.A == ['b'] && request.body == ''",
            (OK, ""),
        ),
    ],
)
def test_what_an_answer_means(agency: Agency, server: Server, path, condition, expected) -> None:
    more = {"successCondition": condition} if condition else {}
    headers = [{"name": "A", "value": "b"}]
    assert agency.call(server.url(path), method="GET", headers=headers, **more)[:2] == expected


def test_a_condition_that_is_no_condition_is_an_error(agency: Agency, server: Server) -> None:
    phase, message, _ = agency.call(server.url("/"), successCondition="response.body")
    assert phase is ERROR
    assert message.startswith("http.successCondition: ")


@pytest.mark.parametrize(
    ("http", "method", "body"),
    [
        ({}, "GET", b""),
        ({"method": "POST", "body": '{"a": "ü"}'}, "POST", '{"a": "ü"}'.encode()),
        ({"method": "PUT", "bodyFrom": {"bytes": "/wA="}}, "PUT", b"\xff\x00"),
        ({"method": "DELETE"}, "DELETE", b""),
        ({"method": "PATCH", "body": "x"}, "PATCH", b"x"),
    ],
)
def test_requests(agency: Agency, server: Server, http, method, body) -> None:
    assert agency.call(server.url("/echo"), **http) == (OK, "", body.decode("utf-8", "replace"))
    assert (server.seen[0].command, server.seen[0].body) == (method, body)


def test_headers(agency: Agency, server: Server) -> None:
    secret = {"kind": "Secret", "metadata": {"name": "login"}, "stringData": {"token": "s3cret"}}
    agency.backend.objects.create(secret)
    headers = [
        {"name": "Authorization", "valueFrom": {"secretKeyRef": {"name": "login", "key": "token"}}},
        {"name": "Host", "value": "example.com"},
        {"name": "X-Several", "value": "1"},
        {"name": "X-Several", "value": "2"},
    ]
    condition = "request.headers['Host'] == ['example.com'] && !('Authorization' in request.headers)"
    assert agency.call(server.url("/"), headers=headers, successCondition=condition)[:2] == (OK, "")
    seen = server.seen[0].headers
    assert (seen["Authorization"], seen["Host"], seen.get_all("X-Several")) == ("s3cret", "example.com", ["1", "2"])


def test_a_long_body_is_cut_and_that_is_said(agency: Agency, server: Server, monkeypatch) -> None:
    monkeypatch.setattr(http_module, "LONGEST_BODY", 10)
    expected = "of the response's body only the first 10 bytes were kept"
    assert agency.call(server.url("/big")) == (OK, expected, "x" * 10)
    monkeypatch.setattr(http_module, "LONGEST_BODY", 100)
    assert agency.call(server.url("/big")) == (OK, "", "x" * 100)


def test_an_answer_that_does_not_come_is_an_error(agency: Agency, server: Server, monkeypatch) -> None:
    monkeypatch.setattr(http_module, "TIMEOUT", 0.1)
    phase, message, _ = agency.call(server.url("/wait?token=secret"))
    assert phase is ERROR
    expected = f"GET {server.url('/wait')}: there was no answer within 0.1 s."
    assert message.splitlines()[0] == expected


def test_a_deadline_ends_a_request(agency: Agency, server: Server) -> None:
    finished = agency.run({"http": {"url": server.url("/wait")}}, deadline=time.time() + 0.2)
    assert (finished.phase, finished.reason) == (FAILED, Reason.TIMED_OUT)
    expected = f"Step exceeded its deadline while waiting for the answer of {server.url('/wait')}"
    assert finished.message == expected


def test_a_cancelled_request_is_not_heard_any_more(agency: Agency, server: Server) -> None:
    task = agency.launch({"http": {"url": server.url("/wait")}})
    while not server.seen:
        time.sleep(0.005)
    agency.runner.cancel(task.id, 0)
    server.gate.set()
    assert agency.call(server.url("/"))[0] is OK
    assert agency.reports.empty()


def test_endless_redirections_are_an_error(agency: Agency, server: Server) -> None:
    phase, message, _ = agency.call(server.url("/redirect/"))
    assert (phase, "redirects" in message) == (ERROR, True)


def test_certificates_are_checked_unless_told_otherwise(agency: Agency, make_server: Callable[[], Server]) -> None:
    server = make_server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.scheme = "https"
    phase, message, _ = agency.call(server.url("/"))
    assert (phase, "CERTIFICATE_VERIFY_FAILED" in message) == (ERROR, True)
    assert agency.call(server.url("/"), insecureSkipVerify=True)[:2] == (OK, "")


# Objects

CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "owned-"}, "data": {"some": "value"}}
CHILD = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Workflow",
    "metadata": {"generateName": "child-"},
    "spec": {
        "entrypoint": "main",
        "templates": [{"name": "main", "container": {"image": "busybox", "command": ["true"]}}],
    },
}
UNTIL = {"successCondition": "status.phase == Succeeded", "failureCondition": "status.phase in (Failed, Error)"}


@pytest.mark.parametrize(("phase", "expected"), [(Phase.SUCCEEDED, OK), (Phase.ERROR, FAILED)])
def test_a_workflow_of_workflows(agency: Agency, phase: Phase, expected: Phase) -> None:
    outputs = {"name": {"jsonPath": "{.metadata.name}"}, "all": {"jqFilter": ".metadata.name, .status.phase"}}
    agency.launch(template("create", CHILD, outputs=outputs, setOwnerReference=True, **UNTIL))
    while not agency.host.started:
        time.sleep(0.005)
    (child,) = agency.actions.find("Workflow", "default", "")
    assert child["metadata"]["name"].startswith("child-")
    assert child["metadata"]["ownerReferences"][0]["name"] == "parent"
    agency.carry(child, Phase.RUNNING)
    assert agency.reports.empty()
    agency.carry(child, phase)
    finished = agency.reports.get(timeout=LONG)
    assert (finished.phase, finished.message.endswith("evaluated true")) == (expected, expected is FAILED)
    name = child["metadata"]["name"]
    assert finished.outputs is not None
    assert finished.outputs.parameters == ({"name": name, "all": f"{name}\nSucceeded"} if expected is OK else {})


def test_a_config_map_through_its_life(agency: Agency) -> None:
    made = agency.resource("create", CONFIG, setOwnerReference=True, outputs={"n": {"jsonPath": "{.metadata.name}"}})
    assert made.outputs is not None
    name = made.outputs.parameters["n"]
    named = {**CONFIG, "metadata": {"name": name}}
    assert agency.resource("apply", {**named, "data": {"other": "1"}}).phase is OK
    assert agency.backend.objects.config_map("default", name) == {"some": b"value", "other": b"1"}
    assert agency.resource("apply", named).phase is OK
    assert agency.backend.objects.config_map("default", name) == {"some": b"value"}
    patch = [{"op": "replace", "path": "/data/some", "value": "x"}]
    assert agency.resource("patch", patch, mergeStrategy="json", flags=["cm", name]).phase is OK
    assert agency.backend.objects.config_map("default", name) == {"some": b"x"}
    assert agency.resource("delete", flags=["cm", name]).phase is OK
    assert agency.backend.objects.config_map("default", name) is None


def test_the_answer_no_is_a_failure_and_not_an_error(agency: Agency) -> None:
    missing = agency.resource("get", flags=["wf", "nobody"])
    assert (missing.phase, "no workflow 'nobody'" in missing.message) == (FAILED, True)
    invalid = agency.resource("create", {**CHILD, "spec": {"entrypoint": "nobody"}})
    assert (invalid.phase, "is not valid" in invalid.message) == (FAILED, True)


@pytest.mark.parametrize(
    ("spec", "shut", "wishes"),
    [
        ({"shutdown": "Stop"}, ["Stop"], []),
        ({"shutdown": "Terminate"}, ["Terminate"], []),
        ({"suspend": True}, [], ["suspend"]),
        ({}, [], []),
    ],
)
def test_workflows_are_steered_by_patches(agency: Agency, spec, shut, wishes) -> None:
    made = agency.backend.workflows.submit(CHILD)
    name, uid = made["metadata"]["name"], made["metadata"]["uid"]
    finished = agency.resource("patch", {"spec": spec}, mergeStrategy="merge", flags=["wf", name])
    assert (finished.phase, finished.message) == (OK, "")
    assert agency.host.shut == [(uid, strategy) for strategy in shut]
    found = agency.backend.find(Query.of(WorkflowRequest, workflow_uid=uid, order="id"))
    assert [wish.operation.value for wish in found] == wishes


def test_a_workflow_that_is_applied_again_stays(agency: Agency) -> None:
    spec = {**CHILD["spec"], "arguments": {"parameters": [{"name": "n", "value": 5}]}}
    for _ in range(2):
        finished = agency.resource("apply", {**CHILD, "metadata": {"name": "w"}, "spec": spec})
        assert (finished.phase, finished.message) == (OK, "")
    assert len(agency.host.started) == 1
    finished = agency.resource("apply", {**CHILD, "metadata": {"name": "w"}})
    assert (finished.phase, "only spec.shutdown" in finished.message) == (FAILED, True)


def test_what_cannot_be_changed_of_a_workflow(agency: Agency) -> None:
    made = agency.backend.workflows.submit(CHILD)
    labelled = {**made, "metadata": {**made["metadata"], "labels": {"foo": "bar"}}}
    with pytest.raises(ConflictError, match="only spec.shutdown"):
        agency.actions.update("default", labelled)
    shut = {**made, "spec": {**made["spec"], "shutdown": "Now"}}
    with pytest.raises(ConflictError, match="only spec.shutdown"):
        agency.actions.update("default", shut)


def test_objects_of_all_kinds_are_found_and_deleted(agency: Agency) -> None:
    agency.actions.create("default", {**CHILD, "metadata": {"name": "w", "labels": {"a": "b"}}})
    agency.actions.create("default", {**CONFIG, "metadata": {"name": "c", "labels": {"a": "b"}}})
    for kind, name in (("Workflow", "w"), ("ConfigMap", "c")):
        assert [one["metadata"]["name"] for one in agency.actions.find(kind, "default", "a=b")] == [name]
        assert agency.actions.find(kind, "default", "a=c") == []
    agency.actions.delete("ConfigMap", "default", "c")
    assert agency.actions.find("ConfigMap", "default", "") == []
