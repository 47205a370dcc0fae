"""Configuration of the data validator."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class EvidentlyConfig(BaseModel):
    """How drift is looked for, where a call does not say otherwise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: Share of drifted columns from which the data as a whole counts as drifted.
    threshold: float = Field(default=0.5, ge=0, le=1)
    #: Evidently's name of a test or distance for all columns (`ks`, `psi`, …); None: it chooses by the column's type.
    method: str | None = None
    #: Bound of that test for a column; None: the method's own.
    column_threshold: float | None = None
