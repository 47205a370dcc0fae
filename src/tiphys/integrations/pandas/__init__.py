"""pandas: frames and series as parquet. Nothing of pandas is imported here."""

from __future__ import annotations

from tiphys.ports.component import Integration

_HERE = "tiphys.integrations.pandas.materializers"
_FRAME = f"{_HERE}:DataFrameMaterializer"
_SERIES = f"{_HERE}:SeriesMaterializer"

INTEGRATION = Integration(
    name="pandas",
    requires=("pandas", "pyarrow"),
    materializers={
        # From pandas 3 on the public classes name the package as their module.
        "pandas.DataFrame": _FRAME,
        "pandas.core.frame.DataFrame": _FRAME,
        "pandas.Series": _SERIES,
        "pandas.core.series.Series": _SERIES,
    },
)
