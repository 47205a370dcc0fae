"""Pipelines of a process that is connected to a server: through its death, the server's, and at great speed."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.contract.served import served
from tests.e2e.programs import ended_at_last, start_script, tiphys, wait_until
from tests.integration.server_desk import free_port, running_server

from tiphys import Client, pipeline, step
from tiphys.bootstrap import Settings, close_backends, default_backend, make_backend
from tiphys.client.backend import ClientBackend

SCRIPT = """
import os, sys, time
from tiphys import pipeline, step

def note(word):
    with open(os.environ["NOTES"], "a") as file:
        file.write(word + "\\n")

@step(enable_cache=False)
def work(number: int, before: list[int]) -> int:
    note(f"begin {number}")
    print(f"working on {number}", flush=True)
    time.sleep(float(os.environ.get("PAUSE", "0.25")))
    note(f"end {number}")
    return number

@pipeline(runner=os.environ.get("RUNNER", "inline"))
def chain() -> None:
    first = work(0, [])
    pair = [work(1, [first]), work(2, [first])]
    work(4, [work(3, pair)])

if __name__ == "__main__":
    print("status", chain().status)
"""
STEPS = ("work", "work_2", "work_3", "work_4", "work_5")


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    path = tmp_path / "project" / "train.py"
    path.write_text(SCRIPT)
    (path.parent / "pyproject.toml").touch()
    return path


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "notes"
    path.touch()
    monkeypatch.setenv("NOTES", str(path))
    return path


@pytest.fixture
def server(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with running_server(tmp_path / "server-home", "--insecure") as found:
        monkeypatch.setenv("TIPHYS_URL", found.url)
        yield found
        close_backends(home)


@pytest.fixture
def in_process(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server in this process, with its backend."""
    place = tmp_path / "server-home"
    backend = make_backend(Settings(place, f"sqlite:///{place / 'tiphys.db'}"))
    with served(backend) as url:
        monkeypatch.setenv("TIPHYS_URL", url)
        yield backend
        close_backends(home)
    backend.close()


def said(notes: Path, word: str) -> bool:
    return word in notes.read_text().splitlines()


def completed_steps() -> Counter[str]:
    runs = Client().list_pipeline_runs()
    assert len(runs) == 1
    assert str(runs[0].status) == "completed"
    return Counter(
        found.name for found in Client().list_run_steps(pipeline_run_id=runs[0].id) if str(found.status) == "completed"
    )


def test_one_request_for_a_step(in_process: Any) -> None:
    @step
    def inc(x: int) -> int:
        return x + 1

    @pipeline(enable_cache=False)
    def chain(count: int) -> None:
        x: Any = 0
        for _ in range(count):
            x = inc(x)

    asked: list[str] = []
    backend = default_backend()
    assert isinstance(backend, ClientBackend)
    ask = backend.connection._client.request

    def count(verb: str, path: str, **arguments: Any) -> Any:
        asked.append(f"{verb} {path}")
        return ask(verb, path, **arguments)

    backend.connection._client.request = count  # type: ignore[method-assign]
    used = []
    for length in (5, 105):
        asked.clear()
        chain(length)
        used.append(len(asked))
    # Steps that take their time are waited for by a request more: the machine may be busy.
    assert used[1] - used[0] <= 200


@pytest.mark.parametrize("runner", ["inline", "process"])
@pytest.mark.parametrize("moment", ["begin 0", "begin 1", "begin 4"])
def test_a_killed_client_is_started_again(server: Any, script: Path, notes: Path, runner: str, moment: str) -> None:
    first = start_script(script, RUNNER=runner)
    wait_until(lambda: said(notes, moment), moment, first)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    with ended_at_last(start_script(script, RUNNER=runner)) as second:
        output, errors = second.communicate(timeout=120)
    assert "status completed" in output, errors
    assert completed_steps() == dict.fromkeys(STEPS, 1)
    begun = Counter(line for line in notes.read_text().splitlines() if line.startswith("begin"))
    interrupted = {f"begin {moment[-1]}"} | ({"begin 2"} if moment == "begin 1" else set())
    assert all(count == 1 for word, count in begun.items() if word not in interrupted)


def test_a_killed_client_is_resumed_by_the_command(server: Any, script: Path, notes: Path) -> None:
    first = start_script(script)
    wait_until(lambda: said(notes, "begin 4"), "the last step", first)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    tiphys("runs", "resume", "latest")
    assert completed_steps() == dict.fromkeys(STEPS, 1)
    assert Counter(notes.read_text().splitlines())["begin 3"] == 1
    assert "has ended already" in tiphys("runs", "resume", "latest", code=2).stderr


