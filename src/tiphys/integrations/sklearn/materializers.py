"""Estimators of scikit-learn."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import sklearn

from tiphys.integrations.sklearn.skops_file import write_canonical
from tiphys.ports.materializer import BaseMaterializer
from tiphys.records.artifacts import ArtifactType
from tiphys.sdk.materializers import canonical_pickle

_PICKLE = "model.pickle"
_SKOPS = "model.skops"
_LONGEST = 200


class SklearnMaterializer(BaseMaterializer):
    """A pickle, as scikit-learn advises: loaded only if its digest is the recorded one, and tied to the version."""

    ASSOCIATED_ARTIFACT_TYPE = ArtifactType.MODEL
    KEEPS_FILES = True

    def save(self, data: Any) -> None:
        """Pickle the estimator."""
        canonical_pickle.dump(data, self.folder / _PICKLE)

    def load(self, data_type: type[Any]) -> Any:
        """Unpickle the estimator."""
        return canonical_pickle.load(self.folder / _PICKLE)

    def extract_metadata(self, data: Any) -> dict[str, Any]:
        """Class, parameters, and the version of scikit-learn."""
        kind = type(data)
        facts: dict[str, Any] = {
            "class": f"{kind.__module__}.{kind.__qualname__}",
            "parameters": {name: _shown(value) for name, value in data.get_params(deep=False).items()},
            "scikit-learn": sklearn.__version__,
        }
        features = getattr(data, "n_features_in_", None)
        return facts if features is None else {**facts, "features": int(features)}


class SklearnSkopsMaterializer(SklearnMaterializer):
    """The skops format, which runs no code when it is loaded: `ArtifactConfig(format="skops")` asks for it.

    Types beyond those of scikit-learn, NumPy and SciPy are refused unless a subclass names them in `TRUSTED`.
    """

    KEEPS_FILES = False
    #: `module.Class` of further types that may be loaded.
    TRUSTED: ClassVar[tuple[str, ...]] = ()

    def save(self, data: Any) -> None:
        """Write the estimator."""
        from skops import io

        write_canonical(io.dumps(data), self.folder / _SKOPS)

    def load(self, data_type: type[Any]) -> Any:
        """Read the estimator."""
        from skops import io

        return io.load(self.folder / _SKOPS, trusted=list(self.TRUSTED))


def _shown(value: Any) -> Any:
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        text = ""
    return json.loads(text) if 0 < len(text) <= _LONGEST else repr(value)[:_LONGEST]
