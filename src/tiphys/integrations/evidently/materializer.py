"""Keeps drift reports: the findings as JSON, the page compressed, because nine tenths of it are the same in each."""

from __future__ import annotations

import gzip
import json
from typing import Any, ClassVar

from tiphys.integrations.evidently.drift import DriftReport
from tiphys.ports.materializer import BaseMaterializer, VisualizationType
from tiphys.records.artifacts import ArtifactType

_JSON, _PAGE, _SHOWN = "report.json", "report.html.gz", "report.html"


class DriftReportMaterializer(BaseMaterializer):
    """For `DriftReport`."""

    ASSOCIATED_TYPES = (DriftReport,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA_ANALYSIS

    def save(self, data: DriftReport) -> None:
        """Write both files."""
        (self.folder / _JSON).write_text(json.dumps(data.to_json(), indent=1), encoding="utf-8")
        # Without the time, so that equal reports are equal files.
        (self.folder / _PAGE).write_bytes(gzip.compress(data.html.encode(), mtime=0))

    def load(self, data_type: type[Any]) -> DriftReport:
        """Read both files."""
        found = json.loads((self.folder / _JSON).read_text(encoding="utf-8"))
        return DriftReport.from_json(found, gzip.decompress((self.folder / _PAGE).read_bytes()).decode())

    def save_visualizations(self, data: DriftReport) -> dict[str, VisualizationType]:
        """Evidently's page."""
        (self.folder / _SHOWN).write_text(data.html, encoding="utf-8")
        return {_SHOWN: VisualizationType.HTML}

    def extract_metadata(self, data: DriftReport) -> dict[str, Any]:
        """The findings in short."""
        return {
            "drift": data.drift,
            "drift_share": data.share,
            "drift_threshold": data.threshold,
            "columns": len(data.columns),
            "drifted_columns": data.drifted_columns,
            "scores": {name: column.score for name, column in data.columns.items()},
        }
