"""Settings of the local components."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class LocalArtifactStoreConfig(BaseModel):
    """Where artifacts are kept."""

    model_config = ConfigDict(extra="forbid")

    #: A folder; None for `artifacts` in the home (filled in by whoever builds the component).
    path: str | None = None


class LocalOrchestratorConfig(BaseModel):
    """How steps are run on this machine."""

    model_config = ConfigDict(extra="forbid")

    #: Most steps of a run that run at the same time, where the pipeline does not say; None for as many as cores.
    parallelism: int | None = Field(default=None, ge=1)
    #: "inline": in threads of this process; "process": each step in a process of its own.
    runner: Literal["inline", "process"] = "inline"
