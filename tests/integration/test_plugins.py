"""Executor plugins as real processes: asking, starting, sharing and ending them."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.integration.pod_desk import LONG, PodDesk
from tests.unit.integrations.local_agents.agency import FakeCluster, FakeSources, no_cluster
from tests.unit.integrations.local_agents.test_plugin_reply import config_map

from tiphys.engine.events import TaskFinished, TaskProgressed
from tiphys.engine.model import Phase, Reason, Values
from tiphys.integrations.local.agents import plugin as plugin_module
from tiphys.integrations.local.agents import plugin_host
from tiphys.integrations.local.agents.plugin_host import PluginHost
from tiphys.integrations.local.agents.runner import AgentRunner
from tiphys.ports.runner import Task
from tiphys.testing.runner_contract import wait_until

OK, FAILED, ERROR = Phase.SUCCEEDED, Phase.FAILED, Phase.ERROR

#: Answers a template's question number n with item n of its `plugin.<key>`: [status, reply, seconds before].
SERVER = """
import json, os, sys, time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
KEY, PORT = "KEY_", PORT_
TOKEN = open("/var/run/argo/token").read().strip()
seen = Counter()
class Plugin(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        print(self.path, asked["workflow"]["metadata"]["name"], flush=True)
        status, reply = 200, {}
        if self.headers["Authorization"] != "Bearer " + TOKEN:
            status = 403
        elif KEY in asked["template"]["plugin"]:
            script = asked["template"]["plugin"][KEY]
            number = min(seen[asked["template"]["name"]], len(script) - 1)
            seen[asked["template"]["name"]] += 1
            status, reply, wait = script[number]
            time.sleep(wait)
            if status == 0:
                os._exit(3)
        elif "none" in asked["template"]["plugin"]:
            status = 404
        self.send_response(status)
        self.end_headers()
        self.wfile.write((reply if isinstance(reply, str) else json.dumps(reply)).encode())
ThreadingHTTPServer(("127.0.0.1", PORT), Plugin).serve_forever()
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def is_open(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


class Works:
    """An engine's agents, with the plugins that are installed."""

    def __init__(self, home: Path, flavour: Any, cluster: FakeCluster | None = None) -> None:
        self.desk = PodDesk(home, flavour)
        self.cluster = cluster or FakeCluster()
        self.reports: queue.SimpleQueue[TaskFinished] = queue.SimpleQueue()
        self.progress: list[TaskProgressed] = []
        self.numbers: Iterator[int] = count()
        self.runner = AgentRunner(
            actions=self.cluster,
            cluster=no_cluster,
            secrets=lambda *_: None,
            store=self.desk.store,
            sources=lambda _: FakeSources(),
            plugins=PluginHost(home, flavour=flavour, pods=self.desk.make_runner),
        )

    def install(self, name: str, *, key: str = "", port: int = 0, server: str = SERVER, **container: Any) -> int:
        port = port or free_port()
        text = server.replace("KEY_", key or name).replace("PORT_", str(port))
        described = {"image": "python:3.12", "command": ["python", "-c"], "args": [text], **container}
        self.cluster.put(config_map(name, port, **described), "default")
        return port

    def launch(self, key: str, *script: Any, deadline: float | None = None, **context: Any) -> Task:
        name = f"t{next(self.numbers)}-{id(self)}"
        task = Task(
            id=f"uid/{name}/0",
            workflow_uid="uid",
            node_id="n",
            name="step",
            attempt=0,
            body={"name": name, "plugin": {key: list(script)}},
            inputs=Values(),
            deadline=deadline,
            context={"workflow": "parent", "namespace": "default", **context},
        )
        self.runner.launch(task, self.report)
        return task

    def report(self, event: Any) -> None:
        if isinstance(event, TaskFinished):
            self.reports.put(event)
        else:
            self.progress.append(event)

    def run(self, key: str, *script: Any, **rest: Any) -> tuple[Phase, str]:
        self.launch(key, *script, **rest)
        finished = self.reports.get(timeout=LONG)
        return finished.phase, finished.message

    def log(self) -> str:
        return "".join(each.read_text() for each in sorted(self.desk.home.glob("plugins/*/log")))

    def close(self) -> None:
        self.runner.close()
        self.desk.runner.close()


@pytest.fixture(params=["process", "sandbox"])
def works(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Works]:
    monkeypatch.setattr(plugin_module, "FIRST_PAUSE", 0.01)
    works = Works(tmp_path, request.param)
    yield works
    works.close()


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Works]:
    """For what no flavour makes a difference to."""
    monkeypatch.setattr(plugin_module, "FIRST_PAUSE", 0.01)
    works = Works(tmp_path, "process")
    yield works
    works.close()


def says(phase: str, message: str = "", requeue: str | None = None, *, after: float = 0.0, **node: Any) -> list[Any]:
    reply = {"node": {"phase": phase, "message": message, **node}, "requeue": requeue}
    return [200, reply, after]


# Asking


def test_an_answer(works: Works) -> None:
    port = works.install("p")
    works.launch("p", says("Succeeded", "done", outputs={"parameters": [{"name": "a", "value": "1"}], "result": "r"}))
    finished = works.reports.get(timeout=LONG)
    assert (finished.phase, finished.message, finished.outputs) == (OK, "done", Values({"a": "1"}, result="r"))
    assert works.run("p", says("Failed", "no")) == (FAILED, "no")
    assert works.run("p", says("Error", "broken")) == (ERROR, "broken")
    assert works.log().splitlines()[-1] == "/api/v1/template.execute parent"
    works.close()
    assert not is_open(port)


def test_one_after_the_other_is_asked_until_one_answers(plain: Works) -> None:
    first, other = plain.install("a"), plain.install("b")
    assert plain.run("b", says("Succeeded", "of b")) == (OK, "of b")
    assert not is_open(first)  # the one that is named like the key was asked first
    plain.cluster.objects.clear()
    plain.install("c", key="x")
    plain.install("a", port=first)
    assert plain.run("x", says("Succeeded", "of c")) == (OK, "of c")
    assert is_open(first)
    assert is_open(other)


def test_a_plugin_that_works_on_is_asked_again(plain: Works) -> None:
    plain.install("p")
    script = [says("Running", "half", "10ms", progress="1/2"), says("Pending", "", "10ms"), says("Succeeded", "done")]
    assert plain.run("p", *script) == (OK, "done")
    assert [(each.progress, each.message) for each in plain.progress] == [("1/2", "half")]


def test_what_is_transient_is_tried_again(plain: Works) -> None:
    plain.install("p")
    assert plain.run("p", [503, "busy", 0], [503, "busy", 0], says("Succeeded")) == (OK, "")
    phase, message = plain.run("p", [503, "too busy", 0])
    assert (phase, message.endswith("503 Service Unavailable: too busy")) == (FAILED, True)
    assert plain.log().count("template.execute") == 3 + plugin_module.TRIES


def test_any_other_problem_fails_the_node_at_once(plain: Works) -> None:
    plain.install("p")
    for status, body, told in ((500, "oh", "500 Internal Server Error: oh"), (403, "", "403 Forbidden")):
        phase, message = plain.run("p", [status, body, 0], says("Succeeded"))
        assert (phase, told in message) == (FAILED, True)
    phase, message = plain.run("p", [200, "<html>", 0])
    assert (phase, "is not an ExecuteTemplateReply" in message) == (FAILED, True)
    phase, message = plain.run("p", says("Running"))
    assert (phase, "has the phase 'Running' and no `requeue`" in message) == (FAILED, True)


def test_whoever_answers_404_is_not_asked_again_in_the_workflow(plain: Works) -> None:
    plain.install("p")
    for _ in range(2):
        phase, message = plain.run("none")
        assert phase is FAILED
        assert message.startswith(
            "no plugin executed the template: it is of the plugin 'none', and asked were: 'p'\n  Install one with: "
        )
    assert plain.log().count("template.execute") == 1


def test_without_a_plugin(plain: Works) -> None:
    phase, message = plain.run("hello")
    assert phase is FAILED
    told = "it is of the plugin 'hello', and none is installed in the namespace default"
    assert message.startswith(f"no plugin executed the template: {told}\n  Install one with: tiphys configmap create")


def test_a_deadline_ends_a_question_and_a_wait(plain: Works) -> None:
    plain.install("p")
    assert plain.run("p", says("Succeeded")) == (OK, "")
    for script in (says("Succeeded", after=LONG), says("Running", "", "1h")):
        plain.launch("p", script, deadline=time.time() + 0.3)
        finished = plain.reports.get(timeout=LONG)
        assert (finished.phase, finished.reason) == (FAILED, Reason.TIMED_OUT)
        assert finished.message == "Step exceeded its deadline while waiting for the executor plugin 'p'"


def test_a_cancelled_task_is_not_asked_about_again(plain: Works) -> None:
    plain.install("p")
    task = plain.launch("p", says("Running", "m", "50ms"))
    wait_until(lambda: bool(plain.progress))
    plain.runner.cancel(task.id, 0)
    time.sleep(0.2)
    asked = plain.log().count("template.execute")
    time.sleep(0.2)
    assert plain.log().count("template.execute") == asked
    assert plain.reports.empty()


def test_an_engine_that_comes_back_asks_again(plain: Works, tmp_path: Path) -> None:
    plain.install("p")
    task = plain.launch("p", says("Running", "m", "1h"), says("Succeeded", "done"))
    wait_until(lambda: bool(plain.progress))
    another = Works(tmp_path, "process", plain.cluster)
    assert another.runner.reattach([task], another.report) == set()
    another.runner.launch(task, another.report)
    finished = another.reports.get(timeout=LONG)
    assert (finished.phase, finished.message) == (OK, "done")
    another.close()


def test_what_the_workflow_brings(plain: Works) -> None:
    port = plain.install("p")
    [installed] = plain.cluster.objects.values()
    container = json.loads(installed["data"]["sidecar.container"])
    plain.cluster.objects.clear()
    own = [{"metadata": {"name": "own"}, "spec": {"sidecar": {"container": container}}}]
    assert plain.run("p", says("Succeeded", "own"), executor_plugins=own) == (OK, "own")
    assert is_open(port)


# Starting, sharing, ending


def test_a_server_that_cannot_be_started(works: Works) -> None:
    port = works.install("p", server="import sys; sys.exit('it is broken')")
    phase, message = works.run("p")
    assert phase is ERROR
    assert "The executor plugin 'p' could not be started: main: Error (exit code 1)" in message
    assert "it is broken" in message
    works.cluster.objects.clear()
    works.install("p", port=port)
    assert works.run("p", says("Succeeded")) == (OK, "")
    works.install("q", env=[{"name": "X", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}])
    phase, message = works.run("q")
    assert (phase, "there is no Secret 's'" in message) == (ERROR, True)


def test_a_server_that_does_not_listen(plain: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin_host, "PATIENCE", 0.5)
    plain.install("p", server="import time; time.sleep(1000)")
    phase, message = plain.run("p")
    assert (phase, "took no connection on port" in message) == (ERROR, True)


def test_a_port_that_is_taken(plain: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin_host, "PORT_PATIENCE", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        plain.install("p", port=server.getsockname()[1])
        phase, message = plain.run("p")
    assert (phase, "is taken by another process of this machine" in message) == (ERROR, True)


def test_two_plugins_on_one_port(plain: Works) -> None:
    plain.install("b", port=plain.install("a"))
    phase, message = plain.run("a", says("Succeeded"))
    assert (phase, "'a' and 'b' both listen on port" in message) == (ERROR, True)


def test_a_plugin_that_dies_is_started_again(works: Works) -> None:
    works.install("p")
    assert works.run("p", says("Succeeded")) == (OK, "")
    assert works.run("p", [0, {}, 0])[0] is FAILED
    assert works.run("p", says("Succeeded")) == (OK, "")


def test_many_tasks_share_one(works: Works) -> None:
    works.install("p")
    for _ in range(40):
        works.launch("p", says("Running", "", "10ms"), says("Succeeded", after=0.01))
    assert {works.reports.get(timeout=LONG).phase for _ in range(40)} == {OK}
    assert len(list(works.desk.home.glob("pods/*.state"))) == 1


def test_engines_share_one_which_ends_with_the_last_of_them(works: Works, tmp_path: Path) -> None:
    port = works.install("p")
    another = Works(tmp_path, works.desk.flavour, works.cluster)
    works.launch("p", says("Succeeded", "1"))
    another.launch("p", says("Succeeded", "2"))
    assert [each.reports.get(timeout=LONG).message for each in (works, another)] == ["1", "2"]
    works.runner.close()
    time.sleep(1.5)  # the pod server looks twice at the leash
    assert another.run("p", says("Succeeded", "3")) == (OK, "3")
    another.close()
    wait_until(lambda: not is_open(port))


_ENGINE = """
import json, sys, threading
from pathlib import Path
from tests.integration.test_plugins import Works, says
works = Works(Path(sys.argv[1]), sys.argv[2])
works.cluster.put(json.loads(sys.argv[3]), "default")
print(works.run("p", says("Succeeded", "done"))[1], flush=True)
threading.Event().wait()
"""


def start_engine(works: Works) -> subprocess.Popen[str]:
    [installed] = works.cluster.objects.values()
    return subprocess.Popen(
        [sys.executable, "-c", _ENGINE, str(works.desk.home), works.desk.flavour, json.dumps(installed)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def told(engine: subprocess.Popen[str]) -> str:
    assert engine.stdout is not None
    return engine.stdout.readline().strip()


def test_an_engine_that_is_killed_leaves_no_plugin(works: Works) -> None:
    port = works.install("p")
    engine = start_engine(works)
    assert told(engine) == "done"
    assert is_open(port)
    engine.kill()
    engine.communicate()
    wait_until(lambda: not is_open(port))
    assert works.run("p", says("Succeeded", "again")) == (OK, "again")


def test_an_engine_that_is_killed_while_another_uses_its_plugin(works: Works) -> None:
    port = works.install("p")
    engine = start_engine(works)
    assert told(engine) == "done"
    assert works.run("p", says("Succeeded", "mine")) == (OK, "mine")
    engine.kill()
    engine.communicate()
    time.sleep(1.5)
    assert is_open(port)
    works.close()
    wait_until(lambda: not is_open(port))


def test_a_pod_server_that_is_killed_takes_the_plugin_with_it(works: Works) -> None:
    port = works.install("p")
    assert works.run("p", says("Succeeded")) == (OK, "")
    [state] = works.desk.home.glob("pods/*.state")
    os.kill(int(state.read_text().split()[0]), signal.SIGKILL)
    wait_until(lambda: not is_open(port))
    assert works.run("p", says("Succeeded", "again")) == (OK, "again")
