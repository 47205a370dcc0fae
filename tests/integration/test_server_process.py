"""The server as a process: its certificate, how it ends, and what it takes up again."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest
import trustme
from tests.integration.server_desk import PATIENCE, RunningServer, running_server, workflow

WORKFLOWS = "/api/v1/workflows/w"


def submit(client: httpx2.Client, *command: str) -> str:
    answer = client.post(WORKFLOWS, json={"workflow": workflow(*command)}).raise_for_status()
    return str(answer.json()["metadata"]["name"])


def wait(client: httpx2.Client, name: str, phase: str) -> None:
    deadline = time.monotonic() + PATIENCE
    found = ""
    while time.monotonic() < deadline:
        found = client.get(f"{WORKFLOWS}/{name}").raise_for_status().json()["status"].get("phase")
        if found == phase:
            return
        time.sleep(0.1)
    raise AssertionError(f"{name} is {found}")


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told_though_clients_listen(tmp_path: Path, sign: int) -> None:
    with running_server(tmp_path / "home") as server, server.client() as client:
        name = submit(client, "sleep", "100")
        wait(client, name, "Running")
        with client.stream("GET", "/api/v1/workflow-events/w") as stream:
            next(stream.iter_lines())
            said = server.end(sign)
    assert server.process.returncode == 0
    assert said.splitlines()[-1] == "The server has ended; 1 workflows go on when one runs again."
    assert "Traceback" not in said


def test_what_ran_when_it_was_killed_is_taken_up(tmp_path: Path) -> None:
    with running_server(tmp_path / "home") as server, server.client() as client:
        name = submit(client, "sh", "-c", "sleep 3; echo done")
        wait(client, name, "Running")
        server.end(signal.SIGKILL)
    with running_server(tmp_path / "home") as server, server.client() as client:
        wait(client, name, "Succeeded")
        assert server.process.poll() is None


def test_a_controller_takes_it_up_too_and_ends_in_order_though_containers_run(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running_server(home) as server, server.client() as client:
        name = submit(client, "sleep", "100")
        wait(client, name, "Running")
        server.end(signal.SIGKILL)
    command = [sys.executable, "-m", "tiphys", "argo", "controller"]
    environment = {**os.environ, "TIPHYS_HOME": str(home)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        while "taking it up" not in process.stdout.readline():
            assert process.poll() is None
        time.sleep(1)  # it takes it up
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 0
    assert said.splitlines()[-1].endswith("ending; 1 workflows go on when a controller runs again")


def test_the_certificate_is_kept_and_only_its_owner_can_read_the_key(tmp_path: Path) -> None:
    home = tmp_path / "home"

    def trusted(server: RunningServer) -> bytes:
        with server.client() as client:
            for name in ("localhost", "127.0.0.1"):
                client.get(f"https://{name}:{httpx2.URL(server.url).port}/api/v1/version").raise_for_status()
        return (home / "tls" / "server.pem").read_bytes()

    with running_server(home) as server:
        first = trusted(server)
        server.end()
    assert f"export REQUESTS_CA_BUNDLE={home / 'tls' / 'authority.pem'}" in server.said
    with running_server(home) as server:
        assert trusted(server) == first
    assert stat.S_IMODE((home / "tls" / "server.key").stat().st_mode) == 0o600


def test_a_certificate_can_be_given(tmp_path: Path) -> None:
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1")
    (tmp_path / "home" / "tls").mkdir(parents=True)
    authority.cert_pem.write_to_path(str(tmp_path / "home" / "tls" / "authority.pem"))
    made.cert_chain_pems[0].write_to_path(str(tmp_path / "chain.pem"))
    made.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    options = ("--tls-cert", str(tmp_path / "chain.pem"), "--tls-key", str(tmp_path / "key.pem"))
    with running_server(tmp_path / "home", *options) as server, server.client() as client:
        assert client.get("/api/v1/version").status_code == 200


def test_plain_http_must_be_asked_for(tmp_path: Path) -> None:
    with running_server(tmp_path / "home", "--insecure") as server:
        assert server.url.startswith("http://")
        assert httpx2.get(f"{server.url}/api/v1/version").status_code == 200
    assert not (tmp_path / "home" / "tls").exists()


def refused(*options: str) -> str:
    done = subprocess.run([sys.executable, "-m", "tiphys", "server", *options], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    return done.stderr


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert f"Port {port} of 127.0.0.1 cannot be had" in refused("--port", str(port))
