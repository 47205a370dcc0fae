"""What MLflow's server imports to load a model of no framework that it knows: an object with a `predict` method."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import cloudpickle


def dump(model: Any, path: Path) -> None:
    """Write `model`; classes of a script or notebook go with it."""
    path.write_bytes(cloudpickle.dumps(model))


def load(path: Path) -> Any:
    """The object again."""
    return pickle.loads(path.read_bytes())  # noqa: S301  a file that `dump` wrote below a folder of the user's own


def _load_pyfunc(path: str) -> Any:
    """MLflow calls it by this name; it then calls the object's `predict` with a DataFrame."""
    return load(Path(path))
