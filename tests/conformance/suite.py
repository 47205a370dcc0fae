"""Argo's own examples as test data: what each of them must come to.

Upstream's tests apply every template, ConfigMap and claim, submit each Workflow without the label `no-test`, and expect
it to succeed (argo-workflows, test/e2e/examples_test.go). What the others come to follows from reading them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiphys.spec.yaml import parse_all

#: Where the examples are: beside the checkout, or where the environment says.
EXAMPLES = Path(
    os.environ.get("TIPHYS_ARGO_EXAMPLES") or Path(__file__).parents[3] / "shared" / "conformance" / "argo" / "examples"
)
NO_TEST = "workflows.argoproj.io/no-test"
#: Kinds that are stored before anything is submitted.
STORED = ("ConfigMap", "PersistentVolumeClaim", "WorkflowTemplate", "ClusterWorkflowTemplate")
#: Examples without upstream's expectation that end as Failed.
FAILED = frozenset(
    {
        "dag-continue-on-fail", "dag-disable-failFast", "dag-task-level-timeout", "exit-handlers", "exit-handler-slack",
        "loops-arbitrary-sequential-steps", "pod-gc-strategy", "pod-gc-strategy-with-label-selector",
        "retry-conditional", "step-level-timeout", "timeouts-step", "timeouts-workflow",
    }
)  # fmt: skip
#: Examples without it that succeed.
SUCCEEDED = frozenset({"workflow-level-executor-plugin"})
#: Examples that upstream's tests expect to succeed and that cannot here, with the reason.
NEEDS = {
    "artifact-passing-explicit-plugin": "the image of an artifact driver",
    "http-hello-world": "the network",
    "k8s-patch-json-pod": "a cluster",
    "k8s-patch-merge-pod": "a cluster",
    "k8s-patch-pod": "a cluster",
    "life-cycle-hooks-wf-level": "the network",
}
#: Examples that wait for somebody.
SUSPENDED = frozenset({"intermediate-parameters", "suspend-template", "suspend-template-outputs"})


@dataclass(frozen=True, slots=True)
class Case:
    """A workflow of the examples."""

    #: The file, without its ending, relative to the examples.
    file: str
    manifest: dict[str, Any]
    #: "Succeeded", "Failed", "Suspended", or "" where chance or a cluster decides.
    expected: str
    #: Whether upstream's tests expect it to succeed.
    upstream: bool

    @property
    def needs(self) -> str:
        """What is not here and has to be for it to succeed."""
        return NEEDS.get(self.file, "")


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    """All documents of the examples, with their files."""
    for path in sorted(EXAMPLES.rglob("*.yaml")):
        name = str(path.relative_to(EXAMPLES)).removesuffix(".yaml")
        for tree in parse_all(path.read_text(), source=path.name):
            if isinstance(tree.value, dict):
                yield name, tree.value


def stored() -> list[dict[str, Any]]:
    """What is stored first."""
    return [document for _, document in documents() if document.get("kind") in STORED]


def cases() -> list[Case]:
    """All workflows."""
    found = []
    for file, document in documents():
        if document.get("kind") != "Workflow":
            continue
        labels = (document.get("metadata") or {}).get("labels") or {}
        upstream = NO_TEST not in labels
        name = Path(file).name
        if upstream or name in SUCCEEDED:
            expected = "Succeeded"
        elif name in FAILED:
            expected = "Failed"
        else:
            expected = "Suspended" if name in SUSPENDED else ""
        found.append(Case(file, document, expected, upstream))
    return found
