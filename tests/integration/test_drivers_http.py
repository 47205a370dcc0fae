"""Drivers that speak HTTP, with real servers on loopback: plain, with each kind of authentication, and WebHDFS."""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
import stamina
import trustme

from tiphys.errors import ArtifactError, ArtifactMissingError, SpecError
from tiphys.integrations.http.artifactory_driver import ArtifactoryDriver
from tiphys.integrations.http.driver import HTTPDriver
from tiphys.integrations.http.hdfs_driver import HDFSDriver, _base_url
from tiphys.ports.artifact_driver import ArtifactDriver
from tiphys.spec.artifacts import Artifact
from tiphys.testing.artifact_driver_contract import (
    ArtifactDriverContract,
    FolderDriverContract,
    no_secrets,
    secrets_of,
)

BASIC = "Basic " + base64.b64encode(b"me:pass:word").decode()
SECRETS = {"login": {"user": "me", "password": "pass:word", "header": "from a secret"}}
LOGIN = {
    "usernameSecret": {"name": "login", "key": "user"},
    "passwordSecret": {"name": "login", "key": "password"},
}


class Server(ThreadingHTTPServer):
    """Keeps files by path; asks for what `guard` asks for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.seen: list[Handler] = []
        #: An answer's status and headers for a request that is refused; None for one that is not.
        self.guard: Callable[[Handler], tuple[int, dict[str, str]] | None] = lambda request: None

    def respond(self, request: Handler) -> None:
        refused = self.guard(request)
        if refused is not None:
            request.answer(refused[0], b"the guard says no", refused[1])
        elif request.command == "PUT":
            self.files[request.path] = request.body
            request.answer(201)
        elif request.path in self.files:
            request.answer(200, self.files[request.path])
        else:
            request.answer(404, b"there is no such file")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *arguments: Any) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def handle_any(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append(self)
        self.server.respond(self)

    do_GET = do_PUT = do_POST = do_DELETE = handle_any


@contextmanager
def running(server: ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    with running(server):
        yield server


@pytest.fixture(autouse=True)
def quick_retries() -> Iterator[None]:
    with stamina.set_testing(True, attempts=5, cap=True):
        yield


def http_artifact(url: str, **fields: Any) -> Artifact:
    return Artifact.from_json({"name": "mine", "http": {"url": url, **fields}})


def asks_for(header: str, value: str) -> Callable[[Handler], tuple[int, dict[str, str]] | None]:
    return lambda request: None if request.headers.get(header) == value else (401, {})


class TestHTTP(ArtifactDriverContract):
    @pytest.fixture
    def driver(self, server: Server) -> ArtifactDriver:
        self.url = server.url
        server.guard = asks_for("Authorization", BASIC)
        return HTTPDriver(secrets_of(SECRETS))

    def artifact(self, key: str) -> Artifact:
        return http_artifact(f"{self.url}/{quote(key)}", auth={"basicAuth": LOGIN})


class TestArtifactory(ArtifactDriverContract):
    @pytest.fixture
    def driver(self, server: Server) -> ArtifactDriver:
        self.url = server.url
        server.guard = asks_for("Authorization", BASIC)
        return ArtifactoryDriver(secrets_of(SECRETS))

    def artifact(self, key: str) -> Artifact:
        return Artifact.from_json({"name": "mine", "artifactory": {"url": f"{self.url}/{quote(key)}", **LOGIN}})


@pytest.fixture
def driver() -> HTTPDriver:
    return HTTPDriver(secrets_of(SECRETS))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


def test_headers(server: Server, driver: HTTPDriver, file: Path) -> None:
    secret = {"valueFrom": {"secretKeyRef": {"name": "login", "key": "header"}}}
    artifact = http_artifact(
        f"{server.url}/a?b=c%20d", headers=[{"name": "X-Plain", "value": "1"}, {"name": "X-Secret", **secret}]
    )
    driver.save(file, artifact)
    driver.load(artifact, file.with_name("into"))
    assert file.with_name("into").read_bytes() == b"content"
    for request in server.seen:
        assert request.path == "/a?b=c%20d"
        assert (request.headers["X-Plain"], request.headers["X-Secret"]) == ("1", "from a secret")
        assert request.headers["Authorization"] is None
    assert server.seen[0].headers["Content-Length"] == "7"


@pytest.mark.parametrize("answer", [503, 429])
def test_what_fails_for_a_while_is_tried_again(server: Server, driver: HTTPDriver, file: Path, answer: int) -> None:
    server.guard = lambda request: (answer, {}) if len(server.seen) % 3 else None
    driver.save(file, http_artifact(f"{server.url}/a"))
    driver.load(http_artifact(f"{server.url}/a"), file.with_name("into"))
    assert file.with_name("into").read_bytes() == b"content"
    assert [request.command for request in server.seen] == ["PUT"] * 3 + ["GET"] * 3


@pytest.mark.parametrize(("status", "requests"), [(403, 1), (404, 1), (500, 5), (302, 1)])
def test_what_fails_is_told(server: Server, driver: HTTPDriver, file: Path, status: int, requests: int) -> None:
    server.guard = lambda request: (status, {})
    artifact = http_artifact(f"{server.url.replace('//', '//user:hidden@')}/a?signature=hidden")
    with pytest.raises(ArtifactError, match=rf"'mine'.*{server.url}/a answered {status} .*the guard says no") as caught:
        driver.save(file, artifact)
    assert "hidden" not in str(caught.value)
    assert not isinstance(caught.value, ArtifactMissingError)
    assert len(server.seen) == requests


def test_a_server_that_is_not_there(server: Server, driver: HTTPDriver, file: Path) -> None:
    server.shutdown()
    server.server_close()
    for do in (
        lambda: driver.load(http_artifact(f"{server.url}/a"), file.with_name("into")),
        lambda: driver.save(file, http_artifact(f"{server.url}/a")),
    ):
        with pytest.raises(ArtifactError, match=rf"'mine' at {server.url}/a: .*refused"):
            do()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/a", "nonsense", "http://[/"])
def test_other_urls(driver: HTTPDriver, tmp_path: Path, url: str) -> None:
    with pytest.raises(ArtifactError, match="Cannot load the artifact 'mine'"):
        driver.load(http_artifact(url), tmp_path / "into")


def test_redirections(server: Server, driver: HTTPDriver, file: Path) -> None:
    """Credentials stay with the host that they are for."""
    other = Server()
    with running(other):
        server.guard = lambda request: (307, {"Location": f"{other.url}/there"}) if request.path == "/far" else None
        artifact = http_artifact(f"{server.url}/far", auth={"basicAuth": LOGIN})
        driver.save(file, artifact)
        assert other.files == {"/there": b"content"}
        driver.load(artifact, file.with_name("into"))
        assert file.with_name("into").read_bytes() == b"content"
        assert [request.headers["Authorization"] for request in server.seen] == [BASIC, BASIC]
        assert [request.headers["Authorization"] for request in other.seen] == [None, None]
    server.guard = lambda request: (308, {"Location": "/near"}) if request.path == "/far" else None
    driver.save(file, artifact)
    assert server.files == {"/near": b"content"}
    assert server.seen[-1].headers["Authorization"] == BASIC
    server.guard = lambda request: (307, {"Location": request.path})
    with pytest.raises(ArtifactError, match="more than 10 redirections"):
        driver.save(file, artifact)


def test_folders_are_refused(server: Server, driver: HTTPDriver, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is a folder"):
        driver.save(tmp_path, http_artifact(f"{server.url}/a"))
    assert server.seen == []


def test_an_answer_that_breaks_off(server: Server, driver: HTTPDriver, file: Path) -> None:
    server.guard = lambda request: (200, {"Content-Length": "1000"})
    with pytest.raises(ArtifactError, match="'mine'"):
        driver.load(http_artifact(f"{server.url}/a"), file.with_name("into"))
    assert not file.with_name("into").exists()


class TokenServer(Server):
    """Gives a token for the form that it expects."""

    def __init__(self, *, in_body: bool, encoded: bool) -> None:
        super().__init__()
        self.in_body = in_body
        self.encoded = encoded

    def respond(self, request: Handler) -> None:
        form = parse_qs(request.body.decode())
        basic = "Basic " + base64.b64encode(b"my+id:my%26secret").decode()
        named = form.get("client_id") == ["my id"] and form.get("client_secret") == ["my&secret"]
        right = named if self.in_body else request.headers["Authorization"] == basic
        expected = {"grant_type": ["client_credentials"], "scope": ["one two"], "resource": ["x"]}
        if not right or not expected.items() <= form.items():
            request.answer(401)
            return
        kind = "x-www-form-urlencoded" if self.encoded else "json"
        token = b"access_token=t0k&token_type=bearer" if self.encoded else b'{"access_token": "t0k"}'
        request.answer(200, token, {"Content-Type": f"application/{kind}"})


@pytest.mark.parametrize("in_body", [False, True])
@pytest.mark.parametrize("encoded", [False, True])
def test_oauth2(server: Server, file: Path, in_body: bool, encoded: bool) -> None:
    tokens = TokenServer(in_body=in_body, encoded=encoded)
    with running(tokens):
        server.guard = asks_for("Authorization", "Bearer t0k")
        artifact, secrets = with_oauth2(server, tokens)
        HTTPDriver(secrets_of(secrets)).save(file, artifact)
        assert server.files == {"/a": b"content"}
        assert len(tokens.seen) == 1 + in_body
        secrets["oauth"]["secret"] = "wrong"
        with pytest.raises(ArtifactError, match="401 Unauthorized"):
            HTTPDriver(secrets_of(secrets)).save(file, artifact)
    incomplete = {"clientIDSecret": {"name": "oauth", "key": "id"}}
    with pytest.raises(SpecError, match=r"http\.auth\.oauth2\.tokenURLSecret is missing"):
        HTTPDriver(secrets_of(secrets)).save(file, http_artifact(f"{server.url}/a", auth={"oauth2": incomplete}))


def with_oauth2(server: Server, tokens: Server) -> tuple[Artifact, dict[str, dict[str, str]]]:
    secrets = {"oauth": {"id": "my id", "secret": "my&secret", "url": f"{tokens.url}/token"}}
    oauth2 = {
        "clientIDSecret": {"name": "oauth", "key": "id"},
        "clientSecretSecret": {"name": "oauth", "key": "secret"},
        "tokenURLSecret": {"name": "oauth", "key": "url"},
        "scopes": ["one", "two"],
        "endpointParams": [{"key": "resource", "value": "x"}],
    }
    return http_artifact(f"{server.url}/a", auth={"oauth2": oauth2}), secrets


def test_a_client_certificate(server: Server, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    server.socket = context.wrap_socket(server.socket, server_side=True)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    mine = authority.issue_cert("me@example.com")
    secrets = {
        "cert": {
            "cert": b"".join(blob.bytes() for blob in mine.cert_chain_pems).decode(),
            "key": mine.private_key_pem.bytes().decode(),
        }
    }
    named = {"clientCertSecret": {"name": "cert", "key": "cert"}, "clientKeySecret": {"name": "cert", "key": "key"}}
    url = server.url.replace("http:", "https:") + "/a"
    HTTPDriver(secrets_of(secrets)).save(file, http_artifact(url, auth={"clientCert": named}))
    assert server.files == {"/a": b"content"}
    with pytest.raises(ArtifactError, match="'mine'"):
        HTTPDriver(no_secrets).save(file, http_artifact(url))
    secrets["cert"]["key"] = "no key"
    with pytest.raises(SpecError, match=r"http\.auth\.clientCert names no certificate"):
        HTTPDriver(secrets_of(secrets)).save(file, http_artifact(url, auth={"clientCert": named}))


@pytest.mark.parametrize("operation", ["delete", "list_keys", "is_folder"])
def test_what_a_plain_server_cannot_do(driver: HTTPDriver, operation: str) -> None:
    with pytest.raises(SpecError, match="'mine': a location of type 'http' cannot be"):
        getattr(driver, operation)(http_artifact("http://127.0.0.1:9/a"))


class DataNode(Server):
    """Keeps what a name node sends to it in a folder."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root

    def respond(self, request: Handler) -> None:
        path = self.root / unquote(urlsplit(request.path).path).lstrip("/")
        if request.command == "GET":
            request.answer(200, path.read_bytes())
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(request.body)
            request.answer(201)


