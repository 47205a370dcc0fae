"""Where the rules are applied, and what they find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import BaseModel

from tiphys.spec.base import Path, json_name
from tiphys.spec.problems import Problem, Severity


@dataclass(frozen=True, slots=True)
class Place:
    """A part of a manifest: its path in the document, and how messages name it (items of lists by their names)."""

    at: Path
    shown: str

    def field(self, *names: str) -> Place:
        """A field, or a field of a field, by JSON name."""
        return Place((*self.at, *names), ".".join((self.shown, *names)) if self.shown else ".".join(names))

    def item(self, list_name: str, number: int, name: str | None = None) -> Place:
        """An item of a list."""
        shown = f"{self.shown}.{list_name}" if self.shown else list_name
        return Place((*self.at, list_name, number), f"{shown}.{name}" if name else f"{shown}[{number}]")

    def within(self, model: BaseModel, path: Path) -> Place:
        """The part of `model`, which stands here, at a path below it."""
        shown = self.shown
        value: object = model
        for part in path:
            value = _member(value, part)
            name = getattr(value, "name", None) if isinstance(part, int) else None
            if isinstance(part, int):
                shown += f".{name}" if isinstance(name, str) and name else f"[{part}]"
            else:
                shown += f".{part}" if shown else part
        return Place((*self.at, *path), shown)


def _member(value: object, part: str | int) -> object:
    if isinstance(value, BaseModel):
        for name, inner in value.__dict__.items():
            if json_name(name) == part:
                return inner
        return (value.model_extra or {}).get(str(part))
    if isinstance(value, list) and isinstance(part, int):
        return value[part]
    return value.get(part) if isinstance(value, dict) else None


@dataclass(slots=True)
class Findings:
    """Collects problems; each is kept once."""

    #: Line of a path, if the document was read from a text.
    line: Callable[[Path], int | None]
    found: dict[tuple[str, str], Problem] = field(default_factory=dict)
    #: Set while a stored template is checked: all that is wrong with it is told where it is referred to.
    reference: Place | None = None
    prefix: str = ""

    def error(self, place: Place, message: str) -> None:
        """Something that the object is refused for."""
        self._add(place, message, Severity.ERROR)

    def warn(self, place: Place, message: str) -> None:
        """Something that is hardly meant so."""
        self._add(place, message, Severity.WARNING)

    def _add(self, place: Place, message: str, severity: Severity) -> None:
        if self.reference is not None:
            message = f"{self.prefix}{place.shown} {message}"
            place = self.reference
        key = (place.shown, message)
        if key not in self.found:
            self.found[key] = Problem(place.shown, message, self.line(place.at), severity)

    def referred(self, place: Place, what: str) -> Findings:
        """For the templates stored in `what`, which is referred to at `place`."""
        return Findings(self.line, self.found, self.reference or place, f"{what}: ")

    @property
    def problems(self) -> list[Problem]:
        """All problems in the order of their lines; those without a line last."""
        return sorted(self.found.values(), key=lambda problem: (problem.line is None, problem.line or 0))
