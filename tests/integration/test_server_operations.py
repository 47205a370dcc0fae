"""A server as those see it who watch over it, and as those find it who mean it no good."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from tests.integration.server_desk import PATIENCE, RunningServer, running_server, workflow

API = "/api/v1"


class Log:
    """What a server prints, a JSON object a line."""

    def __init__(self, server: RunningServer) -> None:
        self.lines = server.output.lines

    def found(self, **fields: Any) -> dict[str, Any]:
        """The first line with these fields; waits for it."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for line in [line for line in self.lines if line.startswith("{")]:
                told: dict[str, Any] = json.loads(line)
                if all(told.get(name) == value for name, value in fields.items()):
                    return told
            time.sleep(0.05)
        raise AssertionError(f"{fields} is not in: {''.join(self.lines[-20:])}")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("operations") / "home"


@pytest.fixture(scope="module")
def watched(home: Path) -> Iterator[tuple[RunningServer, Log]]:
    with running_server(home, "--insecure", "--log-format", "json", "--max-body", "1") as server:
        yield server, Log(server)
        assert "Traceback" not in server.end()
        assert server.process.returncode == 0


@pytest.fixture
def client(watched: tuple[RunningServer, Log]) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=watched[0].url, timeout=PATIENCE) as made:
        yield made


@pytest.fixture
def log(watched: tuple[RunningServer, Log]) -> Log:
    return watched[1]


def ended(client: httpx2.Client, name: str) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found: dict[str, Any] = client.get(f"{API}/workflows/argo/{name}").json()
        if found["status"].get("finishedAt"):
            return found
        time.sleep(0.05)
    raise AssertionError(found)


def submit(client: httpx2.Client, manifest: dict[str, Any]) -> str:
    answer = client.post(f"{API}/workflows/argo", json={"workflow": manifest})
    assert answer.status_code == 200, answer.text
    name: str = answer.json()["metadata"]["name"]
    return name


