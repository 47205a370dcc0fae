"""scikit-learn: estimators. Nothing of scikit-learn is imported here."""

from __future__ import annotations

from tiphys.ports.component import Integration

INTEGRATION = Integration(
    name="sklearn",
    requires=("sklearn",),
    materializers={"sklearn.base.BaseEstimator": "tiphys.integrations.sklearn.materializers:SklearnMaterializer"},
)
