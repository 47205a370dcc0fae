"""What an event starts: the bindings whose selector holds, and the workflow that each submits.

Semantics: Argo, server/event/dispatch/operation.go. There are two differences. Numbers that are whole stay so, where
Argo makes all of them floating-point; and a text that becomes a parameter is passed on as it is, where Argo escapes its
quotes and line ends.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tiphys._util.times import to_epoch
from tiphys.engine.expressions import evaluate, evaluate_condition
from tiphys.errors import SpecError
from tiphys.lang.expr.environment import to_text
from tiphys.ports.store import Reader
from tiphys.ports.workflows import Manifest
from tiphys.records.events import ReceivedEvent
from tiphys.records.objects import ObjectKind, StoredObject
from tiphys.services.workflows.metadata import is_label_value
from tiphys.services.workflows.submission import workflow_from

LABEL_BINDING = "workflows.argoproj.io/workflow-event-binding"
LABEL_CREATOR = "workflows.argoproj.io/creator"


def is_met(binding: StoredObject, event: ReceivedEvent) -> bool:
    """Whether a binding's selector holds, and there is something to submit.

    Raises:
        ExpressionError: the selector cannot be evaluated, or gives neither true nor false.
    """
    spec = _spec(binding)
    selector = str((spec.get("event") or {}).get("selector") or "")
    met = evaluate_condition(
        selector, variables(event), now=to_epoch(event.created_at), seed=event.id, where="spec.event.selector"
    )
    return met and bool(spec.get("submit"))


def workflow_of(reader: Reader, binding: StoredObject, event: ReceivedEvent, now: datetime) -> Manifest:
    """The workflow that a binding submits for an event.

    Raises:
        NotFoundError: there is no such template.
        ExpressionError: an expression cannot be evaluated.
        SpecError: one gives something that cannot stand where it is wanted.
    """
    submit = _spec(binding).get("submit") or {}
    reference = submit.get("workflowTemplateRef") or {}
    kind = ObjectKind.CLUSTER_WORKFLOW_TEMPLATE if reference.get("clusterScope") else ObjectKind.WORKFLOW_TEMPLATE
    workflow = workflow_from(reader, kind, event.workspace, str(reference.get("name") or ""), now)
    metadata = workflow["metadata"]
    given = submit.get("metadata") or {}
    for field in ("name", "generateName"):
        if given.get(field):
            metadata[field] = _text(str(given[field]), event, f"submit.metadata.{field}")
    for field in ("labels", "annotations"):
        texts = {
            key: _text(str(source), event, f"submit.metadata.{field}.{key}")
            for key, source in (given.get(field) or {}).items()
        }
        metadata[field] = {**(metadata.get(field) or {}), **texts}
    for key, value in metadata["labels"].items():
        if not is_label_value(value):
            raise SpecError(f"submit.metadata.labels.{key}: {value!r} cannot be the value of a label.")
    metadata["labels"][LABEL_BINDING] = binding.name
    if event.sender:
        metadata["labels"][LABEL_CREATOR] = _label_of(f"system:serviceaccount:{event.workspace}:{event.sender}")
    parameters = (submit.get("arguments") or {}).get("parameters") or ()
    if parameters:
        workflow["spec"]["arguments"] = {"parameters": [_parameter(one, event) for one in parameters]}
    return workflow


def variables(event: ReceivedEvent) -> dict[str, Any]:
    """What expressions may refer to."""
    return {
        "namespace": event.workspace,
        "discriminator": event.discriminator,
        "metadata": dict(event.metadata),
        "payload": event.payload,
    }


def _spec(binding: StoredObject) -> Mapping[str, Any]:
    return binding.manifest.get("spec") or {}


def _parameter(parameter: Mapping[str, Any], event: ReceivedEvent) -> dict[str, str]:
    name = str(parameter.get("name") or "")
    source = (parameter.get("valueFrom") or {}).get("event")
    if not source:
        raise SpecError(f"submit.arguments.parameters.{name}: valueFrom.event is missing.")
    value = _value(str(source), event)
    text = "null" if value is None else to_text(value)
    return {"name": name, "value": _storable(text, f"submit.arguments.parameters.{name}")}


def _text(source: str, event: ReceivedEvent, where: str) -> str:
    value = _value(source, event)
    if not isinstance(value, str):
        raise SpecError(f"{where}: the expression '{source}' must give a string, not {value!r}.")
    return _storable(value, where)


def _storable(text: str, where: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise SpecError(f"{where}: the text holds half a character (a lone surrogate).") from error
    return text


def _value(source: str, event: ReceivedEvent) -> Any:
    return evaluate(source, variables(event), now=to_epoch(event.created_at), seed=event.id)


def _label_of(subject: str) -> str:
    """A subject as the value of a label (workflow/creator/creator.go, `dnsFriendly`)."""
    return re.sub(r"[^-_.a-zA-Z0-9]", "-", subject)[-63:].strip("-_.")
