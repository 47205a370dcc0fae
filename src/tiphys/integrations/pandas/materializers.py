"""Frames and series of pandas."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tiphys.integrations.pandas.columns import NotKeptError
from tiphys.integrations.pandas.parquet import read_frame, read_notes, write_frame
from tiphys.ports.materializer import BaseMaterializer, OtherMaterializer, VisualizationType
from tiphys.records.artifacts import ArtifactType
from tiphys.sdk.materializers.finding import LAST_RESORT
from tiphys.sdk.materializers.json_codec import NotJsonError, pack, unpack

_FRAME = "frame"
_SERIES = "series"
_PREVIEW = "preview.csv"
_PREVIEW_ROWS = 50
_PREVIEW_COLUMNS = 100
#: Above this many cells no statistics are computed.
_MOST_COUNTED = 5_000_000
_MOST_DESCRIBED_COLUMNS = 100


class DataFrameMaterializer(BaseMaterializer):
    """A parquet file: values, types, index, labels and (where they are JSON) `attrs` come back as they were.

    A frame with objects that neither Arrow nor JSON keeps, and one of a subclass, is pickled.
    """

    ASSOCIATED_ARTIFACT_TYPE = ArtifactType.DATA

    def save(self, data: Any) -> None:
        """Write the frame."""
        if type(data) is not pd.DataFrame:
            raise OtherMaterializer(LAST_RESORT)
        try:
            write_frame(data, self.folder, _FRAME)
        except NotKeptError:
            raise OtherMaterializer(LAST_RESORT) from None

    def load(self, data_type: type[Any]) -> Any:
        """Read the frame."""
        return read_frame(self.folder, _FRAME)

    def save_visualizations(self, data: Any) -> dict[str, VisualizationType]:
        """The first rows."""
        return _preview(self, data)

    def extract_metadata(self, data: Any) -> dict[str, Any]:
        """Shape, types, and for each column of a frame that is not too large its range, mean and missing values."""
        facts: dict[str, Any] = {
            "shape": list(data.shape),
            "dtypes": {
                str(label): str(dtype)
                for label, dtype in zip(data.columns[:_MOST_DESCRIBED_COLUMNS], data.dtypes, strict=False)
            },
        }
        if data.size <= _MOST_COUNTED:
            places = range(min(data.shape[1], _MOST_DESCRIBED_COLUMNS))
            facts["columns"] = {str(data.columns[place]): _statistics(data.iloc[:, place]) for place in places}
        return facts


class SeriesMaterializer(BaseMaterializer):
    """A parquet file of one column (and the index)."""

    ASSOCIATED_ARTIFACT_TYPE = ArtifactType.DATA

    def save(self, data: Any) -> None:
        """Write the series."""
        if type(data) is not pd.Series:
            raise OtherMaterializer(LAST_RESORT)
        try:
            frame = data.to_frame("values")
            write_frame(frame, self.folder, _SERIES, name=pack(data.name))
        except (NotKeptError, NotJsonError):
            raise OtherMaterializer(LAST_RESORT) from None

    def load(self, data_type: type[Any]) -> Any:
        """Read the series."""
        frame = read_frame(self.folder, _SERIES)
        series = frame.iloc[:, 0]
        series.attrs = frame.attrs
        return series.rename(unpack(read_notes(self.folder / f"{_SERIES}.parquet")["name"]))

    def save_visualizations(self, data: Any) -> dict[str, VisualizationType]:
        """The first rows."""
        return _preview(self, data.to_frame())

    def extract_metadata(self, data: Any) -> dict[str, Any]:
        """Length, type, range, mean and missing values."""
        facts: dict[str, Any] = {"shape": list(data.shape), "dtype": str(data.dtype)}
        return facts | (_statistics(data) if data.size <= _MOST_COUNTED else {})


def _preview(materializer: BaseMaterializer, frame: Any) -> dict[str, VisualizationType]:
    frame.iloc[:_PREVIEW_ROWS, :_PREVIEW_COLUMNS].to_csv(materializer.folder / _PREVIEW, lineterminator="\n")
    return {_PREVIEW: VisualizationType.CSV}


def _statistics(column: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {"missing": int(column.isna().sum())}
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_complex_dtype(column.dtype):
        for name in ("min", "max", "mean"):
            value = getattr(column, name)()
            if not pd.isna(value):
                facts[name] = float(value) if name == "mean" or not float(value).is_integer() else int(value)
    return facts
