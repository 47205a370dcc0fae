"""The materializers' suite over frames and series: types, index and labels come back as they were."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from tests.contract.values import InLocalStore
from tiphys.ports.materializer import VisualizationType

pd = import_module("pandas")
np = import_module("numpy")
pl = import_module("polars")


def days() -> Any:
    return pd.date_range("2024-01-01", periods=3, freq="D")


def objects(*values: Any) -> Any:
    return pd.Series(values, dtype=object)


def with_attrs() -> Any:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["unit"] = ("m", 2)
    return frame


FRAMES: dict[str, Callable[[], Any]] = {
    "plain": lambda: pd.DataFrame({"a": [1, 2], "b": [1.0, np.nan], "c": ["x", None], "d": [True, False]}),
    "objects_of_text": lambda: pd.DataFrame({"a": objects("x", None), "b": objects("x", np.nan)}),
    "objects_missing": lambda: pd.DataFrame({"a": objects(None, None), "b": objects(np.nan, np.nan)}),
    "objects_mixed_missing": lambda: pd.DataFrame({"a": objects(None, np.nan, "x")}),
    "objects_of_many_kinds": lambda: pd.DataFrame({"a": objects(1, "x", None), "b": objects([1], {"a": 1}, (1, 2))}),
    "objects_of_integers": lambda: pd.DataFrame({"a": objects(1, None), "b": objects(True, None)}),
    "objects_of_bytes": lambda: pd.DataFrame({"a": objects(b"a", None, b"")}),
    "objects_of_dates": lambda: pd.DataFrame({"a": objects(datetime.date(2020, 1, 1), None)}),
    "objects_of_decimals": lambda: pd.DataFrame({"a": objects(decimal.Decimal("1.10"), decimal.Decimal(2))}),
    "range_labels": lambda: pd.DataFrame(np.arange(6).reshape(3, 2)),
    "mixed_labels": lambda: pd.DataFrame(np.arange(6).reshape(3, 2), columns=[5, "x"]),
    "object_labels": lambda: pd.DataFrame([[1, 2]], columns=pd.Index(["a", "b"], dtype=object)),
    "equal_labels": lambda: pd.DataFrame(np.arange(6).reshape(3, 2), columns=["x", "x"]),
    "date_labels": lambda: pd.DataFrame(np.arange(9).reshape(3, 3), columns=days(), index=days()),
    "several_levels": lambda: pd.DataFrame(
        np.arange(6).reshape(3, 2),
        columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["u", None]),
        index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2), ("c", 3)], names=["p", None]),
    ),
    "categories": lambda: pd.DataFrame(
        {
            "text": pd.Categorical(["a", "b", None], categories=["z", "b", "a", "q"], ordered=True),
            "numbers": pd.Categorical([3, 1, None], categories=[3, 1, 2]),
            "cut": pd.cut([1, 2, 9], 3),
        },
        index=pd.CategoricalIndex(["x", "y", "x"], name="index"),
    ),
    "times": lambda: pd.DataFrame(
        {unit: days().to_numpy().astype(f"datetime64[{unit}]") for unit in ("s", "ms", "us", "ns")}
        | {f"delta-{unit}": pd.Series([1, None, 3], dtype=f"timedelta64[{unit}]") for unit in ("s", "ms", "us", "ns")}
        | {"zone": days().tz_localize("Europe/Berlin"), "utc": days().tz_localize("UTC")}
    ),
    "extension_types": lambda: pd.DataFrame(
        {
            "Int32": pd.array([1, None, 3], dtype="Int32"),
            "Float64": pd.array([1, None, 3], dtype="Float64"),
            "boolean": pd.array([True, None, False], dtype="boolean"),
            "string": pd.array(["a", None, "b"], dtype="string"),
            "python": pd.array(["a", None, "b"], dtype=pd.StringDtype("python")),
            "period": pd.period_range("2024", periods=3, freq="M"),
            "interval": pd.interval_range(0, 3),
            "arrow": pd.array([1, None, 3], dtype="int64[pyarrow]"),
            "float16": np.array([1, 2, 3], dtype=np.float16),
            "uint8": np.array([1, 2, 3], dtype=np.uint8),
        }
    ),
    "nothing": lambda: pd.DataFrame(),
    "no_rows": lambda: pd.DataFrame({"a": pd.Series([], dtype=object), "b": pd.Series([], dtype="int32")}),
    "no_columns": lambda: pd.DataFrame(index=[1, 2, 3]),
    "index_named_as_a_column": lambda: pd.DataFrame({"a": [1]}, index=pd.Index([1], name="a")).rename_axis(columns="c"),
    "index_named_by_a_number": lambda: pd.DataFrame({"a": [1, 2]}, index=pd.Index([1.5, 2], name=7)),
    "other_range": lambda: pd.DataFrame({"a": [1, 2, 3]}, index=pd.RangeIndex(5, 11, 2, name="r")),
    "object_index": lambda: pd.DataFrame({"a": [1, 2]}, index=pd.Index(["a", None], dtype=object)),
    "attrs": with_attrs,
}


# pyarrow asks pandas for what newer versions of it give differently.
@pytest.mark.filterwarnings("ignore:Series.values returning:DeprecationWarning")
class TestPandasFrames(InLocalStore):
    materializer = "tiphys.integrations.pandas.materializers:DataFrameMaterializer"
    shown_as = (VisualizationType.CSV,)

    @pytest.fixture(params=list(FRAMES))
    def make(self, request: pytest.FixtureRequest) -> Callable[[], Any]:
        return FRAMES[request.param]

    def equal(self, left: Any, right: Any) -> bool:
        pd.testing.assert_frame_equal(left, right, check_freq=True, check_flags=True, check_exact=True)
        assert list(left.dtypes) == list(right.dtypes)
        for one, other in ((left.index, right.index), (left.columns, right.columns)):
            assert (type(one), one.dtype, list(one.names)) == (type(other), other.dtype, list(other.names))
        for place in range(left.shape[1]):
            if pd.api.types.is_object_dtype(left.dtypes.iloc[place]):
                assert [type(v) for v in left.iloc[:, place]] == [type(v) for v in right.iloc[:, place]]
        return bool(left.attrs == right.attrs)


class TestPandasSeries(InLocalStore):
    materializer = "tiphys.integrations.pandas.materializers:SeriesMaterializer"
    shown_as = (VisualizationType.CSV,)

    @pytest.fixture(params=["plain", "named_by_a_tuple", "dates", "mixed", "unnamed", "empty"])
    def make(self, request: pytest.FixtureRequest) -> Callable[[], Any]:
        makers: dict[str, Callable[[], Any]] = {
            "plain": lambda: pd.Series([1, 2, 3], name="s"),
            "named_by_a_tuple": lambda: pd.Series(["a", None], name=("x", 1), index=["p", "q"]),
            "dates": lambda: days().to_series(),
            "mixed": lambda: objects(1, "x", None, (1, 2)),
            "unnamed": lambda: pd.Series([0.1], index=pd.Index([5], name="i")),
            "empty": lambda: pd.Series([], dtype="float32"),
        }
        return makers[request.param]

    def equal(self, left: Any, right: Any) -> bool:
        pd.testing.assert_series_equal(left, right, check_freq=True, check_flags=True, check_exact=True)
        return left.name == right.name and type(left.index) is type(right.index)


POLARS: dict[str, Callable[[], Any]] = {
    "plain": lambda: pl.DataFrame({"a": [1, None], "b": ["x", None], "c": [0.5, float("nan")], "d": [True, None]}),
    "times": lambda: pl.DataFrame(
        {
            "date": [datetime.date(2020, 1, 1)],
            "time": [datetime.time(1)],
            "delta": [datetime.timedelta(1)],
            "zone": pl.Series([datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)], dtype=pl.Datetime("ms", "UTC")),
        }
    ),
    "kinds": lambda: pl.DataFrame(
        {
            "categorical": pl.Series(["a", "b"], dtype=pl.Categorical),
            "enum": pl.Series(["a", "b"], dtype=pl.Enum(["b", "a", "z"])),
            "list": [[1], [2, 3]],
            "struct": [{"a": 1}, {"a": None}],
            "decimal": [decimal.Decimal("1.10"), None],
            "binary": [b"x", None],
            "array": pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Int8, 2)),
            "null": [None, None],
            "int128": pl.Series([1, 2], dtype=pl.Int128),
        }
    ),
    "nothing": lambda: pl.DataFrame(),
    "no_rows": lambda: pl.DataFrame(schema={"a": pl.Int8, "b": pl.String}),
    "in_pieces": lambda: pl.concat([pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [2]})], rechunk=False),
}


class TestPolarsFrames(InLocalStore):
    materializer = "tiphys.integrations.polars.materializers:DataFrameMaterializer"
    shown_as = (VisualizationType.CSV,)

    @pytest.fixture(params=list(POLARS))
    def make(self, request: pytest.FixtureRequest) -> Callable[[], Any]:
        return POLARS[request.param]

    def equal(self, left: Any, right: Any) -> bool:
        return bool(left.equals(right)) and left.schema == right.schema


class TestPolarsSeries(InLocalStore):
    materializer = "tiphys.integrations.polars.materializers:SeriesMaterializer"

    @pytest.fixture
    def make(self) -> Callable[[], Any]:
        return lambda: pl.Series("s", [1, None, 3], dtype=pl.UInt8)

    def equal(self, left: Any, right: Any) -> bool:
        return bool(left.equals(right)) and left.dtype == right.dtype and left.name == right.name


class TestPolarsLazyFrames(InLocalStore):
    materializer = "tiphys.integrations.polars.materializers:LazyFrameMaterializer"

    @pytest.fixture
    def make(self) -> Callable[[], Any]:
        return lambda: pl.LazyFrame({"a": [1, 2]}).filter(pl.col("a") > 1)

    def equal(self, left: Any, right: Any) -> bool:
        return bool(left.collect().equals(right.collect()))
