"""`tiphys argo` and its client against a real server, which may be killed and come back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.server_desk import PATIENCE, RunningServer, running_server, workflow

from tiphys.client.connection import Connection
from tiphys.client.workflows import ClientWorkflows
from tiphys.errors import AlreadyExistsError, NotFoundError, SpecError
from tiphys.ports.workflows import ChangeType, LogQuery, SubmitOptions, WorkflowFilter


@pytest.fixture
def workflows(server: RunningServer, request: pytest.FixtureRequest) -> Iterator[ClientWorkflows]:
    with client_of(server) as made:
        yield made.in_namespace(request.node.name.replace("_", "-")[:60].rstrip("-"))


@contextmanager
def client_of(server: RunningServer) -> Iterator[ClientWorkflows]:
    connection = Connection(server.url, authority=server.authority, patience=PATIENCE)
    yield ClientWorkflows(connection, namespace="default")
    connection.close()


def argo(server: RunningServer, *arguments: str, code: int = 0, **environment: str) -> str:
    """Call the command line in a process of its own, with Argo's variables."""
    done = subprocess.run(
        [sys.executable, "-m", "tiphys", "argo", *arguments],
        env={
            **os.environ,
            "ARGO_SERVER": server.url.partition("://")[2],
            "REQUESTS_CA_BUNDLE": server.authority,
            "ARGO_NAMESPACE": "cli",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout


def written(path: Path, *manifests: dict[str, Any]) -> str:
    path.write_text(yaml.safe_dump_all(manifests))
    return str(path)


def test_argos_variables_name_the_server(server: RunningServer, tmp_path: Path, home: Path) -> None:
    folder = tmp_path / "out"
    manifest = workflow(
        "sh", "-c", f"mkdir -p {folder}/below; echo a > {folder}/a.txt; echo b > {folder}/below/b; echo hi"
    )
    manifest["spec"]["templates"][0]["outputs"] = {"artifacts": [{"name": "tree", "path": str(folder)}]}
    name = argo(server, "submit", written(tmp_path / "w.yaml", manifest), "--wait", "-o", "name").strip()
    assert argo(server, "logs", "@latest", "--no-color") == f"{name}: hi\n"
    assert argo(server, "list", "-o", "name", "--completed", "--prefix", "one-") == f"{name}\n"
    assert "✔" in argo(server, "get", name)
    argo(server, "cp", name, str(tmp_path / "copies"), "--path", "{artifactName}")
    assert (tmp_path / "copies" / "tree" / folder.name / "below" / "b").read_text() == "b\n"
    bad = written(tmp_path / "bad.yaml", workflow("false"))
    argo(server, "submit", bad, "--wait", "-o", "name", code=1)
    argo(server, "wait", "@latest", code=1)
    argo(server, "get", "none", code=2)
    assert argo(server, "archive", "list", "-o", "name").split()[-1] == name
    assert argo(server, "delete", "--all").count("deleted") == 2
    # Nothing of it was done on this machine's own database.
    assert not (home / "tiphys.db").exists()


def test_what_is_watched_ends_with_the_workflow(workflows: ClientWorkflows) -> None:
    name = workflows.submit(workflow("sh", "-c", "echo one; sleep 1; echo two"))["metadata"]["name"]
    seen = list(workflows.watch("@latest"))
    assert [one["metadata"]["name"] for one in seen] == [name] * len(seen)
    assert (seen[-1]["status"]["phase"], len(seen) > 1) == ("Succeeded", True)
    assert workflows.wait(name).phase == "Succeeded"
    assert [entry.content for entry in workflows.logs(name, LogQuery(follow=True, tail=1))] == ["two"]
    assert [entry.content for entry in workflows.logs(name, LogQuery(grep="n"))] == ["one"]


def test_several_are_submitted_or_none(workflows: ClientWorkflows) -> None:
    good, bad = workflow("true"), workflow("true", entrypoint="none")
    with pytest.raises(SpecError, match="entrypoint"):
        workflows.submit_all([good, bad])
    assert workflows.find(WorkflowFilter()).items == []
    submitted = workflows.submit_all([good, good])
    assert {row.id for row in workflows.find(WorkflowFilter()).items} == {one["metadata"]["uid"] for one in submitted}


def test_a_submission_whose_answer_was_lost_is_known_again(workflows: ClientWorkflows) -> None:
    first = workflows.submit(workflow("true"), SubmitOptions(name="mine"))
    again = workflows._as_submitted_before(workflows._namespace, first)
    assert again["metadata"]["uid"] == first["metadata"]["uid"]
    with pytest.raises(AlreadyExistsError):
        workflows.submit(workflow("true"), SubmitOptions(name="mine"))


def test_unknown_fields_are_refused_if_so_asked(workflows: ClientWorkflows) -> None:
    manifest = workflow("true", entrypoints="main")
    with pytest.raises(SpecError, match='unknown field "entrypoints"'):
        workflows.submit(manifest)
    assert workflows.submit(manifest, SubmitOptions(strict=False, dry_run=True))["spec"]["entrypoints"] == "main"


def test_deleting_and_looking_raise_what_the_services_raise(workflows: ClientWorkflows, tmp_path: Path) -> None:
    name = workflows.submit(workflow("true"))["metadata"]["name"]
    workflows.wait(name)
    with pytest.raises(NotFoundError, match="has no output artifact 'x'") as error:
        workflows.fetch_artifact(name, name, "x", tmp_path / "x")
    assert error.value.hint == "It has: none."
    with pytest.raises(NotFoundError):
        workflows.delete(name, uid="another")
    workflows.delete(name)
    with pytest.raises(NotFoundError):
        workflows.wait(name)


class Following(threading.Thread):
    """Collects what an iterator gives."""

    def __init__(self, found: Iterator[Any]) -> None:
        super().__init__(daemon=True)
        self.found: list[Any] = []
        self.came = threading.Event()
        self._iterator = found
        self.start()

    def run(self) -> None:
        for one in self._iterator:
            self.found.append(one)
            self.came.set()

    def result(self) -> list[Any]:
        self.join(PATIENCE)
        assert not self.is_alive()
        return self.found


#: Without a certificate, and with pods that see this machine's files.
_PLAIN = ("--insecure", "--runner", "process")


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_a_restart_costs_those_who_follow_nothing(tmp_path: Path, sign: int) -> None:
    go = tmp_path / "go"
    script = f"for n in 1 2 3; do echo line $n; done; while [ ! -e {go} ]; do sleep 0.1; done; echo line 4; echo line 5"
    with running_server(tmp_path / "home", *_PLAIN) as first:
        connection = Connection(first.url, patience=PATIENCE)
        service = ClientWorkflows(connection, namespace="default")
        other = service.submit(workflow("true"))["metadata"]["name"]
        service.wait(other)
        name = service.submit(workflow("sh", "-c", script))["metadata"]["name"]
        logs = Following(entry.content for entry in service.logs(name, LogQuery(follow=True)))
        recent = Following(entry.content for entry in service.logs(name, LogQuery(follow=True, tail=2)))
        watched, waited = Following(service.watch(name)), Following(service.wait(name) for _ in range(1))
        changes: list[Any] = []
        there, gone = threading.Event(), threading.Event()

        def note() -> None:
            for batch in service.changes(WorkflowFilter()):
                changes.extend((one.type, one.object["metadata"]["name"]) for one in batch)
                if (ChangeType.ADDED, other) in changes:
                    there.set()
                if (ChangeType.DELETED, other) in changes:
                    gone.set()
                    return

        threading.Thread(target=note, daemon=True).start()
        for came in (there, logs.came, recent.came, watched.came):
            assert came.wait(PATIENCE)
        first.end(sign)
        port = first.url.rpartition(":")[2]
        with running_server(tmp_path / "home", *_PLAIN, "--port", port):
            service.delete(other)
            go.touch()
            assert waited.result()[0].phase == "Succeeded"
            # A server that ends in order ends its pods, too: the next one begins them anew.
            again = ["line 1", "line 2", "line 3"] if sign == signal.SIGTERM else []
            assert logs.result() == ["line 1", "line 2", "line 3", *again, "line 4", "line 5"]
            assert logs.found[-len(recent.result()) :] == recent.found
            seen = [json.dumps(one, sort_keys=True) for one in watched.result()]
            assert len(seen) == len(set(seen))
            assert watched.found[-1]["status"]["phase"] == "Succeeded"
            assert gone.wait(PATIENCE)
            added = [one for one in changes if one[0] is ChangeType.ADDED]
            assert sorted(added) == sorted([(ChangeType.ADDED, other), (ChangeType.ADDED, name)])
        connection.close()
