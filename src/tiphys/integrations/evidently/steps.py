"""Ready-made steps for Evidently. Importing them imports neither Evidently nor pandas."""

from __future__ import annotations

from typing import Annotated, Any

from tiphys.integrations.evidently.drift import DriftReport, drift_report
from tiphys.sdk.step import step


@step
def evidently_drift_step(
    reference: Any,
    current: Any,
    columns: list[str] | None = None,
    threshold: float = 0.5,
    method: str | None = None,
    column_threshold: float | None = None,
) -> tuple[Annotated[DriftReport, "report"], Annotated[bool, "drift"]]:
    """Compare the DataFrame `current` with the DataFrame `reference`.

    The second output is for conditions: `retrain(data, when=drift)`.

    Args:
        reference: The data as it should be, say what the model was fitted with.
        current: The data in question.
        columns: The columns to look at; by default all that both have.
        threshold: Share of drifted columns from which the data as a whole counts as drifted.
        method: Evidently's name of a test or distance for all columns; by default it chooses by type and size.
        column_threshold: Bound for a column to be drifted; by default the method's own.

    Returns:
        The report, with a page of charts as its visualization, and whether the data drifted.
    """
    report = drift_report(
        reference, current, columns=columns, threshold=threshold, method=method, column_threshold=column_threshold
    )
    return report, report.drift
