"""Tiphys: ML pipelines in plain Python on a durable workflow engine that speaks Argo Workflows.

All public names are here; each is loaded when it is first used, so importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tiphys._version import __version__

if TYPE_CHECKING:
    from tiphys.ports.materializer import BaseMaterializer as BaseMaterializer
    from tiphys.ports.materializer import VisualizationType as VisualizationType
    from tiphys.records.artifacts import ArtifactType as ArtifactType
    from tiphys.records.runs import ExecutionStatus as ExecutionStatus
    from tiphys.sdk.artifacts import load_artifact as load_artifact
    from tiphys.sdk.artifacts import register_artifact as register_artifact
    from tiphys.sdk.artifacts import save_artifact as save_artifact
    from tiphys.sdk.client import Client as Client
    from tiphys.sdk.config import ArtifactConfig as ArtifactConfig
    from tiphys.sdk.config import CachePolicy as CachePolicy
    from tiphys.sdk.config import ExecutionMode as ExecutionMode
    from tiphys.sdk.config import ExternalArtifact as ExternalArtifact
    from tiphys.sdk.config import StepRetryConfig as StepRetryConfig
    from tiphys.sdk.config import Tag as Tag
    from tiphys.sdk.config import UnmaterializedArtifact as UnmaterializedArtifact
    from tiphys.sdk.context import StepContext as StepContext
    from tiphys.sdk.context import get_step_context as get_step_context
    from tiphys.sdk.invocation import unmapped as unmapped
    from tiphys.sdk.metadata import bulk_log_metadata as bulk_log_metadata
    from tiphys.sdk.metadata import log_metadata as log_metadata
    from tiphys.sdk.model import Model as Model
    from tiphys.sdk.model import ModelStages as ModelStages
    from tiphys.sdk.pipeline import Pipeline as Pipeline
    from tiphys.sdk.pipeline import pipeline as pipeline
    from tiphys.sdk.step import Step as Step
    from tiphys.sdk.step import step as step
    from tiphys.sdk.tags import add_tags as add_tags
    from tiphys.sdk.tags import remove_tags as remove_tags

#: Public name → where it is defined.
_NAMES = {
    "ArtifactConfig": "tiphys.sdk.config",
    "ArtifactType": "tiphys.records.artifacts",
    "BaseMaterializer": "tiphys.ports.materializer",
    "CachePolicy": "tiphys.sdk.config",
    "Client": "tiphys.sdk.client",
    "ExecutionMode": "tiphys.sdk.config",
    "ExecutionStatus": "tiphys.records.runs",
    "ExternalArtifact": "tiphys.sdk.config",
    "Model": "tiphys.sdk.model",
    "ModelStages": "tiphys.sdk.model",
    "Pipeline": "tiphys.sdk.pipeline",
    "Step": "tiphys.sdk.step",
    "StepContext": "tiphys.sdk.context",
    "StepRetryConfig": "tiphys.sdk.config",
    "Tag": "tiphys.sdk.config",
    "UnmaterializedArtifact": "tiphys.sdk.config",
    "VisualizationType": "tiphys.ports.materializer",
    "add_tags": "tiphys.sdk.tags",
    "bulk_log_metadata": "tiphys.sdk.metadata",
    "get_step_context": "tiphys.sdk.context",
    "load_artifact": "tiphys.sdk.artifacts",
    "log_metadata": "tiphys.sdk.metadata",
    "pipeline": "tiphys.sdk.pipeline",
    "register_artifact": "tiphys.sdk.artifacts",
    "remove_tags": "tiphys.sdk.tags",
    "save_artifact": "tiphys.sdk.artifacts",
    "step": "tiphys.sdk.step",
    "unmapped": "tiphys.sdk.invocation",
}

__all__ = ["__version__", *_NAMES]


def __getattr__(name: str) -> Any:
    module = _NAMES.get(name)
    if module is None:
        raise AttributeError(f"module 'tiphys' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(module), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
