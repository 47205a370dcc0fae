"""Rules for the bodies of leaf templates. Facts: Argo v4.1, workflow/validate/validate.go and validate_test.go."""

from __future__ import annotations

import pytest
from tests.unit.spec.validate.manifests import (
    Json,
    container,
    container_set,
    errors,
    gives,
    http,
    leaf,
    resource,
    script,
    takes,
    workflow,
)

MANIFEST_ARTIFACT = {"manifest": None, "manifestFrom": {"artifact": {"name": "m"}}}
RAW = {"name": "a", "path": "/a", "raw": {"data": "x"}}

#: Name → template, place, phrase.
BAD: dict[str, tuple[Json, str, str]] = {
    "no image": (container(container={"command": ["x"]}), "templates.work.container.image", "may not be empty"),
    "no image of a script": (script(script={"source": "x"}), "templates.work.script.image", "may not be empty"),
    "mount twice": (
        container(
            container={
                "image": "x",
                "volumeMounts": [{"name": "a", "mountPath": "/m"}, {"name": "b", "mountPath": "/m"}],
            }
        ),
        "templates.work.container.volumeMounts[1].mountPath",
        "'/m' already mounted in volumeMounts.a",
    ),
    "artifact over a mount": (
        container(container={"image": "x", "volumeMounts": [{"name": "v", "mountPath": "/a"}]}) | takes(RAW),
        "templates.work.container",
        "inputs.artifacts.a.path '/a' already mounted",
    ),
    "init container without a name": (
        container(initContainers=[{"image": "x"}]),
        "templates.work.initContainers[0]",
        "initContainers must all have container name",
    ),
    "reserved sidecar": (
        container(sidecars=[{"name": "wait", "image": "x"}]),
        "templates.work.sidecars.wait",
        '"wait" is a reserved Argo container name',
    ),
    "reserved sidecar of plugins": (
        container(sidecars=[{"name": "artifact-plugin-x", "image": "x"}]),
        "templates.work.sidecars.artifact-plugin-x",
        "is a reserved Argo container name",
    ),
    "reserved container": (
        container_set({"name": "supervisor", "image": "x"}),
        "templates.work.containerSet.containers.supervisor",
        "is a reserved Argo container name",
    ),
    "empty container set": (
        container_set(),
        "templates.work.containerSet",
        "containers must have at least one container",
    ),
    "container twice": (
        container_set({"name": "a", "image": "x"}, {"name": "a", "image": "x"}),
        "templates.work.containerSet.containers[1]",
        "name 'a' is not unique",
    ),
    "container's dependency": (
        container_set({"name": "a", "image": "x", "dependencies": ["c"]}),
        "templates.work.containerSet.containers.a",
        "dependency 'c' not defined",
    ),
    "containers in a circle": (
        container_set(
            {"name": "a", "image": "x", "dependencies": ["b"]}, {"name": "b", "image": "x", "dependencies": ["a"]}
        ),
        "templates.work.containerSet.containers",
        "dependency cycle detected: a->b->a",
    ),
    "container set without main": (
        container_set({"name": "a", "image": "x"}) | gives({"name": "x", "valueFrom": {"path": "/x"}}),
        "templates.work.containerSet.containers",
        'must have a container named "main"',
    ),
    "container set with an input": (
        container_set({"name": "a", "image": "x"}) | takes(RAW),
        "templates.work.containerSet.containers",
        'must have a container named "main"',
    ),
    "container set with an output artifact": (
        container_set({"name": "a", "image": "x"}) | gives(artifacts=[{"name": "x", "path": "/x"}]),
        "templates.work.containerSet.containers",
        'must have a container named "main"',
    ),
    "container set's mounts": (
        container_set(
            {"name": "a", "image": "x"},
            volumeMounts=[{"name": "v", "mountPath": "/m"}, {"name": "w", "mountPath": "/m"}],
        ),
        "templates.work.containerSet.volumeMounts[1].mountPath",
        "already mounted",
    ),
    "container set's retries": (
        container_set({"name": "a", "image": "x"}, retryStrategy={"retries": "x"}),
        "templates.work.containerSet.retryStrategy.retries",
        "must be an integer",
    ),
    "action": (
        resource(action="foo"),
        "templates.work.resource.action",
        "must be one of: get, create, apply, delete, replace, patch",
    ),
    "merge strategy": (
        resource(mergeStrategy="x"),
        "templates.work.resource.mergeStrategy",
        "must be one of: strategic",
    ),
    "no manifest": (
        resource(manifest=None),
        "templates.work.resource",
        "either manifest or manifestFrom must be specified",
    ),
    "two manifests": (
        resource(manifestFrom={"artifact": {"name": "a"}}) | takes(RAW),
        "templates.work.resource",
        "shouldn't have both `manifest` and `manifestFrom`",
    ),
    "manifest from nowhere": (
        resource(**MANIFEST_ARTIFACT),
        "templates.work.resource",
        "artifact m in `manifestFrom` refer to a non-exist artifact",
    ),
    "manifest that is no YAML": (
        resource(manifest="a\nb: c: d"),
        "templates.work.resource.manifest",
        "must be a valid yaml",
    ),
    "success condition": (
        resource(successCondition="a =! b"),
        "templates.work.resource.successCondition",
        "is not a condition",
    ),
    "no url": (leaf(http={"method": "GET"}), "templates.work.http.url", "is required"),
    "two bodies": (http(body="x", bodyFrom={"bytes": "eA=="}), "templates.work.http", "only one of body and bodyFrom"),
    "two values of a header": (
        http(headers=[{"name": "h", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
        "templates.work.http.headers.h",
        "only one of value and valueFrom",
    ),
    "header without a name": (http(headers=[{"value": "x"}]), "templates.work.http.headers[0]", "name is required"),
    "http timeout": (http(timeoutSeconds=0), "templates.work.http.timeoutSeconds", "must be a positive integer"),
    "http condition": (
        http(successCondition="response ="),
        "templates.work.http.successCondition",
        "expression is invalid",
    ),
    "data without a source": (
        leaf(data={"transformation": []}),
        "templates.work.data.source",
        "artifactPaths is required",
    ),
    "transformation": (
        leaf(data={"source": {"artifactPaths": {"name": "a", "s3": {"key": "k"}}}, "transformation": [{}]}),
        "templates.work.data.transformation[0].expression",
        "is required",
    ),
    "output of a plugin": (
        leaf(plugin={"hello": {}}, **gives({"name": "x"})),
        "templates.work.outputs.parameters.x",
        "does not have valueFrom or value specified",
    ),
    "output artifact of a plugin": (
        leaf(plugin={"hello": {}}, **gives(artifacts=[{"name": "x"}])),
        "templates.work.outputs.artifacts.x",
        "did not specify a path",
    ),
    "plugin with two keys": (leaf(plugin={"a": 1, "b": 2}), "templates.work.plugin", "expected exactly one key, got 2"),
    "plugin without a key": (leaf(plugin={}), "templates.work.plugin", "expected exactly one key, got 0"),
    "suspend duration": (
        leaf(suspend={"duration": "soon"}),
        "templates.work.suspend.duration",
        "has invalid duration format",
    ),
}


@pytest.mark.parametrize(("template", "place", "phrase"), BAD.values(), ids=BAD)
def test_bad_bodies_have_one_error(template: Json, place: str, phrase: str) -> None:
    [error] = errors(workflow(template))

    assert error.startswith(place + " ")
    assert phrase in error
