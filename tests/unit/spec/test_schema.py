"""The models against Argo's JSON schema: every definition that the five kinds reach, every property, its type."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import pytest

from tiphys.spec import artifact_repository, artifacts, kubernetes, library, status, template, workflow
from tiphys.spec.base import Loose, Spec, json_name

#: Argo's own schema, which lies beside the project where there is one.
SCHEMA = Path(__file__).parents[4] / "shared" / "conformance" / "argo" / "schema.json"
ARGO = "io.argoproj.workflow.v1alpha1."
KINDS = ("Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow", "WorkflowEventBinding")
#: Definitions that have no model of their own, and what stands for them.
PLAIN: dict[str, set[Any]] = {
    ARGO + "Amount": {float},
    ARGO + "Item": {Any},
    ARGO + "ParallelSteps": {list},
    ARGO + "Plugin": {Loose},
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": {str},
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {int, str},
}
JSON_TYPES = {"string": {str}, "boolean": {bool}, "integer": {int}, "number": {float}}
MODELS = {
    name: value
    for module in (artifact_repository, artifacts, kubernetes, library, status, template, workflow)
    for name, value in vars(module).items()
    if isinstance(value, type) and issubclass(value, Spec) and value is not Spec
}

pytestmark = pytest.mark.skipif(not SCHEMA.is_file(), reason="Argo's schema does not lie beside the project")


def definitions() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(SCHEMA.read_text())["definitions"]
    return found


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].rpartition("/")[2]
        for inner in schema.values():
            yield from references(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from references(inner)


def reachable(known: dict[str, Any]) -> list[str]:
    """Argo's definitions that the five kinds reach, and those of Kubernetes that have a model."""
    found: dict[str, None] = {}
    waiting = [ARGO + kind for kind in KINDS]
    while waiting:
        name = waiting.pop()
        if name not in found and (name.startswith(ARGO) or name.rpartition(".")[2] in MODELS):
            found[name] = None
            waiting += references(known[name])
    return list(found)


def members(annotation: Any) -> set[Any]:
    """What a field takes: members of unions, without None and without validators."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return set().union(*(members(inner) for inner in get_args(annotation))) - {type(None)}
    if hasattr(annotation, "__metadata__"):
        return members(get_args(annotation)[0])
    return {annotation}


def fits(annotation: Any, schema: dict[str, Any]) -> bool:
    """Whether a field takes what the schema says; objects that nothing looks into may be loose."""
    taken = members(annotation)
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name in PLAIN:
            return taken == PLAIN[name] or bool({get_origin(one) for one in taken} & PLAIN[name])
        short = name.rpartition(".")[2]
        return taken == {MODELS.get(short)} or (taken == {Loose} and not name.startswith(ARGO))
    kind = schema.get("type")
    [only] = taken if len(taken) == 1 else [None]
    if kind == "array":
        return get_origin(only) is list and fits(get_args(only)[0], schema["items"])
    if kind == "object":
        inner = schema.get("additionalProperties")
        return only == Loose or (get_origin(only) is dict and fits(get_args(only)[1], inner))
    return taken == (JSON_TYPES[kind] if kind else {Any})


def test_every_reachable_definition_has_a_model() -> None:
    found = reachable(definitions())

    assert len(found) > 120
    assert [name for name in found if name not in PLAIN and name.rpartition(".")[2] not in MODELS] == []


def test_every_property_is_a_field_of_its_type() -> None:
    known = definitions()
    wrong = []
    for name in reachable(known):
        if name in PLAIN:
            continue
        model = MODELS[name.rpartition(".")[2]]
        model.model_rebuild()
        fields = {json_name(field): info.annotation for field, info in model.model_fields.items()}
        properties = known[name].get("properties", {})
        wrong += [f"{name}.{field} is not in the schema" for field in fields.keys() - properties.keys()]
        for field, schema in properties.items():
            if field not in fields:
                wrong.append(f"{name}.{field} is missing")
            elif not fits(fields[field], schema):
                wrong.append(f"{name}.{field} takes {fields[field]}")
    assert wrong == []