def value(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found, f"{name} is not in: {text}"
    return float(found[1])


def test_metrics_tell_of_requests_workflows_and_the_engine(client: httpx2.Client) -> None:
    custom = {"name": "made_by_a_test", "help": "h", "counter": {"value": "3"}}
    manifest = workflow("true", metrics={"prometheus": [custom]})
    name = submit(client, manifest)
    ended(client, name)
    client.get(f"{API}/workflows/argo/none")
    client.request("BREW", f"{API}/version")
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    text = answer.text
    route = f"{API}/workflows/{{namespace}}/{{name}}"
    assert value(text, f'tiphys_http_requests_total{{method="GET",route="{route}",status="404"}}') == 1
    assert value(text, f'tiphys_http_request_seconds_count{{method="POST",route="{API}/workflows/{{namespace}}"}}') >= 1
    assert 'method="other"' in text
    assert "BREW" not in text
    for phase in ("Running", "Succeeded"):
        assert value(text, f'argo_workflows_total_count{{namespace="argo",phase="{phase}"}}') >= 1
        assert value(text, f'argo_workflows_pods_total_count{{namespace="argo",phase="{phase}"}}') >= 1
    assert value(text, "argo_workflows_is_leader") == 1
    assert value(text, 'argo_workflows_queue_adds_count{queue_name="workflow_queue"}') >= 2
    assert value(text, 'argo_workflows_queue_duration_count{queue_name="workflow_queue"}') >= 2
    assert value(text, 'argo_workflows_log_messages{level="info"}') >= 1
    assert value(text, 'argo_workflows_workflow_condition{status="True",type="PodRunning"}') >= 0
    assert value(text, "argo_workflows_operation_duration_seconds_count") >= 2
    assert value(text, 'argo_workflows_queue_depth_gauge{queue_name="workflow_queue"}') >= 0
    assert re.search(r'argo_workflows_gauge\{phase="Succeeded"\} \d', text)
    assert re.search(r'tiphys_runs\{status="completed"\} \d', text)
    deadline = time.monotonic() + PATIENCE
    while "argo_workflows_made_by_a_test 3" not in client.get("/metrics").text:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_metrics_tell_of_templates_and_locks(client: httpx2.Client, watched: tuple[RunningServer, Log]) -> None:
    lock = {"mutexes": [{"name": "one"}]}
    template = {"metadata": {"name": "t"}, "spec": workflow("true", synchronization=lock)["spec"]}
    client.post(f"{API}/workflow-templates/argo", json={"template": template}).raise_for_status()
    manifest = {"metadata": {"generateName": "t-"}, "spec": {"workflowTemplateRef": {"name": "t"}}}
    ended(client, submit(client, manifest))
    text = client.get("/metrics").text
    of_it = 'cluster_scope="false",name="t",namespace="argo"'
    assert value(text, f'argo_workflows_workflowtemplate_triggered_total{{{of_it},phase="Running"}}') == 1
    assert value(text, f'argo_workflows_workflowtemplate_triggered_total{{{of_it},phase="Succeeded"}}') == 1
    assert value(text, f"argo_workflows_workflowtemplate_runtime_count{{{of_it}}}") == 1
    assert value(text, 'argo_workflows_locks_taken_total{lock_name="argo/Mutex/one"}') == 1
    # Of the same values the command line makes the same text through the server.
    environment = {**os.environ, "TIPHYS_URL": watched[0].url, "TIPHYS_HOME": str(watched[0].home / "client")}
    command = [sys.executable, "-m", "tiphys", "argo", "metrics"]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert "argo_workflows_made_by_a_test 3" in said


def test_a_request_is_told_of_with_an_id_and_without_secrets(client: httpx2.Client, log: Log) -> None:
    answer = client.get(f"{API}/workflows/argo", params={"token": "secret"}, headers={"X-Request-Id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    told = log.found(request_id="mine-1")
    assert (told["method"], told["path"], told["status"]) == ("GET", f"{API}/workflows/argo", 200)
    assert told["ms"] > 0
    assert not [line for line in log.lines if "secret" in line]
    assert client.get(f"{API}/version").headers["x-request-id"]
    name = submit(client, workflow("true"))
    assert log.found(message="workflow ended", workflow=name)["phase"] == "Succeeded"


def test_what_a_client_invents_does_not_stand_in_headers_or_begin_lines(client: httpx2.Client, log: Log) -> None:
    answer = client.get(f"{API}/workflows/argo/a%0d%0aX-Forged:%201", headers={"X-Request-Id": "a b"})
    assert answer.status_code == 404
    assert answer.headers["x-request-id"] != "a b"
    assert "x-forged" not in answer.headers
    told = log.found(request_id=answer.headers["x-request-id"])
    assert told["path"] == f"{API}/workflows/argo/a%0D%0AX-Forged:%201"


def test_large_bodies_are_refused_told_or_not(client: httpx2.Client, log: Log) -> None:
    count = len(client.get(f"{API}/workflows/argo").json()["items"])
    large = {"workflow": workflow("true") | {"x": "y" * (1 << 20)}}
    answer = client.post(f"{API}/workflows/argo", json=large)
    assert (answer.status_code, answer.json()["code"]) == (413, 8)

    def chunks() -> Iterator[bytes]:
        yield b'{"workflow": "'
        for _ in range(32):
            yield b"y" * (1 << 16)

    answer = client.post(f"{API}/workflows/argo", content=chunks(), headers={"X-Request-Id": "chunked"})
    assert (answer.status_code, answer.json()["code"]) == (413, 8)
    assert log.found(request_id="chunked")["status"] == 413
    assert len(client.get(f"{API}/workflows/argo").json()["items"]) == count


@pytest.mark.parametrize(
    "body",
    [
        b'{"workflow": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"workflow": ' + b'{"a":' * 500 + b"1" + b"}" * 500 + b"}",
        b'{"workflow": {"metadata": {"name": "\xff"}}}',
        b'{"workflow": {"spec": {"priority": ' + b"9" * 5000 + b"}}}",
        b'{"workflow": {"metadata": {"name": "a/../../b"}, "spec": {}}}',
        b'{"workflow": {"metadata": {"name": "a\\r\\nb"}, "spec": {}}}',
    ],
)
def test_bodies_that_are_meant_to_break_a_reader_are_the_clients_mistake(client: httpx2.Client, body: bytes) -> None:
    answer = client.post(f"{API}/workflows/argo", content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, 3)


def test_a_yaml_bomb_in_a_manifest_is_refused(client: httpx2.Client) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 9)}]\n" for number in range(1, 10)
    )
    manifest = workflow("true")
    manifest["spec"]["templates"] = [{"name": "main", "resource": {"action": "create", "manifest": bomb}}]
    answer = client.post(f"{API}/workflows/argo", json={"workflow": manifest})
    assert answer.status_code == 400
    assert "excessive aliasing" in answer.json()["message"]


