"""Argo's API over limits of semaphores."""

from __future__ import annotations

from typing import Any

from tiphys.errors import UsageError
from tiphys.server.argo.bodies import config_map_of, limit_in, text_in
from tiphys.server.call import Call


def create(call: Call) -> dict[str, Any]:
    """POST /sync/{namespace}."""
    key = text_in(call.body, "key")
    if not key:
        raise UsageError("'key' must name the semaphore.")
    return _set(call, key, new=True)


def update(call: Call) -> dict[str, Any]:
    """PUT /sync/{namespace}/{key}."""
    return _set(call, call.path["key"], new=False)


def get(call: Call) -> dict[str, Any]:
    """GET /sync/{namespace}/{key}."""
    config_map = config_map_of(call.query.text("type"), call.query.text("cmName"))
    key = call.path["key"]
    shown = _shown(call, key, config_map, call.workflows.limit(key, config_map=config_map))
    return shown | _as_asked(call.query.text("type"), config_map)


def delete(call: Call) -> dict[str, Any]:
    """DELETE /sync/{namespace}/{key}."""
    config_map = config_map_of(call.query.text("type"), call.query.text("cmName"))
    call.workflows.delete_limit(call.path["key"], config_map=config_map)
    return {}


def _set(call: Call, key: str, *, new: bool) -> dict[str, Any]:
    config_map = config_map_of(call.body.get("type"), text_in(call.body, "cmName"))
    limit = limit_in(call.body)
    call.workflows.set_limit(key, limit, config_map=config_map, new=new)
    return _shown(call, key, config_map, limit) | _as_asked(call.body.get("type"), config_map)


def _as_asked(kind: object, config_map: str) -> dict[str, Any]:
    """The type as the request had it: Argo's own client writes and reads numbers, clients of its OpenAPI names."""
    return {"type": 0 if config_map else 1} if str(kind) in ("0", "1") else {}


def _shown(call: Call, key: str, config_map: str, limit: int) -> dict[str, Any]:
    place = {"type": "CONFIGMAP", "cmName": config_map} if config_map else {"type": "DATABASE"}
    return {"namespace": call.namespace, **place, "key": key, "limit": limit}
