"""What every metadata store must do. A backend's test class derives from `StoreContract` and overrides `make_store`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tiphys.ports.store import Store
from tiphys.testing.store_queries_contract import QueryContract
from tiphys.testing.store_records_contract import RecordContract
from tiphys.testing.store_workflows_contract import WorkflowContract


class StoreContract(RecordContract, QueryContract, WorkflowContract):
    """The suite. `make_store` is to open the same empty database each time it is called in one test."""

    @pytest.fixture
    def make_store(self) -> Iterator[Callable[[], Store]]:
        """Overridden by a backend's test class."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, make_store: Callable[[], Store]) -> Store:
        return make_store()
