"""The templates of a server, as validation looks them up."""

from __future__ import annotations

from tiphys.client.objects import ClientObjects
from tiphys.errors import NotFoundError
from tiphys.records.objects import ObjectKind
from tiphys.spec.base import Spec
from tiphys.spec.library import ClusterWorkflowTemplate, WorkflowTemplate
from tiphys.spec.validate.stored import Library


class ServerTemplates:
    """A library (`tiphys.spec.validate.stored`) on a server; each template is asked for once.

    Args:
        objects: Those of the server.
        given: Templates that go before the stored ones.
    """

    #: What is not found does not exist.
    complete = True

    def __init__(self, objects: ClientObjects, given: Library) -> None:
        self._objects = objects
        self._given = given
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
            try:
                self._found[key] = model.from_json(self._objects.get(kind, name))
            except NotFoundError:
                self._found[key] = None
        return self._found[key]
