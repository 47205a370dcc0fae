"""What means a server no good: the right status, one line in the log, and nothing changed, by both APIs.

| | Argo's API | ours |
|---|---|---|
| malformed JSON | here; test_server_operations | here; test_api_schema |
| malformed YAML, YAML bombs | here; test_server_operations, unit/spec/test_yaml | here |
| 100 MB bodies | here; test_server_events for events | here |
| `..` in names of artifacts | here; test_server_operations | here; unit/sdk/test_packed_trees |
| zip and tar bombs | unit/sdk/pods/test_archives (tasks unpack) | here (trees), unit/sdk/test_packed_trees |
| header and log injection | here; test_server_operations, unit/server/auth | here |
| forged and expired credentials | here; unit/server/auth | here; unit/server/auth/test_run_tokens |
| ids of another workspace | here; unit/server/auth/test_authentication | here; contract/test_workspaces |
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import logging
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from tests.contract.served import served
from tests.integration.server_desk import PATIENCE, workflow

from tiphys.db.store import open_store
from tiphys.ports.backend import ModelRequest
from tiphys.records.access import Role
from tiphys.records.base import Query
from tiphys.records.models import RegisteredModel
from tiphys.records.objects import ObjectKind, objects_of
from tiphys.records.workflows import WorkflowSummary
from tiphys.server.auth.run_tokens import issue
from tiphys.services.backend import LocalBackend
from tiphys.testing.playing import IdleHost

ARGO, OURS = "/api/v1", "/api/tiphys/v1/workspaces/team"
#: Where a workflow is submitted, by each API.
SUBMIT = {"argo": f"{ARGO}/workflows/team", "ours": f"{OURS}/workflows"}
#: Bytes of a tree's data; a digest that no data has.
DIGEST = f"sha256:{'0' * 64}"
TREES = f"{OURS}/artifact-stores/default/trees"
both = pytest.mark.parametrize("api", ["argo", "ours"])


@dataclass
class Desk:
    backend: LocalBackend
    client: httpx2.Client
    url: str
    home: Path
    log: pytest.LogCaptureFixture

    def everything(self) -> tuple[object, ...]:
        """All that a request might have changed."""
        stored = [self.backend.find(objects_of(kind)) for kind in ObjectKind]
        accounts = [one.account for one in self.backend.access.accounts()]
        kinds = (WorkflowSummary, RegisteredModel)
        files = sorted(path for path in self.home.rglob("*") if path.is_file() and "tiphys.db" not in path.name)
        return (stored, accounts, [self.backend.find(Query.of(kind)) for kind in kinds], files)

    def refused(self, verb: str, path: str, *statuses: int, **given: Any) -> httpx2.Response:
        """The answer to a request, which must have one of these statuses, a line in the log and no effect."""
        before = self.everything()
        self.log.clear()
        answer = self.client.request(verb, path, **given)
        assert answer.status_code in statuses, (answer.status_code, answer.text)
        assert "message" in answer.json()
        deadline = time.monotonic() + PATIENCE
        # It is written when the answer was sent.
        while not (lines := self._lines(answer.headers["x-request-id"])):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        assert [one.__dict__["fields"]["status"] for one in lines] == [answer.status_code]
        assert all(one.getMessage().isprintable() for one in self.log.records)
        assert all(str(value).isprintable() for value in lines[0].__dict__["fields"].values())
        assert self.everything() == before
        return answer

    def _lines(self, request_id: str) -> list[logging.LogRecord]:
        records = list(self.log.records)
        return [one for one in records if getattr(one, "fields", {}).get("request_id") == request_id]


@pytest.fixture
def desk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Desk]:
    backend = LocalBackend(open_store(f"sqlite:///{tmp_path / 'tiphys.db'}"), home=tmp_path, host=IdleHost())
    key = backend.access.create_key("ci", role=Role.EDITOR, workspace="team").text
    # What is made with the first request is no change.
    backend.in_workspace("team").stacks.active()
    with served(backend, authenticates=True) as url, caplog.at_level(logging.INFO, logger="tiphys"):
        headers = {"Authorization": f"Bearer {key}"}
        with httpx2.Client(base_url=url, timeout=PATIENCE, headers=headers) as client:
            yield Desk(backend, client, url, tmp_path, caplog)
    backend.close()


@both
@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe",
        b'"text"',
        b'{"workflow": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"workflows": [' + b'{"a":' * 500 + b"1" + b"}" * 500 + b'], "workflow": {}}',
        b'{"workflow": {"spec": {"priority": ' + b"9" * 5000 + b"}}}",
        gzip.compress(json.dumps({"workflow": workflow("true")}).encode()),
    ],
    ids=["cut", "bytes", "text", "lists", "maps", "number", "packed"],
)
def test_malformed_json(desk: Desk, api: str, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    desk.refused("POST", SUBMIT[api], 400, content=body, headers=headers)


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 9)}]\n" for number in range(1, 10)
)


@both
@pytest.mark.parametrize("text", [BOMB, "a: [", "[" * 1000 + "]" * 1000])
def test_malformed_yaml(desk: Desk, api: str, text: str) -> None:
    manifest = workflow("true")
    manifest["spec"]["templates"] = [{"name": "main", "resource": {"action": "create", "manifest": text}}]
    body = {"workflow": manifest} if api == "argo" else {"workflows": [manifest]}
    desk.refused("POST", SUBMIT[api], 400, json=body)


@both
@pytest.mark.parametrize("told", [True, False])
def test_a_hundred_megabytes(desk: Desk, api: str, told: bool) -> None:
    def parts() -> Iterator[bytes]:
        yield b'{"workflow": "'
        for _ in range(100):
            yield b"y" * (1 << 20)
        yield b'"}'

    content = b"".join(parts()) if told else parts()
    desk.refused("POST", SUBMIT[api], 413, content=content)


@pytest.mark.parametrize(
    "digest", ["..", "../../../etc/passwd", "sha256:../../x", f"sha256:{'0' * 63}/", "a\0b", "a\nb"]
)
@pytest.mark.parametrize("verb", ["GET", "PUT"])
def test_no_digest_leads_elsewhere(desk: Desk, verb: str, digest: str) -> None:
    desk.refused(verb, f"{TREES}/{quote(digest, safe='')}", 400, 404, 405)


@pytest.mark.parametrize("name", ["..", "../../x", "a\nb", "a\0b"])
def test_no_name_leads_elsewhere(desk: Desk, name: str) -> None:
    desk.refused("GET", f"{OURS}/artifact-versions/lookup", 400, 404, params={"name": name})
    desk.refused("GET", f"{OURS}/artifact-versions/{quote(name, safe='')}", 400, 404)
    desk.refused("GET", f"{OURS}/artifact-stores/{quote(name, safe='')}/trees/{DIGEST}", 400, 404)
    for path in ("/artifacts/team/w/n", "/artifact-files/team/workflows/w/n/outputs"):
        desk.refused("GET", f"{path}/{quote(name, safe='')}", 400, 404)


def tar(*entries: tuple[str, bytes, bytes]) -> bytes:
    """A tar of (name, type, content)."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, kind, content in entries:
            entry = tarfile.TarInfo(name)
            entry.size, entry.type = len(content), kind
            archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def sparse() -> bytes:
    """A file of a terabyte, in a kilobyte."""
    headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": "huge"}
    headers |= {"GNU.sparse.size": str(1 << 40), "GNU.sparse.map": f"{(1 << 40) - 1},1"}
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo("huge")
        entry.size, entry.pax_headers = 1, headers
        archive.addfile(entry, io.BytesIO(b"1"))
    return file.getvalue()


