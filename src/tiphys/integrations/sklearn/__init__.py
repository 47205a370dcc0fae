"""scikit-learn: estimators. Nothing of scikit-learn is imported here."""

from __future__ import annotations

from tiphys.ports.component import Integration

_HERE = "tiphys.integrations.sklearn.materializers"

INTEGRATION = Integration(
    name="sklearn",
    requires=("sklearn",),
    materializers={"sklearn.base.BaseEstimator": f"{_HERE}:SklearnMaterializer"},
    formats={"skops": f"{_HERE}:SklearnSkopsMaterializer"},
)
