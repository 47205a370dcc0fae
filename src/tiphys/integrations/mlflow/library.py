"""The one place where MLflow is imported: its telemetry, which it starts at its import, is switched off before."""

from __future__ import annotations

import os
import warnings

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# Bars do not belong into the logs of steps.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

with warnings.catch_warnings():
    # MLflow warns of type hints in its own modules.
    warnings.simplefilter("ignore")
    import mlflow
    import mlflow.artifacts
    import mlflow.pyfunc
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model, ModelSignature
    from mlflow.tracking import MlflowClient
    from mlflow.types.schema import AnyType, ColSpec, Schema
    from mlflow.utils import autologging_utils

__all__ = [
    "AnyType",
    "ColSpec",
    "MlflowClient",
    "MlflowException",
    "Model",
    "ModelSignature",
    "Schema",
    "autologging_utils",
    "mlflow",
]
