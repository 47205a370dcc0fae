"""Pipelines, their runs, and the runs' steps. Statuses are ZenML's ExecutionStatus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from tiphys.records.base import DEFAULT_WORKSPACE, Record


class ExecutionStatus(StrEnum):
    """Status of a run or a step run."""

    INITIALIZING = "initializing"
    PROVISIONING = "provisioning"
    QUEUED = "queued"
    RUNNING = "running"
    FAILED = "failed"
    COMPLETED = "completed"
    CACHED = "cached"
    SKIPPED = "skipped"
    RETRYING = "retrying"
    RETRIED = "retried"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    PAUSED = "paused"
    RESUMING = "resuming"
    STOPPED = "stopped"
    STOPPING = "stopping"

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen."""
        return self in _FINISHED

    @property
    def is_successful(self) -> bool:
        """Completed or cached."""
        return self in (ExecutionStatus.COMPLETED, ExecutionStatus.CACHED)


_FINISHED = frozenset(
    {
        ExecutionStatus.FAILED,
        ExecutionStatus.COMPLETED,
        ExecutionStatus.CACHED,
        ExecutionStatus.SKIPPED,
        ExecutionStatus.RETRIED,
        ExecutionStatus.CANCELLED,
        ExecutionStatus.STOPPED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline(Record):
    """A pipeline that was run at least once; unique by workspace and name."""

    name: str
    workspace: str = DEFAULT_WORKSPACE
    description: str = ""
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Record):
    """One run of a pipeline (or of a plain workflow, whose `pipeline_id` is None)."""

    #: Unique in the workspace.
    name: str
    workspace: str = DEFAULT_WORKSPACE
    pipeline_id: str | None = None
    pipeline_name: str | None = None
    #: The engine's workflow that carries it out.
    workflow_uid: str
    status: ExecutionStatus = ExecutionStatus.INITIALIZING
    #: Why it failed, in one line.
    message: str = ""
    #: Name of the stack it ran with.
    stack: str = "default"
    #: Digest of the compiled workflow: equal digests mean the same code, parameters and configuration.
    spec_digest: str = ""
    #: Pipeline parameters by name.
    parameters: Mapping[str, Any] = field(default_factory=dict)
    #: The rest that explains the run: code (git commit, dirty, entry file), python and platform, extra.
    config: Mapping[str, Any] = field(default_factory=dict)
    #: Version of the pipeline's Model, if it has one.
    model_version_id: str | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRun(Record):
    """One attempt of one step of a run."""

    run_id: str
    #: Invocation id: unique in the run but for its attempts.
    name: str
    #: The engine's node.
    node_id: str
    #: One-based number of the attempt; each has a row of its own.
    version: int = 1
    status: ExecutionStatus = ExecutionStatus.RUNNING
    #: `module:qualname` of the step function.
    source: str = ""
    #: Digest of the code it reaches (`sdk.fingerprint`).
    code_digest: str = ""
    #: SHA-256 as in `sdk.caching`; None where caching was off.
    cache_key: str | None = None
    #: After this moment the result is no longer used as a cached one.
    cache_expires_at: datetime | None = None
    #: What the key is the digest of, as canonical JSON, for `cache explain`; empty where caching was off.
    cache_parts: str = ""
    #: Of a cached step run: the one whose outputs it has.
    original_step_run_id: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    #: What a cache hit hands on: {store, artifacts: {output: ArtifactRef}, parameters: {name: text}}.
    outputs: Mapping[str, Any] = field(default_factory=dict)
    #: {type, message, traceback (the user's frames), step_line} of a failure.
    exception: Mapping[str, Any] | None = None
    #: Digest of its log in the artifact store, once it ended.
    log_digest: str | None = None
    #: Names of hooks that raised, with their error.
    hook_errors: Mapping[str, Any] = field(default_factory=dict)
    model_version_id: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata(Record):
    """One key of one entity's metadata; a later value replaces an earlier one."""

    entity_type: str
    entity_id: str
    key: str
    value: Any
    #: The step run that logged it, if one did.
    step_run_id: str | None = None
    created_at: datetime
