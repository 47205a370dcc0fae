"""When a step need not be executed: the key that stands for everything its result depends on.

The key is the SHA-256 of canonical JSON, so equal parts give equal keys and nothing can run together. The parts are
kept with each step run, so that `tiphys cache explain` can say which of them changed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tiphys._util.canonical import canonical_json
from tiphys.engine.model import ArtifactValue, Values

_LIST_SUFFIX = re.compile(r"-(?:\d+|list)\Z")
#: Parts of a key that are the same for each execution of one definition of a step, by where they stand in sorted JSON.
_BEFORE, _BETWEEN, _AFTER = ("code", "code_parts", "environment", "extras"), ("outputs",), ("step", "workspace")


def input_name(name: str, declared: Mapping[str, Any]) -> str:
    """The step's parameter that a task's input belongs to: `xs-0`, `xs-1` and `xs-list` belong to `xs`."""
    if name in declared:
        return name
    found = _LIST_SUFFIX.search(name)
    if found is not None and name[: found.start()] in declared:
        return name[: found.start()]
    return name


class KeyMaker:
    """Makes the keys of one definition of a step; what all its executions share is worked out once.

    Args:
        body: The step as compiled (`plugin.tiphys` of its template).
        workspace: Results are shared inside it.
    """

    def __init__(self, body: Mapping[str, Any], *, workspace: str) -> None:
        cache = body.get("cache") or {}
        policy = cache.get("policy") or {}
        self._declared: Mapping[str, Any] = body.get("inputs") or {}
        self._ignored = frozenset(policy.get("ignored_inputs") or ())
        self._with_parameters = policy.get("include_step_parameters", True)
        self._field = (
            "digest"
            if policy.get("include_artifact_values", True)
            else "version_id"
            if policy.get("include_artifact_ids", True)
            else None
        )
        self._external = {
            name: _identity(spec["ref"], self._field)
            for name, spec in self._declared.items()
            if "ref" in spec and self._field is not None and name not in self._ignored
        }
        static = self._static_parts(body, cache, with_code=policy.get("include_step_code", True))
        static["workspace"] = workspace
        self._before, self._between, self._after = (
            canonical_json({name: static[name] for name in names})[1:-1] for names in (_BEFORE, _BETWEEN, _AFTER)
        )

    @staticmethod
    def _static_parts(body: Mapping[str, Any], cache: Mapping[str, Any], *, with_code: bool) -> dict[str, Any]:
        source = str(body.get("source") or "")
        return {
            "code": body.get("code_digest", "") if with_code else None,
            "code_parts": dict(body.get("code_parts") or {}) if with_code else {},
            "environment": sorted(cache.get("environment") or ()),
            "extras": cache.get("extras") or {},
            "outputs": [
                {"name": output["name"], "materializers": list(output.get("materializers") or ())}
                for output in body.get("outputs") or ()
            ],
            # With its code in the key, a function may move to another module; without, only its full name tells it
            # from others.
            "step": source.partition(":")[2] if with_code else source,
        }

    def key(self, inputs: Values) -> tuple[str, str]:
        """The key and its parts (canonical JSON) for one execution with these inputs."""
        parameters: dict[str, Any] = {}
        digests: dict[str, Any] = {}
        whole_lists: set[str] = set()
        ignored = self._ignored
        for name, text in inputs.parameters.items():
            owner = input_name(name, self._declared)
            if owner in ignored:
                continue
            if text.startswith('{"$item"'):
                whole_lists.add(f"{owner}-list")
            elif not self._with_parameters:
                continue
            parameters[name] = text
        if self._field is not None:
            for name, value in inputs.artifacts.items():
                if name.endswith("-list") and name not in self._declared and name not in whole_lists:
                    continue  # the element itself is a parameter; the rest of its list does not matter
                if input_name(name, self._declared) not in ignored:
                    digests[name] = _identity(value, self._field)
        digests.update(self._external)
        text = (
            f'{{{self._before},"inputs":{canonical_json(digests)},{self._between},'
            f'"parameters":{canonical_json(parameters)},{self._after}}}'
        )
        return hashlib.sha256(text.encode()).hexdigest(), text


def cache_key(body: Mapping[str, Any], inputs: Values, *, workspace: str = "default") -> tuple[str, str]:
    """The key of one execution of a step, and the parts it was made of.

    Args:
        body: The step as compiled (`plugin.tiphys` of its template).
        inputs: Parameters (JSON text) and artifacts (references) of the execution.
        workspace: Results are shared inside it.

    Returns:
        64 hexadecimal digits, and the canonical JSON of which they are the SHA-256: {code, code_parts, environment,
        extras, inputs, outputs, parameters, step, workspace}.
    """
    return KeyMaker(body, workspace=workspace).key(inputs)


def _identity(value: ArtifactValue, field: str) -> Any:
    if isinstance(value, list):
        return [_identity(item, field) for item in value]
    return value[field] if field in value else dict(value)


@dataclass(frozen=True, slots=True)
class Difference:
    """One part of a key that differs between two executions."""

    #: Which kind: code, code_parts, parameters, inputs, outputs, environment, extras, step or workspace.
    part: str
    #: Which one of that kind (a parameter's name, a function); empty where the kind has no names.
    name: str
    #: None where there was none.
    old: Any
    new: Any

    def __str__(self) -> str:
        what = f"{_TITLES.get(self.part, self.part)}{f' {self.name}' if self.name else ''}"
        if self.old is None:
            return f"{what} is new: {_short(self.new)}"
        if self.new is None:
            return f"{what} is gone: {_short(self.old)}"
        return f"{what} changed: {_short(self.old)} → {_short(self.new)}"


_TITLES = {
    "code": "code",
    "code_parts": "code of",
    "parameters": "parameter",
    "inputs": "input",
    "outputs": "outputs",
    "environment": "environment variables",
    "extras": "cache policy:",
    "step": "step function",
}


def explain(old_parts: str, new_parts: str) -> list[Difference]:
    """What differs between the parts of two keys (as `KeyMaker.key` gives them); empty if the keys are equal.

    The digest of all code is named only where no single function explains it.
    """
    differences: list[Difference] = []
    before, after = (json.loads(parts) if parts else {} for parts in (old_parts, new_parts))
    for part in sorted({*before, *after}):
        old, new = before.get(part), after.get(part)
        if old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            differences += [
                Difference(part, name, old.get(name), new.get(name))
                for name in sorted({*old, *new})
                if old.get(name) != new.get(name)
            ]
        else:
            differences.append(Difference(part, "", old, new))
    if any(difference.part == "code_parts" for difference in differences):
        differences = [difference for difference in differences if difference.part != "code"]
    return differences


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else canonical_json(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
