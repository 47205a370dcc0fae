"""Stacks and their components."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from tiphys.records.base import DEFAULT_WORKSPACE, Record


class ComponentType(StrEnum):
    """Types of components, as in ZenML."""

    ORCHESTRATOR = "orchestrator"
    ARTIFACT_STORE = "artifact_store"
    EXPERIMENT_TRACKER = "experiment_tracker"
    MODEL_REGISTRY = "model_registry"
    MODEL_DEPLOYER = "model_deployer"
    DATA_VALIDATOR = "data_validator"
    STEP_OPERATOR = "step_operator"
    CONTAINER_REGISTRY = "container_registry"
    IMAGE_BUILDER = "image_builder"
    ALERTER = "alerter"
    FEATURE_STORE = "feature_store"
    ANNOTATOR = "annotator"
    LOG_STORE = "log_store"
    DEPLOYER = "deployer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Component(Record):
    """A configured component; unique by workspace, type and name."""

    name: str
    workspace: str = DEFAULT_WORKSPACE
    type: ComponentType
    flavor: str
    configuration: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StackRecord(Record):
    """Components that a pipeline runs with; unique by workspace and name."""

    name: str
    workspace: str = DEFAULT_WORKSPACE
    #: Component type → ids of its components (several trackers, alerters and step operators may stand in one stack).
    components: Mapping[str, list[str]] = field(default_factory=dict)
    #: Whether it is the one used where none is named.
    active: bool = False
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Service(Record):
    """A long-running process or deployment that a component started (a model server, say)."""

    name: str
    workspace: str = DEFAULT_WORKSPACE
    #: Flavor that manages it.
    flavor: str
    pipeline_name: str = ""
    step_name: str = ""
    model_name: str = ""
    run_id: str | None = None
    #: What the flavor needs to find it again: pid, port, urls, log file, …
    state: Mapping[str, Any] = field(default_factory=dict)
    #: Wished state: "running" or "stopped".
    status: str = "running"
    created_at: datetime