FILE = tarfile.REGTYPE
TARS: dict[str, Callable[[], bytes]] = {
    "outside": lambda: tar(("../../out", FILE, b"1")),
    "link": lambda: tar(("a", tarfile.SYMTYPE, b"")),
    "device": lambda: tar(("a", tarfile.CHRTYPE, b"")),
    "below a file": lambda: tar(("a", FILE, b"1"), ("a/b", FILE, b"1")),
    "long name": lambda: tar(("a" * 300, FILE, b"1")),
    "cut": lambda: tar(("a", FILE, b"1" * 5000))[:1000],
    "packed": lambda: gzip.compress(tar(("a", FILE, b"1"))),
    "none": lambda: b"PK\x03\x04" + b"x" * 1000,
    "another digest": lambda: tar(("a", FILE, b"1")),
    "sparse": sparse,
}


@pytest.mark.parametrize("kind", TARS)
def test_trees_that_are_none(desk: Desk, kind: str) -> None:
    content = TARS[kind]()
    assert len(content) < 20_000
    # A tree that was stored and is another one than was said stays until the next collection.
    if kind != "another digest":
        desk.refused("PUT", f"{TREES}/{DIGEST}", 400, content=content)
    else:
        assert desk.client.put(f"{TREES}/{DIGEST}", content=content).status_code == 400
        assert desk.client.head(f"{TREES}/{DIGEST}").status_code == 404