class NameNode(Server):
    """The part of WebHDFS that the driver uses: files are at the data node, to which it sends."""

    def __init__(self, data: DataNode) -> None:
        super().__init__()
        self.data = data
        self.standby = False

    def respond(self, request: Handler) -> None:
        parts = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        where = unquote(parts.path).removeprefix("/webhdfs/v1").lstrip("/")
        path = self.data.root / where
        if self.standby or query["user.name"] != "me":
            self.refuse(request, 403, "StandbyException" if self.standby else "AccessControlException", where)
        elif query["op"] in {"OPEN", "LISTSTATUS", "GETFILESTATUS"} and not path.exists():
            self.refuse(request, 404, "FileNotFoundException", where)
        elif query["op"] in {"OPEN", "CREATE"}:
            assert request.body == b""
            request.answer(307, headers={"Location": f"{self.data.url}/{quote(where)}"})
        else:
            request.answer(200, json.dumps(getattr(self, query["op"])(path)).encode())

    def refuse(self, request: Handler, status: int, kind: str, where: str) -> None:
        told = {"RemoteException": {"exception": kind, "message": f"File does not exist: /{where}"}}
        request.answer(status, json.dumps(told).encode())

    def DELETE(self, path: Path) -> dict[str, Any]:
        existed = path.exists()
        if existed:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return {"boolean": existed}

    def GETFILESTATUS(self, path: Path) -> dict[str, Any]:
        return {"FileStatus": self.status(path, "")}

    def LISTSTATUS(self, path: Path) -> dict[str, Any]:
        return {"FileStatuses": {"FileStatus": [self.status(each, each.name) for each in path.iterdir()]}}

    def status(self, path: Path, suffix: str) -> dict[str, Any]:
        return {"type": "DIRECTORY" if path.is_dir() else "FILE", "pathSuffix": suffix}


