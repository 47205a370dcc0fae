"""The stored templates that a manifest may refer to, as validation and submission look them up."""

from __future__ import annotations

from tiphys.ports.store import Reader
from tiphys.records.objects import CLUSTER, ObjectKind, objects_of
from tiphys.spec.base import Spec
from tiphys.spec.library import ClusterWorkflowTemplate, WorkflowTemplate
from tiphys.spec.validate.stored import GivenTemplates, Library


class StoredTemplates:
    """A library (`tiphys.spec.validate.stored`) on the database; each template is read once.

    Args:
        reader: The database, while it is used.
        namespace: Where WorkflowTemplates are looked up.
        given: Templates that go before the stored ones.
    """

    #: What is not found does not exist.
    complete = True

    def __init__(self, reader: Reader, namespace: str, *, given: Library | None = None) -> None:
        self._reader = reader
        self._given = given or GivenTemplates()
        self._namespace = namespace
        self._found: dict[tuple[ObjectKind, str], Spec | None] = {}

    def workflow_template(self, name: str) -> WorkflowTemplate | None:
        """A template of the namespace."""
        found = self._given.workflow_template(name) or self._find(ObjectKind.WORKFLOW_TEMPLATE, WorkflowTemplate, name)
        return found if isinstance(found, WorkflowTemplate) else None

    def cluster_workflow_template(self, name: str) -> ClusterWorkflowTemplate | None:
        """A template of all namespaces."""
        found = self._given.cluster_workflow_template(name) or self._find(
            ObjectKind.CLUSTER_WORKFLOW_TEMPLATE, ClusterWorkflowTemplate, name
        )
        return found if isinstance(found, ClusterWorkflowTemplate) else None

    def _find(self, kind: ObjectKind, model: type[Spec], name: str) -> Spec | None:
        key = (kind, name)
        if key not in self._found:
            namespace = CLUSTER if kind.is_cluster_scoped else self._namespace
            rows = self._reader.find(objects_of(kind, namespace=namespace, name=name))
            self._found[key] = model.from_json({"metadata": {"name": name}, **rows[0].manifest}) if rows else None
        return self._found[key]
