"""What a runner cannot carry out of a template, asked before anything runs; the check is loaded by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tiphys.plugins.loading import load

_PODS, _CONTAINERS = "tiphys.integrations.local.pods.checks:check", "tiphys.integrations.docker.checks:check"


def problems_of(runner: str, template: Mapping[str, Any]) -> list[str]:
    """What cannot be had, each a sentence that names the field.

    Args:
        runner: Its name; one that carries out Python steps alone has no problems.
        template: One of containers, as JSON; it may still have its tags.
    """
    if runner == "container":
        found: list[str] = load(_CONTAINERS)(template)
    else:
        found = load(_PODS)(template, runner) if runner in ("sandbox", "process") else []
    return found
