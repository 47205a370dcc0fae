"""What holds for all workspaces: how many workflows run at once, and which ended ones are kept."""

from __future__ import annotations

from typing import Annotated

from fastapi import Body, Depends
from starlette.responses import Response

from tiphys.ports.policies import NotKept
from tiphys.records.retention import Retention
from tiphys.records.synchronization import LockLimit
from tiphys.server.api.answers import answer, nothing
from tiphys.server.api.here import Here, of_server
from tiphys.server.auth.permissions import Action, needs

router = of_server("policies")
_READ, _ADMIN = [Depends(needs("policies", Action.READ))], [Depends(needs("policies", Action.ADMIN))]
Changes = Annotated[dict[str, int | None], Body(description="Rule → how many or how long (s); null: no such rule.")]


@router.get("/queue-limits", response_model=list[LockLimit], dependencies=_READ)
def find_queue_limits(backend: Here) -> Response:
    """Limits of the queue, by key."""
    return answer(backend.policies.queue_limits())


@router.put("/queue-limits", status_code=204, dependencies=_ADMIN)
def set_queue_limit(backend: Here, key: Annotated[str, Body()], limit: Annotated[int, Body()]) -> Response:
    """Let at most so many workflows run at once.

    The key says which: `queue/all`, `queue/workspace/NAME`, `queue/pipeline/WORKSPACE/NAME`, `queue/label/KEY=VALUE`.
    """
    backend.policies.set_queue_limit(key, limit)
    return nothing()


@router.delete("/queue-limits", status_code=204, dependencies=_ADMIN)
def delete_queue_limit(backend: Here, key: str) -> Response:
    """Let any number run."""
    backend.policies.delete_queue_limit(key)
    return nothing()


@router.get("/retention", response_model=Retention, dependencies=_READ)
def get_retention(backend: Here) -> Response:
    """The rules by which ended workflows are kept."""
    return answer(backend.policies.retention())


@router.patch("/retention", response_model=Retention, dependencies=_ADMIN)
def change_retention(backend: Here, changes: Changes) -> Response:
    """Change rules; answers what holds then. What is not kept goes within seconds."""
    return answer(backend.policies.change_retention(changes))


@router.post("/retention/find", response_model=NotKept, dependencies=_ADMIN)
def find_not_kept(backend: Here, changes: Changes) -> Response:
    """What would go if the rules were changed so."""
    return answer(backend.policies.not_kept(changes))
