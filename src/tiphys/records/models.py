"""Models, their versions and stages, and what is linked to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from tiphys.records.base import DEFAULT_WORKSPACE, Record


class ModelStage(StrEnum):
    """Stages of a model version; `latest` is a look-up word, never stored."""

    NONE = "none"
    STAGING = "staging"
    PRODUCTION = "production"
    ARCHIVED = "archived"
    LATEST = "latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredModel(Record):
    """A named model; unique by workspace and name."""

    name: str
    workspace: str = DEFAULT_WORKSPACE
    #: licence, description, audience, use_cases, limitations, trade_offs, ethics
    card: Mapping[str, Any] = field(default_factory=dict)
    save_models_to_registry: bool = True
    last_number: int = 0
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion(Record):
    """One version of a model; unique by model and name."""

    model_id: str
    #: The model's name.
    model_name: str
    workspace: str = DEFAULT_WORKSPACE
    #: The number as text unless it was given.
    name: str
    number: int
    stage: ModelStage = ModelStage.NONE
    description: str = ""
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLink(Record):
    """An artifact version or a run that belongs to a model version."""

    model_version_id: str
    target_type: str  # EntityType.ARTIFACT_VERSION | EntityType.RUN
    target_id: str
    created_at: datetime
