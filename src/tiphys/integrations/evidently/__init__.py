"""Evidently: whether data changed, as a report that can be looked at. Nothing of Evidently is imported here."""

from __future__ import annotations

from tiphys.ports.component import Flavor, Integration
from tiphys.records.stacks import ComponentType

_HERE = "tiphys.integrations.evidently"

INTEGRATION = Integration(
    name="evidently",
    requires=("evidently", "pandas"),
    flavors=(
        Flavor(
            name="evidently",
            type=ComponentType.DATA_VALIDATOR,
            config=f"{_HERE}.config:EvidentlyConfig",
            implementation=f"{_HERE}.validator:EvidentlyDataValidator",
            description="Drift between two data sets, by statistical tests column by column.",
        ),
    ),
    materializers={f"{_HERE}.drift.DriftReport": f"{_HERE}.materializer:DriftReportMaterializer"},
)
