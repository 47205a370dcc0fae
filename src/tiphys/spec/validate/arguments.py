"""Arguments: each has a value of an allowed kind, and a call supplies what the called template needs.

(Semantics: Argo, workflow/validate `validateArguments`, workflow/common `ProcessArgs`.)
"""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.spec.artifacts import Artifact
from tiphys.spec.template import Arguments, Parameter, Template
from tiphys.spec.validate.artifacts import check_location, has_place
from tiphys.spec.validate.findings import Findings, Place
from tiphys.spec.validate.guesses import did_you_mean
from tiphys.spec.validate.names import check_names, parameter_name


def check_arguments(arguments: Arguments | None, place: Place, findings: Findings, *, empty_allowed: bool) -> None:
    """The arguments of a workflow or of a call.

    Args:
        arguments: The arguments.
        place: Where they stand (`….arguments`).
        findings: Takes what is wrong.
        empty_allowed: Whether a parameter may be without a value, as it will come with the submission.
    """
    if arguments is None:
        return
    parameters, artifacts = arguments.parameters or [], arguments.artifacts or []
    check_names(parameters, lambda number: place.item("parameters", number), parameter_name, findings)
    check_names(artifacts, lambda number: place.item("artifacts", number), parameter_name, findings)
    for number, parameter in enumerate(parameters):
        _check_parameter(parameter, place.item("parameters", number, parameter.name), findings, empty_allowed)
    for number, artifact in enumerate(artifacts):
        at = place.item("artifacts", number, artifact.name)
        if not artifact.from_ and not artifact.from_expression and not has_place(artifact):
            findings.error(at, "from, artifact location, or key is required")
        if artifact.from_ and artifact.from_expression:
            findings.error(at, "shouldn't have both `from` and `fromExpression`")
        check_location(artifact, at, findings)


def _check_parameter(parameter: Parameter, place: Place, findings: Findings, empty_allowed: bool) -> None:
    source = parameter.value_from
    if source is None and parameter.value is None and not empty_allowed:
        findings.error(place, "needs a value: value or valueFrom is required")
    if source is not None:
        known = source.config_map_key_ref is not None or source.event or source.supplied is not None
        if not known or source.path or source.json_path or source.parameter or source.expression:
            findings.error(place, "valueFrom only allows: default, configMapKeyRef and supplied")
    check_enum(parameter, place, findings)


def check_enum(parameter: Parameter, place: Place, findings: Findings) -> None:
    """The values that a parameter may take: at least one, and its own among them."""
    if parameter.enum is None:
        return
    if not parameter.enum:
        findings.error(place, "enum should contain at least one value")
        return
    value = parameter.value if parameter.value is not None else parameter.default
    if value is not None and "{{" not in value and value not in parameter.enum:
        findings.error(place, f"value '{value}' should be present in the enum list: {', '.join(parameter.enum)}")


def check_supply(
    template: Template,
    arguments: Arguments | None,
    place: Place,
    findings: Findings,
    *,
    called: str,
    strict: bool = True,
) -> None:
    """A call gives what the called template cannot do without, and nothing that it does not know.

    Args:
        template: What is called.
        arguments: The call's.
        place: Where the call stands.
        findings: Takes what is wrong.
        called: The template as messages name it.
        strict: Warn of arguments that the template has no input for.
    """
    inputs = template.inputs
    parameters = (inputs and inputs.parameters) or []
    artifacts = (inputs and inputs.artifacts) or []
    given = _by_name(arguments.parameters if arguments else None)
    given_artifacts = {artifact.name for artifact in (arguments and arguments.artifacts) or ()}
    for parameter in parameters:
        if parameter.name not in given and not _has_default(parameter):
            findings.error(place, f"{called} inputs.parameters.{parameter.name} was not supplied")
    for artifact in artifacts:
        if artifact.name not in given_artifacts and not artifact.optional and not has_place(artifact):
            findings.error(place, f"{called} inputs.artifacts.{artifact.name} was not supplied")
    if strict:
        _check_unknown(given, parameters, "parameters", place, findings, called)
        _check_unknown(given_artifacts, artifacts, "artifacts", place, findings, called)


def _has_default(parameter: Parameter) -> bool:
    source = parameter.value_from
    if parameter.value is not None or parameter.default is not None:
        return True
    return source is not None and (source.config_map_key_ref is not None or source.default is not None)


def _by_name(parameters: Iterable[Parameter] | None) -> dict[str | None, Parameter]:
    return {parameter.name: parameter for parameter in parameters or ()}


def _check_unknown(
    given: Iterable[str | None],
    declared: Iterable[Parameter] | Iterable[Artifact],
    kind: str,
    place: Place,
    findings: Findings,
    called: str,
) -> None:
    names = {item.name: None for item in declared if item.name}
    for name in given:
        if name and name not in names:
            guess = did_you_mean(name, names)
            findings.warn(place.field("arguments", kind), f"{called} has no input '{name}'{guess}")
