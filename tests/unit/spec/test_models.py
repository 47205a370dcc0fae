"""The models lose nothing and rename nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tiphys.errors import SpecError
from tiphys.spec import template, yaml
from tiphys.spec.base import Spec
from tiphys.spec.library import ClusterWorkflowTemplate, CronWorkflow, WorkflowEventBinding, WorkflowTemplate
from tiphys.spec.template import Parameter
from tiphys.spec.workflow import Workflow

DATA = Path(__file__).parent / "data"
#: Argo's own examples, which lie beside the project where there are any.
CONFORMANCE = Path(__file__).parents[4] / "shared" / "conformance" / "argo"
KINDS: dict[str, type[Spec]] = {
    kind.__name__: kind
    for kind in (Workflow, WorkflowTemplate, ClusterWorkflowTemplate, CronWorkflow, WorkflowEventBinding)
}


def documents(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(folder.rglob("*.y*ml")):
        for document in yaml.load_all(path.read_text(), source=path.name):
            if document.get("kind") in KINDS:
                yield path.name, document


def differences(before: Any, after: Any, path: str = "") -> list[str]:
    """Where two JSON values differ, beyond numbers and booleans that became texts."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = {key for key in (*before, *after) if before.get(key) is not None or after.get(key) is not None}
        found = [differences(before.get(key), after.get(key), f"{path}.{key}") for key in sorted(keys)]
        return [line for lines in found for line in lines]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        found = [differences(x, y, f"{path}[{n}]") for n, (x, y) in enumerate(zip(before, after, strict=True))]
        return [line for lines in found for line in lines]
    if before == after or (isinstance(before, int | float) and after == json.dumps(before)):
        return []
    return [f"{path}: {before!r} became {after!r}"]


@pytest.mark.parametrize(("name", "document"), list(documents(DATA)), ids=lambda value: str(value)[:20])
def test_a_round_trip_keeps_everything(name: str, document: dict[str, Any]) -> None:
    kind = KINDS[document["kind"]]
    found = kind.from_json(document)

    data = found.to_json()

    assert differences(document, data) == []
    assert kind.from_json_text(found.to_json_text()) == found
    assert yaml.load(yaml.dump(data)) == data


@pytest.mark.skipif(not CONFORMANCE.is_dir(), reason="Argo's examples do not lie beside the project")
def test_argos_examples_keep_everything_and_know_every_field() -> None:
    found = list(documents(CONFORMANCE / "examples"))

    problems = []
    for name, document in found:
        model = KINDS[document["kind"]].from_json(document)
        problems += [f"{name}{line}" for line in differences(document, model.to_json())]
        problems += [f"{name}: {path} is no field" for path in unknown_fields(model)]
    assert len(found) > 200
    assert problems == []


def unknown_fields(model: BaseModel, path: str = "") -> list[str]:
    found = [f"{path}.{name}" for name in model.model_extra or ()]
    for name in type(model).model_fields:
        value = getattr(model, name)
        members = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else [value]
        for member in members:
            for inner in member if isinstance(member, list) else [member]:
                if isinstance(inner, BaseModel):
                    found += unknown_fields(inner, f"{path}.{name}")
    return found


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (3, "3"),
        (0.5, "0.5"),
        (2.0, "2"),
        (1e21, "1000000000000000000000"),
        (1e-7, "0.0000001"),
        (True, "true"),
    ],
)
def test_values_of_parameters_become_text(value: Any, text: str) -> None:
    assert Parameter.from_json({"name": "p", "value": value}).value == text


def test_a_wrong_type_is_named_by_its_path() -> None:
    manifest = {"spec": {"templates": [{"name": "t", "dag": {"tasks": [{"name": ["a"]}]}}], "parallelism": "many"}}

    with pytest.raises(SpecError) as caught:
        Workflow.from_json(manifest)

    assert "spec.templates.0.dag.tasks.0.name" in str(caught.value)
    assert "spec.parallelism" in str(caught.value)


def test_text_that_is_no_json_is_refused() -> None:
    with pytest.raises(SpecError, match="Not a valid Workflow"):
        Workflow.from_json_text("{")


def test_attributes_have_pythons_names() -> None:
    found = Workflow.from_json({"spec": {"podGC": {"strategy": "OnPodSuccess"}, "artifactGC": {"strategy": "Never"}}})

    assert found.spec is not None
    assert found.spec.pod_gc is not None
    assert found.spec.pod_gc.strategy == "OnPodSuccess"
    assert template.Template(name="t", retry_strategy=template.RetryStrategy(limit=2)).to_json() == {
        "name": "t",
        "retryStrategy": {"limit": 2},
    }


def test_booleans_become_text_where_text_belongs() -> None:
    found = Workflow.from_json({"metadata": {"name": "w", "labels": {"enabled": True}}, "spec": {"entrypoint": False}})

    assert found.to_json()["metadata"]["labels"] == {"enabled": "true"}
    assert found.to_json()["spec"] == {"entrypoint": "false"}
    assert Workflow.from_json_text('{"metadata": {"name": true}}').to_json()["metadata"] == {"name": "true"}
