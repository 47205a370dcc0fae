"""The condition of `when`: what can be told of it before its tags have values."""

from __future__ import annotations

from tiphys.errors import ExpressionError
from tiphys.lang import when
from tiphys.spec.validate.findings import Findings, Place
from tiphys.spec.validate.values import is_constant


def check_when(text: str | None, place: Place, findings: Findings) -> None:
    """A condition without tags must be one; what its tags will make of another is known only at run time."""
    if not text or not is_constant(text):
        return
    try:
        when.evaluate(text)
    except ExpressionError as error:
        findings.error(place, f"is not a condition: {error.message}")
