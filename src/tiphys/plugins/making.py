"""Makes a component from its record: the flavor's configuration model checks what the record holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from tiphys.errors import UsageError
from tiphys.plugins.integrations import find_flavor
from tiphys.plugins.loading import load
from tiphys.ports.component import StackComponent
from tiphys.records.stacks import Component


def configured(record: Component, configuration: Mapping[str, Any]) -> Any:
    """A configuration as an instance of the flavor's model.

    Raises:
        UsageError: it is not valid.
    """
    flavor = find_flavor(record.type, record.flavor)
    try:
        return load(flavor.config).model_validate(configuration)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'configuration'}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_context=False, include_input=False)
        )
        raise UsageError(
            f"The configuration of the {record.type.value.replace('_', ' ')} '{record.name}' "
            f"(flavor {record.flavor}) is not valid: {problems}."
        ) from error


def make_component(record: Component, configuration: Mapping[str, Any]) -> StackComponent:
    """The component that a record describes, with a complete configuration."""
    flavor = find_flavor(record.type, record.flavor)
    made: StackComponent = load(flavor.implementation)(name=record.name, config=configured(record, configuration))
    return made
