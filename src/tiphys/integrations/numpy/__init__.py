"""NumPy: arrays as npy files. Nothing of NumPy is imported here."""

from __future__ import annotations

from tiphys.ports.component import Integration

_HERE = "tiphys.integrations.numpy.materializers"

INTEGRATION = Integration(
    name="numpy",
    requires=("numpy",),
    materializers={
        "numpy.ndarray": f"{_HERE}:ArrayMaterializer",
        "numpy.generic": f"{_HERE}:ScalarMaterializer",
    },
)
