"""Which names things may have (Argo: workflow/validate, `isValidWorkflowFieldName`, `isValidParamOrArtifactName`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Protocol

from tiphys.spec.validate.findings import Findings, Place

#: A workflow's name becomes a label's value, which may have 63 characters.
MAX_OBJECT_NAME = 63
#: The Unix time is appended to a schedule's name.
MAX_CRON_NAME = 52
_MAX_FIELD_NAME = 128

_FIELD = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")
_PARAMETER = re.compile(r"[-a-zA-Z0-9_]+")
_METRIC = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_OBJECT = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_TAG = re.compile(r"\{\{[^{}]*\}\}")


class Named(Protocol):
    """Has a name."""

    @property
    def name(self) -> str | None:
        """The name."""


#: Says what is wrong with a name.
Rule = Callable[[str], str | None]


def field_name(name: str) -> str | None:
    """What is wrong with the name of a template, step, task or container."""
    if len(name) > _MAX_FIELD_NAME:
        return f"must have no more than {_MAX_FIELD_NAME} characters"
    if not _FIELD.fullmatch(name):
        return "name must consist of alpha-numeric characters or '-', and must start with an alpha-numeric character"
    return None


def step_name(name: str) -> str | None:
    """What is wrong with the name of a step, in which tags may stand."""
    return field_name(_TAG.sub("x", name))


def parameter_name(name: str) -> str | None:
    """What is wrong with the name of a parameter or artifact."""
    if not _PARAMETER.fullmatch(name):
        return "Parameter/Artifact name must consist of alpha-numeric characters, '_' or '-' e.g. my_param_1"
    return None


def is_metric_name(name: str) -> bool:
    """Whether a metric or a label of one may be called so."""
    return _METRIC.fullmatch(name) is not None


def is_object_name(name: str) -> bool:
    """Whether Kubernetes takes it as an object's name (RFC 1123, subdomain)."""
    return _OBJECT.fullmatch(name) is not None


def check_names(items: Sequence[Named] | None, place: Callable[[int], Place], rule: Rule, findings: Findings) -> None:
    """Every item of a list has a name, a good one, and its own."""
    seen: set[str] = set()
    for number, item in enumerate(items or ()):
        if not item.name:
            findings.error(place(number), "name is required")
            continue
        problem = rule(item.name)
        if problem:
            findings.error(place(number), f"name: '{item.name}' is invalid: {problem}")
        if item.name in seen:
            findings.error(place(number), f"name '{item.name}' is not unique")
        seen.add(item.name)
