"""Arrays and scalars of NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tiphys.ports.materializer import BaseMaterializer, OtherMaterializer
from tiphys.records.artifacts import ArtifactType
from tiphys.sdk.hashed_files import create_hashed
from tiphys.sdk.materializers.builtin import JsonMaterializer
from tiphys.sdk.materializers.finding import LAST_RESORT
from tiphys.sdk.materializers.json_codec import NotJsonError, decode, encode

_ARRAY = "array.npy"
_OBJECTS = "array.json"
#: From here on a file is mapped into memory instead of read.
_WORTH_MAPPING = 1024 * 1024
#: Above this many items no statistics are computed.
_MOST_COUNTED = 10_000_000


class ArrayMaterializer(BaseMaterializer):
    """An npy file; large ones are mapped into memory when they are loaded, and changes to them stay in memory.

    Arrays of objects are JSON if all of their items can be, and pickled otherwise.
    """

    ASSOCIATED_ARTIFACT_TYPE = ArtifactType.DATA
    KEEPS_FILES = True

    def save(self, data: Any) -> None:
        """Write the array."""
        if type(data) is not np.ndarray and type(data) is not np.memmap:
            raise OtherMaterializer(LAST_RESORT)  # a masked array, a matrix, …: more than its numbers
        array = np.asarray(data)
        if array.dtype == object:
            self._save_objects(array)
            return
        if not _survives(array.dtype):
            raise OtherMaterializer(LAST_RESORT)
        with create_hashed(self.folder / _ARRAY) as file:
            write_npy(file, array)

    def _save_objects(self, array: np.ndarray[Any, Any]) -> None:
        try:
            content = encode({"shape": list(array.shape), "items": array.ravel().tolist()})
        except NotJsonError:
            raise OtherMaterializer(LAST_RESORT) from None
        (self.folder / _OBJECTS).write_bytes(content)

    def load(self, data_type: type[Any]) -> Any:
        """Read or map the array."""
        objects = self.folder / _OBJECTS
        if objects.exists():
            found = decode(objects.read_bytes())
            array = np.empty(len(found["items"]), dtype=object)
            for place, item in enumerate(found["items"]):
                array[place] = item
            return array.reshape(found["shape"])
        return read_npy(self.folder / _ARRAY)

    def extract_metadata(self, data: Any) -> dict[str, Any]:
        """Shape, type, and for numbers their range and mean."""
        facts: dict[str, Any] = {"shape": list(data.shape), "dtype": str(data.dtype)}
        if data.dtype.kind in "iuf" and 0 < data.size <= _MOST_COUNTED:
            facts["min"] = _finite(data.min())
            facts["max"] = _finite(data.max())
            facts["mean"] = _finite(data.mean(dtype=np.float64))
        return facts


class ScalarMaterializer(JsonMaterializer):
    """A NumPy scalar as JSON."""

    OTHERWISE = LAST_RESORT


def write_npy(file: Any, array: np.ndarray[Any, Any]) -> None:
    """Write an array in npy format without copying it, if it lies in one piece."""
    if array.dtype.fields or not array.nbytes:
        np.lib.format.write_array(file, array, allow_pickle=False)
        return
    if not (array.flags.c_contiguous or array.flags.f_contiguous):
        array = np.ascontiguousarray(array)
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
    in_order = array if array.flags.c_contiguous else array.T
    file.write(in_order.reshape(-1).view(np.uint8).data)


def read_npy(path: Path) -> np.ndarray[Any, Any]:
    """Read an npy file, or map it copy-on-write if it is large."""
    if path.stat().st_size < _WORTH_MAPPING:
        array: np.ndarray[Any, Any] = np.load(path, allow_pickle=False)
        return array
    return np.asarray(np.load(path, mmap_mode="c", allow_pickle=False))


def _survives(dtype: np.dtype[Any]) -> bool:
    """Whether the npy header says all there is to say about a type."""
    if dtype.hasobject or dtype.kind not in "biufcmMSUV" or dtype.metadata:
        return False
    return bool(np.lib.format.descr_to_dtype(np.lib.format.dtype_to_descr(dtype)) == dtype)


def _finite(number: Any) -> int | float | str:
    value: int | float = number.item()
    return value if np.isfinite(value) else str(value)
