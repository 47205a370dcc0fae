"""A frame as a parquet file that any tool can read, and back to exactly the same frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from tiphys.integrations.pandas.columns import NotKeptError, describe_column, restore_column
from tiphys.sdk.hashed_files import create_hashed
from tiphys.sdk.materializers.json_codec import Json, NotJsonError, pack, unpack

#: Key of our notes in the file's metadata.
_NOTES = b"tiphys"


def write_frame(frame: Any, folder: Path, stem: str, **notes: Json) -> None:
    """Write a frame as `<stem>.parquet` (and its column labels as a second file, if they are more than names).

    Raises:
        NotKeptError: it cannot be given back exactly.
    """
    try:
        table, found = _table(frame)
        if "file" in found["labels"]:
            write_frame(_labels_as_frame(frame.columns), folder, f"{stem}-columns")
    except (pa.ArrowException, NotJsonError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise NotKeptError(str(error)) from error
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), _NOTES: json.dumps({**found, **notes})})
    texts = [field.name for field in table.schema if pa.types.is_dictionary(field.type) or _is_text(field.type)]
    with create_hashed(folder / f"{stem}.parquet") as file:
        # Numbers seldom repeat enough for a dictionary to pay for itself.
        parquet.write_table(table, file, use_dictionary=texts, compression="lz4")


def read_notes(path: Path) -> Json:
    """What was noted beside a frame."""
    return json.loads(parquet.read_schema(path).metadata[_NOTES])


def read_frame(folder: Path, stem: str) -> Any:
    """The frame that `write_frame` was given."""
    with parquet.ParquetFile(folder / f"{stem}.parquet") as file:
        table = file.read(use_pandas_metadata=True)
    notes = json.loads(table.schema.metadata[_NOTES])
    frame = table.to_pandas()
    for place, description in enumerate(notes["columns"]):
        before = frame.iloc[:, place]
        after = restore_column(before, description)
        if after is not before:
            frame.isetitem(place, after)
    frame.index = _restore_index(frame.index, notes["index"])
    frame.columns = _restore_labels(frame.columns, notes, folder, stem)
    frame.attrs = unpack(notes["attrs"])
    return frame


def _table(frame: Any) -> tuple[pa.Table, dict[str, Json]]:
    plain = frame.copy(deep=False)
    plain.attrs = {}
    simple = _are_names(frame.columns)
    if not simple:
        plain.columns = [str(place) for place in range(len(frame.columns))]
    descriptions = []
    for place in range(frame.shape[1]):
        description, replacement = describe_column(plain.iloc[:, place])
        descriptions.append(description)
        if replacement is not None:
            plain.isetitem(place, replacement)
    index_notes = _describe_index(frame.index)
    if index_notes.get("names"):
        plain.index = plain.index.set_names([None] * frame.index.nlevels)
    notes: dict[str, Json] = {
        "columns": descriptions,
        "index": index_notes,
        "attrs": pack(dict(frame.attrs)),
    }
    if simple:
        notes["labels"] = {"dtype": describe_column(frame.columns)[0], "name": pack(frame.columns.name)}
    elif type(frame.columns) is pd.RangeIndex:
        labels = frame.columns
        notes["labels"] = {"range": [labels.start, labels.stop, labels.step], "name": pack(labels.name)}
    else:
        notes["labels"] = {
            "file": f"{type(frame.columns).__name__}",
            "names": pack(list(frame.columns.names)),
            "freq": _freq(frame.columns),
        }
    # Equal values are to give equal bytes, in however many pieces they lie in memory.
    return pa.Table.from_pandas(plain, nthreads=1).combine_chunks(), notes


def _are_names(labels: Any) -> bool:
    return type(labels) is pd.Index and labels.is_unique and all(type(label) is str for label in labels)


def _labels_as_frame(labels: Any) -> Any:
    return pd.DataFrame({str(level): labels.get_level_values(level) for level in range(labels.nlevels)})


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _describe_index(index: Any) -> dict[str, Json]:
    notes: dict[str, Json] = {}
    if any(name is not None and type(name) is not str for name in index.names):
        notes["names"] = pack(list(index.names))
    if type(index) is pd.RangeIndex:
        return notes
    levels = [index.get_level_values(level) for level in range(index.nlevels)]
    notes["levels"] = []
    for level in levels:
        description, replacement = describe_column(level)
        if replacement is not None:
            raise NotKeptError("index")
        notes["levels"].append(description)
    notes["freq"] = _freq(index)
    return notes


def _freq(index: Any) -> str | None:
    freq = getattr(index, "freq", None)
    return None if freq is None or isinstance(index, pd.PeriodIndex) else freq.freqstr


def _with_freq(index: Any, freq: str | None) -> Any:
    if freq is not None:
        index = index.copy()
        index.freq = freq
    return index


def _restore_index(index: Any, notes: Json) -> Any:
    if "levels" in notes:
        if isinstance(index, pd.MultiIndex):
            levels = [index.get_level_values(level) for level in range(index.nlevels)]
            restored = [restore_column(level, note) for level, note in zip(levels, notes["levels"], strict=True)]
            if any(before is not after for before, after in zip(levels, restored, strict=True)):
                index = pd.MultiIndex.from_arrays(restored, names=index.names)
        else:
            index = restore_column(index, notes["levels"][0])
    index = _with_freq(index, notes.get("freq"))
    return index.set_names(unpack(notes["names"])) if "names" in notes else index


def _restore_labels(labels: Any, notes: Json, folder: Path, stem: str) -> Any:
    found = notes["labels"]
    if "file" in found:
        levels = read_frame(folder, f"{stem}-columns")
        columns = [levels.iloc[:, place] for place in range(levels.shape[1])]
        several = found["file"] == "MultiIndex"
        restored = pd.MultiIndex.from_arrays(columns) if several else pd.Index(columns[0], dtype=columns[0].dtype)
        return _with_freq(restored.set_names(unpack(found["names"])), found["freq"])
    name = unpack(found["name"])
    if "range" in found:
        start, stop, step = found["range"]
        return pd.RangeIndex(start, stop, step, name=name)
    return restore_column(labels, found["dtype"]).set_names([name])
