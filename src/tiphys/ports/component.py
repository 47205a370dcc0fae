"""Port: stack components. A flavor names a configuration model and a lazily loaded implementation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tiphys.records.stacks import ComponentType


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavor:
    """One way to provide a component type."""

    #: As in `tiphys <type> register --flavor=…`.
    name: str
    type: ComponentType
    #: `module:Class` of a pydantic model of its configuration.
    config: str
    #: `module:Class` of the `StackComponent`, constructed as `Class(name=…, config=…)`.
    implementation: str
    #: One line for `flavor list`.
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration:
    """All that one outside system gives.

    Declared in `tiphys.integrations.<name>` as `INTEGRATION`; importing that module must import nothing of the system.
    """

    #: Also the name of the extra.
    name: str
    #: Top-level modules that must be importable.
    requires: tuple[str, ...] = ()
    flavors: tuple[Flavor, ...] = ()
    #: `module.qualname` of a type → `module:Class` of its materializer; found through a value's base classes.
    materializers: Mapping[str, str] = field(default_factory=dict)
    #: Formats that `ArtifactConfig(format=…)` may ask for instead → `module:Class` of the materializer.
    formats: Mapping[str, str] = field(default_factory=dict)


class StackComponent:
    """A configured component in use.

    Args:
        name: As registered.
        config: An instance of the flavor's configuration model.
    """

    def __init__(self, *, name: str, config: Any) -> None:
        self.name = name
        self.config = config
