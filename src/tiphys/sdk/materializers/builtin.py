"""Values of Python's own types that are one file: JSON, bytes, and strings that say how they are to be shown."""

from __future__ import annotations

from typing import Any, ClassVar

from tiphys.ports.materializer import BytesMaterializer, OtherMaterializer, VisualizationType
from tiphys.records.artifacts import ArtifactType
from tiphys.sdk.materializers.json_codec import NotJsonError, decode, encode
from tiphys.types import CSVString, HTMLString, JSONString, MarkdownString

_NESTED = "tiphys.sdk.materializers.nested:NestedMaterializer"


class JsonMaterializer(BytesMaterializer):
    """All that `json_codec` can represent: scalars, containers, dates, enums, dataclasses and pydantic models."""

    ASSOCIATED_ARTIFACT_TYPE = ArtifactType.DATA
    FILE = "value.json"
    #: Takes over what has no JSON form.
    OTHERWISE: ClassVar[str] = _NESTED

    def to_bytes(self, data: Any) -> bytes:
        """JSON text."""
        try:
            return encode(data)
        except NotJsonError:
            raise OtherMaterializer(self.OTHERWISE) from None

    def from_bytes(self, content: bytes, data_type: type[Any]) -> Any:
        """The value."""
        return decode(content)

    def extract_metadata(self, data: Any) -> dict[str, Any]:
        """The length of a container."""
        return {"length": len(data)} if isinstance(data, (list, dict, tuple, set, frozenset)) else {}


class BinaryMaterializer(BytesMaterializer):
    """Bytes as they are."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (bytes,)
    ASSOCIATED_ARTIFACT_TYPE = ArtifactType.DATA
    FILE = "value.bin"

    def to_bytes(self, data: Any) -> bytes:
        """The bytes themselves."""
        return bytes(data)

    def from_bytes(self, content: bytes, data_type: type[Any]) -> Any:
        """The bytes themselves."""
        return content


class BytearrayMaterializer(BinaryMaterializer):
    """Changeable bytes."""

    ASSOCIATED_TYPES = (bytearray,)

    def from_bytes(self, content: bytes, data_type: type[Any]) -> Any:
        """Bytes that may be changed."""
        return bytearray(content)


class _ShownStringMaterializer(BytesMaterializer):
    """A string as a text file, which is its own visualization."""

    ASSOCIATED_ARTIFACT_TYPE = ArtifactType.DATA_ANALYSIS
    SHOWN_AS: ClassVar[VisualizationType]

    def to_bytes(self, data: Any) -> bytes:
        """UTF-8; halves of surrogate pairs, which it lacks, as Python's own extension of it."""
        return str(data).encode("utf-8", "surrogatepass")

    def from_bytes(self, content: bytes, data_type: type[Any]) -> Any:
        """The string, of its own type."""
        return self.ASSOCIATED_TYPES[0](content.decode("utf-8", "surrogatepass"))

    def save_visualizations(self, data: Any) -> dict[str, VisualizationType]:
        """The file again; the store keeps it once."""
        self.save(data)
        return {self.FILE: self.SHOWN_AS}


class HTMLMaterializer(_ShownStringMaterializer):
    """HTML."""

    ASSOCIATED_TYPES = (HTMLString,)
    FILE = "value.html"
    SHOWN_AS = VisualizationType.HTML


class MarkdownMaterializer(_ShownStringMaterializer):
    """Markdown."""

    ASSOCIATED_TYPES = (MarkdownString,)
    FILE = "value.md"
    SHOWN_AS = VisualizationType.MARKDOWN


class CSVMaterializer(_ShownStringMaterializer):
    """Comma-separated values."""

    ASSOCIATED_TYPES = (CSVString,)
    FILE = "value.csv"
    SHOWN_AS = VisualizationType.CSV


class JSONStringMaterializer(_ShownStringMaterializer):
    """JSON given as text."""

    ASSOCIATED_TYPES = (JSONString,)
    FILE = "text.json"
    SHOWN_AS = VisualizationType.JSON
