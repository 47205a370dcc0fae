"""Runs whose steps a server carries out: they wait in the queue, and outlive the server that began with them."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import pytest
from tests.contract.conftest import postgres, postgres_template, postgres_url
from tests.e2e.programs import ended_at_last, start_script, tiphys, wait_until
from tests.integration.replicas import Fleet, fleet
from tests.integration.round_robin import round_robin
from tests.integration.server_desk import RunningServer, running_server
from tests.integration.test_connected import free_port, notes, said
from tests.integration.test_drivers_git import wait_for

from tiphys.db.store import open_store
from tiphys.records.base import Query
from tiphys.records.queue import limit_key
from tiphys.records.runs import Run, StepRun
from tiphys.services.policies import PolicyService

__all__ = ["notes", "postgres", "postgres_template", "postgres_url"]

SCRIPT = """
import os, time
from tiphys import pipeline, step

def note(word):
    with open(os.environ["NOTES"], "a") as file:
        file.write(word + "\\n")

@step(enable_cache=False)
def work(name: str, number: int, pause: float, before: list[int]) -> int:
    note(f"begin {name} {number}")
    time.sleep(pause)
    note(f"end {name} {number}")
    return number

@pipeline
def chain(name: str, pause: float = 0.1) -> None:
    first = work(name, 0, pause, [])
    pair = [work(name, 1, pause, [first]), work(name, 2, pause, [first])]
    work(name, 3, pause, pair)

if __name__ == "__main__":
    queue = {"priority": int(os.environ["PRIORITY"]), "labels": {"gpu": "big"}}
    name, pause = os.environ["NAME"], float(os.environ.get("PAUSE", "0.1"))
    run = chain.with_options(remote=True, resume=False, settings={"queue": queue})(name, pause)
    print("status", run.status)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    path = tmp_path / "project" / "train.py"
    path.write_text(SCRIPT)
    (path.parent / "pyproject.toml").touch()
    return path


def start(script: Path, name: str, *, url: str, pause: float = 0.1, priority: int = 0) -> Popen[str]:
    return start_script(script, TIPHYS_URL=url, NAME=name, PAUSE=str(pause), PRIORITY=str(priority))


def on_the_server(server: RunningServer, *arguments: str) -> str:
    return tiphys(*arguments, TIPHYS_HOME=str(server.home), TIPHYS_URL="").stdout


def completed(process: Popen[str]) -> None:
    output, errors = process.communicate(timeout=120)
    assert "status completed" in output, errors


def test_they_wait_for_their_turn(home: Path, tmp_path: Path, script: Path, notes: Path) -> None:
    with running_server(tmp_path / "server-home", "--insecure") as server:
        on_the_server(server, "queue", "limit", "set", "1", "--label", "gpu=big")

        def waiting() -> int:
            return len(json.loads(on_the_server(server, "queue", "list", "-o", "json")))

        with ended_at_last(start(script, "first", url=server.url, pause=3)) as first:
            wait_until(lambda: said(notes, "begin first 0"), "the first one", first)
            with ended_at_last(start(script, "low", url=server.url)) as low:
                wait_until(lambda: waiting() == 1, "the second one in the queue", low)
                with ended_at_last(start(script, "high", url=server.url, priority=5)) as high:
                    wait_until(lambda: waiting() == 2, "the third one in the queue", high)
                    for process in (first, high, low):
                        completed(process)
    begun = [line.split()[1] for line in notes.read_text().splitlines() if line.startswith("begin")]
    assert begun == ["first"] * 4 + ["high"] * 4 + ["low"] * 4


def test_one_that_waits_is_stopped(home: Path, tmp_path: Path, script: Path, notes: Path) -> None:
    with running_server(tmp_path / "server-home", "--insecure") as server:
        on_the_server(server, "queue", "limit", "set", "0", "--pipeline", "chain")
        with ended_at_last(start(script, "never", url=server.url)) as process:

            def runs() -> list[str]:
                return [found["name"] for found in json.loads(on_the_server(server, "runs", "list", "-o", "json"))]

            (name,) = wait_until(runs, "the run", process)
            tiphys("runs", "stop", name, TIPHYS_URL=server.url)
            assert process.wait(timeout=60) == 1
    assert notes.read_text() == ""


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_ends_in_the_middle(
    home: Path, tmp_path: Path, script: Path, notes: Path, sign: signal.Signals
) -> None:
    port, place = free_port(), tmp_path / "server-home"
    with running_server(place, "--insecure", "--port", port) as server:
        client = start(script, "run", url=server.url, pause=1)
        wait_until(lambda: said(notes, "begin run 1"), "the second step", client)
        server.end(sign)
    with ended_at_last(client), running_server(place, "--insecure", "--port", port):
        completed(client)
    ended = Counter(line for line in notes.read_text().splitlines() if line.startswith("end"))
    assert ended == {f"end run {number}": 1 for number in range(4)}
    steps_completed_once(f"sqlite:///{place / 'tiphys.db'}")