@pytest.mark.parametrize("name", ["..", "../../etc/passwd", "a\r\nSet-Cookie: x", "a\x00b"])
def test_no_name_of_an_artifact_leads_elsewhere(client: httpx2.Client, name: str) -> None:
    made = submit(client, _writes("out", "/tmp/out.txt"))
    ended(client, made)
    quoted = quote(name, safe="")
    files = f"/artifact-files/argo/workflows/{made}/{made}/outputs/out"
    for path in (f"/artifacts/argo/{made}/{made}/{quoted}", f"{files}/{quoted}"):
        answer = client.get(path)
        assert answer.status_code in (400, 404), answer.text
        assert "set-cookie" not in answer.headers
    assert client.get(f"/artifacts/argo/{made}/{made}/out").text == "hello\n"


@pytest.mark.parametrize("name", ["../../up", "a\nb", "a/b"])
def test_an_artifact_whose_name_is_no_name_is_refused(client: httpx2.Client, name: str) -> None:
    answer = client.post(f"{API}/workflows/argo", json={"workflow": _writes(name, "/tmp/out.txt")})
    assert (answer.status_code, answer.json()["code"]) == (400, 3)


def _writes(name: str, path: str) -> dict[str, Any]:
    manifest = workflow("sh", "-c", f"echo hello > {path}")
    manifest["spec"]["templates"][0]["outputs"] = {"artifacts": [{"name": name, "path": path}]}
    return manifest


def test_a_head_without_end_is_not_kept(client: httpx2.Client, watched: tuple[RunningServer, Log]) -> None:
    url = httpx2.URL(watched[0].url)
    with socket.create_connection((url.host, url.port), timeout=PATIENCE) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 200_000)
        assert connection.recv(100).startswith(b"HTTP/1.1 400")


def test_it_says_that_it_is_ready_until_it_ends(tmp_path: Path) -> None:
    with running_server(tmp_path / "home", "--insecure", "--drain", "3") as server:
        with httpx2.Client(base_url=server.url, timeout=PATIENCE) as client:
            assert [client.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]
            server.process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + PATIENCE
            while client.get("/readyz").status_code == 200:
                assert time.monotonic() < deadline
            assert client.get("/readyz").status_code == 503
            assert client.get("/healthz").status_code == 200
            assert client.get(f"{API}/version").status_code == 200
        server.end()
        assert server.process.returncode == 0


def test_it_is_not_ready_without_its_database(tmp_path: Path) -> None:
    with running_server(tmp_path / "home", "--insecure") as server:
        with sqlite3.connect(tmp_path / "home" / "tiphys.db", timeout=PATIENCE) as connection:
            connection.execute("ALTER TABLE workflows RENAME TO elsewhere")
        connection.close()
        with httpx2.Client(base_url=server.url, timeout=PATIENCE) as client:
            assert client.get("/readyz").status_code == 503
            assert client.get("/healthz").status_code == 200