def test_a_server_that_is_killed_again_and_again_costs_nothing(
    home: Path, tmp_path: Path, script: Path, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, place = free_port(), tmp_path / "server-home"
    monkeypatch.setenv("TIPHYS_URL", f"http://127.0.0.1:{port}")
    moments = ["begin 0", "end 0", "begin 3", "begin 4"]
    with running_server(place, "--insecure", "--port", port) as found:
        client = start_script(script, PAUSE="0.5")
        wait_until(lambda: said(notes, moments[0]), moments[0], client)
        found.end(signal.SIGKILL)
    with ended_at_last(client):
        for moment in moments[1:]:
            with running_server(place, "--insecure", "--port", port) as found:
                wait_until(lambda word=moment: said(notes, word), moment, client)
                found.end(signal.SIGKILL)
        with running_server(place, "--insecure", "--port", port):
            output, errors = client.communicate(timeout=120)
            assert "status completed" in output, errors
            assert "Waiting for it" in errors
            assert completed_steps() == dict.fromkeys(STEPS, 1)
            close_backends(home)
    assert Counter(notes.read_text().splitlines()) == {
        f"{word} {number}": 1 for word in ("begin", "end") for number in range(5)
    }


def test_ctrl_c_ends_the_run(server: Any, script: Path, notes: Path) -> None:
    client = start_script(script, PAUSE="60")
    with ended_at_last(client):
        wait_until(lambda: said(notes, "begin 0"), "the first step", client)
        client.send_signal(signal.SIGINT)
        client.communicate(timeout=60)
    (run,) = Client().list_pipeline_runs()
    assert str(run.status) in ("stopped", "cancelled", "failed")
    assert not said(notes, "end 0")


@pytest.mark.parametrize("runner", ["inline", "process"])
def test_ctrl_c_while_the_server_is_away_ends_it_at_once(
    tmp_path: Path, script: Path, notes: Path, monkeypatch: pytest.MonkeyPatch, runner: str
) -> None:
    place, port = tmp_path / "server-home", free_port()
    monkeypatch.setenv("TIPHYS_URL", f"http://127.0.0.1:{port}")
    with running_server(place, "--insecure", "--port", port) as found:
        client = start_script(script, PAUSE="60", RUNNER=runner)
        with ended_at_last(client):
            wait_until(lambda: said(notes, "begin 0"), "the first step", client)
            found.end(signal.SIGKILL)
            assert client.stderr is not None
            while "Waiting for it" not in client.stderr.readline():
                pass
            client.send_signal(signal.SIGINT)
            _, errors = client.communicate(timeout=60)
    assert "To end it later: tiphys runs stop chain-" in errors
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert not said(notes, "end 0")


def test_a_run_is_stopped_from_elsewhere(server: Any, script: Path, notes: Path) -> None:
    client = start_script(script, PAUSE="60")
    with ended_at_last(client):
        wait_until(lambda: said(notes, "begin 0"), "the first step", client)
        (run,) = Client().list_pipeline_runs()
        tiphys("runs", "stop", run.name, TIPHYS_HOME=str(server.home), TIPHYS_URL="")
        assert client.wait(timeout=60) == 1
    assert not said(notes, "end 0")


def test_live_logs_are_seen_on_the_server(server: Any, script: Path, notes: Path) -> None:
    client = start_script(script, PAUSE="60")
    with ended_at_last(client):
        wait_until(lambda: said(notes, "begin 0"), "the first step", client)
        (run,) = Client().list_pipeline_runs()

        def lines() -> str:
            return tiphys("runs", "logs", run.name, TIPHYS_HOME=str(server.home), TIPHYS_URL="").stdout

        assert wait_until(lambda: "working on 0" in lines(), "its log")


def test_remote(notes: Path, server: Any, script: Path) -> None:
    done = tiphys("run", str(script), "--remote", "-o", "json", TIPHYS_PROGRESS="plain")
    assert json.loads(done.stdout)["status"] == "completed"
    assert Counter(notes.read_text().splitlines()) == {
        f"{word} {number}": 1 for word in ("begin", "end") for number in range(5)
    }
    (run,) = Client().list_pipeline_runs()
    assert list(Client().get_pipeline_run(run.name).steps["work"].logs()) == ["working on 0"]


def test_remote_as_a_script_with_functions_of_its_own(notes: Path, server: Any, script: Path) -> None:
    script.write_text(SCRIPT.replace("chain().status", "chain.with_options(remote=True)().status"))
    with ended_at_last(start_script(script)) as client:
        output, errors = client.communicate(timeout=120)
    assert "status completed" in output, errors
    assert notes.read_text().count("end") == 5


def test_large_data_goes_through_the_server(
    in_process: Any, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @step
    def make() -> np.ndarray:
        return np.arange(1_000_000)

    @step
    def total(xs: np.ndarray) -> int:
        return int(xs.sum())

    @pipeline
    def p() -> None:
        total(make())

    assert p().steps["total"].output.load() == 499999500000
    close_backends(home)
    # Another machine: nothing is kept there yet.
    monkeypatch.setenv("TIPHYS_HOME", str(tmp_path / "another-home"))
    version = Client().get_artifact_version("p::make::output")
    assert int(version.load().sum()) == 499999500000
    close_backends(tmp_path / "another-home")


def test_what_the_server_sends_instead_is_not_loaded(
    in_process: Any, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @step
    def make() -> dict[str, int]:
        return {"a": 1}

    @pipeline
    def p() -> None:
        make()

    version = p().steps["make"].output
    close_backends(home)
    monkeypatch.setenv("TIPHYS_HOME", str(tmp_path / "another-home"))
    digest = version.record.digest.removeprefix("sha256:")
    for path in (tmp_path / "server-home").rglob(f"*{digest[1:]}*"):
        path.chmod(0o644)
        path.write_text('{"a": 2}')
    from tiphys.errors import TiphysError

    with pytest.raises(TiphysError):
        Client().get_artifact_version("p::make::output").load()
    close_backends(tmp_path / "another-home")
