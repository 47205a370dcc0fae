"""Which of MLflow's formats a model is written in, and which columns it asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tiphys.errors import DefinitionError
from tiphys.integrations.mlflow.saving import feature_names, flavor_of, load_model, save_model
from tiphys.testing.deployer_contract import Doubler


class OwnEstimator(LinearRegression):
    """A user's own class on top of a framework's."""


class Booster:
    """As LightGBM's: the names are asked for."""

    def feature_name(self) -> list[str]:
        return ["a", "b"]


Booster.__module__ = "lightgbm.basic"


def test_the_format_is_that_of_the_framework() -> None:
    assert flavor_of(OwnEstimator()) == "sklearn"
    assert flavor_of(make_pipeline(StandardScaler(), LinearRegression())) == "sklearn"
    assert flavor_of(Booster()) == "lightgbm"
    assert flavor_of(Doubler()) == "pyfunc"


@pytest.mark.parametrize("model", [StandardScaler(), {"a": 1}, "text"])
def test_what_cannot_predict_has_none(model: Any) -> None:
    with pytest.raises(DefinitionError, match="no 'predict' method"):
        flavor_of(model)


def test_columns_that_a_model_remembers() -> None:
    data = pd.DataFrame({"a": [0.0, 1.0], "b": [0.0, 0.0]})
    assert feature_names(LinearRegression().fit(data, [0, 1])) == ["a", "b"]
    assert feature_names(LinearRegression().fit(data.to_numpy(), [0, 1])) is None
    assert feature_names(Booster()) == ["a", "b"]
    assert feature_names(Doubler()) is None


FITTED = OwnEstimator().fit(pd.DataFrame({"x": [0.0, 1.0]}), [0.0, 2.0])


@pytest.mark.parametrize(("model", "columns"), [(FITTED, ["x"]), (Doubler(), None)])
def test_a_saved_model_is_the_same_again(
    model: Any, columns: list[str] | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saved = save_model(model, tmp_path / "some" / "model")
    loaded = load_model(tmp_path / "some" / "model")
    assert type(loaded) is type(model)
    assert loaded.predict(pd.DataFrame({"x": [3.0]})) == pytest.approx([6.0])
    assert saved.columns == columns
    assert caplog.text == ""
