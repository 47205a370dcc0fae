"""Figures of Plotly."""

from __future__ import annotations

import json
from typing import Any

from plotly import io

from tiphys.ports.materializer import BytesMaterializer, VisualizationType
from tiphys.records.artifacts import ArtifactType

_PAGE = "figure.html"


class FigureMaterializer(BytesMaterializer):
    """Plotly's own JSON, and a page that needs no network to show it."""

    ASSOCIATED_ARTIFACT_TYPE = ArtifactType.DATA_ANALYSIS
    FILE = "figure.json"

    def to_bytes(self, data: Any) -> bytes:
        """The figure's JSON."""
        # The order of keys means nothing, and changes when a figure is loaded.
        content = json.loads(io.to_json(data, engine="json"))
        return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    def from_bytes(self, content: bytes, data_type: type[Any]) -> Any:
        """The figure."""
        return io.from_json(content.decode(), output_type="Figure")

    def save_visualizations(self, data: Any) -> dict[str, VisualizationType]:
        """A page with the figure and the library that draws it."""
        page = io.to_html(data, include_plotlyjs=True, full_html=True, div_id="figure")
        (self.folder / _PAGE).write_text(page, encoding="utf-8")
        return {_PAGE: VisualizationType.HTML}

    def extract_metadata(self, data: Any) -> dict[str, Any]:
        """Kinds of its traces."""
        return {"traces": [trace.type for trace in data.data]}