def steps_completed_once(url: str) -> None:
    store = open_store(url)
    try:
        with store.reader() as reader:
            (run,) = reader.find(Query.of(Run))
            steps = reader.find(Query.of(StepRun, run_id=run.id, order="name"))
    finally:
        store.close()
    assert str(run.status) == "completed"
    done = [one.name for one in steps if str(one.status) == "completed"]
    assert done == ["work", "work_2", "work_3", "work_4"]


@pytest.mark.parametrize("shared_home", [True, False])
def test_a_replica_that_is_killed_in_the_middle(
    home: Path, tmp_path: Path, script: Path, notes: Path, postgres_url: str, shared_home: bool
) -> None:
    with fleet(postgres_url, tmp_path / "fleet", shared_home=shared_home) as found:
        PolicyService(found.store).set_queue_limit(limit_key(workspace="default"), 1)
        servers = [found.start(), found.start()]
        if not shared_home:
            share_the_artifacts(found, tmp_path)
        targets = [server.url for server in servers]
        with round_robin(targets) as url, ended_at_last(start(script, "run", url=url, pause=2)) as client:
            wait_until(lambda: said(notes, "begin run 1"), "the second step", client)
            (holder,) = (server for server in servers if found.owned_by(server))
            with ended_at_last(start(script, "next", url=url)) as second:
                wait_until(lambda: len(found.waiting()) == 1, "the next one in the queue", second)
                found.kill(holder)
                targets.remove(holder.url)
                completed(client)
                completed(second)
    ended = Counter(line for line in notes.read_text().splitlines() if line.startswith("end next"))
    assert ended == {f"end next {number}": 1 for number in range(4)}
    begun = Counter(line for line in notes.read_text().splitlines() if line.startswith("begin run"))
    # Where the home is another, steps that ran on the killed one's machine are begun again.
    again = 1 if shared_home else 2
    assert begun == {"begin run 0": 1, "begin run 1": again, "begin run 2": again, "begin run 3": 1}


def share_the_artifacts(found: Fleet, folder: Path) -> None:
    """Have a stack whose artifacts lie where all replicas see them."""
    given = {"TIPHYS_DB_URL": found.url, "TIPHYS_HOME": str(folder / "desk"), "TIPHYS_URL": ""}
    tiphys("artifact-store", "register", "shared", "--flavor", "local", f"--path={folder / 'shared'}", **given)
    tiphys("stack", "register", "shared", "-o", "default", "-a", "shared", "--set", **given)


@contextmanager
def git_daemon(folder: Path) -> Iterator[str]:
    """Serves the repositories in a folder."""
    port = free_port()
    where = subprocess.run(["git", "--exec-path"], check=True, capture_output=True, text=True).stdout.strip()
    options = ["--export-all", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}", f"--base-path={folder}"]
    process = subprocess.Popen([Path(where) / "git-daemon", *options, str(folder)])
    try:
        wait_for(int(port))
        yield f"git://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def test_the_server_fetches_the_code_from_git(home: Path, tmp_path: Path, script: Path, notes: Path) -> None:
    served, project = tmp_path / "served", script.parent
    served.mkdir()
    (project / "names.py").write_text("NAME = 'fetched'\n")
    script.write_text(SCRIPT.replace("import os, time", "import os, time\nfrom names import NAME"))
    script.write_text(script.read_text().replace('note(f"begin {name}', 'note(f"begin {NAME}'))
    who = ["-c", "user.name=me", "-c", "user.email=me@example.com"]
    with git_daemon(served) as address, running_server(tmp_path / "server-home", "--insecure") as server:
        run = ["run", str(script), "--remote", "--code", "git", "-p", "name=x", "-o", "json"]
        for command in (
            ["init", "-q", "--bare", str(served / "project.git")],
            ["init", "-q"],
            ["add", "."],
            [*who, "commit", "-qm", "first"],
            ["remote", "add", "origin", str(served / "project.git")],
            ["push", "-q", "origin", "HEAD:main"],
            ["remote", "set-url", "origin", f"{address}/project.git"],
        ):
            subprocess.run(["git", *command], cwd=project, check=True)
        done = json.loads(tiphys(*run, TIPHYS_URL=server.url, TIPHYS_PROGRESS="plain").stdout)
        (project / "names.py").write_text("NAME = 'changed'\n")
        refused = tiphys(*run, TIPHYS_URL=server.url, code=2).stderr
    assert done["status"] == "completed"
    assert done["config"]["code_tree"]["repository"] == f"{address}/project.git"
    assert notes.read_text().count("begin fetched") == 4
    assert "not committed" in refused
