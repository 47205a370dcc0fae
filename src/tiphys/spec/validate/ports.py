"""Inputs and outputs of templates (semantics: Argo, workflow/validate `validateInputs`, `validateOutputs`)."""

from __future__ import annotations

from tiphys.spec.artifacts import Artifact
from tiphys.spec.template import Inputs, Outputs, Parameter, Template, ValueFrom
from tiphys.spec.validate.arguments import check_enum
from tiphys.spec.validate.artifacts import check_location, check_path
from tiphys.spec.validate.findings import Findings, Place
from tiphys.spec.validate.kinds import Kind
from tiphys.spec.validate.names import check_names, parameter_name
from tiphys.spec.validate.references import check_expression, check_texts
from tiphys.spec.validate.scope import Scope
from tiphys.spec.validate.values import is_constant


def check_inputs(template: Template, kind: Kind, place: Place, findings: Findings) -> None:
    """What a template takes."""
    inputs = template.inputs or Inputs()
    parameters, artifacts = inputs.parameters or [], inputs.artifacts or []
    at = place.field("inputs")
    check_names(parameters, lambda number: at.item("parameters", number), parameter_name, findings)
    check_names(artifacts, lambda number: at.item("artifacts", number), parameter_name, findings)
    for number, parameter in enumerate(parameters):
        check_enum(parameter, at.item("parameters", number, parameter.name), findings)
    for number, artifact in enumerate(artifacts):
        here = at.item("artifacts", number, artifact.name)
        _check_artifact_path(artifact, kind, here, findings)
        if artifact.from_:
            findings.error(here.field("from"), "not valid in inputs")
        check_location(artifact, here, findings)


def input_names(template: Template, kind: Kind) -> set[str]:
    """Variables of a template's inputs, and of the paths of its outputs."""
    inputs, outputs = template.inputs or Inputs(), template.outputs or Outputs()
    names = {f"inputs.parameters.{parameter.name}" for parameter in inputs.parameters or ()}
    if names:
        names.add("inputs.parameters")
    for artifact in inputs.artifacts or ():
        names.add(f"inputs.artifacts.{artifact.name}")
        if kind.is_leaf:
            names.add(f"inputs.artifacts.{artifact.name}.path")
    if kind.is_leaf:
        names |= {f"outputs.artifacts.{artifact.name}.path" for artifact in outputs.artifacts or () if artifact.path}
        names |= {
            f"outputs.parameters.{parameter.name}.path"
            for parameter in outputs.parameters or ()
            if parameter.value_from and parameter.value_from.path
        }
    return names


def check_outputs(template: Template, kind: Kind, scope: Scope, place: Place, findings: Findings) -> None:
    """What a template gives; `scope` holds what its outputs may refer to."""
    if template.outputs is None:
        return
    parameters, artifacts = template.outputs.parameters or [], template.outputs.artifacts or []
    at = place.field("outputs")
    check_names(parameters, lambda number: at.item("parameters", number), parameter_name, findings)
    check_names(artifacts, lambda number: at.item("artifacts", number), parameter_name, findings)
    check_texts(template.outputs, scope, at, findings)
    for number, artifact in enumerate(artifacts):
        here = at.item("artifacts", number, artifact.name)
        _check_artifact_path(artifact, kind, here, findings)
        _check_source(artifact, kind, here, findings)
        check_expression(artifact.from_expression, scope, here.field("fromExpression"), findings)
        check_location(artifact, here, findings)
        _check_global_name(artifact, here, findings)
    for number, parameter in enumerate(parameters):
        here = at.item("parameters", number, parameter.name)
        _check_value(parameter, kind, here, findings)
        if parameter.value_from is not None:
            check_expression(parameter.value_from.expression, scope, here.field("valueFrom", "expression"), findings)
        _check_global_name(parameter, here, findings)


def _check_artifact_path(artifact: Artifact, kind: Kind, place: Place, findings: Findings) -> None:
    if kind is Kind.PYTHON_STEP:
        return
    if kind.is_leaf:
        check_path(artifact, place, findings)
    elif artifact.path:
        findings.error(place.field("path"), "only valid in container/script templates")


def _check_source(artifact: Artifact, kind: Kind, place: Place, findings: Findings) -> None:
    """Steps and DAGs have no files of their own, so their artifacts come from those of a node."""
    if artifact.from_ and artifact.from_expression:
        findings.error(place, "shouldn't have both `from` and `fromExpression`")
    given = artifact.from_ or artifact.from_expression or artifact.optional or artifact.path
    if kind in (Kind.STEPS, Kind.DAG) and not given:
        findings.error(place, f"from or fromExpression must be specified for {kind} templates")


def _check_value(parameter: Parameter, kind: Kind, place: Place, findings: Findings) -> None:
    source = parameter.value_from
    if source is not None and parameter.value is not None:
        findings.error(place, "has both valueFrom and value specified, choose one")
    if source is None:
        if parameter.value is None and kind is not Kind.PYTHON_STEP:
            findings.error(place, "does not have valueFrom or value specified")
        return
    given = _sources(source)
    if not given:
        findings.error(
            place, "valueFrom type unspecified. choose one of: path, jqFilter, jsonPath, parameter, expression"
        )
    elif len(given) > 1:
        findings.error(place, f"multiple valueFrom types specified: {', '.join(given)}. choose one")
    elif kind in (Kind.CONTAINER, Kind.CONTAINER_SET, Kind.SCRIPT) and not source.path:
        findings.error(place, f"valueFrom.path must be specified for {kind} templates")
    elif kind is Kind.RESOURCE and not source.jq_filter and not source.json_path:
        findings.error(place, f"valueFrom.jqFilter or jsonPath must be specified for {kind} templates")
    elif kind is Kind.SUSPEND and source.supplied is None:
        findings.warn(place, "is never set: outputs of Suspend templates are valueFrom.supplied")
    elif kind in (Kind.DAG, Kind.STEPS) and not source.parameter and not source.expression:
        findings.error(place, f"valueFrom.parameter or expression must be specified for {kind} templates")


def _sources(source: ValueFrom) -> list[str]:
    named = {
        "path": source.path,
        "jqFilter": source.jq_filter,
        "jsonPath": source.json_path,
        "parameter": source.parameter,
        "expression": source.expression,
    }
    return [name for name, value in named.items() if value] + (["supplied"] if source.supplied is not None else [])


def _check_global_name(output: Parameter | Artifact, place: Place, findings: Findings) -> None:
    name = output.global_name
    problem = parameter_name(name) if name and is_constant(name) else None
    if problem:
        findings.error(place.field("globalName"), f"'{name}' is invalid: {problem}")
