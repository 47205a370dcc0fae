"""Inputs and outputs of a node as Argo's objects: the declaration of the template with the node's values in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tiphys.engine.model import ArtifactValue, Node, NodeType
from tiphys.lang.tags import has_tags
from tiphys.spec.artifacts import Artifact
from tiphys.spec.base import json_name
from tiphys.spec.template import Parameter, Template

#: Nodes that carry no inputs of their own in Argo.
_WITHOUT = (NodeType.STEP_GROUP, NodeType.TASK_GROUP, NodeType.SKIPPED, NodeType.CONTAINER)
_ARTIFACT_FIELDS = frozenset(json_name(name) for name in Artifact.model_fields) - {"from", "fromExpression"}


def inputs_json(node: Node, template: Template | None) -> dict[str, Any] | None:
    """The `inputs` of a node's status; None if it has none."""
    if node.inputs is None or node.type in _WITHOUT:
        return None
    declared = template.inputs if template is not None else None
    parameters = []
    for parameter, value in _matched(declared.parameters if declared else None, node.inputs.parameters):
        data = {"name": parameter.name, **_plain(parameter, "default", "enum", "description"), "value": value}
        if node.type is NodeType.SUSPEND:
            data.update(_choices(value))
        parameters.append(data)
    artifacts = [
        _artifact_json(artifact, value)
        for artifact, value in _matched_artifacts(declared.artifacts if declared else None, node.inputs.artifacts)
    ]
    return _without_empty({"parameters": parameters, "artifacts": artifacts})


def _choices(value: str) -> dict[str, Any]:
    """What a Suspend node offers where an input's value is itself a parameter with an enum, as JSON.

    As resolveInputFieldsForSuspendNode of Argo's operator.go.
    """
    try:
        found = json.loads(value)
    except ValueError:
        return {}
    enum = found.get("enum") if isinstance(found, dict) else None
    return {"enum": enum, "default": enum[0]} if isinstance(enum, list) and enum else {}


def outputs_json(node: Node, template: Template | None) -> dict[str, Any] | None:
    """The `outputs` of a node's status; None if it has none."""
    if node.type in (NodeType.STEP_GROUP, NodeType.TASK_GROUP, NodeType.SKIPPED):
        return None
    declared = template.outputs if template is not None and node.type is not NodeType.CONTAINER else None
    values = node.outputs
    data: dict[str, Any] = {}
    if node.type is NodeType.SUSPEND:
        data["parameters"] = [_supplied_json(parameter, node) for parameter in supplied(template)]
    elif values is not None:
        # A DAG or Steps node has taken the value; that of a leaf still says where it came from.
        fields = ("description", "globalName", "valueFrom")[: 2 if node.type in (NodeType.DAG, NodeType.STEPS) else 3]
        data["parameters"] = [
            {"name": parameter.name, "value": value, **_plain(parameter, *fields)}
            for parameter, value in _matched(declared.parameters if declared else None, values.parameters)
        ]
    if values is not None:
        data["artifacts"] = [
            _artifact_json(artifact, value)
            for artifact, value in _matched_artifacts(declared.artifacts if declared else None, values.artifacts)
        ]
        data["result"] = values.result
        data["exitCode"] = None if values.exit_code is None else str(values.exit_code)
    return _without_empty(data)


def supplied(template: Template | None) -> list[Parameter]:
    """Output parameters of a suspend template that are given when it is resumed.

    One without a default takes that of the input of the same name (addRawOutputFields of Argo's operator.go).
    """
    if template is None or template.outputs is None:
        return []
    inputs = (template.inputs.parameters if template.inputs is not None else None) or ()
    defaults = {parameter.name: parameter.default for parameter in inputs}
    found = []
    for parameter in template.outputs.parameters or ():
        source = parameter.value_from
        if source is None or source.supplied is None:
            continue
        if source.default is None and defaults.get(parameter.name) is not None:
            source = source.model_copy(update={"default": defaults[parameter.name]})
        found.append(parameter.model_copy(update={"value_from": source}))
    return found


def _supplied_json(parameter: Parameter, node: Node) -> dict[str, Any]:
    value = node.outputs.parameters.get(parameter.name or "") if node.outputs is not None else None
    data = {"name": parameter.name, **_plain(parameter, "description", "enum", "globalName")}
    if value is not None:
        return {**data, "value": value}
    return {**data, **_plain(parameter, "valueFrom")}


def _plain(parameter: Parameter, *fields: str) -> dict[str, Any]:
    """Fields of a declaration, but for those whose tags were replaced when the template was called."""
    data = parameter.to_json()
    return {name: data[name] for name in fields if name in data and not has_tags(data[name])}


def _matched(declared: Iterable[Parameter] | None, values: Mapping[str, str]) -> list[tuple[Parameter, str]]:
    """Parameters that have a value: those declared, in their order, then the others."""
    known = {parameter.name or "": parameter for parameter in declared or ()}
    names = [name for name in known if name in values] + [name for name in values if name not in known]
    return [(known.get(name) or Parameter(name=name), values[name]) for name in names]


def _matched_artifacts(
    declared: Iterable[Artifact] | None, values: Mapping[str, ArtifactValue]
) -> list[tuple[Artifact, ArtifactValue]]:
    known = {artifact.name or "": artifact for artifact in declared or ()}
    names = [name for name in known if name in values] + [name for name in values if name not in known]
    return [(known.get(name) or Artifact(name=name), values[name]) for name in names]


def _artifact_json(declared: Artifact, value: ArtifactValue) -> dict[str, Any]:
    """The declaration, and of the value what Argo has a field for: of a Python step's artifact nothing."""
    data = {
        name: field for name, field in declared.to_json().items() if name in _ARTIFACT_FIELDS and not has_tags(field)
    }
    if isinstance(value, Mapping):
        data.update({name: field for name, field in value.items() if name in _ARTIFACT_FIELDS and name not in data})
    return data


def _without_empty(data: dict[str, Any]) -> dict[str, Any] | None:
    return {name: value for name, value in data.items() if value is not None and value != []} or None
