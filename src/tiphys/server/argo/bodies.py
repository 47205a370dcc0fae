"""What the bodies of Argo's requests mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tiphys.errors import SpecError, UsageError
from tiphys.ports.workflows import Manifest, SubmitOptions
from tiphys.services.workflows.options import labels_of, pairs_of
from tiphys.spec.problems import Severity
from tiphys.spec.reading import read_document


def manifest_in(body: Mapping[str, Any], field: str, kind: str, *, namespace: str = "", name: str = "") -> Manifest:
    """The object that a request brings, with values of the types that its fields have.

    Args:
        body: The body.
        field: Where in it the object stands.
        kind: What it must be.
        namespace: The namespace in the path: the object's own must be none other.
        name: The name in the path, likewise.

    Raises:
        UsageError: there is no object, or it is another one than the path names.
        SpecError: a field has the wrong type.
    """
    given = body.get(field)
    if not isinstance(given, dict):
        raise UsageError(f"The body has no object '{field}'.")
    if given.get("kind") not in (None, "", kind):
        raise UsageError(f"The body's '{field}' must be a {kind}, not a {given['kind']}.")
    document = read_document({**given, "kind": kind})
    if document.object is None:
        wrong = "; ".join(str(one) for one in document.problems if one.severity is Severity.ERROR)
        raise SpecError(f"The {kind} '{document.name}' is not valid: {wrong}")
    manifest = document.object.to_json()
    # Argo's objects always have both, and its clients rely on it.
    metadata, _ = manifest.setdefault("metadata", {}), manifest.setdefault("spec", {})
    for key, wanted in (("namespace", namespace), ("name", name)):
        if wanted and metadata.setdefault(key, wanted) != wanted:
            raise UsageError(f"The {kind}'s {key} is '{metadata[key]}', and the request's is '{wanted}'.")
    return manifest


def is_dry_run(body: Mapping[str, Any]) -> bool:
    """Whether a creation is only to be tried."""
    return bool(body.get("serverDryRun") or _object(body, "createOptions").get("dryRun"))


def is_strict(body: Mapping[str, Any]) -> bool:
    """Whether fields that do not exist are to be refused (Kubernetes' name for it)."""
    return _object(body, "createOptions").get("fieldValidation") == "Strict"


def submit_options(body: Mapping[str, Any]) -> SubmitOptions:
    """What a submission from a stored object changes.

    Raises:
        UsageError: an option has another form.
    """
    given = _object(body, "submitOptions")
    return SubmitOptions(
        name=text_in(given, "name"),
        generate_name=text_in(given, "generateName"),
        entrypoint=text_in(given, "entryPoint"),
        parameters=parameters_in(given),
        artifacts=pairs_of(_texts(given, "artifacts"), "artifact"),
        labels=labels_of(text_in(given, "labels")),
        annotations=labels_of(text_in(given, "annotations")),
        service_account=text_in(given, "serviceAccount"),
        pod_priority_class=text_in(given, "podPriorityClassName"),
        priority=priority_in(given),
        owner_reference=_object(given, "ownerReference") or None,
        dry_run=bool(given.get("dryRun") or given.get("serverDryRun")),
        strict=False,
    )


def priority_in(body: Mapping[str, Any]) -> int | None:
    """A workflow's priority; None if it is not given.

    Raises:
        UsageError: it is no number.
    """
    found = body.get("priority")
    if found is not None and (not isinstance(found, int) or isinstance(found, bool)):
        raise UsageError(f"'priority' must be a number, not {found!r}.")
    return found


def parameters_in(body: Mapping[str, Any]) -> dict[str, str]:
    """Parameters of a submission, a retry or a resubmission: `NAME=VALUE`.

    Raises:
        UsageError: they have another form.
    """
    return pairs_of(_texts(body, "parameters"), "parameter")


def text_in(body: Mapping[str, Any], field: str) -> str:
    """A text; empty if it is not given.

    Raises:
        UsageError: it is something else.
    """
    found = body.get(field)
    if found is not None and not isinstance(found, str):
        raise UsageError(f"'{field}' must be a text, not {found!r}.")
    return found or ""


def outputs_in(body: Mapping[str, Any]) -> dict[str, str]:
    """Output parameters of nodes that are set: an object as JSON text.

    Raises:
        UsageError: it is none.
    """
    given = body.get("outputParameters") or {}
    try:
        found = json.loads(given) if isinstance(given, str) else given
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UsageError("outputParameters must be a JSON object of names and values.")
    return {str(name): value if isinstance(value, str) else json.dumps(value) for name, value in found.items()}


def limit_in(body: Mapping[str, Any]) -> int:
    """The limit of a semaphore.

    Raises:
        UsageError: there is none, or it is negative.
    """
    found = body.get("limit")
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise UsageError("'limit' must be a number that is not negative.")
    return found


def config_map_of(kind: object, name: str) -> str:
    """The ConfigMap in which a limit stands; empty for the database.

    Raises:
        UsageError: the kind of place is not known, or the ConfigMap has no name.
    """
    kinds = {"CONFIGMAP": True, "CONFIG_MAP": True, "0": True, "": True, "DATABASE": False, "1": False}
    in_map = kinds.get("" if kind is None else str(kind).upper())
    if in_map is None:
        raise UsageError(f"'{kind}' is not a type of limit.", hint="It can be CONFIGMAP or DATABASE.")
    if in_map != bool(name):
        raise UsageError("cmName belongs to the type CONFIGMAP, which needs it.")
    return name


def _object(body: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    found = body.get(field) or {}
    if not isinstance(found, dict):
        raise UsageError(f"'{field}' must be an object.")
    return found


def _texts(body: Mapping[str, Any], field: str) -> list[str]:
    found = body.get(field) or []
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise UsageError(f"'{field}' must be a list of texts.")
    return found
