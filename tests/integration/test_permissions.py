"""All routes, asked by each role and by nobody, against the table in the documentation."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from tests.integration.server_desk import workflow

from tiphys.db.store import open_store
from tiphys.records.access import Role
from tiphys.server.app import make_app
from tiphys.services.backend import LocalBackend
from tiphys.testing.playing import IdleHost

DOCS = Path(__file__).parents[2] / "docs" / "server.md"
HERE, ELSEWHERE, ALL = "here", "elsewhere", "*"


#: What POST asks for at the end of a path without changing anything.
ASKS = ("/lint", "/find", "/count", "/of")


@dataclass(frozen=True)
class Row:
    resource: str
    is_shared: bool
    #: What it takes; "nothing" for what even nobody may do.
    to_read: str
    to_change: str


def cells_in(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


LINES = DOCS.read_text().splitlines()
#: Role → what it may do.
MAY = {
    cells[0].strip("`"): set(cells[1].split(", "))
    for cells in map(cells_in, LINES)
    if len(cells) == 2 and cells[0].strip("`") in set(Role)
}
#: Beginning of a path → what the table says of it.
TABLE = {
    beginning: Row(cells[0].strip("`"), cells[1] == "server", cells[3], cells[4])
    for cells in map(cells_in, LINES)
    if len(cells) == 5 and cells[1] in ("workspace", "server")
    for beginning in re.findall("`([^`]+)`", cells[2])
}


def row_of(path: str) -> Row:
    beginnings = [beginning for beginning in TABLE if path.startswith(beginning)]
    assert beginnings, f"The documentation says nothing of {path}"
    return TABLE[max(beginnings, key=len)]


def is_reading(verb: str, path: str) -> bool:
    return verb == "GET" or (verb == "POST" and path.endswith(ASKS))


def taken_by(verb: str, path: str) -> str:
    row = row_of(path)
    return row.to_read if is_reading(verb, path) else row.to_change


def routes_of(app: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """Verb and path of all routes; those of FastAPI stand in routers of their own."""
    for route in app.routes:
        if hasattr(route, "methods"):
            yield from ((verb, before + route.path) for verb in sorted(route.methods - {"HEAD"}))
        elif hasattr(route, "original_router"):
            yield from routes_of(route.original_router, before)
        else:
            yield from routes_of(route, before + route.path)


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[LocalBackend]:
    made = LocalBackend(open_store(f"sqlite:///{tmp_path / 'tiphys.db'}"), home=tmp_path, db_url="", host=IdleHost())
    yield made
    made.close()


@pytest.fixture
def app(backend: LocalBackend) -> Starlette:
    # Streams end after their first look.
    return make_app(backend, hosts={"tiphys"}, authenticates=True, ending=lambda: True)


def may(role: str | None, where: str, verb: str, path: str) -> bool:
    row, action = row_of(path), taken_by(verb, path)
    if action == "nothing" or (row.resource == "server" and action == "read"):
        return True
    if role is None or action not in MAY[role]:
        return False
    if row.is_shared:
        return where == ALL or action != "admin"
    if not any(part in path for part in ("{namespace}", "{workspace}", "{uid}")):
        return where == ALL or action == "read"
    return where in (ALL, HERE)


def test_every_route_is_for_whom_the_documentation_says(backend: LocalBackend, app: Starlette) -> None:
    keys: dict[tuple[str | None, str], str] = {}
    for role in Role:
        for where in (HERE, ELSEWHERE, ALL):
            name = f"{role}-{'all' if where == ALL else where}"
            keys[role.value, where] = backend.access.create_key(name, role=role, workspace=where).text
    keys[None, ""] = backend.access.create_key("none", role=Role.VIEWER, workspace=HERE).text
    backend.access.revoke("none", workspace=HERE)

    def path_in(path: str) -> str:
        if "{uid}" in path:
            items = backend.workflows.in_namespace(HERE).find_whole(everything()).items
            made = items[0] if items else backend.workflows.in_namespace(HERE).submit(workflow("true"))
            path = path.replace("{uid}", made["metadata"]["uid"])
        path = path.replace("{namespace}", HERE).replace("{workspace}", HERE)
        return re.sub(r"\{[^}]+\}", "x", path)

    wrong: list[str] = []

    async def walk() -> int:
        transport = httpx2.ASGITransport(app=app)
        count = 0
        async with httpx2.AsyncClient(transport=transport, base_url="http://tiphys") as client:
            for verb, path in routes_of(app):
                body = {"json": {}} if verb in ("POST", "PUT") else {}
                found = (await client.request(verb, path_in(path), **body)).status_code
                if (found == 401) == (taken_by(verb, path) == "nothing"):
                    wrong.append(f"{verb} {path} by nobody: {found}")
                for (role, where), key in keys.items():
                    given = {"Authorization": f"Bearer {key}"}
                    found = (await client.request(verb, path_in(path), headers=given, **body)).status_code
                    allowed = may(role, where, verb, path)
                    hidden = "{uid}" in path and not may(role, where, "GET", path)
                    expected = found not in (401, 403, 500) if allowed else found == (404 if hidden else 403)
                    if not expected:
                        wrong.append(f"{verb} {path} by {role} of '{where}': {found}")
                    count += 1
        return count

    assert set(MAY) == set(Role)
    assert asyncio.run(walk()) > 500
    assert not wrong, "\n".join(wrong)


def everything() -> Any:
    from tiphys.ports.workflows import WorkflowFilter

    return WorkflowFilter()
