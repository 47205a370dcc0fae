"""Lint: all rules over one document."""

from __future__ import annotations

from tiphys.spec.kubernetes import ConfigMap
from tiphys.spec.library import ClusterWorkflowTemplate, CronWorkflow, WorkflowEventBinding, WorkflowTemplate
from tiphys.spec.problems import Problem
from tiphys.spec.reading import Document
from tiphys.spec.validate.executor_plugins import check_config_map
from tiphys.spec.validate.fields import check_fields
from tiphys.spec.validate.findings import Findings, Place
from tiphys.spec.validate.schedules import check_cron_workflow, check_event_binding
from tiphys.spec.validate.stored import GivenTemplates, Library
from tiphys.spec.validate.workflow import Subject, check_object_name, check_workflow
from tiphys.spec.workflow import Workflow, WorkflowSpec

_KIND_NAMES = {
    Workflow: "workflow",
    WorkflowTemplate: "workflow template",
    ClusterWorkflowTemplate: "cluster workflow template",
}


def validate(
    document: Document, *, library: Library | None = None, strict: bool = True, submit: bool = False
) -> list[Problem]:
    """What is wrong with an object; the object may run if no problem is an error.

    Args:
        document: The object as it was read. Kinds that no rule is for have no problems.
        library: Where stored templates are looked up; nothing is known of any without one.
        strict: Report unknown fields, and warn of arguments that a template has no input for.
        submit: The workflow is to run now, so every argument must have a value.

    Returns:
        The problems in the order of their lines.
    """
    library = library or GivenTemplates()
    findings = Findings(document.line)
    found = document.object
    if strict and found is not None:
        check_fields(found, Place((), ""), findings)
    if isinstance(found, CronWorkflow):
        check_cron_workflow(found, library, findings, strict=strict)
    elif isinstance(found, WorkflowEventBinding):
        check_event_binding(found, library, findings)
    elif isinstance(found, ConfigMap):
        check_config_map(found, findings, strict=strict)
    elif isinstance(found, Workflow | WorkflowTemplate | ClusterWorkflowTemplate):
        check_object_name(found.metadata, _KIND_NAMES[type(found)], findings)
        subject = Subject(
            found.spec or WorkflowSpec(),
            found.metadata,
            Place(("spec",), "spec"),
            stored=not isinstance(found, Workflow),
            complete=submit,
        )
        check_workflow(subject, library, findings, strict=strict)
    problems = [*document.problems, *findings.problems]
    return sorted(problems, key=lambda problem: (problem.line is None, problem.line or 0))
