"""Port: turning a value into files and back. The shape is ZenML's BaseMaterializer, so that users' own keep working."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

from tiphys.records.artifacts import ArtifactType


class VisualizationType(StrEnum):
    """How a visualization's file is shown."""

    HTML = "html"
    IMAGE = "image"
    CSV = "csv"
    MARKDOWN = "markdown"
    JSON = "json"


class OtherMaterializer(Exception):  # noqa: N818 -- no error, but an answer
    """Raised by `save` and `to_bytes`: this value, unlike others of its type, is for another materializer.

    Args:
        path: `module:Class` of that one.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


#: Materializers that users defined, by the types they name: defining a subclass is enough to register it.
registered: dict[type[Any], type[BaseMaterializer]] = {}

#: The same by `module:Class`: those defined in a function or a notebook cannot be imported.
defined: dict[str, type[BaseMaterializer]] = {}


class BaseMaterializer(ABC):
    """Writes values of some types into a local folder and reads them again.

    The files must depend on the value alone (no times, no random names): their digest is the artifact's identity, and
    the cache compares it.

    Attributes:
        uri: The local folder, as text.
    """

    #: Types (and their subclasses) it is for. Third-party types are registered by name in the integration instead.
    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = ()
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.BASE
    #: True where a loaded value goes on reading the folder: it is then kept until the process ends.
    KEEPS_FILES: ClassVar[bool] = False
    #: Counts changes of `registered`.
    generation: ClassVar[int] = 0

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        # Tiphys's own are found by name, so that their import cannot replace what a user registered.
        if not cls.__module__.startswith("tiphys."):
            defined[f"{cls.__module__}:{cls.__qualname__}"] = cls
            for associated in cls.__dict__.get("ASSOCIATED_TYPES", ()):
                registered[associated] = cls
            BaseMaterializer.generation += 1

    def __init__(self, uri: str) -> None:
        self.uri = uri

    @property
    def folder(self) -> Path:
        """`uri` as a path."""
        return Path(self.uri)

    @abstractmethod
    def save(self, data: Any) -> None:
        """Write `data` into the folder."""

    @abstractmethod
    def load(self, data_type: type[Any]) -> Any:
        """Read the folder. `data_type` is what the reader asks for, often a base class of what was saved."""

    def save_visualizations(self, data: Any) -> dict[str, VisualizationType]:
        """Write pictures of `data` into the folder (a separate one); returns file name → type."""
        return {}

    def extract_metadata(self, data: Any) -> dict[str, Any]:
        """Facts about `data` worth keeping, as JSON values."""
        return {}


class BytesMaterializer(BaseMaterializer):
    """A materializer whose values are one small file: such values skip the staging folder."""

    #: Name of the file in the folder.
    FILE: ClassVar[str]

    @abstractmethod
    def to_bytes(self, data: Any) -> bytes:
        """The file's content."""

    @abstractmethod
    def from_bytes(self, content: bytes, data_type: type[Any]) -> Any:
        """The value again."""

    def save(self, data: Any) -> None:
        """Write the file."""
        (self.folder / self.FILE).write_bytes(self.to_bytes(data))

    def load(self, data_type: type[Any]) -> Any:
        """Read the file."""
        return self.from_bytes((self.folder / self.FILE).read_bytes(), data_type)
