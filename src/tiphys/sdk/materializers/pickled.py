"""The last resort: any Python object, by cloudpickle."""

from __future__ import annotations

import logging
import platform
from typing import Any

import cloudpickle

from tiphys.ports.materializer import BaseMaterializer
from tiphys.records.artifacts import ArtifactType
from tiphys.sdk.hashed_files import create_hashed

_FILE = "value.pkl"
_log = logging.getLogger("tiphys.materializers")
_warned: set[type[Any]] = set()


class CloudpickleMaterializer(BaseMaterializer):
    """A pickle: tied to this version of Python and of the libraries involved, and run as code when it is loaded.

    Equal values usually, but not always, give equal bytes.
    """

    ASSOCIATED_ARTIFACT_TYPE = ArtifactType.DATA

    def save(self, data: Any) -> None:
        """Pickle."""
        kind = type(data)
        if kind not in _warned:
            _warned.add(kind)
            _log.warning(
                "No materializer is registered for %s.%s, so it is pickled: it can be read only with this version of "
                "Python (%s). Define a BaseMaterializer for it to keep it longer.",
                kind.__module__,
                kind.__qualname__,
                platform.python_version(),
            )
        with create_hashed(self.folder / _FILE) as file:
            cloudpickle.dump(data, file, protocol=5)

    def load(self, data_type: type[Any]) -> Any:
        """Unpickle."""
        with (self.folder / _FILE).open("rb") as file:
            return cloudpickle.load(file)

    def extract_metadata(self, data: Any) -> dict[str, Any]:
        """What the pickle is tied to."""
        return {"pickled_with": f"cloudpickle {cloudpickle.__version__}, Python {platform.python_version()}"}
