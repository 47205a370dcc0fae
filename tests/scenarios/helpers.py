"""What the scenario tests share."""

from __future__ import annotations

from typing import Any


def statuses(run: Any) -> dict[str, str]:
    """Step name → status of its last attempt."""
    return {name: str(step.status) for name, step in run.steps.items()}


class Calls(list[Any]):
    """A list that steps append to, to see what was executed."""
