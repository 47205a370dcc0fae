"""`tiphys stack`, the groups of component types, and the services of model deployers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.cli.conftest import Invoke

from tiphys._util.ids import new_id
from tiphys._util.times import utc_now
from tiphys.cli.components import parse_settings
from tiphys.errors import UsageError
from tiphys.ports.component import StackComponent
from tiphys.ports.ml_components import ModelDeployer
from tiphys.records.stacks import ComponentType, Service
from tiphys.services.backend import LocalBackend


def test_a_fresh_home_has_the_default_stack(invoke: Invoke, read: Callable[..., Any]) -> None:
    assert invoke("stack", "active").stdout == "default\n"
    assert invoke("stack", "list").stdout.splitlines() == [
        "NAME      ACTIVE   ORCHESTRATOR   ARTIFACT STORE",
        "default   *        default        default",
    ]
    assert set(read("stack", "describe")["components"]) == {"orchestrator", "artifact_store"}
    assert invoke("artifact-store", "list", "-o", "name").stdout == "default\n"


def test_a_stack_is_registered_used_copied_and_deleted(invoke: Invoke, read: Callable[..., Any]) -> None:
    invoke("artifact-store", "register", "disk", "--flavor=local", "--path=/tmp/somewhere")
    assert invoke("stack", "register", "two", "-a", "disk", "--set").stdout == (
        "Registered stack two and made it active.\n"
    )
    assert invoke("stack", "active").stdout == "two\n"
    assert invoke("stack", "set", "default").stdout == "Active stack: default.\n"
    invoke("stack", "copy", "two", "three")
    (store,) = read("stack", "describe", "three")["components"]["artifact_store"]
    assert (store["name"], store["configuration"]) == ("disk", {"path": "/tmp/somewhere"})
    assert "disk" in invoke("stack", "describe", "three").stdout
    assert "--yes" in invoke("stack", "delete", "three", code=2).stderr
    assert invoke("stack", "delete", "three", "--yes").stdout == "Deleted stack three.\n"
    assert "active" in invoke("stack", "delete", "default", "--yes", code=2).stderr


def test_components(invoke: Invoke, read: Callable[..., Any]) -> None:
    invoke("artifact-store", "register", "disk", "--flavor", "local", "--path", "/tmp/x")
    assert read("artifact-store", "describe", "disk")["configuration"] == {"path": "/tmp/x"}
    text = invoke("artifact-store", "describe", "disk").stdout
    assert "Flavor:      local" in text
    assert "  path:  /tmp/x" in text
    assert invoke("artifact-store", "delete", "disk", "--yes").stdout == "Deleted artifact-store disk.\n"
    assert "tiphys artifact-store register" in invoke("artifact-store", "describe", "disk", code=2).stderr


def test_an_unknown_flavor_and_a_wrong_configuration(invoke: Invoke) -> None:
    assert "There are: " in invoke("artifact-store", "register", "x", "--flavor=nope", code=2).stderr
    assert "colour" in invoke("artifact-store", "register", "x", "--flavor=local", "--colour=red", code=2).stderr


def test_flavors(invoke: Invoke) -> None:
    assert invoke("artifact-store", "flavors", "-o", "name").stdout == "local\n"
    assert invoke("annotator", "flavors").stderr == "No integration has a flavor of annotator.\n"


def test_integrations(invoke: Invoke, read: Callable[..., Any]) -> None:
    found = {item["name"]: item for item in read("integration", "list")}
    assert found["local"]["installed"] is True
    assert "orchestrator, artifact store" in invoke("integration", "list").stdout


def test_settings_are_text_and_json() -> None:
    given = ["--uri=http://x?a=b", "--port", "80", "--tls", "--tags=[1, 2]", '--extra={"a": null}', "--run-name=5"]
    assert parse_settings(given) == {
        "uri": "http://x?a=b",
        "port": "80",
        "tls": "true",
        "tags": [1, 2],
        "extra": {"a": None},
        "run_name": "5",
    }


@pytest.mark.parametrize("argument", ["uri=x", "--=x", "--x={"])
def test_settings_that_are_none(argument: str) -> None:
    with pytest.raises(UsageError):
        parse_settings([argument])


class Deployer(ModelDeployer):
    """Serves nothing."""

    def __init__(self) -> None:
        StackComponent.__init__(self, name="d", config=None)

    def deploy(self, service: Service, model: Any, *, timeout: float) -> Service:
        raise NotImplementedError

    def start(self, service: Service, *, timeout: float) -> Service:
        return replace(service, status="running", state={"up": True})

    def stop(self, service: Service, *, timeout: float) -> Service:
        return replace(service, status="stopped", state={"up": False})

    def is_running(self, service: Service) -> bool:
        return bool(service.state.get("up"))

    def prediction_url(self, service: Service) -> str | None:
        return "http://localhost:1/invocations" if self.is_running(service) else None

    def logs(self, service: Service, *, follow: bool = False) -> Iterator[str]:
        yield from ("one", "two")


@pytest.fixture
def served(invoke: Invoke, backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> Service:
    """A service that runs on a deployer of flavor mlflow."""
    backend.stacks.register_component(ComponentType.MODEL_DEPLOYER, "d", "mlflow", {})
    monkeypatch.setattr(backend.stacks, "component", lambda kind, name=None, *, stack=None: Deployer())
    service = Service(
        id=new_id(), name="churn", flavor="mlflow", model_name="m", state={"up": True}, created_at=utc_now()
    )
    return backend.stacks.save_service(service)


def test_services(invoke: Invoke, read: Callable[..., Any], served: Service) -> None:
    row = invoke("model-deployer", "models", "list").stdout.splitlines()[1].split()
    assert row == ["churn", "m", "running", "http://localhost:1/invocations", "now"]
    assert invoke("model-deployer", "list").stdout.splitlines()[1].split() == ["d", "mlflow", "1", "now"]
    assert invoke("model-deployer", "logs", "churn").stdout == "one\ntwo\n"
    assert invoke("model-deployer", "models", "get-url", "churn").stdout == "http://localhost:1/invocations\n"
    assert invoke("model-deployer", "stop", "churn").stdout == "Service churn is stopped.\n"
    assert read("model-deployer", "models", "describe", "churn")["status"] == "stopped"
    assert "models start churn" in invoke("model-deployer", "models", "get-url", "churn", code=2).stderr
    assert invoke("model-deployer", "models", "start", served.id).stdout == (
        "Service churn runs: http://localhost:1/invocations\n"
    )
    assert "--yes" in invoke("model-deployer", "delete-service", "churn", code=2).stderr
    assert invoke("model-deployer", "models", "delete", "churn", "--yes").stdout == "Deleted service churn.\n"
    assert read("model-deployer", "models", "list") == []


def test_an_unknown_service(invoke: Invoke, served: Service) -> None:
    assert "Known: churn." in invoke("model-deployer", "logs", "x", code=2).stderr


def test_a_service_without_its_deployer(invoke: Invoke, backend: LocalBackend) -> None:
    backend.stacks.save_service(Service(id=new_id(), name="churn", flavor="gone", created_at=utc_now()))
    assert "There is no flavor 'gone'" in invoke("model-deployer", "stop", "churn", code=2).stderr
    assert "unknown" in invoke("model-deployer", "models", "list").stdout