@pytest.fixture
def name_node(tmp_path: Path) -> Iterator[NameNode]:
    data = DataNode(tmp_path / "data-node")
    node = NameNode(data)
    with running(data), running(node):
        yield node


def hdfs_artifact(addresses: list[str], path: str, /, **fields: Any) -> Artifact:
    place = {"addresses": addresses, "path": path, "hdfsUser": "me", "force": True, **fields}
    return Artifact.from_json({"name": "mine", "hdfs": place})


class TestHDFS(FolderDriverContract):
    @pytest.fixture
    def driver(self, name_node: NameNode) -> ArtifactDriver:
        self.address = f"127.0.0.1:{name_node.server_port}"
        return HDFSDriver(no_secrets)

    def artifact(self, key: str) -> Artifact:
        return hdfs_artifact([self.address], f"/root/{key}")

    def keys(self, *keys: str) -> list[str]:
        return [f"/root/{key}" for key in keys]

    def test_a_missing_secret_is_named(self, driver: ArtifactDriver, tmp_path: Path) -> None:
        """It has no Secrets but Kerberos', which are refused."""
        artifact = hdfs_artifact([self.address], "/a", krbKeytabSecret={"name": "krb", "key": "tab"})
        with pytest.raises(SpecError, match=r"hdfs\.krbKeytabSecret is not supported"):
            driver.load(artifact, tmp_path / "into")


