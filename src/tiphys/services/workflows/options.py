"""What a submission changes in the object it submits (as Argo 4.1, workflow/util `ApplySubmitOpts`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from tiphys.errors import UsageError
from tiphys.ports.workflows import Manifest, SubmitOptions

#: Fields of an artifact that hold where it is, each with the name of its key.
_KEYS = {"s3": "key", "gcs": "key", "oss": "key", "azure": "blob", "hdfs": "path", "artifactory": "url", "http": "url"}


def apply_options(manifest: Mapping[str, Any], options: SubmitOptions) -> Manifest:
    """A copy of a workflow with the options applied.

    Raises:
        UsageError: an artifact that is to come from elsewhere is not an argument with a location.
    """
    workflow = deepcopy(dict(manifest))
    spec = workflow.setdefault("spec", {})
    for field, value in (
        ("entrypoint", options.entrypoint),
        ("serviceAccountName", options.service_account),
        ("podPriorityClassName", options.pod_priority_class),
    ):
        if value:
            spec[field] = value
    if options.priority is not None:
        spec["priority"] = options.priority
    metadata = workflow.setdefault("metadata", {})
    for field, texts in (("labels", options.labels), ("annotations", options.annotations)):
        if texts:
            metadata[field] = {**(metadata.get(field) or {}), **texts}
    if options.owner_reference:
        metadata["ownerReferences"] = [*(metadata.get("ownerReferences") or ()), dict(options.owner_reference)]
    if options.generate_name:
        metadata["generateName"] = options.generate_name
    if options.name:
        metadata["name"] = options.name
    override_parameters(spec, options.parameters)
    _override_artifacts(spec, options.artifacts)
    return workflow


def override_parameters(spec: dict[str, Any], values: Mapping[str, str]) -> None:
    """Give arguments of a specification new values; those it does not have are added, and come first."""
    if values:
        arguments = spec.setdefault("arguments", {})
        others = [one for one in arguments.get("parameters") or () if one.get("name") not in values]
        arguments["parameters"] = [*({"name": name, "value": value} for name, value in values.items()), *others]


def _override_artifacts(spec: dict[str, Any], keys: Mapping[str, str]) -> None:
    if not keys:
        return
    artifacts = {one.get("name"): one for one in (spec.get("arguments") or {}).get("artifacts") or ()}
    for name, key in keys.items():
        artifact = artifacts.get(name)
        if artifact is None:
            known = ", ".join(map(str, artifacts)) or "none"
            raise UsageError(f"The workflow has no artifact argument '{name}'.", hint=f"It has: {known}.")
        artifact |= with_key(artifact, key)


def with_key(artifact: Mapping[str, Any], key: str) -> dict[str, Any]:
    """An artifact at another key of the place where it is.

    Raises:
        UsageError: it has no place with keys.
    """
    place = next((place for place in _KEYS if artifact.get(place) is not None), None)
    if place is None:
        raise UsageError(f"The artifact argument '{artifact.get('name')}' has no location whose key could be changed.")
    return {**artifact, place: {**(artifact.get(place) or {}), _KEYS[place]: key}}


def pairs_of(texts: Iterable[str], what: str) -> dict[str, str]:
    """`NAME=VALUE` texts as a mapping.

    Raises:
        UsageError: a text has another form.
    """
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"Expected a {what} of the form NAME=VALUE, not '{text}'.")
        values[name] = value
    return values


def labels_of(text: str) -> dict[str, str]:
    """Labels as `NAME1=VALUE1,NAME2=VALUE2`.

    Raises:
        UsageError: the text has another form.
    """
    return pairs_of((one for one in text.split(",") if one), "label")
