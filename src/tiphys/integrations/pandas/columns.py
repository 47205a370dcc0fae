"""What parquet does not say about a column of pandas, so that the column comes back as it was.

Arrow's own conversion keeps most types. For each column its type is noted besides; a column that comes back as another
is converted. Columns of Python objects are kept by Arrow if they are all text, bytes or dates; else each value becomes
JSON text.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from tiphys.sdk.materializers.json_codec import Json, decode, encode, pack, unpack

#: Kinds of objects (as pandas infers them) that Arrow gives back as they were.
_KEPT_BY_ARROW = frozenset({"string", "bytes", "date"})


class NotKeptError(Exception):
    """Neither Arrow nor JSON gives back exactly this column."""


def describe_dtype(dtype: Any) -> Json:
    """A type as JSON.

    Raises:
        NotKeptError: there is no description that gives it back.
    """
    if isinstance(dtype, pd.CategoricalDtype):
        return {"categories": _describe_categories(dtype.categories), "ordered": bool(dtype.ordered)}
    if isinstance(dtype, pd.StringDtype):
        missing_is_nan = isinstance(getattr(dtype, "na_value", None), float)
        return {"string": dtype.storage, "missing_is_nan": missing_is_nan}
    name = str(dtype)
    try:
        same = pd.api.types.pandas_dtype(name) == dtype
    except TypeError:
        same = False
    if not same:
        raise NotKeptError(name)
    return name


def _describe_categories(categories: Any) -> Json:
    if isinstance(categories, pd.IntervalIndex):
        ends = [pack(list(end.astype(object))) for end in (categories.left, categories.right)]
        return {"intervals": ends, "closed": categories.closed, "dtype": describe_dtype(categories.dtype)}
    return {"values": pack(list(categories.astype(object))), "dtype": describe_dtype(categories.dtype)}


def _categories_of(description: Json) -> Any:
    dtype = dtype_of(description["dtype"])
    if "intervals" in description:
        left, right = (unpack(end) for end in description["intervals"])
        return pd.IntervalIndex.from_arrays(left, right, closed=description["closed"], dtype=dtype)
    return pd.Index(unpack(description["values"]), dtype=dtype)


def dtype_of(description: Json) -> Any:
    """The type that `describe_dtype` was given."""
    if isinstance(description, str):
        return pd.api.types.pandas_dtype(description)
    if "string" in description:
        missing: dict[str, Any] = {"na_value": math.nan} if description["missing_is_nan"] else {}
        return pd.StringDtype(description["string"], **missing)
    return pd.CategoricalDtype(_categories_of(description["categories"]), ordered=description["ordered"])


def describe_column(values: Any) -> tuple[Json, Any]:
    """How to get a Series or Index back from Arrow, and the values to give to Arrow if not these themselves.

    Raises:
        NotKeptError: there is no way to.
    """
    if not pd.api.types.is_object_dtype(values.dtype):
        found = {"dtype": describe_dtype(values.dtype)}
        if isinstance(values.dtype, pd.CategoricalDtype) and not _are_texts(values.dtype.categories):
            return {**found, "codes": True}, pd.Categorical(values).codes  # Arrow has dictionaries of texts only
        return found, None
    description: dict[str, Json] = {"dtype": "object"}
    missing = np.asarray(values.isna())
    lost = {type(value) for value in np.asarray(values)[missing]}
    if lost <= {type(None)} or lost == {float}:
        kind = pd.api.types.infer_dtype(values, skipna=True)
        if kind in _KEPT_BY_ARROW or (kind == "empty" and lost != {float}):
            if lost == {float}:
                description["missing"] = "nan"
            return description, None
    description["json"] = True
    return description, [encode(value).decode() for value in np.asarray(values)]


def restore_column(values: Any, description: Json) -> Any:
    """A Series or Index as it was before Arrow had it."""
    if description.get("json"):
        return _objects([decode(text.encode()) for text in np.asarray(values)], values)
    dtype = dtype_of(description["dtype"])
    if description.get("codes"):
        return pd.Series(pd.Categorical.from_codes(values.array, dtype=dtype), index=values.index, name=values.name)
    if pd.api.types.is_object_dtype(dtype):
        return _restore_objects(values, description.get("missing") == "nan")
    return values if values.dtype == dtype else values.astype(dtype)


def _are_texts(categories: Any) -> bool:
    return isinstance(categories.dtype, pd.StringDtype) or pd.api.types.infer_dtype(categories) == "string"


def _restore_objects(values: Any, missing_is_nan: bool) -> Any:
    array = np.asarray(values, dtype=object)
    missing = pd.isna(array)
    if pd.api.types.is_object_dtype(values.dtype) and not missing.any():
        return values
    array = array.copy()
    array[missing] = math.nan if missing_is_nan else None
    return _objects(list(array), values)


def _objects(items: list[Any], like: Any) -> Any:
    array = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        array[place] = item
    if isinstance(like, pd.Index):
        return pd.Index(array, dtype=object, name=like.name)
    return pd.Series(array, index=like.index, name=like.name, dtype=object)
