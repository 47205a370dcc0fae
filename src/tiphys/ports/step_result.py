"""What a step's execution hands to the recorder: the second of the two round trips of a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tiphys.records.artifacts import ArtifactRef


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputVersion:
    """An output that was stored and is to become an artifact version with the id `ref.version_id`."""

    #: Name of the output in the step's signature.
    output: str
    ref: ArtifactRef
    #: Explicit version, or None for the next number.
    version: str | None = None
    has_custom_name: bool = False
    uri: str
    #: Name of the artifact store component.
    store: str
    save_type: str = "step_output"
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    visualizations: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """Everything a step run left behind, as plain JSON values (it may come from another process or machine)."""

    started_at: float
    finished_at: float
    outputs: tuple[OutputVersion, ...] = ()
    #: ExternalArtifact inputs that were stored now, by parameter name.
    inputs: tuple[OutputVersion, ...] = ()
    #: Metadata of the step run.
    metadata: Mapping[str, Any] = field(default_factory=dict)
    #: Metadata for others: (entity type, entity id, values).
    other_metadata: tuple[tuple[str, str, Mapping[str, Any]], ...] = ()
    #: Tags for this step's outputs and run: (entity type, entity id, tag name).
    tags: tuple[tuple[str, str, str], ...] = ()
    #: {type, message, traceback, location} of a failure; `traceback` is text that shows the user's frames only.
    exception: Mapping[str, Any] | None = None
    #: Digest of the stored log.
    log_digest: str | None = None
    #: Hook name → error text.
    hook_errors: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> StepResult:
        """Read what `to_json` wrote."""

        def versions(items: list[dict[str, Any]]) -> tuple[OutputVersion, ...]:
            return tuple(
                OutputVersion(**{**item, "ref": ArtifactRef.from_json(item["ref"]), "tags": tuple(item["tags"])})
                for item in items
            )

        return StepResult(
            **{
                **data,
                "outputs": versions(data["outputs"]),
                "inputs": versions(data["inputs"]),
                "other_metadata": tuple((t, i, v) for t, i, v in data["other_metadata"]),
                "tags": tuple((t, i, n) for t, i, n in data["tags"]),
            }
        )
