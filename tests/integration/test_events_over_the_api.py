"""`tiphys event` and `tiphys argo event-binding` work on a server as on a database: all of their tests again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.contract.served import client_of, served
from tests.unit.cli.conftest import Invoke, backend, invoking, read
from tests.unit.cli.test_events import *  # noqa: F403  # every test, on the fixtures below

from tiphys.cli.main import main
from tiphys.client.connection import Connection
from tiphys.errors import ForbiddenError, NotFoundError, UnimplementedError
from tiphys.ports.events import NewEvent
from tiphys.ports.wire import API
from tiphys.records.access import Role
from tiphys.records.objects import ObjectKind
from tiphys.services.backend import LocalBackend

__all__ = ["backend", "read"]


@pytest.fixture
def invoke(backend: LocalBackend, tmp_path: Path) -> Iterator[Invoke]:
    with served(backend) as url:
        asked = client_of(Connection(url), tmp_path)
        yield invoking(asked)
        asked.close()


def test_pages_and_workspaces_are_kept_apart(backend: LocalBackend, tmp_path: Path) -> None:
    for number in range(7):
        for workspace in ("team", "other"):
            backend.in_workspace(workspace).events.receive(NewEvent(payload=number))
    backend.in_workspace("other").objects.create({"kind": "ConfigMap", "metadata": {"name": "theirs"}, "data": {}})
    backend.in_workspace("other").events.subscribe("s", "http://127.0.0.1:9/", private=True)
    theirs = backend.in_workspace("other").events.find()[0]
    key = backend.access.create_key("ci", role=Role.EDITOR, workspace="team").text
    with served(backend, authenticates=True) as url:
        client = client_of(Connection(url, api_key=key), tmp_path, workspace="team")
        found = client.events.find()
        assert found == backend.in_workspace("team").events.find()
        pages: list[list[str]] = []
        after = None
        while not pages or after is not None:
            page = client.connection.ask("GET", f"{API}/events", query={"limit": 3, "after": after})
            pages.append([one["id"] for one in page["items"]])
            after = page["next"]
        assert [len(page) for page in pages] == [3, 3, 1]
        assert [one for page in pages for one in page] == [one.id for one in found]
        # Nor is anything else of another workspace there.
        assert client.events.find(all_namespaces=True) == found
        assert client.objects.find(ObjectKind.CONFIG_MAP, all_namespaces=True) == []
        assert "no event" in refused(lambda: client.events.get(theirs.id))
        assert "no event" in refused(lambda: client.events.retry(theirs.id))
        assert "no subscription" in refused(lambda: client.events.resend("s"))
        elsewhere = client.events.in_namespace("other")
        for look in (elsewhere.find, elsewhere.subscriptions):
            with pytest.raises(ForbiddenError):
                look()
        with pytest.raises(UnimplementedError, match="HTTP request"):
            client.events.receive(NewEvent())
        client.close()


def refused(ask: Callable[[], object]) -> str:
    with pytest.raises(NotFoundError) as caught:
        ask()
    return caught.value.message


def test_who_works_on_the_database_alone_is_told_who_posts(backend: LocalBackend, invoke: Invoke) -> None:
    words = ("event", "subscription", "create", "s", "--url", "http://127.0.0.1:9/", "--private")
    assert invoke(*words).stderr == ""
    alone = CliRunner().invoke(main, [*words[:3], "t", *words[4:]], obj=backend)
    assert "posted by a server on this database alone: tiphys server" in alone.stderr
