"""PostgreSQL is restarted while a server works: once it is there again, no request sees that it was away."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import psycopg
import pytest
from tests.e2e.programs import wait_until
from tests.integration.server_desk import PATIENCE, running_server, workflow
from tests.needs import lacking

from tiphys.testing.postgres import PostgresServer, PostgresUnavailableError, start_postgres

#: As many as the pool has connections, and more.
CLIENTS = 12


@pytest.fixture
def own_postgres() -> Iterator[list[PostgresServer]]:
    """A server that nobody else uses; the list holds it as it is now."""
    try:
        present = [start_postgres()]
    except PostgresUnavailableError as error:
        lacking(str(error))
    yield present
    present[0].stop()


def test_no_request_after_it_fails(tmp_path: Path, own_postgres: list[PostgresServer]) -> None:
    url = own_postgres[0].create_database("tiphys")
    with psycopg.connect(url, autocommit=True) as connection:
        # What it has committed is with the system, unlike in other tests.
        connection.execute("ALTER DATABASE tiphys SET synchronous_commit = on")
    with running_server(tmp_path, "--insecure", "--runner", "process", TIPHYS_DB_URL=url) as server:

        def ask(number: int) -> list[int]:
            """What a client is answered that reads and writes."""
            with httpx2.Client(base_url=server.url, timeout=PATIENCE) as client:
                made = client.post("/api/v1/workflows/w", json={"workflow": workflow("true")})
                read = [client.get("/api/v1/workflows/w") for _ in range(3)]
                return [answer.status_code for answer in (*read, made)]

        with ThreadPoolExecutor(CLIENTS) as clients:
            assert {status for found in clients.map(ask, range(CLIENTS)) for status in found} == {200}
            for _ in range(3):
                own_postgres[0].kill()
                own_postgres[0] = own_postgres[0].restart()
                assert {status for found in clients.map(ask, range(CLIENTS)) for status in found} == {200}

        def all_ended() -> bool:
            with httpx2.Client(base_url=server.url, timeout=PATIENCE) as client:
                items = client.get("/api/v1/workflows/w").json()["items"]
            assert len(items) == 4 * CLIENTS
            return {item["status"].get("phase") for item in items} == {"Succeeded"}

        wait_until(all_ended, "the end of all workflows")
