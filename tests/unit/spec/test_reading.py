"""Files of several objects of several kinds."""

from __future__ import annotations

from typing import Any

import pytest

from tiphys.errors import SpecError
from tiphys.spec.kubernetes import ConfigMap, PersistentVolumeClaim, Secret
from tiphys.spec.problems import Problem, Severity
from tiphys.spec.reading import document_of, read_document, read_documents
from tiphys.spec.workflow import Workflow

TEXT = """\
kind: Workflow
metadata: {generateName: w-}
spec:
  parallelism: many
  podPriority: 3
---
kind: List
items:
- kind: ConfigMap
  metadata: {name: c}
  data: {a: "1"}
- kind: List
  items:
  - kind: Secret
    metadata: {name: s}
    stringData: {b: x}
- just a text
---
kind: PersistentVolumeClaim
metadata: {name: p}
spec: {accessModes: [ReadWriteOnce]}
---
- no object
---
kind: Pod
metadata: {name: q}
"""


def test_documents_of_all_kinds_are_read() -> None:
    documents = read_documents(TEXT)

    assert [(document.kind, document.name) for document in documents] == [
        ("Workflow", "w-"),
        ("ConfigMap", "c"),
        ("Secret", "s"),
        ("PersistentVolumeClaim", "p"),
        ("Pod", "q"),
    ]
    _, config, secret, claim, pod = (document.object for document in documents)
    assert isinstance(config, ConfigMap)
    assert config.data == {"a": "1"}
    assert isinstance(secret, Secret)
    assert secret.string_data == {"b": "x"}
    assert isinstance(claim, PersistentVolumeClaim)
    assert pod is None
    assert [document.line(("metadata", "name")) for document in documents] == [2, 10, 15, 20, 26]


def test_what_reading_finds_has_a_line() -> None:
    first = read_documents(TEXT)[0]

    assert first.object is None
    warning, error = first.problems
    assert warning == Problem(
        "spec.podPriority",
        "is no longer a field and is ignored: name a PriorityClass in podPriorityClassName instead",
        5,
        Severity.WARNING,
    )
    assert (error.path, error.line, error.severity) == ("spec.parallelism", 4, Severity.ERROR)
    assert error.message.startswith("has the wrong type: ")


def test_a_parsed_object_is_read_and_left_alone() -> None:
    value: dict[str, Any] = {
        "kind": "Workflow",
        "metadata": {"name": "w"},
        "spec": {"synchronization": {"mutex": {"name": "m"}}},
    }

    document = read_document(value)

    assert isinstance(document.object, Workflow)
    assert document.object.to_json()["spec"] == {"synchronization": {"mutexes": [{"name": "m"}]}}
    assert value["spec"] == {"synchronization": {"mutex": {"name": "m"}}}
    assert document.line(("spec",)) is None
    with pytest.raises(SpecError, match="must be an object, not list"):
        read_document([])


def test_an_object_is_a_document() -> None:
    document = document_of(Workflow.from_json({"metadata": {"name": "w"}}))

    assert (document.kind, document.name, document.line(())) == ("Workflow", "w", None)


def test_json_is_read_with_lines() -> None:
    [document] = read_documents('{"kind": "Workflow",\n "metadata": {"name": "\\ud83d\\ude00"},\n "spec": {}}')
    [other] = read_documents('{"kind": "Workflow",\n\t"metadata": {},\n\t"spec":\n {"parallelism": "x"}}')

    assert document.name == "😀"
    assert [problem.line for problem in other.problems] == [4]


def test_the_name_of_a_union_is_no_part_of_a_path() -> None:
    [document] = read_documents("kind: Workflow\nspec: {templates: [{name: a, retryStrategy:\n {limit: [1]}}]}")

    assert [(problem.path, problem.line) for problem in document.problems] == [
        ("spec.templates[0].retryStrategy.limit", 3)
    ]
