"""The environment of a container, as far as its template and Argo say it; the rest is its image's.

Variables as in argo-workflows, workflow/controller/workflowpod.go; the order of precedence is Kubernetes': `envFrom`
first, then `env`, in which `$(NAME)` refers to earlier ones.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from tiphys._util.times import from_epoch
from tiphys._util.tracing import PARENT_VARIABLE
from tiphys.errors import ExpressionError, SpecError
from tiphys.lang.quantity import parse_quantity
from tiphys.sdk.pods.context import PodContext
from tiphys.sdk.pods.objects import Objects

#: Longest `NAME=value` that the kernel passes on (MAX_ARG_STRLEN), and longest argument; bytes.
LONGEST_STRING = 128 * 1024
#: Where a container finds a template that is too long for its environment, and what stands in its place there.
TEMPLATE_FILE = "/argo/config/ARGO_TEMPLATE"
OFFLOADED = "offloaded"
#: Where a container reports its progress as `n/m`.
PROGRESS_FILE = "/var/run/argo/progress"

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")
_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*").fullmatch


def environment_of(
    container: Mapping[str, Any],
    *,
    context: PodContext,
    objects: Objects,
    template: str,
    progress: str = PROGRESS_FILE,
    image: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """What is added to the environment of a container's image, or all of it.

    Args:
        container: As in the template.
        context: Of its pod.
        objects: Where ConfigMaps and Secrets are.
        template: The template as JSON, or `offloaded`.
        progress: File for its progress, as the container sees it.
        image: Variables of the image: they are included, and others may refer to them.

    Raises:
        SpecError: a ConfigMap, Secret, key or field that is referred to does not exist.
    """
    found = {**(image or {}), "HOSTNAME": context.pod_name}
    if context.traceparent:
        found[PARENT_VARIABLE] = context.traceparent
    for source in container.get("envFrom") or ():
        found.update(_from(source, context, objects, container["name"]))
    for variable in container.get("env") or ():
        name = variable.get("name") or ""
        if variable.get("value") is not None:
            found[name] = expand(str(variable["value"]), found)
        elif variable.get("valueFrom"):
            where = f"env '{name}' of the container '{container['name']}'"
            value = _value_from(variable["valueFrom"], container, context, objects, where)
            if value is not None:
                found[name] = value
        else:
            found[name] = ""
    return found | {
        "ARGO_CONTAINER_NAME": container["name"],
        "ARGO_TEMPLATE": template,
        "ARGO_NODE_ID": context.node_id,
        "ARGO_INCLUDE_SCRIPT_OUTPUT": "true" if context.include_result else "false",
        "ARGO_DEADLINE": _deadline(context.deadline),
        "ARGO_WORKFLOW_NAME": context.workflow,
        "ARGO_PROGRESS_FILE": progress,
    }


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$(NAME)`; unknown ones stay, `$$` is a dollar (Kubernetes' third_party/forked/golang/expansion)."""
    if "$" not in text:
        return text

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        return "$" if name is None else variables.get(name, match.group())

    return _REFERENCE.sub(replace, text)


def _deadline(deadline: float | None) -> str:
    """As Go's time.RFC3339; without one its zero time."""
    return "0001-01-01T00:00:00Z" if deadline is None else from_epoch(deadline).strftime("%Y-%m-%dT%H:%M:%SZ")


def _from(source: Mapping[str, Any], context: PodContext, objects: Objects, container: str) -> dict[str, str]:
    for field, kind, lookup in (
        ("configMapRef", "ConfigMap", objects.config_map),
        ("secretRef", "Secret", objects.secret),
    ):
        reference = source.get(field)
        if reference:
            data = lookup(context.namespace, reference.get("name") or "")
            if data is None and not reference.get("optional"):
                raise SpecError(
                    f"envFrom of the container '{container}': there is no {kind} '{reference.get('name')}' in the "
                    f"namespace '{context.namespace}'."
                )
            prefix = source.get("prefix") or ""
            texts = {prefix + key: value.decode("utf-8", "replace") for key, value in (data or {}).items()}
            return {name: value for name, value in texts.items() if _NAME(name)}
    return {}