INJECTED = "a\r\nX-Forged: 1\x1b[31m\u2028refused nobody"


@both
def test_what_is_injected_begins_no_line_and_no_header(desk: Desk, api: str) -> None:
    safe = quote(INJECTED, safe="")
    path = f"{ARGO}/workflows/team/{safe}" if api == "argo" else f"{OURS}/runs/{safe}"
    answer = desk.refused("GET", path, 400, 404, headers={"X-Request-Id": "a b"})
    assert "x-forged" not in answer.headers
    assert answer.headers["x-request-id"] != "a b"
    query = f"{ARGO}/workflows/team?listOptions.labelSelector={safe}" if api == "argo" else f"{OURS}/runs?filter={safe}"
    desk.refused("GET", query, 400)


@both
def test_credentials_that_are_none(desk: Desk, api: str) -> None:
    access = desk.backend.access
    expired = access.create_key("old", role=Role.ADMIN, lifetime=timedelta(0)).text
    revoked = access.create_key("gone", role=Role.ADMIN).text
    access.revoke_key("gone")
    uid = desk.client.post(SUBMIT["argo"], json={"workflow": workflow("true")}).json()["metadata"]["uid"]
    token = issue(access, uid, "team")
    head, claims, signature = token.split(".")
    elsewhere = json.loads(base64.urlsafe_b64decode(claims + "=="))
    elsewhere["workspace"] = "other"
    other_claims = base64.urlsafe_b64encode(json.dumps(elsewhere).encode()).decode().rstrip("=")
    none = base64.urlsafe_b64encode(b'{"alg": "none"}').decode().rstrip("=")
    wrong = [
        expired,
        revoked,
        f"{revoked[:-1]}x",
        issue(access, uid, "team", lifetime=timedelta(seconds=-1)),
        issue(access, uid, "other"),
        f"{head}.{other_claims}.{signature}",
        f"{none}.{claims}.",
        f"{head}.{claims}.{'A' * len(signature)}",
    ]
    for one in wrong:
        given = {"Authorization": f"Bearer {one}"}
        answer = desk.refused("POST", SUBMIT[api], 401, json={"workflow": workflow("true")}, headers=given)
        refusals = [record for record in desk.log.records if record.getMessage().startswith("refused ")]
        assert len(refusals) == 1
        assert one not in desk.log.text + answer.text
    # The token itself is right.
    path = f"{ARGO}/workflows/team" if api == "argo" else f"{OURS}/runs"
    assert desk.client.get(path, headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_ids_of_another_workspace(desk: Desk) -> None:
    other = desk.backend.in_workspace("other")
    uid = other.workflows.submit(workflow("true"))["metadata"]["uid"]
    model = other.models.ensure(ModelRequest(name="theirs"))
    for verb, path in (
        ("GET", f"{ARGO}/archived-workflows/{uid}"),
        ("DELETE", f"{ARGO}/archived-workflows/{uid}"),
        ("PUT", f"{ARGO}/archived-workflows/{uid}/retry"),
        ("GET", f"{ARGO}/workflows/team/x?uid={uid}"),
        ("GET", f"/artifacts-by-uid/{uid}/n/a"),
        ("GET", f"{OURS}/models/{model.id}"),
        ("GET", f"{OURS}/models/lookup?name={model.id}"),
        ("DELETE", f"{OURS}/models/{model.id}"),
        ("POST", f"{OURS}/models/{model.id}/versions"),
        ("GET", f"{OURS}/workflows/{uid}"),
        ("GET", f"{OURS}/runs/{uid}/logs"),
        ("POST", f"{OURS}/runs/{uid}/stop"),
    ):
        body = {"json": {}} if verb in ("POST", "PUT") else {}
        answer = desk.refused(verb, path, 404, **body)
        assert "theirs" not in answer.text
    theirs = (f"{ARGO}/workflows/other", "/api/tiphys/v1/workspaces/other/models", f"{ARGO}/workflows/other/x")
    for path in theirs:
        desk.refused("GET", path, 403)
