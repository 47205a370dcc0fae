"""Matplotlib: figures. Nothing of Matplotlib is imported here."""

from __future__ import annotations

from tiphys.ports.component import Integration

INTEGRATION = Integration(
    name="matplotlib",
    requires=("matplotlib",),
    materializers={"matplotlib.figure.Figure": "tiphys.integrations.matplotlib.materializers:FigureMaterializer"},
)
