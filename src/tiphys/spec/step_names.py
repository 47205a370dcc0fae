"""Steps and the DAG tasks that carry them: one rule turns the names into each other, a short list holds the exceptions.

Python names a step `train_model`, Argo allows no `_` in a task's name, so its task is `train-model`. Ids that the rule
does not turn back (they hold a '-', a leading '_', other characters, …) get another, safe and unique task name, and
stand in the annotation `tiphys.dev/step-names` of the workflow.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

#: Annotation that holds the exceptions as JSON: {task name: step id}.
STEP_NAMES = "tiphys.dev/step-names"

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,119}\Z")
#: Words that mean something else in a `depends` expression.
_RESERVED = frozenset(
    {
        *("true", "false", "nil", "null", "and", "or", "not", "in", "let", "if", "else"),
        *("matches", "contains", "startswith", "endswith"),
    }
)


def plain_task_name(step_id: str) -> str | None:
    """The task's name by the rule, or None where the rule does not lead back to `step_id`."""
    if _PLAIN.match(step_id) is None or step_id.lower() in _RESERVED:
        return None
    return step_id.replace("_", "-")


def task_names(step_ids: Iterable[str]) -> dict[str, str]:
    """Step id → task name, unique among all of them."""
    names: dict[str, str] = {}
    odd: list[str] = []
    for step_id in step_ids:
        name = plain_task_name(step_id)
        if name is None:
            odd.append(step_id)
        else:
            names[step_id] = name
    if odd:
        taken = set(names.values())
        for step_id in odd:
            base = "step-" + (re.sub(r"[^A-Za-z0-9]+", "-", step_id).strip("-")[:100] or "x")
            name, number = base, 1
            while name in taken:
                number += 1
                name = f"{base}-{number}"
            taken.add(name)
            names[step_id] = name
    return names


def exceptions(names: Mapping[str, str]) -> dict[str, str]:
    """What the annotation has to hold of `names` (step id → task name): task name → step id."""
    return {name: step_id for step_id, name in names.items() if name.replace("-", "_") != step_id}


def read_exceptions(annotations: Mapping[str, str] | None) -> dict[str, str]:
    """The exceptions that a workflow's annotations hold."""
    text = (annotations or {}).get(STEP_NAMES)
    found: dict[str, str] = json.loads(text) if text else {}
    return found


def step_name(task_name: str, known: Mapping[str, str]) -> str:
    """The step id of a task; `known` are the workflow's exceptions."""
    found = known.get(task_name)
    return task_name.replace("-", "_") if found is None else found
