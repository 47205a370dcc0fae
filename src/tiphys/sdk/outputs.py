"""A step's outputs, read from its return annotation and from how it returns."""

from __future__ import annotations

import re
import string
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter
from typing import Any

from tiphys.errors import DefinitionError
from tiphys.sdk.config import ArtifactConfig, did_you_mean
from tiphys.sdk.sources import returns_of

#: Placeholders that are known once a run is created: in the names of runs, and of artifacts.
RUN_PLACEHOLDERS = ("date", "time", "pipeline", "pipeline_name")
ARTIFACT_PLACEHOLDERS = ("date", "time", "pipeline_name", "run_name", "step_name")
_ILLEGAL = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """One output of a step."""

    #: Name in the step: `output`, `output_0`, or the custom name.
    name: str
    #: Type of the value.
    annotation: Any
    #: Custom name of the artifact, placeholders unresolved; None for `pipeline::step::name`.
    artifact_name: str | None = None
    config: ArtifactConfig | None = None


def parse_outputs(function: Callable[..., Any], step: str, annotation: Any) -> tuple[OutputSpec, ...]:
    """The outputs of the function of the step `step`, whose evaluated return annotation is `annotation`.

    Raises:
        DefinitionError: a tuple of variable length is returned as a literal, the numbers of values and types differ,
            or two outputs have one name.
    """
    if annotation is None or annotation is types.NoneType:
        return ()
    if annotation is Parameter.empty:
        return (OutputSpec("output", Any),) if returns_of(function).value else ()
    if typing.get_origin(annotation) is not tuple:
        return (_output(step, annotation, "output"),)
    items = typing.get_args(annotation)
    literal = returns_of(function).literal
    if items[-1:] == (...,):
        if literal is None:
            return (_output(step, annotation, "output"),)
        raise DefinitionError(
            f"Step '{step}' returns several values as {annotation}, whose length is not fixed, so its outputs are not "
            "known.",
            hint="Name each output's type (tuple[int, int]), or return one list.",
        )
    if literal is None and not any(_named(item) for item in items):
        return (_output(step, annotation, "output"),)
    if literal is not None and literal != len(items):
        raise DefinitionError(
            f"Step '{step}' returns {literal} values, but its return annotation names {len(items)} types.",
            hint="Name one type for each returned value.",
        )
    outputs = tuple(_output(step, item, f"output_{index}") for index, item in enumerate(items))
    names = [output.name for output in outputs]
    for name in names:
        if names.count(name) > 1:
            raise DefinitionError(f"Step '{step}' has two outputs named '{name}'.", hint="Give each its own name.")
    return outputs


def _named(annotation: Any) -> list[str | ArtifactConfig]:
    if typing.get_origin(annotation) is not typing.Annotated:
        return []
    return [item for item in annotation.__metadata__ if isinstance(item, (str, ArtifactConfig))]


def _output(step: str, annotation: Any, default: str) -> OutputSpec:
    found = _named(annotation)
    if len(found) > 1:
        raise DefinitionError(
            f"Step '{step}': an output has several names or configurations: {', '.join(map(repr, found))}.",
            hint="Give one text or one ArtifactConfig in Annotated[...].",
        )
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    config = found[0] if found and isinstance(found[0], ArtifactConfig) else None
    name = config.name if config is not None else next((item for item in found if isinstance(item, str)), None)
    if name is None:
        return OutputSpec(default, annotation, None, config)
    _placeholders(name, f"Output '{name}' of step '{step}'")
    plain = _ILLEGAL.sub("_", name.replace("{", "").replace("}", "")).strip("_")
    if not plain:
        raise DefinitionError(f"Step '{step}' has an output with the name '{name}'.", hint="Use letters or digits.")
    return OutputSpec(plain, annotation, name, config)


def _placeholders(text: str, what: str) -> list[str]:
    try:
        found = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise DefinitionError(f"{what} has braces that do not match: {error}.") from error
    for name in found:
        if not name.isidentifier():
            raise DefinitionError(f"{what} has the placeholder '{{{name}}}', which is no name.")
    return found


def resolve_own(text: str, substitutions: Mapping[str, str], *, later: Sequence[str], what: str) -> str:
    """Put own substitutions into a name and leave for later what is known once the run is created.

    Raises:
        DefinitionError: a placeholder is unknown.
    """
    if "{" not in text and "}" not in text:
        return text
    for name in _placeholders(text, what):
        if name not in substitutions and name not in later:
            raise DefinitionError(
                f"{what} has the unknown placeholder '{{{name}}}'.", hint=did_you_mean(name, (*substitutions, *later))
            )
    values = {name: f"{{{name}}}" for name in later} | dict(substitutions)
    return string.Formatter().vformat(text, (), values)


def materializers_of(given: Any, outputs: Sequence[OutputSpec], step: str) -> dict[str, list[Any]]:
    """`output_materializers` by output: a class, "module:Class" or several for all, or a dictionary by output name."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        chosen = list(given) if isinstance(given, (list, tuple)) else [given]
        return {output.name: chosen for output in outputs}
    known = [output.name for output in outputs]
    found = {}
    for name, value in given.items():
        if name not in known:
            raise DefinitionError(
                f"output_materializers of step '{step}' names the unknown output '{name}'.",
                hint=did_you_mean(str(name), known),
            )
        found[name] = list(value) if isinstance(value, (list, tuple)) else [value]
    return found
