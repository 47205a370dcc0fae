"""What is wrong with a manifest: where, what, and how bad."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a problem is."""

    #: The object is refused.
    ERROR = "error"
    #: The object is taken, but hardly does what its author meant.
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. As text: the path, then what is wrong there."""

    #: Where, as Argo names it: `templates.main.tasks.a.template`. Empty for the whole object.
    path: str
    #: What is wrong, and what to do about it.
    message: str
    #: Line of the text that the object was read from, from 1.
    line: int | None = None
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        return f"{self.path} {self.message}" if self.path else self.message
