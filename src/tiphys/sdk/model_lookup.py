"""Finds the model version that a Model means where it is asked for something."""

from __future__ import annotations

from tiphys.errors import UsageError
from tiphys.sdk.context import current_step_context
from tiphys.sdk.model import Model
from tiphys.sdk.model_views import ModelVersionView
from tiphys.sdk.session import current_backend


def present_model() -> Model | None:
    """The Model of the step that is being carried out, bound to its run's version; None without one."""
    context = current_step_context()
    if context is None:
        return None
    try:
        model: Model = context.model
    except UsageError:
        return None
    return model


def find_version(name: str, version: str | None) -> ModelVersionView:
    """The version: as given; else, in a step, the one its run works for; else the newest.

    Raises:
        NotFoundError: there is no such model or version.
    """
    backend = current_backend()
    if version is None:
        present = present_model()
        if present is not None and present.name == name:
            version = str(present.version)
    return ModelVersionView(backend.models.get_version(name, version), backend)
