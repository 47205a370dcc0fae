"""Fields of a manifest that are accepted and have no effect, because there is no cluster here: what is warned of.

What of a node's result depends on a field is never in this list: a runner carries it out, or refuses it by its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

#: Where a workflow's pods are placed and what they are given there; fields of its specification.
_SPEC = (
    "affinity", "automountServiceAccountToken", "dnsConfig", "dnsPolicy", "executor", "hostAliases", "hostNetwork",
    "imagePullSecrets", "nodeSelector", "podDisruptionBudget", "podPriorityClassName", "podResources", "podSpecPatch",
    "resourceClaims", "schedulerName", "securityContext", "tolerations",
)  # fmt: skip
#: The same of one template.
_TEMPLATE = (
    "affinity", "automountServiceAccountToken", "executor", "hostAliases", "nodeSelector", "podResources",
    "podSpecPatch", "priorityClassName", "resourceClaims", "schedulerName", "securityContext", "tolerations",
)  # fmt: skip
_CONTAINER = (
    "imagePullPolicy", "lifecycle", "livenessProbe", "resizePolicy", "resources", "restartPolicy",
    "restartPolicyRules", "securityContext", "startupProbe", "terminationMessagePath", "terminationMessagePolicy",
)  # fmt: skip
#: What the runner of real containers does with some of them: it heeds them, or refuses them.
_OF_CONTAINERS = ("hostAliases", "imagePullPolicy", "resources", "securityContext")
#: Name of that runner.
CONTAINER_RUNNER = "container"
#: Fields of a template that hold one container, and those that hold a list of them.
_ONE, _SEVERAL = ("container", "script"), ("initContainers", "sidecars")


def ignored_fields(
    spec: Mapping[str, Any], stored: Mapping[str, Mapping[str, Any]] | None = None, *, runner: str
) -> list[str]:
    """The paths of all fields that have no effect, in the order of the manifest; found in one walk.

    Args:
        spec: The specification that is carried out, as JSON.
        stored: Templates of other objects that it refers to, by the name that they are told by.
        runner: What carries the leaves out.
    """
    found = [f"spec.{name}" for name in _SPEC if spec.get(name)]
    for plugin in spec.get("executorPlugins") or ():
        name = (plugin.get("metadata") or {}).get("name")
        container = ((plugin.get("spec") or {}).get("sidecar") or {}).get("container") or {}
        # It is a process of this machine whatever the runner.
        found += _set_fields(f"spec.executorPlugins.{name}", container, _CONTAINER, runner="")
    defaults = spec.get("templateDefaults")
    if defaults:
        found += _of_template("templateDefaults", defaults, runner)
    for template in spec.get("templates") or ():
        found += _of_template(f"templates.{template.get('name')}", template, runner)
    for name, template in (stored or {}).items():
        found += _of_template(f"storedTemplates.{name}", template, runner)
    return list(dict.fromkeys(found))


def _of_template(where: str, template: Mapping[str, Any], runner: str) -> Iterator[str]:
    yield from _set_fields(where, template, _TEMPLATE, runner)
    for field in _ONE:
        yield from _set_fields(f"{where}.{field}", template.get(field) or {}, _CONTAINER, runner)
    for field in _SEVERAL:
        yield from _of_containers(f"{where}.{field}", template.get(field) or (), runner)
    containers = (template.get("containerSet") or {}).get("containers") or ()
    yield from _of_containers(f"{where}.containerSet", containers, runner)
    for call in _calls(template):
        if call.get("inline"):
            yield from _of_template(f"{where}.{call.get('name')}.inline", call["inline"], runner)


def _of_containers(where: str, containers: Iterable[Mapping[str, Any]], runner: str) -> Iterator[str]:
    for container in containers:
        yield from _set_fields(f"{where}.{container.get('name')}", container, _CONTAINER, runner)


def _set_fields(where: str, holder: Mapping[str, Any], names: tuple[str, ...], runner: str) -> Iterator[str]:
    known = _OF_CONTAINERS if runner == CONTAINER_RUNNER else ()
    return (f"{where}.{name}" for name in names if holder.get(name) and name not in known)


def _calls(template: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from (template.get("dag") or {}).get("tasks") or ()
    for group in template.get("steps") or ():
        yield from group
