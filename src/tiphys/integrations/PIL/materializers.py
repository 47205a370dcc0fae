"""Images of Pillow."""

from __future__ import annotations

from typing import Any

from PIL import Image

from tiphys.ports.materializer import BaseMaterializer, OtherMaterializer, VisualizationType
from tiphys.records.artifacts import ArtifactType
from tiphys.sdk.materializers.finding import LAST_RESORT

_PNG = "image.png"
_TIFF = "image.tiff"
#: Modes that each format gives back as they were.
_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
_TIFF_MODES = frozenset({"F", "I", "CMYK"})


class ImageMaterializer(BaseMaterializer):
    """A PNG file, or TIFF where PNG lacks the image's mode; what neither has is pickled.

    The pixels and the palette are kept; what a file said beside them (EXIF, resolution) is not.
    """

    ASSOCIATED_ARTIFACT_TYPE = ArtifactType.DATA

    def save(self, data: Any) -> None:
        """Write the image without loss."""
        if data.mode in _PNG_MODES and all(data.size):
            self._plain(data).save(self.folder / _PNG, format="PNG", compress_level=1)
        elif data.mode in _TIFF_MODES and all(data.size):
            self._plain(data).save(self.folder / _TIFF, format="TIFF", compression="tiff_deflate")
        else:
            raise OtherMaterializer(LAST_RESORT)

    @staticmethod
    def _plain(data: Any) -> Any:
        plain = data.copy()
        transparency = plain.info.get("transparency")
        plain.info = {} if transparency is None else {"transparency": transparency}
        return plain

    def load(self, data_type: type[Any]) -> Any:
        """Read the image; its file is closed again."""
        png = self.folder / _PNG
        with Image.open(png if png.exists() else self.folder / _TIFF) as image:
            image.load()
            return image.copy()

    def save_visualizations(self, data: Any) -> dict[str, VisualizationType]:
        """The image, as what browsers can show."""
        shown = data if data.mode in _PNG_MODES else data.convert("RGB")
        self._plain(shown).save(self.folder / _PNG, format="PNG", compress_level=1)
        return {_PNG: VisualizationType.IMAGE}

    def extract_metadata(self, data: Any) -> dict[str, Any]:
        """Size and mode."""
        return {"width": data.width, "height": data.height, "mode": data.mode}
