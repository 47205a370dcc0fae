"""Figures of Matplotlib."""

from __future__ import annotations

import pickle
from typing import Any

from tiphys.ports.materializer import BaseMaterializer, VisualizationType
from tiphys.records.artifacts import ArtifactType
from tiphys.sdk.hashed_files import create_hashed

_PICKLE = "figure.pkl"
_PICTURE = "figure.png"


class FigureMaterializer(BaseMaterializer):
    """A pickle, as there is no open format that holds a figure, beside a picture of it."""

    ASSOCIATED_ARTIFACT_TYPE = ArtifactType.DATA_ANALYSIS

    def save(self, data: Any) -> None:
        """Pickle the figure."""
        with create_hashed(self.folder / _PICKLE) as file:
            pickle.dump(data, file, protocol=5)

    def load(self, data_type: type[Any]) -> Any:
        """Unpickle the figure."""
        with (self.folder / _PICKLE).open("rb") as file:
            return pickle.load(file)  # noqa: S301 -- only trees whose digest is the recorded one are opened

    def save_visualizations(self, data: Any) -> dict[str, VisualizationType]:
        """A picture; its file names no version and no time, so that equal figures give equal files."""
        data.savefig(self.folder / _PICTURE, format="png", bbox_inches="tight", metadata={"Software": None})
        return {_PICTURE: VisualizationType.IMAGE}

    def extract_metadata(self, data: Any) -> dict[str, Any]:
        """How many axes, and their titles."""
        axes = data.get_axes()
        return {"axes": len(axes), "titles": [axis.get_title() for axis in axes]}