def test_who_asks_too_often_is_refused(tmp_path: Path) -> None:
    with running_server(tmp_path / "home", "--insecure", "--rate-limit", "0.01") as server:
        answers = [httpx2.get(f"{server.url}{API}/version") for _ in range(2)]
        assert [one.status_code for one in answers] == [200, 429]
        assert int(answers[1].headers["retry-after"]) > 1


#: What `opentelemetry-instrument` does before a program begins, with spans that go to a file.
SET_UP = """
import os
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

provider = TracerProvider()
out = open(os.environ["SPANS"], "a")
line = lambda span: span.to_json(indent=None) + "\\n"
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=out, formatter=line)))
trace.set_tracer_provider(provider)
"""


CLIENT_SPAN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def with_traces(folder: Path) -> dict[str, str]:
    """What is in the environment of programs that write their spans to the file `spans`."""
    (folder / "set_up").mkdir()
    (folder / "set_up" / "sitecustomize.py").write_text(SET_UP)
    path = os.pathsep.join([str(folder / "set_up"), os.environ.get("PYTHONPATH", "")])
    return {"PYTHONPATH": path, "SPANS": str(folder / "spans")}


TRACED = """
import os
import sys
from opentelemetry import trace
from tiphys import pipeline, step

@step
def work() -> str:
    with trace.get_tracer("mine").start_as_current_span("within"):
        return os.environ.get("TRACEPARENT", "none")

if __name__ == "__main__":
    @pipeline(enable_cache=False, runner=sys.argv[1])
    def traced():
        work()

    print(traced().steps["work"].output.load())
"""


@pytest.mark.parametrize("runner", ["inline", "process"])
def test_what_a_step_traces_is_below_its_nodes_span(tmp_path: Path, runner: str) -> None:
    (tmp_path / "traced.py").write_text(TRACED)
    options = {"TIPHYS_HOME": str(tmp_path / "home"), "TIPHYS_PROGRESS": "off"}
    command = [sys.executable, str(tmp_path / "traced.py"), runner]
    environment = {**os.environ, **with_traces(tmp_path), **options}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=PATIENCE)
    spans = {span["name"]: span for span in map(json.loads, (tmp_path / "spans").read_text().splitlines())}
    node, within = spans["work"], spans["within"]
    assert within["parent_id"] == node["context"]["span_id"]
    assert within["context"]["trace_id"] == node["context"]["trace_id"]
    ids = [node["context"][key].removeprefix("0x") for key in ("trace_id", "span_id")]
    assert done.stdout.strip() == ("none" if runner == "inline" else f"00-{ids[0]}-{ids[1]}-01")


def test_a_workflow_is_traced_from_its_request_on(tmp_path: Path) -> None:
    written, options = tmp_path / "spans", with_traces(tmp_path)
    with running_server(tmp_path / "home", "--insecure", **options) as server:
        with httpx2.Client(base_url=server.url, timeout=PATIENCE) as client:
            client.headers["traceparent"] = CLIENT_SPAN
            name = submit(client, workflow("sh", "-c", "echo told $TRACEPARENT"))
            ended(client, name)
            told = client.get(f"{API}/workflows/argo/{name}/log?logOptions.container=main").text
        server.end()
    spans = {span["name"]: span for span in map(json.loads, written.read_text().splitlines())}
    request, run, node = spans[f"POST {API}/workflows/{{namespace}}"], spans[f"workflow {name}"], spans[name]
    assert run["links"][0]["context"]["span_id"] == request["context"]["span_id"]
    assert node["parent_id"] == run["context"]["span_id"]
    assert request["parent_id"].removeprefix("0x") == CLIENT_SPAN.split("-")[2]
    ids = [node["context"][key].removeprefix("0x") for key in ("trace_id", "span_id")]
    assert f"told 00-{ids[0]}-{ids[1]}-01" in told
    assert run["attributes"]["tiphys.phase"] == "Succeeded"
