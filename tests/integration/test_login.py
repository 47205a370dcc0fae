"""`tiphys login`: the command line works with a server as with a database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from tests.integration.server_desk import RunningServer, running_server
from tests.unit.client.test_connection import Scripted

Type = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture
def type_(tmp_path: Path) -> Type:
    """Types a command of `tiphys`; the exit code must be the expected one (0)."""

    def call(
        *words: str, code: int = 0, home: Path = tmp_path / "home", typed: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "tiphys", *words],
            env={**os.environ, "TIPHYS_HOME": str(home), **environment},
            capture_output=True,
            text=True,
            input=typed,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return call


def read(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)


def test_after_a_login_commands_ask_the_server(server: RunningServer, type_: Type, tmp_path: Path) -> None:
    said = type_("login", server.url, "--ca", server.authority, "-w", "team").stdout
    assert server.url in said
    assert "workspace team" in said
    status = read(type_("status", "-o", "json"))
    assert status["server"] == {"url": server.url, "workspace": "team"}
    assert server.url in type_("status").stdout
    type_("tag", "create", "from-afar")
    assert "from-afar" in type_("tag", "list").stdout
    there = {"TIPHYS_URL": server.url, "TIPHYS_CA": server.authority}
    assert "from-afar" in type_("tag", "list", home=tmp_path / "x", TIPHYS_WORKSPACE="team", **there).stdout
    assert "from-afar" not in type_("tag", "list", home=tmp_path / "x", **there).stdout
    for words in (("runs", "list"), ("artifact", "list"), ("model", "list"), ("pipeline", "list"), ("stack", "list")):
        type_(*words)
    assert "no run 'nothing'" in type_("runs", "show", "nothing", code=2).stderr
    type_("logout")
    assert read(type_("status", "-o", "json"))["server"] is None
    assert "from-afar" not in type_("tag", "list").stdout


def test_an_authority_of_this_machine_is_named(server: RunningServer, type_: Type) -> None:
    refused = type_("login", server.url, code=1, home=server.home)
    assert "signed by the authority of this machine's server" in refused.stderr
    assert f"tiphys login {server.url} --ca {server.authority}" in refused.stderr
    assert not (server.home / "server.json").exists()
    elsewhere = type_("login", server.url, code=1)
    assert "not trusted" in elsewhere.stderr
    assert "--ca FILE" in elsewhere.stderr


def test_the_server_itself_works_on_its_database_though_logged_in(type_: Type, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running_server(home) as first:
        type_("login", first.url, "--ca", first.authority)
    with running_server(home) as second:
        assert "This works on the database of" in second.said
        assert second.url in type_("status", TIPHYS_URL=second.url, TIPHYS_CA=second.authority).stdout


def test_what_is_no_server_of_ours(type_: Type) -> None:
    other = Scripted()
    thread = Thread(target=other.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        other.answers = [(404, {"code": 5, "message": "Not Found"})]
        assert "no Tiphys server" in type_("login", other.url, code=1).stderr
        info = {"version": "1.0", "api": 1, "workspace": "default", "authentication": True}
        other.answers = [(200, info)]
        assert "--api-key" in type_("login", other.url, code=2).stderr
        other.answers = [(200, info), (200, {"count": 0})]
        type_("login", other.url, "--api-key", "key")
        assert other.asked[-1][2]["Authorization"] == "Bearer key"
        other.answers = [(200, info), (200, {"count": 0})]
        type_("login", other.url, typed="typed\n")
        assert other.asked[-1][2]["Authorization"] == "Bearer typed"
    finally:
        other.http.shutdown()
        thread.join()
        other.http.server_close()


@pytest.mark.parametrize("url", ["ftp://x", "https://", "https://a:b@c", "https://x/?q"])
def test_what_is_no_address(type_: Type, url: str) -> None:
    assert "not the address of a server" in type_("login", url, code=2).stderr
