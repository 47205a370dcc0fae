"""Writes any fitted model as an MLflow model folder, in the flavor of its own framework, and reads it again."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tiphys.errors import DefinitionError
from tiphys.integrations.mlflow.library import AnyType, ColSpec, Model, ModelSignature, Schema, mlflow
from tiphys.integrations.mlflow.plain_model import dump, load

#: Top-level module of a class → MLflow's flavor of it. Of several in one class's bases, the class's own comes first.
_FLAVORS: Mapping[str, str] = {
    "sklearn": "sklearn",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "catboost": "catboost",
    "torch": "pytorch",
    "keras": "keras",
    "tensorflow": "tensorflow",
    "statsmodels": "statsmodels",
    "prophet": "prophet",
}


def flavor_of(model: Any) -> str:
    """MLflow's flavor for `model`: of its framework, else `pyfunc`.

    Raises:
        DefinitionError: it cannot predict, so it cannot be served.
    """
    for base in type(model).__mro__:
        flavor = _FLAVORS.get(base.__module__.partition(".")[0])
        if flavor is not None:
            if flavor == "sklearn" and not hasattr(model, "predict"):
                break
            return flavor
    if not callable(getattr(model, "predict", None)):
        raise DefinitionError(
            f"MLflow cannot serve a {type(model).__module__}.{type(model).__qualname__}: it has no 'predict' method.",
            hint="Pass a fitted model, or wrap it in a class with a 'predict' method that takes a DataFrame.",
        )
    return "pyfunc"


def feature_names(model: Any) -> list[str] | None:
    """Names of the columns that `model` was fitted with, if it remembers them."""
    for attribute in ("feature_names_in_", "feature_names", "feature_name_", "feature_name"):
        names = getattr(model, attribute, None)
        if callable(names):  # LightGBM's Booster
            names = names()
        if isinstance(names, Iterable) and not isinstance(names, str):
            listed = list(names)
            if listed and all(isinstance(name, str) for name in listed):
                return [str(name) for name in listed]
    return None


@dataclass(frozen=True, slots=True)
class SavedModel:
    """What was written."""

    #: MLflow's name of the format.
    flavor: str
    #: Names of the input columns, if the model knows them.
    columns: list[str] | None


def _signature(names: list[str] | None) -> ModelSignature | None:
    """The input columns by name and of any type, for a fitted model knows no more.

    With it MLflow orders the columns of a request, and names those that are missing.
    """
    if names is None:
        return None
    any_type = AnyType()  # type: ignore[no-untyped-call]  # MLflow gives its constructor no types
    return ModelSignature(inputs=Schema([ColSpec(any_type, name=name) for name in names]))


def save_model(model: Any, folder: Path) -> SavedModel:
    """Write `model` into the new folder `folder`.

    Requirements are stated, not searched for: MLflow's own search loads the model once more, in another process.

    Raises:
        DefinitionError: the model has no `predict`.
    """
    flavor = flavor_of(model)
    folder.parent.mkdir(parents=True, exist_ok=True)
    columns = feature_names(model)
    signature = _signature(columns)
    requirements = [f"mlflow=={version('mlflow')}"]
    if flavor == "pyfunc":
        _save_plain(model, folder, signature, [*requirements, f"cloudpickle=={version('cloudpickle')}"])
        return SavedModel(flavor, columns)
    module = import_module(f"mlflow.{flavor}")
    options: dict[str, Any] = {}
    if flavor == "sklearn":
        # skops, the default, refuses forests and every class of a user's own.
        options["serialization_format"] = "cloudpickle"
    with _without_pickle_warning():
        module.save_model(
            model,
            path=str(folder),
            signature=signature,
            pip_requirements=[*requirements, *module.get_default_pip_requirements()],
            **options,
        )
    return SavedModel(flavor, columns)


def load_model(folder: Path) -> Any:
    """The object that `save_model`, or `log_model` of a framework, wrote."""
    flavors = Model.load(str(folder)).flavors
    native = next((name for name in flavors if name != "python_function"), None)
    if native is not None:
        return import_module(f"mlflow.{native}").load_model(str(folder))
    pyfunc = flavors["python_function"]
    if pyfunc["loader_module"] == dump.__module__:
        return load(folder / pyfunc["data"])
    return mlflow.pyfunc.load_model(str(folder)).unwrap_python_model()


def _save_plain(model: Any, folder: Path, signature: ModelSignature | None, requirements: list[str]) -> None:
    with TemporaryDirectory() as temporary:
        pickled = Path(temporary) / "model.pkl"
        dump(model, pickled)
        mlflow.pyfunc.save_model(
            path=str(folder),
            loader_module=dump.__module__,
            data_path=str(pickled),
            signature=signature,
            pip_requirements=requirements,
        )


@contextmanager
def _without_pickle_warning() -> Iterator[None]:
    """Keeps back the warning that models are pickled: the file is ours, and is read by nobody but our own server."""

    def wanted(record: logging.LogRecord) -> bool:
        return "cloudpickle format" not in record.getMessage()

    logger = logging.getLogger("mlflow.sklearn")
    logger.addFilter(wanted)
    try:
        yield
    finally:
        logger.removeFilter(wanted)
