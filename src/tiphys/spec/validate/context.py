"""What the rules for templates share: where names are looked up, and which stored templates are to be checked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from tiphys.spec.template import Template
from tiphys.spec.validate.findings import Findings, Place
from tiphys.spec.validate.scope import Scope
from tiphys.spec.validate.stored import Base, Library


@dataclass(frozen=True, slots=True)
class Reference:
    """A stored template that something refers to."""

    base: Base
    template: Template
    findings: Findings


class Inline(NamedTuple):
    """A template that stands in a step or task; it sees what its holder sees."""

    template: Template
    place: Place
    scope: Scope


class Body(NamedTuple):
    """What is known once the steps or tasks of a template are checked."""

    #: What the template's outputs may refer to.
    scope: Scope
    #: Templates that are still to be checked.
    inlines: list[Inline]


@dataclass(frozen=True, slots=True)
class Context:
    """Where a template is checked."""

    findings: Findings
    #: Where names of templates are looked up.
    base: Base
    library: Library
    #: The variables of the whole workflow.
    variables: Scope
    #: Warn also of what works but is hardly meant.
    strict: bool = True
    #: Stored templates found on the way; each is checked once.
    pending: list[Reference] = field(default_factory=list)
    seen: set[tuple[str, str]] = field(default_factory=set)

    def refer(self, base: Base, template: Template, place: Place) -> None:
        """Note that a stored template is used at `place`."""
        key = (base.scope, template.name or "")
        if base.scope and key not in self.seen:
            self.seen.add(key)
            self.pending.append(Reference(base, template, self.findings.referred(place, base.scope)))

    def of(self, reference: Reference) -> Context:
        """The context for the stored template itself."""
        return replace(self, findings=reference.findings, base=reference.base)
