"""What `workflow.…` stands for outside of the engine: where a workflow is submitted, and in its metrics.

Names as Argo, workflow/controller/operator.go `setGlobalParameters`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tiphys.engine.machine import SCHEDULED_TIME
from tiphys.lang.gojson import go_json
from tiphys.lang.strftime import CHARACTERS, format_strftime


def workflow_variables(metadata: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, str]:
    """Values by dotted names, of a workflow that has its name, its uid and the time when it was made.

    Args:
        metadata: The object's metadata, as JSON.
        spec: The specification that is carried out.
    """
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    arguments = (spec.get("arguments") or {}).get("parameters") or ()
    parameters = [
        {"name": one["name"], "value": str(one["value"])} for one in arguments if one.get("value") is not None
    ]
    found = {
        "workflow.name": str(metadata["name"]),
        "workflow.uid": str(metadata["uid"]),
        "workflow.namespace": str(metadata["namespace"]),
        "workflow.serviceAccountName": str(spec.get("serviceAccountName") or "default"),
        "workflow.mainEntrypoint": str(spec.get("entrypoint") or ""),
        "workflow.parameters": go_json(parameters),
        "workflow.parameters.json": go_json(parameters),
        **{f"workflow.parameters.{one['name']}": one["value"] for one in parameters},
    }
    for kind, texts in (("annotations", annotations), ("labels", metadata.get("labels") or {})):
        found[f"workflow.{kind}"] = found[f"workflow.{kind}.json"] = go_json(dict(texts))
        found |= {f"workflow.{kind}.{key}": value for key, value in texts.items()}
    if spec.get("priority") is not None:
        found["workflow.priority"] = str(spec["priority"])
    if SCHEDULED_TIME in annotations:
        found["workflow.scheduledTime"] = annotations[SCHEDULED_TIME]
    return found | _times(str(metadata["creationTimestamp"]))


def _times(made_at: str) -> dict[str, str]:
    moment, name = datetime.fromisoformat(made_at), "workflow.creationTimestamp"
    found = {f"{name}.{char}": format_strftime(char, moment) for char in CHARACTERS}
    return {name: made_at, f"{name}.RFC3339": made_at, f"{name}.s": str(int(moment.timestamp())), **found}
