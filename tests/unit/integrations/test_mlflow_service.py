"""Requests to a model server, and the handle as an artifact."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tiphys.errors import ServiceError
from tiphys.integrations.mlflow.materializer import MLflowServiceMaterializer
from tiphys.integrations.mlflow.service import MLflowService, _payload, _plain
from tiphys.sdk.materializing import find_materializer
from tiphys.testing.deployer_contract import new_service


@pytest.mark.parametrize(
    ("data", "columns", "body"),
    [
        (
            pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}, index=[7, 8]),
            None,
            {"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"], [2, "y"]]}},
        ),
        (
            pd.DataFrame({"t": [datetime(2030, 1, 2)]}),  # noqa: DTZ001  as pandas gives it
            None,
            {"dataframe_split": {"columns": ["t"], "data": [["2030-01-02T00:00:00"]]}},
        ),
        (np.array([[1.5, 2.0]]), ["a", "b"], {"dataframe_split": {"columns": ["a", "b"], "data": [[1.5, 2.0]]}}),
        (np.array([[1.5, 2.0]]), None, {"inputs": [[1.5, 2.0]]}),
        ([1, 2], ["a"], {"inputs": [1, 2]}),
        ({"inputs": [1]}, ["a"], {"inputs": [1]}),
        ({"a": [1]}, None, {"inputs": {"a": [1]}}),
    ],
)
def test_bodies_of_requests(data: Any, columns: list[str] | None, body: Any) -> None:
    assert json.loads(json.dumps(_payload(data, columns), default=_plain)) == body


def test_values_that_json_does_not_know() -> None:
    assert json.dumps([np.int64(3), pd.NA], default=_plain) == "[3, null]"


def test_a_handle_is_kept_as_json() -> None:
    handle = MLflowService(new_service("churn"))
    assert find_materializer(handle) is MLflowServiceMaterializer
    keeper = MLflowServiceMaterializer("")
    loaded = keeper.from_bytes(keeper.to_bytes(handle), MLflowService)
    assert loaded == handle
    assert loaded.record == handle.record
    assert loaded.model_name == "churn"


def test_a_service_that_never_ran() -> None:
    handle = MLflowService(new_service())
    assert not handle.is_running
    assert handle.prediction_url is None
    with pytest.raises(ServiceError, match="does not run"):
        handle.predict([[1]])
    assert list(handle.get_logs()) == []
