"""Lint over texts: lines, and Argo's own examples."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiphys import pipeline, step
from tiphys.errors import SpecError
from tiphys.spec.problems import Problem, Severity
from tiphys.spec.reading import Document, document_of, read_documents
from tiphys.spec.validate.lint import validate
from tiphys.spec.validate.stored import GivenTemplates
from tiphys.spec.workflow import Workflow

#: Argo's own examples, which lie beside the project where there are any.
EXAMPLES = Path(__file__).parents[5] / "shared" / "conformance" / "argo" / "examples"
#: It has a map with a key that stands twice, which strict reading refuses.
REPEATED_KEY = "k8s-patch-json-workflow.yaml"

TEXT = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata:
  name: w
spec:
  entrypoint: main
  podGC: {strategy: Foo}
  synchronization:
    mutex: {name: m}
  templates:
  - name: main
    dag:
      tasks:
      - name: a
        template: work
      - name: b
        template: work
        arguments:
          parameters:
          - name: x
            value: "{{tasks.c.status}}"
        dependencys: [a]
  - name: work
    container:
      command: [x]
---
kind: Workflow
metadata: {name: v}
spec: {entrypoint: x, templates: {}}
"""


def test_problems_have_lines_in_their_order() -> None:
    first, second = read_documents(TEXT)

    assert validate(first) == [
        Problem("spec.podGC.strategy", "unknown strategy 'Foo': use OnPodCompletion, OnPodSuccess,"
                " OnWorkflowCompletion, OnWorkflowSuccess", 7),
        Problem("spec.synchronization.mutex", "is an old spelling: write mutexes", 9, Severity.WARNING),
        Problem("templates.main.tasks.b.arguments.parameters", "templates.work has no input 'x'", 19, Severity.WARNING),
        Problem("templates.main.tasks.b.arguments.parameters.x.value",
                "failed to resolve {{tasks.c.status}}: there is no 'c'", 21),
        Problem("templates.main.tasks.b.dependencys",
                "unknown field \"dependencys\"; did you mean 'dependencies'?", 22),
        Problem("templates.work.container.image", "may not be empty", 24),
    ]  # fmt: skip
    [problem] = validate(second)
    assert (problem.path, problem.line) == ("spec.templates", 29)


def test_objects_without_a_text_have_no_lines() -> None:
    [problem] = validate(document_of(Workflow()))

    assert problem == Problem("spec.entrypoint", "is required")


def examples() -> list[tuple[str, Document]]:
    return [
        (str(path.relative_to(EXAMPLES)), document)
        for path in sorted(EXAMPLES.rglob("*.y*ml"))
        for document in read_documents(path.read_text(), source=path.name, strict=path.name != REPEATED_KEY)
    ]


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="Argo's examples do not lie beside the project")
@pytest.mark.parametrize("complete", [True, False])
def test_argos_examples_have_no_errors(complete: bool) -> None:
    found = examples()
    library = GivenTemplates([document.object for _, document in found] if complete else (), complete=complete)

    problems = [
        f"{name}:{problem.line}: {problem}"
        for name, document in found
        for problem in validate(document, library=library)
        if problem.severity is Severity.ERROR
    ]

    assert len(found) == 228
    assert problems == []


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="Argo's examples do not lie beside the project")
def test_one_example_is_not_strict() -> None:
    with pytest.raises(SpecError, match="line 13, column 3: key 'annotations' is already set"):
        read_documents((EXAMPLES / REPEATED_KEY).read_text(), strict=True)


@step
def numbers(count: int) -> list[int]:
    return list(range(count))


@step
def doubled(number: int) -> int:
    return 2 * number


@step
def total(parts: list[int]) -> int:
    return sum(parts)


@pipeline
def mapped(count: int = 3) -> None:
    total(doubled.map(numbers(count)))


def test_compiled_pipelines_have_no_problems() -> None:
    assert validate(document_of(mapped.compile().workflow), submit=True) == []