def test_nothing_is_replaced_without_force(name_node: NameNode, file: Path) -> None:
    driver = HDFSDriver(no_secrets)
    artifact = hdfs_artifact([name_node.url], "/a", force=False)
    driver.save(file, artifact)
    file.write_bytes(b"other")
    with pytest.raises(ArtifactError, match="/a is there already"):
        driver.save(file, artifact)
    driver.load(artifact, file.with_name("into"))
    assert file.with_name("into").read_bytes() == b"content"


def test_the_name_node_that_works_is_asked(name_node: NameNode, file: Path) -> None:
    standby, gone = NameNode(name_node.data), Server()
    gone.server_close()
    standby.standby = True
    with running(standby):
        addresses = [gone.url, standby.url, name_node.url]
        HDFSDriver(no_secrets).save(file, hdfs_artifact(addresses, "/a"))
        assert (name_node.data.root / "a").read_bytes() == b"content"
        with pytest.raises(ArtifactError, match="StandbyException"):
            HDFSDriver(no_secrets).save(file, hdfs_artifact(addresses[:2], "/a"))
    with pytest.raises(ArtifactError, match="AccessControlException"):
        HDFSDriver(no_secrets).save(file, hdfs_artifact([name_node.url], "/a", hdfsUser="other"))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"path": "relative"}, r"hdfs\.path"),
        ({"path": ""}, r"hdfs\.path is missing"),
        ({"addresses": []}, r"hdfs\.addresses is missing"),
        ({"hdfsUser": None}, r"hdfs\.hdfsUser is missing"),
        ({"dataTransferProtection": "privacy"}, r"hdfs\.dataTransferProtection is not supported"),
        ({"krbRealm": "R"}, r"hdfs\.krbRealm is not supported"),
    ],
)
def test_what_cannot_be_honoured_is_named(file: Path, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(SpecError, match=named):
        HDFSDriver(no_secrets).save(file, hdfs_artifact(["127.0.0.1:9"], "/a", **fields))


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("node:8020", "http://node:9870/webhdfs/v1"),
        ("node:9000", "http://node:9870/webhdfs/v1"),
        ("node", "http://node:9870/webhdfs/v1"),
        ("node:50070", "http://node:50070/webhdfs/v1"),
        ("https://node:9871/", "https://node:9871/webhdfs/v1"),
    ],
)
def test_addresses(address: str, url: str) -> None:
    assert _base_url(address) == url
