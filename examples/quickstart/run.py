"""Quickstart: train a model, check it, watch for drift, and serve it. One file, no server, no account.

    python examples/quickstart/run.py

Read it from top to bottom: a step is a Python function, a pipeline is a function that calls steps.
"""

from typing import Annotated

import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import train_test_split

from tiphys import Model, log_metadata, pipeline, step
from tiphys.integrations.evidently.drift import DriftReport
from tiphys.integrations.evidently.steps import evidently_drift_step
from tiphys.integrations.mlflow.steps import mlflow_model_deployer_step

# 1. Steps -------------------------------------------------------------------------------------------------------------
# What a step returns is stored as a new version of an artifact. Name it with `Annotated`, or leave it to Tiphys.


@step
def ingest() -> Annotated[pd.DataFrame, "patients"]:
    """442 patients: age, sex, blood values, and how far their diabetes got within a year. Ships with scikit-learn."""
    return load_diabetes(as_frame=True, scaled=False).frame


@step
def split(
    patients: pd.DataFrame, test_share: float = 0.25
) -> tuple[Annotated[pd.DataFrame, "train_set"], Annotated[pd.DataFrame, "test_set"]]:
    """Several outputs: a tuple of annotated types."""
    train_set, test_set = train_test_split(patients, test_size=test_share, random_state=0)
    return train_set, test_set


@step
def train(train_set: pd.DataFrame, trees: int = 200) -> Annotated[RandomForestRegressor, "forest"]:
    """Artifacts (train_set) come from other steps, parameters (trees) are plain values."""
    forest = RandomForestRegressor(n_estimators=trees, min_samples_leaf=5, random_state=0)
    return forest.fit(train_set.drop(columns="target"), train_set["target"])


@step
def evaluate(forest: RandomForestRegressor, test_set: pd.DataFrame) -> Annotated[float, "rmse"]:
    """Metadata of a step can be searched and compared between runs."""
    error = root_mean_squared_error(test_set["target"], forest.predict(test_set.drop(columns="target")))
    log_metadata({"rmse": error, "test_rows": len(test_set)})
    return float(error)


@step
def next_year(patients: pd.DataFrame, weight_gain: float = 1.15) -> Annotated[pd.DataFrame, "newcomers"]:
    """The same kind of patients, but heavier: the world moves on while a model is in use."""
    return patients.drop(columns="target").assign(bmi=lambda data: data["bmi"] * weight_gain)


@step
def warn(report: DriftReport) -> Annotated[str, "warning"]:
    """Runs only if there is drift; see `when=` below."""
    return f"The newcomers differ in {', '.join(report.drifted_columns)}: think of training again."


# 2. The pipeline ------------------------------------------------------------------------------------------------------
# Steps that do not need each other run at the same time. The Model gathers all that a run makes under one version.


@pipeline(model=Model(name="diabetes", description="How far diabetes gets within a year"))
def quickstart(trees: int = 200, worst_rmse: float = 65.0) -> None:
    """From data to a model at a URL."""
    patients = ingest()
    train_set, test_set = split(patients)
    forest = train(train_set, trees=trees)
    rmse = evaluate(forest, test_set)

    report, drift = evidently_drift_step(train_set, next_year(patients), threshold=0.1)
    warn(report, when=drift)

    mlflow_model_deployer_step(forest, model_name="diabetes", when=rmse < worst_rmse)


# 3. Run it ------------------------------------------------------------------------------------------------------------
# The second run makes nothing anew but the deployment: code, parameters and data are the same.

if __name__ == "__main__":
    from summary import show

    show([quickstart(), quickstart()])
