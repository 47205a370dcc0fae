"""Artifacts whose content stands in the manifest."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from tiphys.ports.artifact_driver import ArtifactDriver, Located, arriving
from tiphys.spec.artifacts import RawArtifact


class RawDriver(ArtifactDriver):
    """Reads what an artifact's `raw` holds."""

    location: ClassVar[str] = "raw"

    def load(self, artifact: Located, into: Path) -> None:
        """As the port says; without data an empty file."""
        with arriving(into) as staged:
            staged.write_text(self.at(artifact, RawArtifact).data or "", encoding="utf-8", newline="")
