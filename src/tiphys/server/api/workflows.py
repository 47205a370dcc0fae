"""Workflows, in what Argo's API has no place for: several that are submitted at once, all or none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Body, Depends
from starlette.requests import Request
from starlette.responses import Response

from tiphys.errors import UsageError
from tiphys.ports.workflows import Manifest, SubmitOptions
from tiphys.server.api.answers import answer
from tiphys.server.api.here import Here, of_workspace
from tiphys.server.argo.bodies import manifest_in
from tiphys.server.argo.workflows import chosen_runner
from tiphys.server.auth.permissions import Action, needs

router = of_workspace("workflows")
_WRITE = [Depends(needs("workflows", Action.WRITE))]


@dataclass(frozen=True, slots=True)
class Manifests:
    """Some objects."""

    items: list[Manifest]


@router.post("/workflows", response_model=Manifests, dependencies=_WRITE)
def submit_workflows(
    backend: Here,
    request: Request,
    workspace: str,
    workflows: Annotated[list[dict[str, Any]], Body()],
    strict: Annotated[bool, Body()] = True,
    dry_run: Annotated[bool, Body()] = False,
) -> Response:
    """Submit workflows: all are stored, or none. An annotation `tiphys.dev/runner` chooses what carries them out."""
    manifests = [manifest_in({"workflow": one}, "workflow", "Workflow", namespace=workspace) for one in workflows]
    own = request.app.state.runner
    runners = {chosen_runner(own, one["metadata"].get("annotations")) for one in manifests}
    if len(runners) != 1:
        raise UsageError("Workflows that are submitted together need one runner for all.")
    options = SubmitOptions(runner=runners.pop(), strict=strict, dry_run=dry_run)
    return answer({"items": backend.workflows.submit_all(manifests, options)})
