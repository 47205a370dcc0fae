"""Fields of earlier versions of Argo, written as the present version has them.

Most manifests on the web have them, so they are read, with a remark. (Semantics: Argo's list of removed features,
docs/deprecations.md and docs/upgrading.md.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from tiphys.spec.base import Path

_WITH_WORKFLOW_SPEC = frozenset({"Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate"})


class Remark(NamedTuple):
    """An old field that was read."""

    path: Path
    message: str


def modernize(document: dict[str, Any]) -> list[Remark]:
    """Rewrite old fields of a manifest in place; a field that is already there in its new form wins.

    Args:
        document: A manifest as parsed, of any kind.

    Returns:
        What was rewritten or dropped.
    """
    remarks: list[Remark] = []
    spec = document.get("spec")
    if not isinstance(spec, dict):
        return remarks
    if document.get("kind") == "CronWorkflow":
        remarks += _listed(spec, "schedule", "schedules", ("spec",))
        if isinstance(inner := spec.get("workflowSpec"), dict):
            remarks += _workflow_spec(inner, ("spec", "workflowSpec"))
    elif document.get("kind") in _WITH_WORKFLOW_SPEC:
        remarks += _workflow_spec(spec, ("spec",))
    return remarks


def _workflow_spec(spec: dict[str, Any], path: Path) -> Iterator[Remark]:
    yield from _synchronization(spec, path)
    yield from _dropped(spec, "podPriority", "name a PriorityClass in podPriorityClassName instead", path)
    if "ttlSecondsAfterFinished" in spec:
        seconds = spec.pop("ttlSecondsAfterFinished")
        spec.setdefault("ttlStrategy", {"secondsAfterCompletion": seconds})
        yield _renamed(path, "ttlSecondsAfterFinished", "ttlStrategy.secondsAfterCompletion")
    defaults = spec.get("templateDefaults")
    if isinstance(defaults, dict):
        yield from _template(defaults, (*path, "templateDefaults"))
    for at, template in _dicts(spec.get("templates"), (*path, "templates")):
        yield from _template(template, at)


def _template(template: dict[str, Any], path: Path) -> Iterator[Remark]:
    yield from _synchronization(template, path)
    yield from _dropped(template, "resubmitPendingPods", "use retryStrategy instead", path)
    yield from _dropped(template, "priority", "name a PriorityClass in priorityClassName instead", path)
    steps = template.get("steps")
    groups = enumerate(steps) if isinstance(steps, list) else ()
    calls = [call for number, group in groups for call in _dicts(group, (*path, "steps", number))]
    dag = template.get("dag")
    calls += _dicts(dag.get("tasks") if isinstance(dag, dict) else None, (*path, "dag", "tasks"))
    for at, call in calls:
        reference = call.get("templateRef")
        if isinstance(reference, dict):
            yield from _dropped(
                reference, "runtimeResolution", "references are resolved at run time", (*at, "templateRef")
            )
        if isinstance(inline := call.get("inline"), dict):
            yield from _template(inline, (*at, "inline"))


def _synchronization(holder: dict[str, Any], path: Path) -> Iterator[Remark]:
    locks = holder.get("synchronization")
    if isinstance(locks, dict):
        path = (*path, "synchronization")
        yield from _listed(locks, "mutex", "mutexes", path)
        yield from _listed(locks, "semaphore", "semaphores", path)


def _listed(holder: dict[str, Any], old: str, new: str, path: Path) -> Iterator[Remark]:
    """A field with one value became a list."""
    if old in holder:
        value = holder.pop(old)
        if value not in (None, ""):
            holder[new] = [value, *(holder.get(new) or [])]
        yield _renamed(path, old, new)


def _dropped(holder: dict[str, Any], old: str, instead: str, path: Path) -> Iterator[Remark]:
    if old in holder:
        del holder[old]
        yield Remark((*path, old), f"is no longer a field and is ignored: {instead}")


def _renamed(path: Path, old: str, new: str) -> Remark:
    return Remark((*path, old), f"is an old spelling: write {new}")


def _dicts(value: Any, path: Path) -> list[tuple[Path, dict[str, Any]]]:
    found = enumerate(value) if isinstance(value, list) else ()
    return [((*path, number), item) for number, item in found if isinstance(item, dict)]
