"""Manifests as files hold them: several documents, of several kinds, with the lines where things stand."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from tiphys.errors import SpecError
from tiphys.spec.base import Path, Spec
from tiphys.spec.kubernetes import ConfigMap, PersistentVolumeClaim, Secret
from tiphys.spec.library import ClusterWorkflowTemplate, CronWorkflow, WorkflowEventBinding, WorkflowTemplate
from tiphys.spec.old_spellings import modernize
from tiphys.spec.problems import Problem, Severity
from tiphys.spec.workflow import Workflow
from tiphys.spec.yaml import Tree, check_depth, parse_all

#: The kinds that are read; documents of other kinds have no object.
KINDS: dict[str, type[Spec]] = {
    kind.__name__: kind
    for kind in (
        Workflow,
        WorkflowTemplate,
        ClusterWorkflowTemplate,
        CronWorkflow,
        WorkflowEventBinding,
        ConfigMap,
        Secret,
        PersistentVolumeClaim,
    )
}


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a file."""

    kind: str
    #: The object; None if it is of a kind that nothing here reads, or if a field has the wrong type.
    object: Spec | None
    #: What reading found: fields of the wrong type (errors), old spellings (warnings).
    problems: tuple[Problem, ...] = ()
    #: The text it was read from.
    tree: Tree | None = None

    @property
    def name(self) -> str:
        """Name or generateName; empty without either."""
        data = self.tree.value if self.tree else self.object.to_json() if self.object else {}
        metadata = data.get("metadata")
        found = (metadata.get("name") or metadata.get("generateName")) if isinstance(metadata, dict) else None
        return str(found or "")

    def line(self, path: Path) -> int | None:
        """Line of the text where the value at `path` stands; None if the object was not read from a text."""
        return self.tree.line(path) if self.tree else None


def read_documents(text: str | bytes, *, source: str = "", strict: bool = False) -> list[Document]:
    """All objects of a YAML or JSON text; a `List` is taken apart, and what is no object is passed over.

    Args:
        text: The text.
        source: Name of the file, for error messages.
        strict: Refuse a map that has a key twice.

    Raises:
        SpecError: the text is neither YAML nor JSON.
    """
    documents = []
    for tree in parse_all(text, source=source, strict=strict):
        documents += [_read(part) for part in _parts(tree)]
    return documents


def read_document(value: Any) -> Document:
    """One object that has been parsed already, as a request brings it; `value` is left as it is.

    Raises:
        SpecError: it is not an object, or is nested too deeply.
    """
    if not isinstance(value, dict):
        raise SpecError(f"A manifest must be an object, not {type(value).__name__}.")
    check_depth(value)
    return _read(Tree(value))


def document_of(found: Spec) -> Document:
    """An object that was not read from a text."""
    return Document(type(found).__name__, found)


def _parts(tree: Tree) -> list[Tree]:
    if not isinstance(tree.value, dict):
        return []
    items = tree.value.get("items")
    if tree.value.get("kind") != "List" or not isinstance(items, list):
        return [tree]
    return [part for number in range(len(items)) for part in _parts(tree.part(("items", number)))]


def _read(tree: Tree) -> Document:
    kind = str(tree.value.get("kind") or "")
    model = KINDS.get(kind)
    if model is None:
        return Document(kind, None, (), tree)
    data = deepcopy(tree.value)
    problems = [
        Problem(_shown(remark.path), remark.message, tree.line(remark.path), Severity.WARNING)
        for remark in modernize(data)
    ]
    found, wrong = model.read_json(data)
    problems += [Problem(_shown(path), f"has the wrong type: {message}", tree.line(path)) for path, message in wrong]
    return Document(kind, found, tuple(problems), tree)


def _shown(path: Path) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")
