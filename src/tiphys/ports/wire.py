"""How records and requests travel between a client and a server of ours: JSON both ways, and queries as text.

Server and client share this module, so that what one writes the other reads. It needs pydantic, so nothing that a
pipeline without a server loads may import it.
"""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError

from tiphys._version import __version__
from tiphys.errors import UsageError
from tiphys.records.artifacts import Artifact, ArtifactUse, ArtifactVersion
from tiphys.records.base import Operator, Record, Where
from tiphys.records.metrics import MetricValue
from tiphys.records.models import ModelLink, ModelVersion, RegisteredModel
from tiphys.records.queue import QueuedWorkflow
from tiphys.records.runs import Metadata, Pipeline, Run, StepRun
from tiphys.records.stacks import Component, Service, StackRecord
from tiphys.records.tags import TagLink, TagRecord
from tiphys.records.workflows import WorkflowSummary

T = TypeVar("T")

#: What changes when a client of before could not talk to the server any more.
API_MAJOR = 1
#: Path of our API on a server.
API = f"/api/tiphys/v{API_MAJOR}"
#: Header by which client and server tell each other their versions: `0.1.0; api=1`.
VERSION_HEADER = "Tiphys-Version"
#: What it says of this installation.
VERSION = f"{__version__}; api={API_MAJOR}"
#: Header that names a request; a server that has it done already does not do it again.
REQUEST_HEADER = "Tiphys-Request"
#: Whose codes the details of an error of Argo's API name (`domain` of a google.rpc.ErrorInfo).
ERROR_DOMAIN = "tiphys"
#: Flavor of an artifact store in answers to those who may not have its secrets: its data goes through the server.
THROUGH_SERVER = "server"
#: Records that one page holds at most.
PAGE = 1000

#: Collections of a workspace, and those that all workspaces share.
OF_WORKSPACE: Mapping[str, type[Record]] = {
    "pipelines": Pipeline,
    "runs": Run,
    "step-runs": StepRun,
    "metadata": Metadata,
    "artifacts": Artifact,
    "artifact-versions": ArtifactVersion,
    "artifact-uses": ArtifactUse,
    "models": RegisteredModel,
    "model-versions": ModelVersion,
    "model-links": ModelLink,
    "tags": TagRecord,
    "tag-links": TagLink,
    "workflows": WorkflowSummary,
    "queue": QueuedWorkflow,
}
SHARED: Mapping[str, type[Record]] = {
    "stacks": StackRecord,
    "components": Component,
    "services": Service,
    "metric-values": MetricValue,
}

_OPERATORS: tuple[Operator, ...] = get_args(Operator)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise UsageError(f"A {type(value).__name__} cannot be sent: it is no JSON value.")


#: Any of our records, requests and nodes as JSON text. Halves of surrogate pairs, NaN and infinities, which metadata
#: may hold, are written as Python's json reads them.
dump = json.JSONEncoder(separators=(",", ":"), default=_plain).encode


def plain(value: Any) -> Any:
    """What `dump` writes, as lists, dictionaries and scalars."""
    return json.loads(dump(value))


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def read(kind: type[T], data: Any) -> T:
    """What `dump` wrote, parsed by `json`, as a value of `kind`.

    Raises:
        UsageError: it is none.
    """
    wanted: Any = kind
    try:
        found: T = _adapter(wanted).validate_python(data)
    except ValidationError as error:
        raise UsageError(f"This is no {getattr(kind, '__name__', kind)}: {problems_in(error.errors())}.") from error
    return found


def problems_in(errors: Any) -> str:
    """What pydantic found wrong, in one line."""
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'the value'}: {problem['msg']}" for problem in errors
    )


def write_filter(where: Where) -> str:
    """A condition as text: `<field>:<op>:<JSON value>`."""
    value = list(where.value) if isinstance(where.value, (set, frozenset, tuple)) else where.value
    return f"{where.field}:{where.op}:{dump(value)}"


def read_filter(kind: type[Record], text: str) -> Where:
    """What `write_filter` wrote, its value of the field's type.

    Raises:
        UsageError: it is no condition on records of this kind.
    """
    field, _, rest = text.partition(":")
    operator, colon, value = rest.partition(":")
    hints = _hints(kind)
    hint = hints.get(field)
    if hint is None:
        raise UsageError(
            f"A {kind.__name__} has no field '{field}' (in the filter '{text}').",
            hint=f"Its fields are: {', '.join(hints)}.",
        )
    known = next((one for one in _OPERATORS if one == operator), None)
    if known is None or not colon:
        raise UsageError(
            f"'{text}' is not a filter.",
            hint=f"Write <field>:<op>:<JSON value>; the operators are: {', '.join(_OPERATORS)}.",
        )
    try:
        found = _adapter(_value_type(hint, operator)).validate_python(json.loads(value))
    except ValidationError as error:
        raise UsageError(f"The value in the filter '{text}' is wrong: {problems_in(error.errors())}.") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"The value in the filter '{text}' is not JSON: {error}.") from error
    return Where(field, found, known)


def _value_type(hint: Any, operator: str) -> Any:
    """What a field's type says of the value that it is compared with."""
    if operator in ("prefix", "contains"):
        return str
    return types.GenericAlias(list, (hint | None,)) if operator == "in" else hint | None


def _hints(kind: type[Record]) -> dict[str, Any]:
    found = _known_hints.get(kind)
    if found is None:
        found = _known_hints[kind] = get_type_hints(kind)
    return found


_known_hints: dict[type[Record], dict[str, Any]] = {}
