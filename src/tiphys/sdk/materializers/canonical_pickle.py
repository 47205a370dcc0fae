"""Pickles in which equal values give equal bytes.

A pickle refers back to an object that it has written already, and it knows an object by its address. Two estimators
fitted alike may differ in which of their equal strings, tuples and types are one object, for instance because one of
them was loaded from a file; their pickles then differ, and with them the keys of the cache. Here such values are known
by what they are. Sets are written in a fixed order, and the unused bytes in structured arrays (a tree's nodes have
some) are zero.
"""

from __future__ import annotations

import mmap
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tiphys.sdk.hashed_files import create_hashed

_END = struct.Struct("<QQ")
#: From here on a file is mapped into memory instead of read.
_WORTH_MAPPING = 1024 * 1024
#: Arrays begin at multiples of this, as processors like them to.
_ALIGNMENT = 64
_SCALARS = frozenset({str, int, float, bool, bytes, type(None)})
_LONGEST_TUPLE = 16

# The C pickler gives no say over strings and tuples; this is the class it was written after.
_PythonPickler: Any = pickle._Pickler  # noqa: SLF001 -- named so for lack of a public one


class _CanonicalPickler(_PythonPickler):  # type: ignore[misc] # its stub is another class's
    dispatch = dict(_PythonPickler.dispatch)

    def __init__(self, file: BinaryIO, buffer_callback: Callable[[pickle.PickleBuffer], bool]) -> None:
        super().__init__(file, protocol=5, buffer_callback=buffer_callback)
        self._equal: dict[Any, Any] = {}
        self._clean: dict[int, tuple[Any, Any]] = {}

    def save(self, obj: Any, save_persistent_id: bool = True) -> Any:
        kind = type(obj)
        if kind is str:
            obj = self._equal.setdefault(obj, obj)
        elif kind is tuple and len(obj) <= _LONGEST_TUPLE and _SCALARS.issuperset(map(type, obj)):
            obj = self._equal.setdefault((tuple, repr(obj)), obj)
        elif isinstance(obj, np.dtype) and not obj.metadata:
            obj = self._equal.setdefault((np.dtype, repr(obj), obj.isalignedstruct), obj)
        elif kind is np.ndarray and obj.dtype.names is not None and not obj.dtype.hasobject:
            obj = self._without_padding(obj)
        return super().save(obj, save_persistent_id)

    def _without_padding(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        known = self._clean.get(id(array))
        if known is None:
            padding = _padding(array.dtype)
            clean = array
            if padding and not _is_zero(array, padding):
                clean = np.zeros(array.shape, array.dtype)
                for name in array.dtype.names or ():
                    clean[name] = array[name]
            # The array itself is kept too, so that its address stays its own.
            known = self._clean[id(array)] = (array, clean)
        return known[1]

    def _save_any_set(self, obj: Any) -> None:
        if _SCALARS.issuperset(map(type, obj)):
            self.save_reduce(type(obj), (sorted(obj, key=repr),), obj=obj)
        else:
            _PythonPickler.dispatch[type(obj)](self, obj)

    dispatch[set] = _save_any_set
    dispatch[frozenset] = _save_any_set


def _padding(dtype: np.dtype[Any]) -> list[int]:
    """Places of the bytes that no field of a structured type uses (fields within fields are taken as used)."""
    used = {place for field in (dtype.fields or {}).values() for place in range(field[1], field[1] + field[0].itemsize)}
    return [place for place in range(dtype.itemsize) if place not in used]


def _is_zero(array: np.ndarray[Any, Any], places: list[int]) -> bool:
    if not array.flags.c_contiguous:
        return False
    raw = array.reshape(-1).view(np.uint8).reshape(-1, array.dtype.itemsize)
    return not any(raw[:, place].any() for place in places)


def dump(value: Any, path: Path) -> None:
    """Pickle `value` into a new file: the pickle, the arrays in it, their sizes, and where the last two begin."""
    buffers: list[memoryview] = []

    def collect(buffer: pickle.PickleBuffer) -> bool:
        buffers.append(buffer.raw())
        return False

    with create_hashed(path) as file:
        _CanonicalPickler(file, collect).dump(value)
        arrays_at = _pad(file, file.tell())
        place = arrays_at
        for buffer in buffers:
            file.write(buffer)
            place = _pad(file, place + buffer.nbytes)
        sizes = struct.pack(f"<{len(buffers)}Q", *(buffer.nbytes for buffer in buffers))
        file.write(sizes + _END.pack(arrays_at, place))


def _pad(file: BinaryIO, place: int) -> int:
    missing = -place % _ALIGNMENT
    file.write(bytes(missing))
    return place + missing


def load(path: Path) -> Any:
    """Unpickle what `dump` wrote; large files are mapped into memory, and changes to the arrays stay there."""
    with path.open("rb") as file:
        size = path.stat().st_size
        # A bytearray and such a map are writable, and so are then the arrays.
        mapped = size >= _WORTH_MAPPING
        source = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) if mapped else bytearray(file.read())
    content = memoryview(source)
    arrays_at, sizes_at = _END.unpack(content[-_END.size :])
    buffers = []
    place = arrays_at
    for (count,) in struct.iter_unpack("<Q", content[sizes_at : -_END.size]):
        buffers.append(content[place : place + count])
        place += count + -count % _ALIGNMENT
    return pickle.loads(content[:arrays_at], buffers=buffers)  # noqa: S301 -- only files of a recorded digest are read
