"""Turns what a step's function returned into stored artifacts and the values that the engine passes on."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tiphys.engine.model import Values
from tiphys.errors import ArtifactError, UsageError
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.ports.runner import Task
from tiphys.ports.step_result import OutputVersion
from tiphys.records.artifacts import ArtifactRef
from tiphys.sdk.conditions import quotable
from tiphys.sdk.context import StepContext
from tiphys.sdk.materializing import SavedValue, save_value
from tiphys.sdk.plain import to_json
from tiphys.sdk.signature import StepSignature, check_type

#: An element of a list that is longer as JSON travels as a reference to its place in the list; characters.
LONGEST_ITEM = 4096

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_SCALARS = frozenset({str, int, bool, type(None)})


@dataclass(frozen=True, slots=True)
class Saved:
    """An output whose data is stored."""

    declared: Mapping[str, Any]
    value: SavedValue
    name: str


def check_outputs(returned: Any, task: Task, signature: StepSignature) -> list[Any]:
    """What was returned, one value for each output of the step.

    Raises:
        UsageError: there are more or fewer values than outputs, or one has another type than its annotation says.
    """
    values = _split(returned, task)
    types = {output.name: output.annotation for output in signature.outputs}
    for declared, value in zip(task.body.get("outputs", ()), values, strict=True):
        output = declared["name"]
        problem = check_type(value, types.get(output, Any))
        if problem is not None:
            raise UsageError(f"The output '{output}' of the step '{task.step_name}' has the wrong type: {problem}.")
    return values


def _split(returned: Any, task: Task) -> list[Any]:
    outputs = task.body.get("outputs", ())
    if len(outputs) == 1:
        return [returned]
    kind = type(returned).__qualname__
    if not outputs:
        if returned is not None:
            raise UsageError(
                f"The step '{task.step_name}' returned a value of type {kind}, but has no outputs.",
                hint="Annotate its return type.",
            )
        return []
    names = ", ".join(f"'{output['name']}'" for output in outputs)
    if not isinstance(returned, tuple | list):
        raise UsageError(
            f"The step '{task.step_name}' has the outputs {names}, but returned one {kind} instead of a tuple."
        )
    if len(returned) != len(outputs):
        raise UsageError(f"The step '{task.step_name}' has the outputs {names}, but returned {len(returned)} values.")
    return list(returned)


def save_outputs(values: Sequence[Any], task: Task, store: ArtifactStore) -> tuple[list[Saved], Values]:
    """Store each output's data; returns what was stored, and the texts for conditions and loops.

    Raises:
        ArtifactError: a value cannot be stored, or is used in a condition or loop and does not fit there.
    """
    passed = Values()
    saved = []
    body = task.body
    visualize = body.get("enable_artifact_visualization") is not False
    metadata = body.get("enable_artifact_metadata") is not False
    for declared, value in zip(body.get("outputs", ()), values, strict=True):
        output = declared["name"]
        if declared.get("exposed"):
            passed.parameters[output] = _exposed(output, value)
        if declared.get("mapped"):
            passed.parameters[f"{output}-items"] = _items(output, value)
        if declared.get("indexed"):
            passed.parameters[f"{output}-indexes"] = json.dumps([f'{{"$item":{index}}}' for index in range(len(value))])
        stored = save_value(
            value,
            store,
            materializers=declared.get("materializers") or (),
            artifact_type=declared.get("artifact_type"),
            visualize=visualize,
            metadata=metadata,
        )
        saved.append(Saved(declared, stored, artifact_name(declared, task)))
    return saved, passed


def record_outputs(
    saved: Sequence[Saved], context: StepContext, store_name: str, passed: Values
) -> list[OutputVersion]:
    """The versions to be recorded, with what the step said about them; their references are added to `passed`."""
    versions = []
    for each in saved:
        declared, value = each.declared, each.value
        output = declared["name"]
        ref = ArtifactRef(
            version_id=context.output_version_id(output),
            name=each.name,
            digest=value.digest,
            materializer=value.materializer,
            data_type=value.data_type,
            type=value.type.value,
            size=value.size,
        )
        version = declared.get("version")
        versions.append(
            OutputVersion(
                output=output,
                ref=ref,
                version=None if version is None else str(version),
                has_custom_name=declared.get("artifact_name") is not None,
                uri=value.uri,
                store=store_name,
                tags=context.tags_of_output(declared),
                metadata={
                    **value.metadata,
                    **(declared.get("metadata") or {}),
                    **context.output_metadata.get(output, {}),
                },
                visualizations=value.visualizations,
            )
        )
        passed.artifacts[output] = ref.to_json()
    return versions


def artifact_name(declared: Mapping[str, Any], task: Task) -> str:
    """The name of an output's artifact.

    Raises:
        UsageError: it has a placeholder that nothing stands for.
    """
    context = task.context
    given = declared.get("artifact_name")
    if given is None:
        pipeline = context.get("pipeline_name") or task.body.get("pipeline")
        return f"{pipeline}::{task.step_name}::{declared['name']}"
    if "{" not in given:
        return str(given)
    known = context.get("substitutions") or {}

    def fill(match: re.Match[str]) -> str:
        name = match[1]
        if name in known:
            return str(known[name])
        if name in ("date", "time"):
            return time.strftime("%Y_%m_%d" if name == "date" else "%H_%M_%S", time.gmtime())
        if name in ("pipeline_name", "run_name", "step_name") and context.get(name):
            return str(context[name])
        raise UsageError(
            f"The artifact name '{given}' of the output '{declared['name']}' has the unknown placeholder {{{name}}}.",
            hint=f"Known are: {', '.join(sorted({'date', 'time', *known}))}. Add others with substitutions={{…}}.",
        )

    return _PLACEHOLDER.sub(fill, given)


def _exposed(output: str, value: Any) -> str:
    try:
        return quotable(to_json(value))
    except UsageError as error:
        raise ArtifactError(
            f"The output '{output}' is used in a condition, so it must have a JSON form: {error.message}"
        ) from error


def _items(output: str, value: Any) -> str:
    """A JSON list of one text for each element: its JSON, or where it stands in the stored list."""
    is_list = isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)
    if not is_list and not getattr(value, "ndim", 0) == 1:
        raise ArtifactError(
            f"The output '{output}' is mapped over, so it must be a list, not {type(value).__qualname__}."
        )
    if not len(value):
        raise ArtifactError(f"The output '{output}' is mapped over, but is empty: there is nothing to run a step for.")
    texts = []
    for index, element in enumerate(value):
        text = json.dumps(element, ensure_ascii=False, separators=(",", ":")) if is_exact_json(element) else ""
        if not text or len(text) > LONGEST_ITEM:
            text = f'{{"$item":{index}}}'
        texts.append(text)
    return json.dumps(texts, ensure_ascii=False, separators=(",", ":"))


def is_exact_json(value: Any) -> bool:
    """Whether a value is the same after a way through JSON (a tuple is not, nor is a NumPy number)."""
    kind = type(value)
    if kind in _SCALARS:
        return True
    if kind is float:
        return math.isfinite(value)
    if kind is list:
        return all(is_exact_json(each) for each in value)
    if kind is dict:
        return "$item" not in value and all(type(key) is str and is_exact_json(each) for key, each in value.items())
    return False
