"""Fields that the specification does not have, with a guess at what was meant."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from tiphys.spec.base import Path, json_name
from tiphys.spec.validate.findings import Findings, Place
from tiphys.spec.validate.guesses import did_you_mean


def check_fields(model: BaseModel, place: Place, findings: Findings) -> None:
    """Report every unknown field below an object."""
    for path, holder in _unknown(model, ()):
        known = [json_name(name) for name in type(holder).model_fields]
        field = str(path[-1])
        findings.error(
            _as_argo_names(place.within(model, path)), f'unknown field "{field}"{did_you_mean(field, known)}'
        )


def _as_argo_names(place: Place) -> Place:
    """Templates and tasks are named without what stands around them."""
    _, found, rest = place.shown.partition("spec.templates.")
    return Place(place.at, f"templates.{rest.replace('.dag.tasks.', '.tasks.')}") if found else place


def _unknown(value: object, path: Path) -> Iterator[tuple[Path, BaseModel]]:
    """Paths of unknown fields, and the objects that have them."""
    if isinstance(value, BaseModel):
        for name in value.model_extra or ():
            yield (*path, name), value
        for name, inner in value.__dict__.items():
            if isinstance(inner, BaseModel | list | dict):
                yield from _unknown(inner, (*path, json_name(name)))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _unknown(inner, (*path, number))
    elif isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, BaseModel):
                yield from _unknown(inner, (*path, key))
