"""The data validator of a stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tiphys.integrations.evidently.config import EvidentlyConfig
from tiphys.integrations.evidently.drift import DriftReport, drift_report
from tiphys.ports.component import StackComponent

if TYPE_CHECKING:
    import pandas as pd


class EvidentlyDataValidator(StackComponent):
    """Looks for drift in the way that the component is configured."""

    config: EvidentlyConfig

    def drift_report(
        self, reference: pd.DataFrame, current: pd.DataFrame, *, columns: Sequence[str] | None = None
    ) -> DriftReport:
        """Compare `current` with `reference`, in `columns` or in all that they share.

        Raises:
            UsageError: there is no column to compare, or no row.
        """
        return drift_report(
            reference,
            current,
            columns=columns,
            threshold=self.config.threshold,
            method=self.config.method,
            column_threshold=self.config.column_threshold,
        )
