"""Tasks for tests, without a compiler, an engine or a database."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tiphys._util.ids import new_id
from tiphys.engine.model import ArtifactValue, Values
from tiphys.ports.runner import Task
from tiphys.sdk.registry import remember
from tiphys.sdk.sources import source_of


def components(home: Path) -> dict[str, Any]:
    """A task's components: one local artifact store below `home`."""
    return {
        "artifact_store": [
            {
                "name": "default",
                "implementation": "tiphys.integrations.local.artifact_store:LocalArtifactStore",
                "config_class": "tiphys.integrations.local.config:LocalArtifactStoreConfig",
                "config": {"path": str(home / "artifacts")},
            }
        ]
    }


def step_task(
    function: Callable[..., Any],
    *,
    home: Path,
    name: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    artifacts: Mapping[str, ArtifactValue] | None = None,
    outputs: Sequence[str | Mapping[str, Any]] = ("output",),
    attempt: int = 0,
    last_attempt: bool = True,
    deadline: float | None = None,
    body: Mapping[str, Any] | None = None,
    context: Mapping[str, Any] | None = None,
) -> Task:
    """A task that calls `function`.

    Args:
        function: The step's function; it is remembered in this process's registry.
        home: Where artifacts and logs go.
        name: The step's name; the function's by default.
        parameters: Values of the parameters that are given as JSON.
        artifacts: References of the parameters that are artifacts.
        outputs: Names of the outputs, or whole descriptions of them.
        attempt: Zero-based.
        last_attempt: Whether nothing would follow a failure.
        deadline: Epoch seconds.
        body: Additions to the step's body.
        context: Additions to the task's context.
    """
    source, digest = source_of(function), new_id()
    remember(source, digest, function)
    name = name or str(getattr(function, "__name__", "step"))
    uid = new_id()
    inputs = Values(
        parameters={key: json.dumps(value) for key, value in (parameters or {}).items()},
        artifacts=dict(artifacts or {}),
    )
    return Task(
        id=f"{uid}/{name}/{attempt}",
        workflow_uid=uid,
        node_id=name,
        name=name,
        attempt=attempt,
        body={
            "step": name,
            "source": source,
            "code_digest": digest,
            "inputs": {key: {"kind": "parameter"} for key in inputs.parameters}
            | {key: {"kind": "artifact"} for key in inputs.artifacts},
            "outputs": [{"name": output} if isinstance(output, str) else dict(output) for output in outputs],
            "pipeline": "p",
            **(body or {}),
        },
        inputs=inputs,
        last_attempt=last_attempt,
        deadline=deadline,
        context={
            "workspace": "default",
            "run_id": uid,
            "run_name": "run",
            "pipeline_name": "p",
            "step_name": name,
            "step_run_id": new_id(),
            "attempt": attempt,
            "stack": "default",
            "model": None,
            "tags": [],
            "components": components(home),
            "home": str(home),
            **(context or {}),
        },
    )
