"""Frames and series of Polars."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import polars as pl

from tiphys.ports.materializer import BaseMaterializer, OtherMaterializer, VisualizationType
from tiphys.records.artifacts import ArtifactType
from tiphys.sdk.hashed_files import create_hashed
from tiphys.sdk.materializers.finding import LAST_RESORT

_PARQUET = "frame.parquet"
_PREVIEW = "preview.csv"
_PREVIEW_ROWS = 50
_NOT_IN_CSV = (pl.Object, pl.Binary, pl.Duration)
#: Above this many cells no statistics are computed.
_MOST_COUNTED = 5_000_000
_MOST_DESCRIBED_COLUMNS = 100


class DataFrameMaterializer(BaseMaterializer):
    """A parquet file; a frame with types that parquet does not give back is pickled."""

    ASSOCIATED_ARTIFACT_TYPE = ArtifactType.DATA

    def save(self, data: Any) -> None:
        """Write the frame."""
        if type(data) is not pl.DataFrame:
            raise OtherMaterializer(LAST_RESORT)
        _write(data, self.folder)

    def load(self, data_type: type[Any]) -> Any:
        """Read the frame."""
        return _read(self.folder)

    def save_visualizations(self, data: Any) -> dict[str, VisualizationType]:
        """The first rows."""
        flat = [name for name, dtype in data.schema.items() if not (dtype.is_nested() or dtype in _NOT_IN_CSV)]
        data.select(flat).head(_PREVIEW_ROWS).write_csv(self.folder / _PREVIEW)
        return {_PREVIEW: VisualizationType.CSV}

    def extract_metadata(self, data: Any) -> dict[str, Any]:
        """Shape, types, and for each column of a frame that is not too large its range, mean and missing values."""
        described = data.columns[:_MOST_DESCRIBED_COLUMNS]
        facts: dict[str, Any] = {
            "shape": list(data.shape),
            "dtypes": {name: str(data.schema[name]) for name in described},
        }
        if data.height * data.width <= _MOST_COUNTED:
            facts["columns"] = {name: _statistics(data[name]) for name in described}
        return facts


class LazyFrameMaterializer(DataFrameMaterializer):
    """A lazy frame is collected; what is loaded is lazy again."""

    def save(self, data: Any) -> None:
        """Collect and write."""
        _write(data.collect(), self.folder)

    def load(self, data_type: type[Any]) -> Any:
        """Read the frame."""
        return _read(self.folder).lazy()

    def save_visualizations(self, data: Any) -> dict[str, VisualizationType]:
        """None, as it would have to be collected once more."""
        return {}

    def extract_metadata(self, data: Any) -> dict[str, Any]:
        """Types of its columns."""
        return {"dtypes": {name: str(dtype) for name, dtype in data.collect_schema().items()}}


class SeriesMaterializer(BaseMaterializer):
    """A frame of one column."""

    ASSOCIATED_ARTIFACT_TYPE = ArtifactType.DATA

    def save(self, data: Any) -> None:
        """Write the series."""
        _write(data.to_frame(), self.folder)

    def load(self, data_type: type[Any]) -> Any:
        """Read the series."""
        return _read(self.folder).to_series()

    def extract_metadata(self, data: Any) -> dict[str, Any]:
        """Length, type, range, mean and missing values."""
        return {"shape": [len(data)], "dtype": str(data.dtype), **_statistics(data)}


def _write(frame: pl.DataFrame, folder: Path) -> None:
    if any(dtype == pl.Object for dtype in frame.dtypes):
        raise OtherMaterializer(LAST_RESORT)
    # Equal values are to give equal bytes, in however many pieces they lie in memory.
    frame = frame.rechunk()
    parquet = folder / _PARQUET
    with create_hashed(parquet) as file:
        frame.write_parquet(file, compression="lz4")
    if pl.read_parquet_schema(parquet) != frame.schema:
        raise OtherMaterializer(LAST_RESORT)


def _read(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / _PARQUET)


def _statistics(column: pl.Series) -> dict[str, Any]:
    facts: dict[str, Any] = {"missing": column.null_count()}
    if column.dtype.is_integer() or column.dtype.is_float():
        found: dict[str, Any] = {"min": column.min(), "max": column.max(), "mean": column.mean()}
        facts |= {name: value for name, value in found.items() if value is not None and math.isfinite(value)}
    return facts
