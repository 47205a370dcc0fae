"""Plotly: figures as JSON. Nothing of Plotly is imported here."""

from __future__ import annotations

from tiphys.ports.component import Integration

INTEGRATION = Integration(
    name="plotly",
    requires=("plotly",),
    materializers={
        "plotly.basedatatypes.BaseFigure": "tiphys.integrations.plotly.materializers:FigureMaterializer",
    },
)
