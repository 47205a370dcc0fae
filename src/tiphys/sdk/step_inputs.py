"""Turns a task's inputs into the arguments of the step's function."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from tiphys.engine.model import ArtifactValue
from tiphys.errors import UsageError
from tiphys.ports.runner import Task
from tiphys.records.artifacts import ArtifactRef
from tiphys.sdk.components import Components
from tiphys.sdk.config import UnmaterializedArtifact
from tiphys.sdk.materializing import load_item, load_value
from tiphys.sdk.signature import StepSignature, decode_parameter, parse_signature

_signatures: WeakKeyDictionary[Callable[..., Any], StepSignature] = WeakKeyDictionary()


def signature_of(function: Callable[..., Any], step: str) -> StepSignature:
    """What a step's function takes and gives, read once for each function."""
    try:
        found = _signatures.get(function)
        if found is None:
            found = _signatures[function] = parse_signature(function, step, {})
    except TypeError:  # a callable that is neither hashable nor weakly referenced
        found = parse_signature(function, step, {})
    return found


def load_inputs(task: Task, signature: StepSignature, components: Components) -> dict[str, Any]:
    """The arguments of the step's function; parameters that are not given keep their defaults.

    Raises:
        UsageError: a parameter's value does not fit its annotation, or an input is missing.
        ArtifactError: an artifact cannot be loaded.
    """
    arguments = {}
    parameters, artifacts = task.inputs.parameters, task.inputs.artifacts
    for name, declared in task.body.get("inputs", {}).items():
        known = signature.parameters.get(name)
        annotation = Any if known is None else known.annotation
        kind = declared["kind"]
        if kind == "parameter" and name in parameters:
            arguments[name] = _decode(task, name, parameters[name], annotation)
            continue
        load = _Loader(annotation, components)
        if kind == "item":
            arguments[name] = _item(task, name, annotation, load)
        elif name in artifacts:
            arguments[name] = load.value(artifacts[name])
        elif kind == "external":
            arguments[name] = load.value(declared["ref"])
        elif kind == "list":
            arguments[name] = [_list_item(task, f"{name}-{index}", load) for index in range(declared["length"])]
        elif name in parameters:
            arguments[name] = _decode(task, name, parameters[name], annotation)
        elif kind != "parameter":
            raise UsageError(f"The step '{task.step_name}' was started without its input '{name}'.")
    return arguments


class _Loader:
    """Loads the artifacts of one parameter."""

    def __init__(self, annotation: Any, components: Components) -> None:
        self._components = components
        self._type = _class_of(annotation)
        bare = _bare(annotation)
        arguments = typing.get_args(bare)
        self.element_annotation = arguments[0] if arguments and self._type is not None else Any
        self._element_type = _class_of(self.element_annotation)

    def value(self, value: ArtifactValue) -> Any:
        """A value, or a list of them where the artifact is a loop's."""
        return self._load(value, self._type) if isinstance(value, Mapping) else [self.element(each) for each in value]

    def element(self, value: ArtifactValue) -> Any:
        """An element of a list."""
        if isinstance(value, Mapping):
            return self._load(value, self._element_type)
        return [self.element(each) for each in value]

    def item(self, value: ArtifactValue, index: int) -> Any:
        """One element of a stored list, or of a loop's results."""
        if not isinstance(value, Mapping):
            return self.value(value[index])
        ref = ArtifactRef.from_json(value)
        return self._components.from_stores(lambda store: load_item(ref, index, store))

    def _load(self, value: Mapping[str, Any], wanted: type[Any] | None) -> Any:
        ref = ArtifactRef.from_json(value)
        if wanted is UnmaterializedArtifact:
            return UnmaterializedArtifact(
                id=ref.version_id,
                name=ref.name,
                version=ref.version,
                type=ref.type,
                uri=self._components.store.uri(ref.digest),
                digest=ref.digest,
                materializer=ref.materializer,
                data_type=ref.data_type,
            )
        return self._components.from_stores(lambda store: load_value(ref, store, data_type=wanted))


def _decode(task: Task, name: str, text: str, annotation: Any) -> Any:
    try:
        return decode_parameter(text, annotation)
    except ValueError as error:  # pydantic's ValidationError is one
        raise UsageError(
            f"The parameter '{name}' of the step '{task.step_name}' does not fit its annotation: {error}"
        ) from error


def _item(task: Task, name: str, annotation: Any, load: _Loader) -> Any:
    text = task.inputs.parameters[name]
    if text.startswith('{"$item"'):
        return load.item(task.inputs.artifacts[f"{name}-list"], json.loads(text)["$item"])
    return _decode(task, name, text, annotation)


def _list_item(task: Task, part: str, load: _Loader) -> Any:
    """One of the items `xs-0`, `xs-1`, …: an artifact or a plain value."""
    if part in task.inputs.artifacts:
        return load.element(task.inputs.artifacts[part])
    if part in task.inputs.parameters:
        return _decode(task, part, task.inputs.parameters[part], load.element_annotation)
    raise UsageError(f"The step '{task.step_name}' was started without its input '{part}'.")


def _bare(hint: Any) -> Any:
    """Without `Annotated`, and without `None` where there is but one alternative to it."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _bare(typing.get_args(hint)[0])
    if origin in (typing.Union, types.UnionType):
        others = [each for each in typing.get_args(hint) if each is not type(None)]
        if len(others) == 1:
            return _bare(others[0])
    return hint


def _class_of(hint: Any) -> type[Any] | None:
    """The class that an artifact is to be loaded as, if the annotation names one."""
    if type(hint) is type:
        return None if hint is object else hint
    hint = _bare(hint)
    found = typing.get_origin(hint) or hint
    return found if isinstance(found, type) and found not in (object, types.UnionType) else None
