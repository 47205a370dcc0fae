"""Drift reports by the real Evidently."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.datasets import load_diabetes

from tiphys import pipeline, step
from tiphys.errors import UsageError
from tiphys.integrations.evidently.config import EvidentlyConfig
from tiphys.integrations.evidently.drift import DriftReport, drift_report
from tiphys.integrations.evidently.materializer import DriftReportMaterializer
from tiphys.integrations.evidently.steps import evidently_drift_step
from tiphys.integrations.evidently.validator import EvidentlyDataValidator
from tiphys.sdk.materializing import find_materializer

#: Evidently calls what pandas has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore")


def patients() -> pd.DataFrame:
    data = load_diabetes(as_frame=True).data
    assert isinstance(data, pd.DataFrame)
    return data[["age", "sex", "bmi", "bp"]]


def shifted() -> pd.DataFrame:
    return patients().assign(bmi=lambda data: data.bmi + 0.1)


@pytest.fixture(scope="module")
def report() -> DriftReport:
    return drift_report(patients(), shifted(), threshold=0.25)


def test_what_drifted_is_named(report: DriftReport) -> None:
    assert report.drift
    assert report.share == 0.25
    assert report.drifted_columns == ["bmi"]
    assert list(report.columns) == ["age", "sex", "bmi", "bp"]
    bmi, age = report.columns["bmi"], report.columns["age"]
    assert (bmi.method, bmi.threshold) == ("K-S p_value", 0.05)
    assert bmi.score < 0.05 <= age.score
    assert "<html" in report.html
    assert "bmi" in report.html


def test_below_the_threshold_the_data_did_not_drift() -> None:
    report = drift_report(patients(), shifted(), threshold=0.5)
    assert not report.drift
    assert report.drifted_columns == ["bmi"]


def test_a_distance_drifts_upwards() -> None:
    report = drift_report(patients(), shifted(), columns=["age", "bmi"], method="wasserstein", column_threshold=0.2)
    assert report.drifted_columns == ["bmi"]
    assert report.columns["bmi"].score > 0.2 > report.columns["age"].score
    assert report.columns["bmi"].threshold == 0.2


def test_categories() -> None:
    reference = pd.DataFrame({"color": ["red", "blue"] * 100})
    current = pd.DataFrame({"color": ["red", "red", "red", "green"] * 50})
    assert drift_report(reference, current).drifted_columns == ["color"]
    assert drift_report(reference, reference).drifted_columns == []


def test_equal_data_gives_equal_reports(report: DriftReport) -> None:
    assert drift_report(patients(), shifted(), threshold=0.25) == report


def test_what_cannot_be_compared() -> None:
    with pytest.raises(UsageError, match="The columns weight are not in both"):
        drift_report(patients(), shifted(), columns=["bmi", "weight"])
    with pytest.raises(UsageError, match="No column is in both"):
        drift_report(patients(), pd.DataFrame({"other": [1]}))
    with pytest.raises(UsageError, match="without rows"):
        drift_report(patients(), shifted().head(0))


def test_a_report_is_kept_and_shown(report: DriftReport, tmp_path: Path) -> None:
    assert find_materializer(report) is DriftReportMaterializer
    folders = [tmp_path / name for name in ("one", "two", "shown")]
    for folder in folders:
        folder.mkdir()
    for folder in folders[:2]:
        DriftReportMaterializer(str(folder)).save(report)
    contents = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders[:2]]
    assert contents[0] == contents[1]
    assert DriftReportMaterializer(str(folders[0])).load(DriftReport) == report

    shown = DriftReportMaterializer(str(folders[2])).save_visualizations(report)
    assert shown == {"report.html": "html"}
    assert (folders[2] / "report.html").read_text() == report.html
    metadata = DriftReportMaterializer("").extract_metadata(report)
    assert metadata["drift_share"] == 0.25
    assert metadata["drifted_columns"] == ["bmi"]


def test_the_stacks_validator() -> None:
    validator = EvidentlyDataValidator(name="evidently", config=EvidentlyConfig(threshold=0.2, method="psi"))
    report = validator.drift_report(patients(), shifted(), columns=["age", "bmi", "bp"])
    assert report.drift
    assert {column.method for column in report.columns.values()} == {"psi"}


@step
def reference() -> pd.DataFrame:
    return patients()


@step
def current(shift: bool) -> pd.DataFrame:
    return shifted() if shift else patients()


@step
def retrain() -> str:
    return "done"


@pipeline
def monitoring(shift: bool) -> None:
    _, drift = evidently_drift_step(reference(), current(shift), threshold=0.25)
    retrain(when=drift)


def outputs(run: Any, name: str) -> Any:
    value = run.steps["evidently_drift_step"].outputs[name]
    return (value[0] if isinstance(value, list) else value).load()


def test_drift_decides_what_runs() -> None:
    quiet = monitoring(shift=False)
    assert str(quiet.steps["retrain"].status) == "skipped"
    assert outputs(quiet, "drift") is False
    alarm = monitoring(shift=True)
    assert str(alarm.steps["retrain"].status) == "completed"
    assert outputs(alarm, "report").drifted_columns == ["bmi"]
    again = monitoring(shift=True)
    assert str(again.steps["evidently_drift_step"].status) == "cached"
