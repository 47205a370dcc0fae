"""What Argo's query strings mean."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from tiphys._util.times import from_epoch, to_epoch
from tiphys.errors import UsageError
from tiphys.lang.selectors import parse_field_selector
from tiphys.ports.workflows import LogQuery, WorkflowFilter
from tiphys.server.parameters import Parameters

#: Requirements of field selectors that are Argo's own (as Argo 4.1, server/utils/list_options.go).
_SPECIAL = ("spec.startedAt>", "spec.startedAt<", "ext.showRemainingItemCount=")


def version_of(moment: datetime) -> str:
    """A list's `resourceVersion`: when it was read, in milliseconds."""
    return str(round(to_epoch(moment) * 1000))


def moment_of(parameters: Parameters) -> datetime | None:
    """When the list was read that a watcher goes on from; None if it wants all."""
    milliseconds = parameters.number("listOptions.resourceVersion")
    return from_epoch(milliseconds / 1000) if milliseconds else None


def workflow_filter(
    parameters: Parameters, namespace: str, *, archive: bool = False, visible: Collection[str] | None = None
) -> WorkflowFilter:
    """Which workflows a list is of.

    A name among the field selectors is meant as `nameFilter` says (as Argo 4.1, server/utils/list_options.go).

    Args:
        parameters: The query string.
        namespace: Where they are; empty for all namespaces.
        archive: Whether those of the archive are meant.
        visible: The namespaces that all namespaces are; None for all that there are.

    Raises:
        UsageError: a parameter, or a selector, cannot be read.
    """
    name, others = "", []
    fields, special = _special(parameters.text("listOptions.fieldSelector"))
    for one in parse_field_selector(fields).requirements:
        if one.key == "metadata.name" and one.operator == "=":
            name = one.values[0]
        else:
            others.append(one)
    how = parameters.text("nameFilter") or "Exact"
    if how not in ("Exact", "Contains", "Prefix"):
        raise UsageError(f"'{how}' is not a nameFilter.", hint="It can be Exact, Contains or Prefix.")
    return WorkflowFilter(
        names=(name,) if name and how == "Exact" else (),
        contains=name if how == "Contains" else "",
        prefix=name if how == "Prefix" else parameters.text("namePrefix"),
        labels=parameters.text("listOptions.labelSelector"),
        fields=",".join(map(str, others)),
        created_after=parameters.moment("createdAfter"),
        finished_before=parameters.moment("finishedBefore"),
        started_after=special.moment("spec.startedAt>"),
        started_before=special.moment("spec.startedAt<"),
        counted=special.truth("ext.showRemainingItemCount="),
        all_namespaces=not namespace,
        among=None if visible is None else tuple(sorted(visible)),
        archive=archive,
    )


def _special(selector: str) -> tuple[str, Parameters]:
    """A field selector without what only Argo knows in it, and that by its beginnings."""
    plain, special = [], {}
    for one in selector.split(","):
        beginning = next((each for each in _SPECIAL if one.startswith(each)), None)
        if beginning is None:
            plain.append(one)
        else:
            special[beginning] = one.removeprefix(beginning)
    return ",".join(plain), Parameters(special)


def log_query(parameters: Parameters, pod: str, now: datetime) -> LogQuery:
    """Which lines are asked for.

    Raises:
        UsageError: a parameter cannot be read.
    """
    seconds = parameters.number("logOptions.sinceSeconds")
    since = None if seconds is None else now - timedelta(seconds=seconds)
    from_epoch_on = parameters.number("logOptions.sinceTime.seconds")
    if from_epoch_on is not None:
        since = from_epoch(from_epoch_on + (parameters.number("logOptions.sinceTime.nanos") or 0) / 1e9)
    return LogQuery(
        pod=pod or parameters.text("podName"),
        container=parameters.text("logOptions.container") or "main",
        grep=parameters.text("grep"),
        labels=parameters.text("selector"),
        since=since or parameters.moment("logOptions.sinceTime"),
        tail=parameters.number("logOptions.tailLines"),
        follow=parameters.truth("logOptions.follow"),
    )


def mask_of(fields: str) -> Callable[[Any], Any]:
    """What leaves in an answer only the `fields` that were asked for, or with a leading '-' all others.

    Paths pass through lists (as Argo 4.1, util/fields).
    """
    excluding = fields.startswith("-")
    paths = {tuple(path.split(".")) for path in fields.removeprefix("-").split(",") if path}
    if not paths:
        return lambda value: value

    def keep(path: tuple[str, ...]) -> bool:
        return path not in paths if excluding else any(_is_on(path, one) for one in paths)

    def clean(value: Any, path: tuple[str, ...] = ()) -> Any:
        if isinstance(value, Mapping):
            return {key: clean(one, (*path, key)) for key, one in value.items() if keep((*path, key))}
        return [clean(one, path) for one in value] if isinstance(value, list) else value

    return clean


def needs_nodes(fields: str) -> bool:
    """Whether of a list more of its workflows is asked for than what is known without their nodes."""
    if not fields or fields.startswith("-"):
        return True
    paths = [path.split(".") for path in fields.split(",") if path]
    return any(path[0] == "items" and not _is_cheap(path[1:]) for path in paths)


def _is_cheap(path: list[str]) -> bool:
    return path[:1] in (["apiVersion"], ["kind"], ["metadata"], ["spec"]) or (
        path[:1] == ["status"] and path[1:2] in (["phase"], ["message"], ["startedAt"], ["finishedAt"])
    )


def _is_on(path: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Whether one of both paths leads through the other."""
    shorter = min(len(path), len(wanted))
    return path[:shorter] == wanted[:shorter]
