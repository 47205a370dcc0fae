"""The one place where Evidently is imported: without telemetry, and with what it misses in newer releases of pandas."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
import pandas.core.dtypes.common as pandas_types

_MISSED = "infer_dtype_from_object"

os.environ.setdefault("DO_NOT_TRACK", "1")


def _scalar_type(dtype: Any) -> Any:
    return getattr(dtype, "type", None) or np.dtype(dtype).type


# Evidently 0.7 imports a private function of pandas that pandas 3.1 no longer has, for a test that is not used here.
_lent = not hasattr(pandas_types, _MISSED)
if _lent:
    setattr(pandas_types, _MISSED, _scalar_type)
try:
    with warnings.catch_warnings():
        # Evidently and what it imports use deprecated functions of others.
        warnings.simplefilter("ignore")
        from evidently import Report
        from evidently.presets import DataDriftPreset
finally:
    if _lent:
        delattr(pandas_types, _MISSED)

__all__ = ["DataDriftPreset", "Report"]
