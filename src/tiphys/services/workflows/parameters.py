"""Values of a workflow's arguments that stand in ConfigMaps are put in when it is submitted.

A ConfigMap must say by a label that it is meant for that (as Argo 4.1, workflow/common/configmap.go).
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from tiphys.errors import NotFoundError, SpecError
from tiphys.ports.store import Reader
from tiphys.ports.workflows import Manifest
from tiphys.records.objects import ObjectKind
from tiphys.services.objects import config_map_values, look_up

#: Says what a ConfigMap is for.
TYPE_LABEL = "workflows.argoproj.io/configmap-type"
_PARAMETER = "Parameter"


def fill_parameters(workflow: Manifest, reader: Reader, namespace: str) -> Manifest:
    """The workflow with the values of its arguments' `configMapKeyRef`.

    Raises:
        NotFoundError: there is no such ConfigMap or key, and no default.
        SpecError: the ConfigMap lacks the label.
    """
    filled = deepcopy(workflow)
    specs = [filled.get("spec"), (filled.get("status") or {}).get("storedWorkflowTemplateSpec")]
    for spec in specs:
        for parameter in ((spec or {}).get("arguments") or {}).get("parameters") or ():
            source = parameter.get("valueFrom") or {}
            if source.get("configMapKeyRef") and parameter.get("value") is None:
                parameter["value"] = _value(reader, namespace, str(parameter.get("name")), source)
                del parameter["valueFrom"]
    return filled


def _value(reader: Reader, namespace: str, name: str, source: Mapping[str, Any]) -> str:
    reference = source["configMapKeyRef"]
    held, key, default = str(reference.get("name")), str(reference.get("key")), source.get("default")
    found = look_up(reader, ObjectKind.CONFIG_MAP, namespace, held)
    where = f"spec.arguments.parameters.{name}.valueFrom.configMapKeyRef"
    if found is None:
        if default is not None:
            return str(default)
        raise NotFoundError(
            f"{where}: there is no ConfigMap '{held}'.", hint="Store it first: tiphys configmap create -f FILE"
        )
    if found.labels.get(TYPE_LABEL) != _PARAMETER:
        raise SpecError(
            f"{where}: the ConfigMap '{held}' needs to have the label {TYPE_LABEL}: {_PARAMETER} to load parameters."
        )
    value = config_map_values(found.manifest).get(key)
    if value is None:
        if default is not None:
            return str(default)
        raise NotFoundError(f"{where}: the ConfigMap '{held}' has no key '{key}'.")
    return value.decode("utf-8", "replace")
