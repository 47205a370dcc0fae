"""Whether a data set differs from a reference, column by column."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tiphys.errors import UsageError
from tiphys.plugins.loading import load

if TYPE_CHECKING:
    import pandas as pd

_LIBRARY = "tiphys.integrations.evidently.library"
#: What Evidently numbers anew in each report: widgets by UUIDs of version 7, and the report itself.
_FRESH_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}|(?<=metric_)[0-9a-f]{32}")


class ColumnDrift(NamedTuple):
    """How one column differs."""

    drifted: bool
    #: A p-value or a distance, as `method` has it.
    score: float
    method: str
    #: Bound of `score` for this method.
    threshold: float


class DriftReport:
    """How two data sets differ.

    Attributes:
        drift: Whether so many columns drifted that the data as a whole counts as drifted.
        share: Share of the columns that drifted, 0 to 1.
        threshold: The share from which on `drift` is true.
        columns: Column → how it differs.
        report: Evidently's own report, as JSON values.
        html: The same as a page with charts, complete in itself.
    """

    def __init__(
        self,
        *,
        drift: bool,
        share: float,
        threshold: float,
        columns: Mapping[str, ColumnDrift],
        report: Mapping[str, Any],
        html: str,
    ) -> None:
        self.drift = drift
        self.share = share
        self.threshold = threshold
        self.columns = dict(columns)
        self.report = dict(report)
        self.html = html

    @property
    def drifted_columns(self) -> list[str]:
        """The columns that drifted."""
        return [name for name, column in self.columns.items() if column.drifted]

    def __repr__(self) -> str:
        found = ", ".join(self.drifted_columns) or "none"
        return f"<DriftReport drift={self.drift} share={self.share:.2f} of {len(self.columns)} columns: {found}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DriftReport) and self.to_json() == other.to_json() and self.html == other.html

    __hash__ = None  # type: ignore[assignment]  # it can be changed

    def to_json(self) -> dict[str, Any]:
        """All but the page."""
        return {
            "drift": self.drift,
            "share": self.share,
            "threshold": self.threshold,
            "columns": {name: column._asdict() for name, column in self.columns.items()},
            "report": self.report,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any], html: str) -> DriftReport:
        """What `to_json` gave, and the page."""
        columns = {name: ColumnDrift(**column) for name, column in data["columns"].items()}
        return DriftReport(**{**data, "columns": columns}, html=html)


def drift_report(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    *,
    columns: Sequence[str] | None = None,
    threshold: float = 0.5,
    method: str | None = None,
    column_threshold: float | None = None,
) -> DriftReport:
    """Compare `current` with `reference`.

    Args:
        reference: The data as it should be, say what the model was fitted with.
        current: The data in question.
        columns: The columns to look at; by default those of `reference` that `current` has too.
        threshold: Share of drifted columns from which the data as a whole counts as drifted.
        method: Evidently's name of a test or distance for all columns (`ks`, `psi`, `wasserstein`, `chisquare`, …); by
            default it chooses by the column's type and the number of rows.
        column_threshold: Bound for a column to be drifted; by default the method's own.

    Raises:
        UsageError: there is no column to compare, or no row.
    """
    chosen = list(columns) if columns is not None else [name for name in reference.columns if name in current.columns]
    missing = [name for name in chosen if name not in reference.columns or name not in current.columns]
    if missing or not chosen:
        what = f"The columns {', '.join(map(str, missing))} are not" if missing else "No column is"
        raise UsageError(f"{what} in both of the data sets that are to be compared.")
    if reference.empty or current.empty:
        raise UsageError("A data set without rows cannot be compared.")
    preset = load(f"{_LIBRARY}:DataDriftPreset")(
        columns=chosen, drift_share=threshold, method=method, threshold=column_threshold
    )
    # With tests, the report says itself which columns drifted: of a p-value the small ones, of a distance the great.
    report = load(f"{_LIBRARY}:Report")([preset], include_tests=True)
    snapshot = report.run(current[chosen], reference[chosen])
    return _report_of(json.loads(snapshot.json()), snapshot.get_html_str(as_iframe=False), threshold)


def _report_of(found: Mapping[str, Any], html: str, threshold: float) -> DriftReport:
    failed = {test["metric_config"]["metric_id"] for test in found["tests"] if test["status"] == "FAIL"}
    columns: dict[str, ColumnDrift] = {}
    share = 0.0
    for metric in found["metrics"]:
        config = metric["config"]
        if "column" in config:
            columns[config["column"]] = ColumnDrift(
                metric["id"] in failed, float(metric["value"]), config["method"], float(config["threshold"])
            )
        else:
            share = float(metric["value"]["share"])
    return DriftReport(
        drift=share >= threshold,
        share=share,
        threshold=threshold,
        columns=columns,
        report=found,
        html=_with_fixed_ids(html),
    )


def _with_fixed_ids(html: str) -> str:
    """Equal reports as equal text: the cache compares what is stored."""
    numbers = itertools.count(1)
    names: dict[str, str] = {}
    return _FRESH_ID.sub(lambda match: names.setdefault(match[0], f"id{next(numbers)}"), html)
