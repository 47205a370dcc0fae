"""Polars: frames and series. Nothing of Polars is imported here."""

from __future__ import annotations

from tiphys.ports.component import Integration

_HERE = "tiphys.integrations.polars.materializers"

INTEGRATION = Integration(
    name="polars",
    requires=("polars",),
    materializers={
        "polars.dataframe.frame.DataFrame": f"{_HERE}:DataFrameMaterializer",
        "polars.series.series.Series": f"{_HERE}:SeriesMaterializer",
        "polars.lazyframe.frame.LazyFrame": f"{_HERE}:LazyFrameMaterializer",
    },
)
