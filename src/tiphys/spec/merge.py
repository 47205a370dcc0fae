"""Putting objects together: a workflow over its template and the defaults, and patches over a Kubernetes object.

Semantics: argo-workflows v4.1, workflow/util/merge.go (JoinWorkflowSpec) and workflow/controller/operator.go
(mergedTemplateDefaultsInto); RFC 7386 (JSON merge patch); RFC 6902 (JSON patch).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from tiphys.errors import SpecError
from tiphys.spec.strategic import strategic_merge
from tiphys.spec.strategic_fields import fields_of_kind

_TEMPLATE_TYPES = (
    "container", "containerSet", "steps", "dag", "script", "resource", "data", "suspend", "http", "plugin",
)  # fmt: skip
#: In the order in which Argo looks for the one that is set.
_LOCATIONS = ("artifactory", "azure", "git", "gcs", "hdfs", "http", "oss", "raw", "s3", "plugin")
_KUBERNETES_GROUPS = ("", "apps", "autoscaling", "batch", "extensions", "policy")


def merge_specs(*specs: Mapping[str, Any]) -> dict[str, Any]:
    """One WorkflowSpec out of several, the most important one first: workflow, its template, the defaults.

    Fields merge by strategic merge, hooks and `labelsFrom` by name. A parameter to which workflow or template give a
    value is taken whole from the first that does. An artifact that one of them names is that of the first, plus the
    fields of its location that only less important specs set. `suspend` is the workflow's alone.

    Args:
        specs: JSON trees, in that order; one that there is not is {}. Nulls and empty lists in them mean that nothing
            is said. None of them is changed.

    Raises:
        SpecError: a list that is merged by name has an element without one.
    """
    merged: dict[str, Any] = deepcopy(dict(specs[0])) if specs else {}
    for spec in specs[1:]:
        merged = _merge_under(merged, spec)
    if len(specs) > 1:
        merged.pop("suspend", None)
        if "suspend" in specs[0]:
            merged["suspend"] = specs[0]["suspend"]
        _settle_arguments(merged, specs[:2])
    return merged


def merge_template_defaults(template: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The template with what it leaves open taken from `templateDefaults`, except the bodies of other types.

    Args:
        template: A Template as JSON tree.
        defaults: The same; neither is changed.

    Raises:
        SpecError: a list that is merged by name has an element without one.
    """
    own = next((name for name in _TEMPLATE_TYPES if template.get(name) is not None), None)
    applicable = {key: value for key, value in defaults.items() if key not in _TEMPLATE_TYPES or key == own}
    return strategic_merge(applicable, dict(template), "Template", typed=True)


def apply_patch(target: Any, patch: Any, strategy: str = "strategic") -> Any:
    """An object with a patch applied, as `kubectl patch --type` does; neither of the two is changed.

    Args:
        target: A Kubernetes object as JSON tree.
        patch: An object; with the strategy "json" a list of operations.
        strategy: "strategic", "merge" (RFC 7386) or "json" (RFC 6902).

    Raises:
        SpecError: the patch does not fit the object or is not a patch; the strategy is unknown, or is "strategic" and
            the object is of a custom kind.
    """
    if strategy == "merge":
        return _merge_patch(deepcopy(target), deepcopy(patch))
    if strategy == "json":
        return _json_patch(deepcopy(target), patch)
    if strategy != "strategic":
        raise SpecError(f"'{strategy}' is not a merge strategy.", hint="Use strategic, merge or json.")
    if not isinstance(target, dict) or not isinstance(patch, dict):
        raise SpecError("A strategic patch and what it is applied to must be objects.")
    group = str(target.get("apiVersion", "")).rpartition("/")[0]
    if group not in _KUBERNETES_GROUPS and not group.endswith(".k8s.io"):
        raise SpecError(
            f"'{target.get('kind')}' of {group} is a custom kind, which knows no strategic patch.",
            hint="Set mergeStrategy to merge or json.",
        )
    return strategic_merge(target, patch, fields_of_kind(str(target.get("kind", ""))))


# --- specs


def _merge_under(upper: dict[str, Any], lower: Mapping[str, Any]) -> dict[str, Any]:
    """`upper` with what it leaves open taken from `lower`."""
    merged = strategic_merge(dict(lower), upper, "WorkflowSpec", typed=True)
    hooks = {**(lower.get("hooks") or {}), **(upper.get("hooks") or {})}
    if hooks:
        merged["hooks"] = deepcopy(hooks)
    labels = [(spec.get("workflowMetadata") or {}).get("labelsFrom") for spec in (lower, upper)]
    if any(labels):
        merged["workflowMetadata"]["labelsFrom"] = deepcopy({**(labels[0] or {}), **(labels[1] or {})})
    return merged


