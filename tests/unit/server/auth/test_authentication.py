"""Who is found to send a request, and what is refused before any route is looked for."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from argon2 import PasswordHasher
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tiphys._util.times import utc_now
from tiphys.errors import StoreError
from tiphys.ports.access import Access, Principal
from tiphys.records.access import Role
from tiphys.records.workflows import WorkflowRow
from tiphys.server.app import make_app
from tiphys.server.auth import authentication
from tiphys.server.auth.authentication import Authentication
from tiphys.server.auth.run_tokens import issue
from tiphys.server.bounds import RateLimit, Rates
from tiphys.services import access as service
from tiphys.services.backend import LocalBackend

PASSWORD = "correct horse: £"


@pytest.fixture
def access(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> Access:
    monkeypatch.setattr(service, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    monkeypatch.setattr(service, "_NOBODYS", f"$argon2id$v=19$m=8,t=1,p=1${'A' * 22}${'A' * 43}")
    return backend.access


def whoami(request: Request) -> Response:
    found = request.scope["principal"]
    return JSONResponse(found and found.name)


Sent = Callable[..., httpx2.Response]


@pytest.fixture
def sent(access: Access) -> Sent:
    """Ask who one is."""
    routes = [Route("/{path:path}", whoami)]
    return lambda *headers, **given: ask(
        Authentication(Starlette(routes=routes), lambda: access, demanded=given.pop("demanded", True)),
        "/api/v1/version",
        *headers,
        **given,
    )


def ask(app: Any, path: str, *authorizations: str | bytes, verb: str = "GET", **given: Any) -> httpx2.Response:
    headers = [(b"authorization", one if isinstance(one, bytes) else one.encode()) for one in authorizations]

    async def run() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://tiphys") as client:
            return await client.request(verb, path, headers=headers, **given)

    return asyncio.run(run())


def basic(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_keys_and_passwords_are_taken_in_the_forms_that_clients_send(sent: Sent, access: Access) -> None:
    access.create_user("ada", PASSWORD)
    key = access.create_key("ci", role=Role.VIEWER).text
    for header in (f"Bearer {key}", f"bearer {key}", f"Bearer  {key} "):
        assert sent(header).json() == "ci"
    for header in (f"Basic {basic(f'ada:{PASSWORD}')}", f"BASIC {basic(f'ada:{PASSWORD}')}"):
        assert sent(header).json() == "ada"


def test_a_runs_token_is_one_too(sent: Sent, access: Access, backend: LocalBackend) -> None:
    with backend.store.transaction() as transaction:
        transaction.add(WorkflowRow(id="u", name="one", workspace="team", manifest="{}", created_at=utc_now()))
    assert sent(f"Bearer {issue(access, 'u', 'team')}").json() == "run:u"


def test_nobody_is_told_from_somebody_wrong(sent: Sent, access: Access) -> None:
    """The asynchronous client of Hera sends an empty header if it has no token."""
    assert [sent(*headers).json() for headers in ((), ("",), (" ",))] == [None, None, None]


def wrong_headers(access: Access) -> list[tuple[str | bytes, ...]]:
    key = access.create_key("ci", role=Role.ADMIN).text
    revoked = access.create_key("gone", role=Role.ADMIN).text
    access.revoke_key("gone")
    expired = access.create_key("old", role=Role.ADMIN, lifetime=timedelta(0)).text
    access.create_user("ada", PASSWORD, role=Role.ADMIN)
    return [
        (f"Bearer {revoked}",),
        (f"Bearer {expired}",),
        (f"Bearer {key[:-1]}",),
        (f"Bearer {key} {key}",),
        (f"Bearer {key}, Bearer {key}",),
        (f"Bearer {key}", f"Bearer {key}"),
        (f"Bearer {key}", f"Basic {basic(f'ada:{PASSWORD}')}"),
        ("Bearer",),
        ("Bearer ..",),
        ("Bearer eyJhbGciOiJub25lIn0.e30.",),
        (key,),
        (f"Digest {key}",),
        (f"Basic {key}",),
        ("Basic",),
        ("Basic !!!!",),
        (f"Basic {basic('ada')}",),
        (f"Basic {basic('ada:')}",),
        (f"Basic {basic('ada:wrong horse')}",),
        ("Basic " + basic("ada\r\nX-Evil: 1:" + PASSWORD),),
        ("Basic " + basic("ada\x1b[31m:" + PASSWORD),),
        ("Basic " + base64.b64encode(b"ada:\xff\xfe").decode(),),
        (b"Bearer \xff\xfe",),
        (b"Bearer " + b"a" * 60_000,),
    ]


def test_wrong_credentials_are_refused_with_one_line_that_has_no_secret(
    sent: Sent, access: Access, caplog: pytest.LogCaptureFixture
) -> None:
    headers = wrong_headers(access)
    accounts, keys = access.accounts(), [one.key.id for one in access.api_keys()]
    with caplog.at_level(logging.INFO):
        for header in headers:
            caplog.clear()
            answer = sent(*header)
            assert (answer.status_code, answer.json()["code"]) == (401, 16), header
            assert "Bearer" in answer.headers["www-authenticate"]
            lines = [record.getMessage() for record in caplog.records if record.name.startswith("tiphys")]
            assert len(lines) == 1, lines
            assert lines[0].isprintable()
            assert lines[0].startswith("refused GET '/api/v1/version' from 127.0.0.1: ")
            secrets = [part for one in header for part in str(one).split()[1:] if len(part) > 20]
            told = lines[0] + answer.text
            assert not any(secret in told or secret[20:] in told for secret in secrets)
            assert PASSWORD not in told
    assert access.accounts() == accounts
    assert [one.key.id for one in access.api_keys()] == keys


def test_paths_cannot_write_lines_of_their_own(access: Access, caplog: pytest.LogCaptureFixture) -> None:
    app = Authentication(Starlette(), lambda: access, demanded=True)
    answer = ask(app, "/api/v1/x%0Arefused%20nobody%1b[31m", "Bearer x")
    assert answer.status_code == 401
    assert [record.getMessage().isprintable() for record in caplog.records if "refused" in record.getMessage()] == [
        True
    ]


def test_our_own_api_has_its_own_form_of_error(access: Access) -> None:
    answer = ask(Authentication(Starlette(), lambda: access, demanded=True), "/api/tiphys/v1/info", "Bearer x")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


def test_too_many_failures_are_told_as_such(sent: Sent, access: Access) -> None:
    access.create_user("ada", PASSWORD)
    key = access.create_key("ada").text
    wrong, right = f"Basic {basic('ada:wrong horse')}", f"Basic {basic(f'ada:{PASSWORD}')}"
    assert {sent(wrong).status_code for _ in range(10)} == {401}
    assert sent(wrong).headers["retry-after"] == "300"
    assert (sent(wrong).status_code, sent(right).status_code, sent(right).json()["code"]) == (429, 429, 8)
    assert sent(f"Bearer {key}").json() == "ada"


def test_an_open_server_asks_from_the_first_user_on(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "_STAYS_OPEN", -1.0)
    app = Authentication(Starlette(routes=[Route("/", whoami)]), lambda: access, demanded=False)
    assert ask(app, "/").json() == ""
    access.create_user("ada", PASSWORD)
    assert (ask(app, "/").json(), ask(app, "/", "Bearer of another server").status_code) == (None, 401)
    access.delete_account("ada")
    assert ask(app, "/").json() is None


def test_an_open_server_looks_at_what_is_sent_all_the_same(access: Access, backend: LocalBackend, sent: Sent) -> None:
    with backend.store.transaction() as transaction:
        transaction.add(WorkflowRow(id="u", name="one", workspace="team", manifest="{}", created_at=utc_now()))
    app = Authentication(Starlette(routes=[Route("/", whoami)]), lambda: access, demanded=False)
    # Also within the second for which it is remembered that nobody is asked.
    for headers, status in (((), 200), (("Bearer of another server",), 401), (("",), 200), (("Basic eDp5",), 401)):
        assert ask(app, "/", *headers).status_code == status
    assert ask(app, "/", f"Bearer {issue(access, 'u', 'team')}").json() == "run:u"
    key = access.create_key("ci", role=Role.VIEWER).text
    assert ask(app, "/", f"Bearer {key}").json() == "ci"


def test_rates_are_those_of_accounts_and_of_addresses_for_all_others(access: Access) -> None:
    keys = [f"Bearer {access.create_key(name, role=Role.VIEWER).text}" for name in ("one", "two")]
    rates = Rates(0.5, lambda: 100.0)
    inner = RateLimit(Starlette(routes=[Route("/", whoami)]), rates)
    app = Authentication(inner, lambda: access, demanded=True, rates=rates)
    # Each of them has one request at once, though all come from one address.
    assert [ask(app, "/", keys[0]).status_code for _ in range(2)] == [200, 429]
    assert [ask(app, "/", keys[1]).status_code for _ in range(2)] == [200, 429]
    assert [ask(app, "/", "Bearer wrong").status_code for _ in range(2)] == [401, 429]
    assert ask(app, "/").status_code == 429


@pytest.mark.parametrize("sized", [True, False])
def test_an_answer_that_goes_on_ends_when_its_key_is_revoked(
    access: Access, monkeypatch: pytest.MonkeyPatch, sized: bool
) -> None:
    monkeypatch.setattr(authentication, "LOOKS_AGAIN", 0.01)
    key = access.create_key("ci", role=Role.VIEWER).text
    went_on = []

    async def endless(request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"first"
            access.revoke_key("ci")
            await asyncio.Event().wait()
            went_on.append("last")

        headers = {"content-length": "1000"} if sized else {}
        return StreamingResponse(parts(), headers=headers)

    messages: list[Any] = []

    async def run() -> None:
        app = Authentication(Starlette(routes=[Route("/", endless)]), lambda: access, demanded=True)
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/",
            "query_string": b"",
            "headers": [(b"authorization", f"Bearer {key}".encode())],
        }

        async def receive() -> Any:
            await asyncio.Event().wait()

        async def send(message: Any) -> None:
            messages.append(message)

        await app(scope, receive, send)

    asyncio.run(run())
    assert [one.get("body") for one in messages] == [None, b"first"] + ([] if sized else [b""])
    assert [one.get("more_body") for one in messages[1:]] == [True] + ([] if sized else [False])
    assert went_on == []


@pytest.mark.parametrize("database", ["there", "away"])
def test_an_answer_that_takes_long_goes_on_while_its_key_holds(
    access: Access, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    monkeypatch.setattr(authentication, "LOOKS_AGAIN", 0.001)
    key = access.create_key("ci", role=Role.VIEWER).text
    app = Authentication(Starlette(routes=[Route("/", slow)]), lambda: access, demanded=True)
    looks = []
    real = access.by_key

    def by_key(text: str) -> Principal:
        looks.append(text)
        if database == "away" and len(looks) > 1:
            raise StoreError("The database is away.")
        return real(text)

    monkeypatch.setattr(access, "by_key", by_key)
    assert ask(app, "/", f"Bearer {key}").text == "." * 20
    assert len(looks) > 1


async def slow(request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"."
            await asyncio.sleep(0.005)

    return StreamingResponse(parts())


def test_lists_of_all_namespaces_have_what_may_be_seen_of_them(
    backend: LocalBackend, access: Access, caplog: pytest.LogCaptureFixture
) -> None:
    # The stream ends after its first look.
    looks = iter([False, True])
    app = make_app(backend, hosts={"tiphys"}, authenticates=True, ending=lambda: next(looks))
    spec = {"entrypoint": "m", "templates": [{"name": "m", "container": {"image": "a", "command": ["true"]}}]}
    uids = {}
    for namespace in ("team", "other"):
        workflow = {"kind": "Workflow", "metadata": {"name": f"of-{namespace}"}, "spec": spec}
        uids[namespace] = backend.workflows.in_namespace(namespace).submit(workflow)["metadata"]["uid"]
        template = {"kind": "WorkflowTemplate", "metadata": {"name": f"of-{namespace}"}, "spec": spec}
        backend.objects.in_namespace(namespace).create(template)
    with backend.store.transaction() as transaction:
        for uid in uids.values():
            transaction.update(WorkflowRow, uid, finished_at=utc_now(), labels={"in": uid})
    keys = {
        name: f"Bearer {access.create_key(name, role=Role.VIEWER, workspace=where).text}"
        for name, where in (("one", "team"), ("all", "*"))
    }

    def names(path: str, who: str) -> list[str]:
        items = ask(app, path, keys[who]).json()["items"]
        return sorted(one if isinstance(one, str) else one["metadata"]["name"] for one in items)

    for path in ("workflows/", "workflow-templates/", "archived-workflows"):
        assert names(f"/api/v1/{path}", "one") == ["of-team"]
        assert names(f"/api/v1/{path}", "all") == ["of-other", "of-team"]
    values = "/api/v1/archived-workflows-label-values?listOptions.labelSelector=in"
    assert names(values, "one") == [uids["team"]]
    stream = ask(app, "/api/v1/workflow-events/", keys["one"]).text
    assert ("of-team" in stream, "of-other" in stream) == (True, False)
    # Nor is it seen by asking for it in another way.
    for path in ("archived-workflows", "archived-workflows-label-keys"):
        caplog.clear()
        assert ask(app, f"/api/v1/{path}?namespace=other", keys["one"]).status_code == 403
        assert [record.name for record in caplog.records] == ["tiphys.server.access"]
    for path in (
        f"/api/v1/archived-workflows/{uids['other']}",
        f"/api/v1/workflows/team/x?uid={uids['other']}",
        f"/artifacts-by-uid/{uids['other']}/n/a",
        f"/artifact-files/team/archived-workflows/{uids['other']}/n/outputs/a",
    ):
        caplog.clear()
        answer = ask(app, path, keys["one"])
        assert (answer.status_code, "There is no workflow" in answer.text) == (404, True), path
        assert [record.name for record in caplog.records] == ["tiphys.server.access"]
        unknown = ask(app, path.replace(uids["other"], "unknown"), keys["one"])
        assert (unknown.status_code, unknown.text.replace("unknown", uids["other"])) == (404, answer.text)
    assert ask(app, f"/api/v1/archived-workflows/{uids['team']}", keys["one"]).status_code == 200
    assert ask(app, f"/api/v1/archived-workflows/{uids['team']}", keys["one"], verb="DELETE").status_code == 403


def test_user_information_is_argos(backend: LocalBackend, access: Access) -> None:
    app = make_app(backend, hosts={"tiphys"}, authenticates=True)
    access.create_user("ada", PASSWORD, role=Role.VIEWER, workspace="team")
    key = access.create_key("ci", role=Role.ADMIN).text
    assert ask(app, "/api/v1/userinfo", f"Basic {basic(f'ada:{PASSWORD}')}").json() == {
        "issuer": "tiphys",
        "subject": "ada",
        "name": "ada",
        "groups": ["team:viewer"],
    }
    assert ask(app, "/api/v1/userinfo", f"Bearer {key}").json()["serviceAccountName"] == "ci"
    assert ask(app, "/api/v1/userinfo").status_code == 401
