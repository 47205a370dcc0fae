"""What somebody may read who may do nothing else: artifacts by the SDK, whatever store they are in, and no secret."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.served import client_of, served

from tiphys import Client, load_artifact, pipeline, save_artifact, step
from tiphys.bootstrap import Settings, make_backend
from tiphys.client.backend import ClientBackend
from tiphys.client.connection import Connection
from tiphys.errors import ForbiddenError
from tiphys.ports.wire import API
from tiphys.records.access import Role
from tiphys.records.objects import ObjectKind
from tiphys.records.stacks import ComponentType
from tiphys.sdk.session import use_backend
from tiphys.services.backend import LocalBackend

SECRET = {"kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"password": "swordfish"}}
#: A component whose configuration has what only those may have who write stacks.
TRACKER = (
    ComponentType.EXPERIMENT_TRACKER,
    "tracker",
    "mlflow",
    {"token": "swordfish"},
)


@step(enable_cache=False)
def numbers() -> list[int]:
    return [1, 2, 3]


@pipeline
def counting() -> None:
    numbers()


@pytest.fixture
def clients(tmp_path: Path) -> Iterator[dict[Role, ClientBackend]]:
    """A client for each role in the workspace `default`."""
    home = tmp_path / "server"
    behind = make_backend(Settings(home, f"sqlite:///{home / 'tiphys.db'}"))
    assert isinstance(behind, LocalBackend)
    behind.stacks.register_component(*TRACKER)
    behind.objects.create(SECRET)
    with served(behind, authenticates=True) as url:
        made = {}
        for role in (Role.VIEWER, Role.EDITOR):
            key = behind.access.create_key(role.value, role=role, workspace="default").text
            made[role] = client_of(Connection(url, api_key=key), tmp_path / role.value)
        yield made
        for one in made.values():
            one.close()
    behind.close()


def test_a_viewer_reads_what_an_editor_made(clients: dict[Role, ClientBackend]) -> None:
    with use_backend(clients[Role.EDITOR]):
        counting()
        save_artifact({"a": 1}, "settings")
    with use_backend(clients[Role.VIEWER]):
        assert load_artifact("settings") == {"a": 1}
        run = Client().get_pipeline("counting").last_run
        assert run.steps["numbers"].output.load() == [1, 2, 3]
        assert Client().list_artifact_versions()
        with pytest.raises(ForbiddenError, match="viewer may not write"):
            save_artifact(1, "mine")


def test_a_viewer_is_told_no_secret(clients: dict[Role, ClientBackend]) -> None:
    kind, name, _, configuration = TRACKER
    editor, viewer = clients[Role.EDITOR], clients[Role.VIEWER]
    assert editor.stacks.component_record(kind, name).configuration == configuration
    with pytest.raises(ForbiddenError):
        viewer.stacks.component_record(kind, name)
    with pytest.raises(ForbiddenError):
        viewer.stacks.component(kind, name)
    assert viewer.connection.ask("GET", f"{API}/components/artifact-store")["configuration"] == {}
    assert "path" in editor.connection.ask("GET", f"{API}/components/artifact-store")["configuration"]
    assert editor.objects.get(ObjectKind.SECRET, "keys")["data"]
    for look in (
        lambda: viewer.objects.get(ObjectKind.SECRET, "keys"),
        lambda: viewer.objects.find(ObjectKind.SECRET),
        lambda: viewer.objects.find(ObjectKind.SECRET, all_namespaces=True),
    ):
        with pytest.raises(ForbiddenError, match="viewer may not write objects"):
            look()
    assert viewer.objects.find(ObjectKind.CONFIG_MAP) == []
