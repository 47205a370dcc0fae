"""Labels and annotations that a workflow gives itself: `spec.workflowMetadata`.

Semantics: Argo, workflow/controller/operator.go `updateWorkflowMetadata`; there it is done when the workflow begins to
run and a mistake ends it, here when it is submitted and a mistake refuses it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tiphys._util.times import to_epoch
from tiphys.engine import expressions
from tiphys.errors import ExpressionError, SpecError
from tiphys.lang import tags
from tiphys.services.workflows.variables import workflow_variables

#: A label's value as Kubernetes takes it (k8s.io/apimachinery, util/validation `IsValidLabelValue`).
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_FIELD = "spec.workflowMetadata"


def with_own_metadata(metadata: Mapping[str, Any], spec: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The metadata with the labels and annotations that the specification adds to them.

    Args:
        metadata: The object's metadata, with name, namespace, uid and `creationTimestamp`.
        spec: The specification that is carried out.
        now: The present, for expressions.

    Raises:
        SpecError: an expression fails or gives no text, or a label's value is none that Kubernetes takes.
    """
    wanted = spec.get("workflowMetadata") or {}
    found = dict(metadata)
    if not wanted:
        return found
    before = workflow_variables(metadata, spec)
    for field in ("labels", "annotations"):
        texts = {
            key: _filled(f"{_FIELD}.{field}.{key}", str(value), before)
            for key, value in (wanted.get(field) or {}).items()
        }
        if texts:
            found[field] = {**(found.get(field) or {}), **texts}
    computed: Mapping[str, Any] = wanted.get("labelsFrom") or {}
    if computed:
        # A label that an expression gives is not there yet for any of them.
        hidden = {f"workflow.labels.{key}" for key in computed}
        known = {name: text for name, text in workflow_variables(found, spec).items() if name not in hidden}
        values = {key: _evaluated(key, source, known, found["uid"], now) for key, source in computed.items()}
        found["labels"] = {**(found.get("labels") or {}), **values}
    for key in (*(wanted.get("labels") or {}), *computed):
        _check_label(key, found["labels"][key])
    return found


def _filled(where: str, text: str, variables: Mapping[str, str]) -> str:
    try:
        return tags.parse(text).fill(variables.get)
    except ExpressionError as error:
        raise SpecError(f"{where}: {error.message}", hint=error.hint) from error


def _evaluated(key: str, source: Mapping[str, Any], variables: Mapping[str, Any], uid: str, now: datetime) -> str:
    where, expression = f"{_FIELD}.labelsFrom.{key}.expression", str(source.get("expression") or "")
    try:
        value = expressions.evaluate(expression, variables, now=to_epoch(now), seed=uid)
    except ExpressionError as error:
        raise SpecError(f"{where}: {error.message}", hint=error.hint) from error
    if not isinstance(value, str):
        raise SpecError(
            f"{where}: '{expression}' gives {value!r}, but a label must be a string.", hint="Use string(…)."
        )
    return value


def is_label_value(text: str) -> bool:
    """Whether Kubernetes takes a text as the value of a label."""
    return _LABEL_VALUE.fullmatch(text) is not None


def _check_label(key: str, value: str) -> None:
    if not is_label_value(value):
        raise SpecError(
            f"{_FIELD}: '{value}' cannot be the value of the label '{key}'.",
            hint="At most 63 letters, digits, '-', '_' or '.', beginning and ending with a letter or digit.",
        )
