"""The SDK's Client asks a server as it asks a database: all of its tests again, by our API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.served import client_of, served
from tests.unit.sdk.test_client import *  # noqa: F403  # every test, on the fixture below

from tiphys.client.connection import Connection
from tiphys.db.store import open_store
from tiphys.sdk.session import use_backend
from tiphys.services.backend import LocalBackend
from tiphys.testing.playing import IdleHost


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[LocalBackend]:
    behind = LocalBackend(open_store(f"sqlite:///{tmp_path / 'tiphys.db'}"), home=tmp_path, host=IdleHost())
    with served(behind) as url:
        asked = client_of(Connection(url), tmp_path)
        with use_backend(asked):
            yield behind
        asked.close()
    behind.close()


# They look at the folder of the artifact store, which is the server's alone.
del test_files_in_the_store_are_registered, test_the_stack_in_use  # noqa: F821
