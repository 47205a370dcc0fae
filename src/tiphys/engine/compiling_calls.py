"""Compiles what templates are called with: texts with tags, parameters, artifacts."""

from __future__ import annotations

from collections.abc import Mapping

from tiphys.engine.model import ArtifactValue
from tiphys.engine.plan import ArtifactArgument, ArtifactExpression, Call, ConfigKey
from tiphys.engine.references import Pattern, pattern
from tiphys.errors import ExpressionError, SpecError
from tiphys.spec.artifacts import Artifact
from tiphys.spec.template import Arguments, Parameter, ValueFrom

#: Fields of an artifact that say where it lies.
_LOCATIONS = ("s3", "git", "http", "artifactory", "hdfs", "raw", "oss", "gcs", "azure", "plugin")


def compile_text(text: str, tasks: Mapping[str, int], where: str) -> Pattern:
    """A text with tags.

    Raises:
        SpecError: a tag is not closed.
    """
    try:
        return pattern(text, tasks)
    except ExpressionError as error:
        raise SpecError(f"{where}: {error.message}") from error


def compile_call(arguments: Arguments | None, tasks: Mapping[str, int], where: str) -> Call:
    """Arguments."""
    call = Call()
    if arguments is None:
        return call
    for parameter in arguments.parameters or ():
        path = f"{where}.parameters.{parameter.name}"
        source = parameter.value_from
        if parameter.value is not None:
            call.parameters[parameter.name or ""] = compile_text(parameter.value, tasks, path)
        elif source is not None and source.config_map_key_ref is not None:
            call.parameters[parameter.name or ""] = _config_key(source, parameter.default, tasks, path)
        elif source is not None and source.expression:
            call.parameters[parameter.name or ""] = compile_expression(source.expression)
        elif parameter.default is not None:
            call.parameters[parameter.name or ""] = compile_text(parameter.default, tasks, path)
        elif source is not None and source.default is not None:
            call.parameters[parameter.name or ""] = compile_text(source.default, tasks, path)
    for artifact in arguments.artifacts or ():
        path = f"{where}.artifacts.{artifact.name}"
        call.artifacts[artifact.name or ""] = compile_artifact(artifact, tasks, path)
    return call


def compile_expression(source: str) -> Pattern:
    """An expression whose value becomes a text."""
    return pattern("{{=" + source + "}}", {})


def compile_artifact(artifact: Artifact, tasks: Mapping[str, int], where: str) -> ArtifactArgument:
    """An artifact that something is called with."""
    sub_path = compile_text(artifact.sub_path, tasks, f"{where}.subPath") if artifact.sub_path else None
    optional = bool(artifact.optional)
    if artifact.from_expression:
        return ArtifactArgument(ArtifactExpression(artifact.from_expression), optional, sub_path)
    if artifact.from_:
        text = artifact.from_ if "{{" in artifact.from_ else "{{" + artifact.from_ + "}}"
        compiled = compile_text(text, tasks, where)
        if len(compiled.parts) != 1 or isinstance(compiled.parts[0], str):
            raise SpecError(f"{where}.from: '{artifact.from_}' must be one tag.")
        return ArtifactArgument(compiled.single or compiled, optional, sub_path)
    location = location_of(artifact)
    if location is None and not optional:
        raise SpecError(f"{where}: neither 'from' nor a location is given.")
    return ArtifactArgument(location or {}, optional, sub_path)


def compile_default(parameter: Parameter, where: str) -> Pattern | ConfigKey | None:
    """What a declared input parameter is where no argument is given."""
    if parameter.value is not None:
        return compile_text(parameter.value, {}, where)
    source = parameter.value_from
    if source is not None and source.config_map_key_ref is not None:
        return _config_key(source, parameter.default, {}, where)
    text = parameter.default if parameter.default is not None else (source.default if source is not None else None)
    return None if text is None else compile_text(text, {}, where)


def _config_key(source: ValueFrom, default: str | None, tasks: Mapping[str, int], where: str) -> ConfigKey:
    ref = source.config_map_key_ref
    if ref is None:
        raise SpecError(f"{where}: a configMapKeyRef is needed.")
    return ConfigKey(
        compile_text(ref.name or "", tasks, where),
        compile_text(ref.key or "", tasks, where),
        source.default if source.default is not None else default,
        bool(ref.optional),
    )


def location_of(artifact: Artifact) -> ArtifactValue | None:
    """Where a manifest says that an artifact lies; None if it does not."""
    if any(getattr(artifact, name) is not None for name in _LOCATIONS):
        return artifact.to_json()
    return None
