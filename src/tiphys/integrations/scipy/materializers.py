"""Sparse matrices and arrays of SciPy."""

from __future__ import annotations

from typing import Any

from scipy import sparse

from tiphys.ports.materializer import BaseMaterializer, OtherMaterializer
from tiphys.records.artifacts import ArtifactType
from tiphys.sdk.materializers.finding import LAST_RESORT

_FILE = "matrix.npz"
_FORMATS = frozenset({"csr", "csc", "bsr", "dia", "coo"})


class SparseMaterializer(BaseMaterializer):
    """The npz file of `scipy.sparse.save_npz`, not compressed; formats that it lacks are pickled."""

    ASSOCIATED_ARTIFACT_TYPE = ArtifactType.DATA

    def save(self, data: Any) -> None:
        """Write the matrix."""
        if data.format not in _FORMATS or data.dtype == object:
            raise OtherMaterializer(LAST_RESORT)
        sparse.save_npz(self.folder / _FILE, data, compressed=False)

    def load(self, data_type: type[Any]) -> Any:
        """Read the matrix."""
        return sparse.load_npz(self.folder / _FILE)

    def extract_metadata(self, data: Any) -> dict[str, Any]:
        """Shape, type, format, and how many items are stored."""
        return {
            "shape": list(data.shape),
            "dtype": str(data.dtype),
            "format": data.format,
            "stored_items": int(data.nnz),
        }