def _value_from(
    source: Mapping[str, Any], container: Mapping[str, Any], context: PodContext, objects: Objects, where: str
) -> str | None:
    if source.get("configMapKeyRef"):
        return _key_of(source["configMapKeyRef"], "ConfigMap", objects.config_map, context, where)
    if source.get("secretKeyRef"):
        return _key_of(source["secretKeyRef"], "Secret", objects.secret, context, where)
    if source.get("fieldRef"):
        return field_of(source["fieldRef"].get("fieldPath") or "", context, where)
    if source.get("resourceFieldRef"):
        return _resource(source["resourceFieldRef"], container, where)
    raise SpecError(f"{where}: valueFrom has no source that is known here: {', '.join(source) or 'it is empty'}.")


def _key_of(
    reference: Mapping[str, Any],
    kind: str,
    lookup: Callable[[str, str], Mapping[str, bytes] | None],
    context: PodContext,
    where: str,
) -> str | None:
    data = lookup(context.namespace, reference.get("name") or "")
    value = None if data is None else data.get(reference.get("key") or "")
    if value is not None:
        return value.decode("utf-8", "replace")
    if reference.get("optional"):
        return None
    missing = "" if data is None else f"key '{reference.get('key')}' in the "
    raise SpecError(
        f"{where}: there is no {missing}{kind} '{reference.get('name')}' in the namespace '{context.namespace}'."
    )


def field_of(path: str, context: PodContext, where: str) -> str:
    """A field of the pod, as the downward API gives it.

    Raises:
        SpecError: it has no such field.
    """
    subscript = re.fullmatch(r"metadata\.(labels|annotations)\['([^']+)'\]", path)
    if subscript:
        return (context.labels if subscript.group(1) == "labels" else context.annotations).get(subscript.group(2), "")
    for name, values in (("metadata.labels", context.labels), ("metadata.annotations", context.annotations)):
        if path == name:
            return "\n".join(f'{key}="{_escaped(value)}"' for key, value in sorted(values.items()))
    fields = {
        "metadata.name": context.pod_name,
        "metadata.namespace": context.namespace,
        "metadata.uid": context.node_id,
        "spec.nodeName": context.host_name,
        "spec.serviceAccountName": context.service_account,
        "status.hostIP": "127.0.0.1",
        "status.hostIPs": "127.0.0.1",
        "status.podIP": "127.0.0.1",
        "status.podIPs": "127.0.0.1",
    }
    if path not in fields:
        raise SpecError(f"{where}: a pod has no field '{path}'.", hint=f"There are: {', '.join(sorted(fields))}.")
    return fields[path]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _resource(reference: Mapping[str, Any], container: Mapping[str, Any], where: str) -> str:
    """A limit or request divided by the divisor, rounded up; a missing limit is what this machine has."""
    side, _, name = (reference.get("resource") or "").partition(".")
    resources = container.get("resources") or {}
    given = (resources.get(side) or {}).get(name)
    if given is None and side == "requests":
        given = (resources.get("limits") or {}).get(name)
    if given is None and name == "cpu":
        given = os.cpu_count() or 1 if side == "limits" else 0
    if given is None and name in ("memory", "ephemeral-storage"):
        given = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if side == "limits" else 0
    if given is None:
        raise SpecError(f"{where}: there is no resource '{reference.get('resource')}'.")
    divisor = amount(reference.get("divisor") or 1, where) or Decimal(1)
    return str(math.ceil(amount(given, where) / divisor))


def amount(quantity: Any, where: str) -> Decimal:
    """A number with Kubernetes' suffixes.

    Raises:
        SpecError: it is none.
    """
    try:
        return parse_quantity(str(quantity).strip())
    except ExpressionError as error:
        raise SpecError(f"{where}: {error.message}", hint=error.hint) from error