def _settle_arguments(merged: dict[str, Any], specs: Iterable[Mapping[str, Any]]) -> None:
    """Undo the merge of fields where an argument of one spec stands for that of another one."""
    arguments = merged.get("arguments") or {}
    values: dict[Any, Any] = {}
    artifacts: dict[Any, Any] = {}
    for spec in specs:
        given = spec.get("arguments") or {}
        for parameter in given.get("parameters") or []:
            if any(parameter.get(key) is not None for key in ("value", "default", "valueFrom")):
                values.setdefault(parameter.get("name"), parameter)
        for artifact in given.get("artifacts") or []:
            artifacts.setdefault(artifact.get("name"), artifact)
    if arguments.get("parameters"):
        arguments["parameters"] = [deepcopy(values.get(found.get("name"), found)) for found in arguments["parameters"]]
    if arguments.get("artifacts"):
        arguments["artifacts"] = [
            _override(found, artifacts.get(found.get("name"), found)) for found in arguments["artifacts"]
        ]


def _override(base: Mapping[str, Any], artifact: Mapping[str, Any]) -> dict[str, Any]:
    """The artifact, and of `base` the fields of a location of the same kind."""
    kinds = [next((kind for kind in _LOCATIONS if found.get(kind) is not None), None) for found in (base, artifact)]
    if kinds[0] is None or kinds[0] != kinds[1]:
        return deepcopy(dict(artifact))
    fields = (*_LOCATIONS, "archiveLogs")
    locations = [{key: found[key] for key in fields if found.get(key) is not None} for found in (base, artifact)]
    return {**deepcopy(dict(artifact)), **strategic_merge(locations[0], locations[1], "ArtifactLocation", typed=True)}


# --- patches


def _merge_patch(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = target if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge_patch(merged.get(key), value)
    return merged


def _json_patch(target: Any, operations: Any) -> Any:
    if not isinstance(operations, list):
        raise SpecError("A JSON patch must be a list of operations.")
    for number, operation in enumerate(operations):
        try:
            target = _operate(target, operation)
        except SpecError as error:
            raise SpecError(f"Operation {number} of the JSON patch: {error.message}", hint=error.hint) from None
    return target


def _operate(target: Any, operation: Any) -> Any:
    if not isinstance(operation, dict):
        raise SpecError("it is not an object.")
    name, path = operation.get("op"), _pointer(operation, "path")
    if name == "remove":
        return _removed(target, path)
    if name in ("move", "copy"):
        source = _pointer(operation, "from")
        value = deepcopy(_found(target, source))
        if name == "move":
            if path[: len(source)] == source and path != source:
                raise SpecError("nothing can be moved into itself.")
            target = _removed(target, source)
        return _added(target, path, value)
    if name not in ("add", "replace", "test"):
        raise SpecError(f"'{name}' is not one of add, remove, replace, move, copy, test.")
    if "value" not in operation:
        raise SpecError(f"'{name}' needs a value.")
    value = deepcopy(operation["value"])
    if name == "add":
        return _added(target, path, value)
    found = _found(target, path)
    if name == "replace":
        return _replaced(target, path, value)
    if not _equal(found, value):
        raise SpecError(f"'{operation['path']}' is not what the test expects.")
    return target


def _pointer(operation: Mapping[str, Any], key: str) -> list[str]:
    text = operation.get(key)
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise SpecError(f"'{key}' must be a JSON pointer such as /spec/replicas.")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _found(target: Any, path: list[str]) -> Any:
    for part in path:
        target = target[_place(target, part)]
    return target


def _place(container: Any, part: str) -> Any:
    """The key or the index of a member that is there."""
    if isinstance(container, dict) and part in container:
        return part
    if isinstance(container, list) and _is_index(part) and int(part) < len(container):
        return int(part)
    raise SpecError(f"there is no '{part}' in {'the list' if isinstance(container, list) else 'the object'}.")


def _is_index(part: str) -> bool:
    return part.isascii() and part.isdecimal() and (part == "0" or part[0] != "0")


def _added(target: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    container, last = _found(target, path[:-1]), path[-1]
    if isinstance(container, list):
        if last != "-" and not (_is_index(last) and int(last) <= len(container)):
            raise SpecError(f"'{last}' is not a place in a list of {len(container)}.")
        container.insert(len(container) if last == "-" else int(last), value)
    elif isinstance(container, dict):
        container[last] = value
    else:
        raise SpecError(f"'{last}' cannot be added to something that is neither an object nor a list.")
    return target


def _replaced(target: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    container = _found(target, path[:-1])
    container[_place(container, path[-1])] = value
    return target


def _removed(target: Any, path: list[str]) -> Any:
    if not path:
        raise SpecError("the whole object cannot be removed.")
    container = _found(target, path[:-1])
    del container[_place(container, path[-1])]
    return target


def _equal(left: Any, right: Any) -> bool:
    """Whether two JSON values are the same; true is not 1."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)
