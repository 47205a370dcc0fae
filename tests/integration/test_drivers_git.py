"""Git repositories as artifacts: from a path, from git's daemon, over HTTP with a password, and through ssh."""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tiphys.errors import ArtifactError, NotFoundError, SpecError
from tiphys.integrations.git.driver import GitDriver
from tiphys.spec.artifacts import Artifact
from tiphys.testing.artifact_driver_contract import no_secrets, secrets_of

LOGIN = {
    "usernameSecret": {"name": "login", "key": "user"},
    "passwordSecret": {"name": "login", "key": "password"},
}
SECRETS = {"login": {"user": "me", "password": "pass'wörd $(id) %", "key": "-----BEGIN A KEY-----\nx\n"}}


@pytest.fixture(autouse=True)
def settings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of the person who runs the tests."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    file = tmp_path_factory.mktemp("git") / "config"
    file.write_text("[user]\n name = me\n email = me@example.com\n[init]\n defaultBranch = main\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(file))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path, content: str) -> str:
    (folder / "file").write_text(content)
    git(folder, "add", "-A")
    git(folder, "commit", "-m", content)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Commits 1 (tagged) and 2 on main, 3 on `side/branch`, 4 outside of all branches; bare."""
    work = tmp_path / "work"
    work.mkdir()
    git(work, "init")
    commit(work, "1")
    git(work, "tag", "-a", "v1", "-m", "first")
    commit(work, "2")
    git(work, "checkout", "-b", "side/branch")
    commit(work, "3")
    git(work, "checkout", "--detach")
    commit(work, "4")
    git(work, "update-ref", "refs/pull/1/head", "HEAD")
    git(work, "checkout", "main")
    bare = tmp_path / "served" / "repo.git"
    git(tmp_path, "clone", "--mirror", str(work), str(bare))
    git(bare, "config", "uploadpack.allowAnySHA1InWant", "true")
    return bare


def artifact(repo: str, /, **fields: Any) -> Artifact:
    return Artifact.from_json({"name": "mine", "git": {"repo": repo, **fields}})


def clone(repo: str, into: Path, /, **fields: Any) -> None:
    GitDriver(secrets_of(SECRETS)).load(artifact(repo, **fields), into)
    assert [path.name for path in into.parent.iterdir() if path.name.endswith(".part")] == []


def load(repo: str, into: Path, /, **fields: Any) -> str:
    """The content of the file."""
    clone(repo, into, **fields)
    return (into / "file").read_text()


@pytest.mark.parametrize(
    ("fields", "content"),
    [
        ({}, "2"),
        ({"revision": "main"}, "2"),
        ({"revision": "side/branch"}, "3"),
        ({"revision": "origin/side/branch"}, "3"),
        ({"revision": "v1"}, "1"),
        ({"revision": "main~1"}, "1"),
        ({"revision": "refs/pull/1/head"}, "4"),
        ({"revision": "refs/pull/1/head", "fetch": ["refs/pull/*:refs/pull/*"]}, "4"),
        ({"fetch": ["refs/heads/*:refs/heads/*"]}, "2"),
        ({"singleBranch": True, "branch": "side/branch"}, "3"),
        ({"singleBranch": True, "branch": "side/branch", "revision": "side/branch~2"}, "1"),
        ({"branch": "side/branch"}, "2"),
        ({"depth": 1}, "2"),
        ({"depth": 1, "revision": "side/branch"}, "3"),
        ({"depth": 1, "revision": "v1"}, "1"),
    ],
)
def test_what_is_checked_out(repository: Path, tmp_path: Path, fields: dict[str, Any], content: str) -> None:
    into = tmp_path / "new" / "into"
    assert load(repository.as_uri(), into, **fields) == content
    assert git(into, "status", "--porcelain") == ""
    if "depth" in fields:
        assert git(into, "rev-list", "--count", "HEAD") == "1"


@pytest.mark.parametrize("depth", [None, 1])
def test_a_hash(repository: Path, tmp_path: Path, depth: int | None) -> None:
    first = git(repository, "rev-parse", "v1^{commit}")
    assert load(repository.as_uri(), tmp_path / "into", revision=first, depth=depth) == "1"
    assert git(tmp_path / "into", "rev-parse", "HEAD") == first


def test_only_the_branch_is_there(repository: Path, tmp_path: Path) -> None:
    load(repository.as_uri(), tmp_path / "all")
    load(repository.as_uri(), tmp_path / "one", singleBranch=True, branch="main")
    branches = {name: git(tmp_path / name, "branch", "--all", "--format=%(refname)") for name in ("all", "one")}
    assert ("side" in branches["all"], "side" in branches["one"]) == (True, False)


def test_a_path_of_this_machine(repository: Path, tmp_path: Path) -> None:
    assert load(str(repository), tmp_path / "into", depth=1) == "2"
    assert git(tmp_path / "into", "rev-list", "--count", "HEAD") == "1"


@pytest.mark.parametrize("revision", [None, "main"])
def test_an_empty_repository(tmp_path: Path, revision: str | None) -> None:
    git(tmp_path, "init", "--bare", "empty.git")
    GitDriver(no_secrets).load(artifact(str(tmp_path / "empty.git"), revision=revision), tmp_path / "into")
    assert [path.name for path in (tmp_path / "into").iterdir()] == [".git"]


@pytest.mark.parametrize(
    "fields",
    [{"revision": "nowhere"}, {"singleBranch": True, "branch": "nowhere"}, {"fetch": ["nowhere"]}],
)
def test_what_is_not_there(repository: Path, tmp_path: Path, fields: dict[str, Any]) -> None:
    into = tmp_path / "new" / "into"
    with pytest.raises(ArtifactError, match="Cannot load the artifact 'mine': 'git .*nowhere"):
        load(repository.as_uri(), into, **fields)
    assert list(into.parent.iterdir()) == []
    with pytest.raises(ArtifactError, match="no-such-repository"):
        load((tmp_path / "no-such-repository").as_uri(), into)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"repo": ""}, r"git\.repo is missing"),
        ({"repo": "--upload-pack=touch hacked"}, r"git\.repo .*begins with '-'"),
        ({"revision": "--help"}, r"git\.revision .*begins with '-'"),
        ({"fetch": ["--upload-pack=touch hacked"]}, r"git\.fetch .*begins with '-'"),
        ({"branch": "-b"}, r"git\.branch .*begins with '-'"),
        ({"singleBranch": True}, r"git\.singleBranch needs branch"),
    ],
)
def test_what_is_refused(repository: Path, tmp_path: Path, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(SpecError, match=f"'mine': {named}"):
        load(fields.pop("repo", str(repository)), tmp_path / "into", **fields)


def test_commands_in_addresses_are_not_run(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="transport 'ext' not allowed"):
        load(f"ext::sh -c 'touch {tmp_path}/hacked'", tmp_path / "into")
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize("operation", ["delete", "list_keys", "is_folder"])
def test_it_is_only_read(operation: str) -> None:
    with pytest.raises(SpecError, match="'mine': a location of type 'git' cannot be"):
        getattr(GitDriver(no_secrets), operation)(artifact("x"))


def test_a_missing_secret_is_named(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"git\.passwordSecret names the key 'password' of the Secret 'login'"):
        GitDriver(no_secrets).load(artifact(str(repository), passwordSecret=LOGIN["passwordSecret"]), tmp_path / "into")


def test_without_git(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ArtifactError, match=r"(?s)Git is not installed.*apt-get install git"):
        load(str(repository), tmp_path / "into")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_gits_daemon(repository: Path, tmp_path: Path) -> None:
    port = free_port()
    served = repository.parent
    daemon = Path(git(tmp_path, "--exec-path")) / "git-daemon"
    process = subprocess.Popen(
        [daemon, "--export-all", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}", f"--base-path={served}", served]
    )
    try:
        wait_for(port)
        assert load(f"git://127.0.0.1:{port}/repo.git", tmp_path / "into", depth=1, revision="side/branch") == "3"
    finally:
        process.terminate()
        process.wait()


def wait_for(port: int) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.02)
        else:
            return


class Backend(BaseHTTPRequestHandler):
    """`git http-backend`, behind a password."""

    server: Server

    def log_message(self, *arguments: Any) -> None:
        pass

    def respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        given = self.headers.get("Authorization")
        self.server.given.append(given)
        login = base64.b64encode("me:{password}".format(**SECRETS["login"]).encode()).decode()
        if self.server.failures:
            self.server.failures -= 1
            self.send_error(503)
            return
        if given != f"Basic {login}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        parts = urlsplit(self.path)
        environment = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = respond


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), Backend)
        self.root = root
        #: The header of each request that says who asks.
        self.given: list[str | None] = []
        self.failures = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving(root: Path) -> Iterator[Server]:
    server = Server(root)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_password(repository: Path, tmp_path: Path) -> None:
    with serving(repository.parent) as server:
        url = f"{server.url}/repo.git"
        assert load(url, tmp_path / "into", **LOGIN, revision="side/branch") == "3"
        config = (tmp_path / "into" / ".git" / "config").read_text()
        assert "pass" not in config
        named = url.replace("//", "//me@")
        assert load(named, tmp_path / "named", passwordSecret=LOGIN["passwordSecret"]) == "2"
        with pytest.raises(ArtifactError, match="Authentication failed|could not read Username"):
            load(url, tmp_path / "other")
        with pytest.raises(ArtifactError, match="failed") as caught:
            load(url.replace("//", "//me:hidden@"), tmp_path / "other")
        assert "hidden" not in str(caught.value)


def test_what_fails_for_a_while_is_tried_again(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tiphys.integrations.git.command._WAITS", (0.01, 0.01))
    with serving(repository.parent) as server:
        server.failures = 2
        assert load(f"{server.url}/repo.git", tmp_path / "into", **LOGIN) == "2"
        server.failures = 3
        with pytest.raises(ArtifactError, match="error: 503"):
            load(f"{server.url}/repo.git", tmp_path / "other", **LOGIN)


def with_submodule(repository: Path, url: str) -> None:
    work = repository.parent / "parent"
    work.mkdir()
    git(work, "init")
    (work / ".gitmodules").write_text(f'[submodule "sub"]\n path = sub\n url = {url}\n')
    git(work, "update-index", "--add", "--cacheinfo", f"160000,{git(repository, 'rev-parse', 'main')},sub")
    git(work, "add", ".gitmodules")
    git(work, "commit", "-m", "parent")
    git(repository.parent, "clone", "--bare", "parent", "parent.git")


def test_submodules(repository: Path, tmp_path: Path) -> None:
    with serving(repository.parent) as server:
        with_submodule(repository, "../repo.git")
        clone(f"{server.url}/parent.git", tmp_path / "into", **LOGIN)
        assert (tmp_path / "into" / "sub" / "file").read_text() == "2"
        assert git(tmp_path / "into", "submodule", "status").split()[1] == "sub"
        clone(f"{server.url}/parent.git", tmp_path / "without", **LOGIN, disableSubmodules=True)
        assert list((tmp_path / "without" / "sub").iterdir()) == []


def test_a_password_is_not_shown_to_another_server(repository: Path, tmp_path: Path) -> None:
    with serving(repository.parent) as server, serving(repository.parent) as other:
        with_submodule(repository, f"{other.url}/repo.git")
        with pytest.raises(ArtifactError, match="git submodule"):
            clone(f"{server.url}/parent.git", tmp_path / "into", **LOGIN)
        assert other.given
        assert set(other.given) == {None}


#: Says what it was asked to do, and does it here.
SSH = """#!/bin/sh
for word in "$@"; do printf '%s\\n' "$word" >> {log}; last=$word; done
while [ $# -gt 1 ]; do [ "$1" = -i ] && cat "$2" >> {log} && stat -c 'mode %a' "$2" >> {log}; shift; done
exec sh -c "$last"
"""


@pytest.mark.parametrize("ignore", [False, True])
def test_an_ssh_key(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ignore: bool) -> None:
    commands, log = tmp_path / "commands", tmp_path / "log"
    commands.mkdir()
    (commands / "ssh").write_text(SSH.format(log=log))
    (commands / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    key = {"name": "login", "key": "key"}
    url = f"git@example.com:{repository}"
    assert load(url, tmp_path / "into", sshPrivateKeySecret=key, insecureIgnoreHostKey=ignore) == "2"
    lines = log.read_text().splitlines()
    assert {"git@example.com", "BatchMode=yes", "IdentitiesOnly=yes", "-----BEGIN A KEY-----", "mode 600"} <= set(lines)
    assert ("StrictHostKeyChecking=no" in lines) == ignore
    assert not Path(lines[lines.index("-i") + 1]).exists()
