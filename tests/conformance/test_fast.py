"""The examples that upstream expects to succeed and that end in a moment here; `make conformance` runs them all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.__main__ import carry_out
from tests.conformance.suite import EXAMPLES, Case, cases, stored
from tests.needs import needs_sandbox
from tiphys.bootstrap import Settings, make_backend
from tiphys.ports.backend import Backend

#: Of each kind of thing that manifests do, one or two.
FAST = (
    "artifact-passing-subpath", "artifact-path-placeholders", "arguments-parameters-from-configmap",
    "cluster-workflow-template/mixed-cluster-namespaced-wftmpl-steps", "coinflip-recursive", "conditional-artifacts",
    "conditionals-complex", "container-set-template/graph-workflow", "container-set-template/workspace-workflow",
    "dag-conditional-parameters", "dag-enhanced-depends", "dag-inline-workflow", "dag-targets",
    "exit-code-output-variable",
    "exit-handler-with-artifacts", "exit-handler-with-param", "expression-destructure-json-complex",
    "expression-tag-template-workflow", "global-outputs", "init-container", "key-only-artifact", "loops", "map-reduce",
    "memoize-simple", "parameter-aggregation", "pod-spec-from-previous-step", "retry-container", "scripts-python",
    "skipped-output-defaults/expression-fallback", "steps-inline-workflow", "synchronization-mutex-wf-level",
    "volumes-emptydir", "volumes-existing", "volumes-pvc", "withsequence-nested-result",
    "workflow-template/workflow-template-ref-with-entrypoint-arg-passing", "retry-conditional", "suspend-template",
    "dag-continue-on-fail", "exit-handlers", "step-level-timeout", "k8s-owner-reference",
)  # fmt: skip

pytestmark = [
    pytest.mark.skipif(not EXAMPLES.is_dir(), reason="Argo's examples are not beside this checkout"),
    needs_sandbox,
]


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    home: Path = tmp_path_factory.mktemp("conformance")
    made = make_backend(Settings(home, f"sqlite:///{home / 'tiphys.db'}"))
    for document in stored():
        made.objects.apply(document)
    yield made
    made.close()


def chosen() -> list[Case]:
    if not EXAMPLES.is_dir():
        return []
    return [case for case in cases() if case.file in FAST]


@pytest.mark.parametrize("case", chosen(), ids=lambda case: case.file)
def test_an_example_ends_as_expected(backend: Backend, case: Case) -> None:
    result = carry_out(backend, case, runner="sandbox", timeout=120)
    assert result.got == case.expected, result.message


def test_all_that_are_named_are_there() -> None:
    assert {case.file for case in chosen()} == set(FAST)
