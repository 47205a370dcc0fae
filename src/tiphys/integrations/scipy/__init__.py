"""SciPy: sparse matrices as npz files. Nothing of SciPy is imported here."""

from __future__ import annotations

from tiphys.ports.component import Integration

INTEGRATION = Integration(
    name="scipy",
    requires=("scipy",),
    materializers={"scipy.sparse._base._spbase": "tiphys.integrations.scipy.materializers:SparseMaterializer"},
)
