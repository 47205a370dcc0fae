"""Templates that do something themselves: containers, scripts, container sets, requests, resources, data, plugins.

(Semantics: Argo, workflow/validate `validateLeaf`, v1alpha1 `ContainerSetTemplate.Validate`.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tiphys.errors import SpecError, TiphysError
from tiphys.lang.selectors import ConditionsOverObject
from tiphys.spec import yaml
from tiphys.spec.base import Loose
from tiphys.spec.kubernetes import Container, VolumeMount
from tiphys.spec.template import HTTP, ContainerSetTemplate, Data, ResourceTemplate, Template
from tiphys.spec.validate import graphs
from tiphys.spec.validate.artifacts import check_location
from tiphys.spec.validate.findings import Findings, Place
from tiphys.spec.validate.names import check_names, field_name
from tiphys.spec.validate.references import check_expression
from tiphys.spec.validate.scope import Scope
from tiphys.spec.validate.values import (
    check_duration,
    check_resources,
    check_whole,
    check_word,
    is_constant,
    with_placeholders,
)

#: Containers that Argo adds to a pod.
_RESERVED = frozenset({"wait", "supervisor"})
_RESERVED_PREFIX = "artifact-plugin-"
_ACTIONS = ("get", "create", "apply", "delete", "replace", "patch")


def check_leaf(template: Template, defaults: Template, scope: Scope, place: Place, findings: Findings) -> None:
    """The body of a template that is neither steps nor DAG; its tags are checked elsewhere."""
    if template.container is not None:
        at = place.field("container")
        _check_image(template.container, defaults.container, at, findings)
        _check_mounts(template, template.container.volume_mounts, at, findings)
    if template.script is not None:
        _check_image(template.script, defaults.script, place.field("script"), findings)
    if template.container_set is not None:
        _check_container_set(template, template.container_set, place.field("containerSet"), findings)
    if template.resource is not None:
        _check_resource(template, template.resource, place.field("resource"), findings)
    if template.http is not None:
        _check_http(template.http, scope, place.field("http"), findings)
    if template.data is not None:
        _check_data(template.data, scope, place.field("data"), findings)
    if template.plugin is not None:
        _check_plugin(template.plugin, place.field("plugin"), findings)
    if template.suspend is not None:
        check_duration(template.suspend.duration, place.field("suspend", "duration"), findings)
    _check_aside(template, place, findings)
    for at, container in _containers(template, place):
        check_resources(container.resources, at.field("resources"), findings)


def _containers(template: Template, place: Place) -> Iterator[tuple[Place, Container]]:
    for name, single in (("container", template.container), ("script", template.script)):
        if single is not None:
            yield place.field(name), single
    lists: tuple[tuple[Place, str, Iterable[Container]], ...] = (
        (place, "sidecars", template.sidecars or ()),
        (place, "initContainers", template.init_containers or ()),
        (
            place.field("containerSet"),
            "containers",
            (template.container_set and template.container_set.containers) or (),
        ),
    )
    for at, name, containers in lists:
        for number, container in enumerate(containers):
            yield at.item(name, number, container.name), container


def _check_image(container: Container, default: Container | None, place: Place, findings: Findings) -> None:
    if not container.image and not (default and default.image):
        findings.error(place.field("image"), "may not be empty")


def _check_mounts(template: Template, mounts: list[VolumeMount] | None, place: Place, findings: Findings) -> None:
    """No two volumes or artifacts at one path."""
    taken: dict[str | None, str] = {}
    for number, mount in enumerate(mounts or ()):
        if mount.mount_path in taken:
            at = place.item("volumeMounts", number).field("mountPath")
            findings.error(at, f"'{mount.mount_path}' already mounted in {taken[mount.mount_path]}")
        taken[mount.mount_path] = f"volumeMounts.{mount.name}"
    for artifact in (template.inputs and template.inputs.artifacts) or ():
        if artifact.path and artifact.path in taken:
            findings.error(
                place,
                f"inputs.artifacts.{artifact.name}.path '{artifact.path}' already mounted in {taken[artifact.path]}",
            )
        taken[artifact.path] = f"inputs.artifacts.{artifact.name}"


def _check_aside(template: Template, place: Place, findings: Findings) -> None:
    """Containers beside the main one."""
    for number, container in enumerate(template.init_containers or ()):
        if not container.name:
            findings.error(place.item("initContainers", number), "initContainers must all have container name")
    for number, container in enumerate(template.sidecars or ()):
        at = place.item("sidecars", number, container.name)
        if not container.name:
            findings.error(at, "sidecars must all have container name")
        _check_reserved(container.name, at, findings)


def _check_reserved(name: str | None, place: Place, findings: Findings) -> None:
    if name and (name in _RESERVED or name.startswith(_RESERVED_PREFIX)):
        findings.error(place, f'"{name}" is a reserved Argo container name')


def _check_container_set(template: Template, body: ContainerSetTemplate, place: Place, findings: Findings) -> None:
    containers = body.containers or []
    if not containers:
        findings.error(place, "containers must have at least one container")
    check_names(containers, lambda number: place.item("containers", number), field_name, findings)
    names = {container.name: container for container in containers if container.name}
    for number, container in enumerate(containers):
        at = place.item("containers", number, container.name)
        _check_reserved(container.name, at, findings)
        if not container.image:
            findings.error(at.field("image"), "may not be empty")
        for dependency in container.dependencies or ():
            if dependency not in names:
                findings.error(at, f"dependency '{dependency}' not defined")
    _, cycle = graphs.order(
        {name: [other for other in container.dependencies or () if other in names] for name, container in names.items()}
    )
    if cycle:
        findings.error(place.field("containers"), f"dependency cycle detected: {'->'.join([*cycle, cycle[0]])}")
    _check_mounts(Template(), body.volume_mounts, place, findings)
    inputs, outputs = template.inputs, template.outputs
    moved = (inputs and inputs.artifacts) or (outputs and (outputs.parameters or outputs.artifacts))
    if moved and containers and "main" not in names:
        findings.error(place.field("containers"), 'must have a container named "main" for input or output')
    if body.retry_strategy is not None:
        at = place.field("retryStrategy")
        check_duration(body.retry_strategy.duration, at.field("duration"), findings, unit=True)
        check_whole(body.retry_strategy.retries, at.field("retries"), findings, least=0)


def _check_resource(template: Template, body: ResourceTemplate, place: Place, findings: Findings) -> None:
    if is_constant(body.action or "") and body.action not in _ACTIONS:
        findings.error(place.field("action"), f"must be one of: {', '.join(_ACTIONS)}")
    check_word(body.merge_strategy, ("strategic", "merge", "json"), place.field("mergeStrategy"), findings)
    for name, condition in (("successCondition", body.success_condition), ("failureCondition", body.failure_condition)):
        _check_condition(condition, place.field(name), findings)
    if body.manifest and body.manifest_from:
        findings.error(place, "shouldn't have both `manifest` and `manifestFrom`")
    if body.action in ("delete", "get"):
        return
    if not body.manifest and body.manifest_from is None:
        findings.error(place, "either manifest or manifestFrom must be specified")
    source = body.manifest_from.artifact if body.manifest_from else None
    given = {artifact.name for artifact in (template.inputs and template.inputs.artifacts) or ()}
    if source is not None and source.name not in given:
        findings.error(place, f"artifact {source.name} in `manifestFrom` refer to a non-exist artifact")
    if body.manifest:
        _check_manifest(body.manifest, place.field("manifest"), findings)


def _check_manifest(manifest: str, place: Place, findings: Findings) -> None:
    try:
        yaml.load_all(with_placeholders(manifest))
    except SpecError as error:
        findings.error(place, f"must be a valid yaml: {error.message}")
    except TiphysError:  # a tag is not closed: told with all other tags
        return


def _check_condition(condition: str | None, place: Place, findings: Findings) -> None:
    if not condition or not is_constant(condition):
        return
    try:
        ConditionsOverObject.parse(condition, "")
    except TiphysError as error:
        findings.error(place, f"is not a condition: {error.message}")


def _check_http(body: HTTP, scope: Scope, place: Place, findings: Findings) -> None:
    if not body.url:
        findings.error(place.field("url"), "is required")
    if body.body and body.body_from is not None:
        findings.error(place, "only one of body and bodyFrom can be specified")
    for number, header in enumerate(body.headers or ()):
        at = place.item("headers", number, header.name)
        if not header.name:
            findings.error(at, "name is required")
        if header.value and header.value_from is not None:
            findings.error(at, "only one of value and valueFrom can be specified")
    if body.timeout_seconds is not None and body.timeout_seconds <= 0:
        findings.error(place.field("timeoutSeconds"), "must be a positive integer")
    check_expression(body.success_condition, scope, place.field("successCondition"), findings)


def _check_data(body: Data, scope: Scope, place: Place, findings: Findings) -> None:
    paths = body.source.artifact_paths if body.source else None
    if paths is None:
        findings.error(place.field("source"), "artifactPaths is required")
    else:
        check_location(paths, place.field("source", "artifactPaths"), findings)
    for number, step in enumerate(body.transformation or ()):
        at = place.item("transformation", number).field("expression")
        if not step.expression:
            findings.error(at, "is required")
        check_expression(step.expression, scope, at, findings)


def _check_plugin(body: Loose, place: Place, findings: Findings) -> None:
    if len(body) != 1:
        findings.error(place, f"expected exactly one key, got {len(body)}")
