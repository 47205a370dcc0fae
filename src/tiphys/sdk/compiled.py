"""What a pipeline compiles to: a workflow, and what goes with it to the backend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tiphys.ports.backend import ModelRequest, TagRequest
from tiphys.sdk.step import Step
from tiphys.spec.workflow import Workflow


@dataclass(frozen=True, slots=True)
class CompiledPipeline:
    """A pipeline as one run of it would be submitted."""

    name: str
    description: str
    #: The file (or the notebook cell's name) that defines it.
    file: str
    workflow: Workflow
    #: Equal for equal code, parameters and configuration.
    spec_digest: str
    #: The steps by id, in the order they were called.
    steps: Mapping[str, Step]
    #: The pipeline's parameters that have a JSON form.
    parameters: Mapping[str, Any]
    #: Options of the run over those of the pipeline.
    options: Mapping[str, Any]
    #: The pipeline's settings and extra, as JSON.
    config: Mapping[str, Any]
    model: ModelRequest | None
    step_models: Mapping[str, ModelRequest] = field(default_factory=dict)

    @property
    def run_name(self) -> str | None:
        """Name of the run with its own placeholders resolved."""
        found: str | None = self.options.get("run_name")
        return found

    @property
    def tags(self) -> tuple[TagRequest, ...]:
        """Tags of the run."""
        return tuple(
            TagRequest(name=tag.name, color=tag.color, exclusive=tag.exclusive, cascade=tag.cascade)
            for tag in self.options.get("tags", ())
        )


def step_bodies(workflow: Workflow) -> Iterable[Mapping[str, Any]]:
    """The Python steps of a compiled workflow."""
    for template in (workflow.spec.templates if workflow.spec else None) or ():
        body = (template.plugin or {}).get("tiphys")
        if body:
            yield body
