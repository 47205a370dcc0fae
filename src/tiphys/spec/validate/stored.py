"""Stored templates that a manifest refers to: where to look them up, and the sets of templates that names mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from tiphys.spec.library import ClusterWorkflowTemplate, WorkflowTemplate
from tiphys.spec.template import Template
from tiphys.spec.workflow import WorkflowSpec


class Library(Protocol):
    """The stored templates that are known."""

    @property
    def complete(self) -> bool:
        """Whether what is not found does not exist; else nothing is known of it."""

    def workflow_template(self, name: str) -> WorkflowTemplate | None:
        """A template of the workflow's namespace."""

    def cluster_workflow_template(self, name: str) -> ClusterWorkflowTemplate | None:
        """A template of all namespaces."""


class GivenTemplates:
    """A library of given objects, such as the files of one lint.

    Args:
        objects: Stored templates; objects of other kinds are passed over.
        complete: Whether there are no others.
    """

    def __init__(self, objects: Iterable[object] = (), *, complete: bool = False) -> None:
        self.complete = complete
        self._local: dict[str, WorkflowTemplate] = {}
        self._cluster: dict[str, ClusterWorkflowTemplate] = {}
        for found in objects:
            if isinstance(found, WorkflowTemplate) and found.metadata and found.metadata.name:
                self._local[found.metadata.name] = found
            elif isinstance(found, ClusterWorkflowTemplate) and found.metadata and found.metadata.name:
                self._cluster[found.metadata.name] = found

    def workflow_template(self, name: str) -> WorkflowTemplate | None:
        """See `Library`."""
        return self._local.get(name)

    def cluster_workflow_template(self, name: str) -> ClusterWorkflowTemplate | None:
        """See `Library`."""
        return self._cluster.get(name)


@dataclass(frozen=True, slots=True)
class Base:
    """The templates among which a template name is looked up."""

    #: "" for the manifest's own, "namespaced/<name>" or "cluster/<name>" for stored ones.
    scope: str
    spec: WorkflowSpec
    templates: Mapping[str, Template]

    @property
    def defaults(self) -> Template:
        """`templateDefaults`; empty without."""
        return self.spec.template_defaults or Template()


def base_of(spec: WorkflowSpec, scope: str = "") -> Base:
    """The templates of a specification."""
    return Base(scope, spec, {template.name: template for template in spec.templates or () if template.name})


def find_stored(library: Library, name: str, *, cluster_scope: bool) -> Base | None:
    """A stored template as a base; None if it is not known."""
    found = library.cluster_workflow_template(name) if cluster_scope else library.workflow_template(name)
    if found is None:
        return None
    return base_of(found.spec or WorkflowSpec(), f"{'cluster' if cluster_scope else 'namespaced'}/{name}")
