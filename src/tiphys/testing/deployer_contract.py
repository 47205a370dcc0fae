"""What every model deployer has to do, as tests: derive from `DeployerContract` and give the fixtures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tiphys._util.ids import new_id
from tiphys._util.times import utc_now
from tiphys.errors import ServiceError, StepTimeoutError
from tiphys.ports.ml_components import ModelDeployer
from tiphys.records.stacks import Service

#: Seconds that a server may take on a busy machine.
PATIENCE = 120


def new_service(name: str = "model") -> Service:
    """The record of a service that is not deployed yet."""
    return Service(id=new_id(), name=name, flavor="test", model_name=name, created_at=utc_now())


class Doubler:
    """A model of no framework."""

    def predict(self, rows: Any) -> list[float]:
        return [2 * float(value) for value in rows.to_numpy()[:, 0]]


class Unloadable:
    """A model that can be stored and not loaded again."""

    def predict(self, rows: Any) -> Any:
        return rows

    def __setstate__(self, state: Any) -> None:
        raise RuntimeError("this model is broken")

    def __getstate__(self) -> dict[str, Any]:
        return {"some": "state"}


class DeployerContract(ABC):
    """Derive, implement `ask`, and give a fixture `deployer`."""

    @abstractmethod
    def ask(self, url: str, values: Sequence[float]) -> list[float]:
        """The predictions for rows of one column."""

    @pytest.fixture
    def started(self, deployer: ModelDeployer) -> Iterator[list[Service]]:
        """Services to be stopped at the end of the test."""
        services: list[Service] = []
        yield services
        for service in services:
            deployer.stop(service, timeout=5)

    def test_life_of_a_service(self, deployer: ModelDeployer, started: list[Service]) -> None:
        service = deployer.deploy(new_service(), Doubler(), timeout=PATIENCE)
        started.append(service)
        assert service.status == "running"
        assert deployer.is_running(service)
        url = deployer.prediction_url(service)
        assert url is not None
        assert self.ask(url, [1, 2.5]) == [2, 5]
        assert any(line.strip() for line in deployer.logs(service))

        stopped = deployer.stop(service, timeout=10)
        assert stopped.status == "stopped"
        assert not deployer.is_running(stopped)
        assert deployer.prediction_url(stopped) is None
        assert not deployer.is_running(deployer.stop(stopped, timeout=10))

        again = deployer.start(stopped, timeout=PATIENCE)
        started.append(again)
        assert again.status == "running"
        assert deployer.start(again, timeout=PATIENCE) == again
        url = deployer.prediction_url(again)
        assert url is not None
        assert self.ask(url, [4]) == [8]
        lines = deployer.logs(again, follow=True)
        assert next(lines)
        deployer.stop(again, timeout=10)
        assert list(lines)

    def test_services_stand_side_by_side(self, deployer: ModelDeployer, started: list[Service]) -> None:
        first = deployer.deploy(new_service("one"), Doubler(), timeout=PATIENCE)
        started.append(first)
        second = deployer.deploy(new_service("two"), Doubler(), timeout=PATIENCE)
        started.append(second)
        assert deployer.prediction_url(first) != deployer.prediction_url(second)
        deployer.stop(first, timeout=10)
        assert not deployer.is_running(first)
        assert deployer.is_running(second)

    def test_a_model_that_cannot_be_loaded(self, deployer: ModelDeployer) -> None:
        with pytest.raises(ServiceError, match="this model is broken"):
            deployer.deploy(new_service(), Unloadable(), timeout=PATIENCE)

    def test_a_server_that_takes_too_long(self, deployer: ModelDeployer) -> None:
        with pytest.raises(StepTimeoutError, match="stopped"):
            deployer.deploy(new_service(), Doubler(), timeout=0.01)
