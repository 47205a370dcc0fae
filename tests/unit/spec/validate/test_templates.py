"""Rules for single templates. Facts: Argo v4.1, workflow/validate/validate.go and validate_test.go."""

from __future__ import annotations

import pytest
from tests.unit.spec.validate.manifests import (
    Json,
    call,
    container,
    container_set,
    dag,
    errors,
    gives,
    http,
    inputs,
    leaf,
    problems,
    resource,
    script,
    steps,
    takes,
    workflow,
)

MANIFEST_ARTIFACT = {"manifest": None, "manifestFrom": {"artifact": {"name": "m"}}}
RAW = {"name": "a", "path": "/a", "raw": {"data": "x"}}

GOOD = {
    "container": container(),
    "script": script(),
    "suspend": leaf(suspend={}),
    "suspend with a duration": leaf(suspend={"duration": "20"}),
    "supplied": leaf(suspend={}, **gives({"name": "x", "valueFrom": {"supplied": {}, "default": "y"}})),
    "http": http(successCondition="response.body contains 'x' && response.statusCode == 200"),
    "plugin": leaf(plugin={"hello": {}}),
    "our own plugin is opaque": leaf(plugin={"tiphys": {"source": "{{nothing}} {{inputs.parameters.x}}"}}),
    "a Python step knows its outputs": leaf(
        plugin={"tiphys": {}}, outputs={"artifacts": [{"name": "model"}], "parameters": [{"name": "items"}]}
    ),
    "resource": resource(),
    "resource with tags in its manifest": resource(manifest="ports:\n- {{=asInt('1')}}\n- '{{workflow.name}}'"),
    "resource with a manifest from an artifact": resource(**MANIFEST_ARTIFACT)
    | takes({"name": "m", "path": "/m", "raw": {"data": "x"}}),
    "delete needs no manifest": resource(action="delete", manifest=None, flags=["pods"]),
    "get": resource(action="get", successCondition="status.phase == Ready,status.count > 0"),
    "data": leaf(
        data={
            "source": {"artifactPaths": {"name": "a", "s3": {"key": "k"}}},
            "transformation": [{"expression": "data"}],
        }
    ),
    "container set": container_set(
        {"name": "main", "image": "x", "dependencies": ["b"]}, {"name": "b", "image": "x"}, volumeMounts=[]
    )
    | gives({"name": "x", "valueFrom": {"path": "/x"}}),
    "snake case": container(inputs=inputs({"name": "my_param", "value": "1"}), **gives(artifacts=[])),
    "names of artifacts": container() | takes({"name": "__kubectl", "path": "/k", "http": {"url": "http://x"}}),
    "an optional artifact": container() | takes({"name": "a", "path": "/a", "optional": True}),
    "a path with dots that stays inside": container() | takes(RAW | {"path": "/a/../a/b"}),
    "retry": container(retryStrategy={"limit": "{{workflow.name}}", "backoff": {"duration": "1m", "factor": "2"}}),
    "retry expression": container(retryStrategy={"expression": "lastRetry.status == 'Failed' && asInt(retries) < 3"}),
    "deadline": container(activeDeadlineSeconds=0),
    "deadline by a tag": container(
        activeDeadlineSeconds="{{inputs.parameters.t}}", inputs=inputs({"name": "t", "value": "1"})
    ),
    "timeout": container(timeout="10s", pendingTimeout="60"),
    "locks": container(
        synchronization={
            "mutexes": [{"name": "m"}],
            "semaphores": [{"configMapKeyRef": {"name": "c", "key": "k"}}, {"database": {"key": "k"}}],
        }
    ),
    "memo": container(memoize={"key": "k", "maxAge": "1h", "cache": {"configMap": {"name": "c"}}}),
    "metric": container(
        metrics={
            "prometheus": [
                {"name": "m", "help": "h", "gauge": {"value": "{{duration}}"}, "labels": [{"key": "k", "value": "v"}]},
                {"name": "n", "help": "h", "when": "{{status}} == Failed", "counter": {"value": "{{exitCode}}"}},
            ]
        }
    ),
    "pod resources": container(podResources={"limits": {"cpu": "2", "hugepages-2Mi": "4Mi"}}),
    "resource claims": container(resourceClaims=[{"name": "gpu", "resourceClaimName": "x"}]),
    "resources": container(
        container={"image": "x", "resources": {"limits": {"cpu": "500m", "memory": "{{workflow.name}}"}}}
    ),
    "parallelism of steps": steps(call("a"), parallelism=1),
}


@pytest.mark.parametrize("template", GOOD.values(), ids=GOOD)
def test_good_templates_have_no_problems(template: Json) -> None:
    more = [container()] if template["name"] == "main" else []
    assert problems(workflow(template, *more)) == []


#: Name → template, place, phrase.
BAD: dict[str, tuple[Json, str, str]] = {
    "no type": (leaf(), "templates.work", "template type unspecified"),
    "two types": (
        container() | {"script": {"image": "x"}},
        "templates.work",
        "multiple template types specified: container, script",
    ),
    "bad template name": (container("a_b"), "spec.templates[0]", "name: 'a_b' is invalid"),
    "long template name": (container("a" * 129), "spec.templates[0]", "no more than 128"),
    "parameter without a name": (
        container(inputs=inputs({"name": "", "value": "x"})),
        "templates.work.inputs.parameters[0]",
        "name is required",
    ),
    "parameter twice": (
        container(inputs=inputs({"name": "x", "value": "1"}, {"name": "x", "value": "1"})),
        "templates.work.inputs.parameters[1]",
        "name 'x' is not unique",
    ),
    "bad parameter name": (
        container(inputs=inputs({"name": "x+1", "default": "1"})),
        "templates.work.inputs.parameters[0]",
        "name: 'x+1' is invalid",
    ),
    "bad input artifact name": (
        container() | takes(RAW | {"name": "a(b"}),
        "templates.work.inputs.artifacts[0]",
        "is invalid",
    ),
    "bad output artifact name": (
        container(**gives(artifacts=[{"name": "!1", "path": "/a"}])),
        "templates.work.outputs.artifacts[0]",
        "is invalid",
    ),
    "bad output parameter name": (
        container(**gives({"name": "x}", "valueFrom": {"path": "/a"}})),
        "templates.work.outputs.parameters[0]",
        "is invalid",
    ),
    "input enum empty": (
        container(inputs=inputs({"name": "x", "value": "1", "enum": []})),
        "templates.work.inputs.parameters.x",
        "enum should contain at least one value",
    ),
    "input not of its enum": (
        container(inputs=inputs({"name": "x", "default": "1", "enum": ["2"]})),
        "templates.work.inputs.parameters.x",
        "should be present in the enum list: 2",
    ),
    "input artifact without a path": (
        container() | takes({"name": "a", "raw": {"data": "x"}}),
        "templates.work.inputs.artifacts.a",
        "did not specify a path",
    ),
    "input artifact from": (
        container() | takes(RAW | {"from": "{{workflow.name}}"}),
        "templates.work.inputs.artifacts.a.from",
        "not valid in inputs",
    ),
    "artifact path of steps": (
        steps(call("a", "main")) | {"inputs": {"artifacts": [RAW]}},
        "templates.main.inputs.artifacts.a.path",
        "only valid in container/script templates",
    ),
    "path climbs": (
        container() | takes(RAW | {"path": "/safe/../../x"}),
        "templates.work.inputs.artifacts.a.path",
        "Directory traversal",
    ),
    "path climbs at its end": (
        container() | takes(RAW | {"path": "/a/.."}),
        "templates.work.inputs.artifacts.a.path",
        "Directory traversal",
    ),
    "output path climbs": (
        container(**gives(artifacts=[{"name": "a", "path": "/a/../b"}])),
        "templates.work.outputs.artifacts.a.path",
        "Directory traversal",
    ),
    "git without repo": (
        container() | takes({"name": "a", "path": "/a", "git": {"revision": "x"}, "optional": True}),
        "templates.work.inputs.artifacts.a.git.repo",
        "is required",
    ),
    "two locations": (
        container() | takes(RAW | {"s3": {"key": "k"}}),
        "templates.work.inputs.artifacts.a",
        "at most one artifact location",
    ),
    "hdfs without a user": (
        container() | takes({"name": "a", "path": "/a", "hdfs": {"addresses": ["x"], "path": "/p"}}),
        "templates.work.inputs.artifacts.a.hdfs",
        "one of hdfsUser",
    ),
    "hdfs with a relative path": (
        container() | takes({"name": "a", "path": "/a", "hdfs": {"addresses": ["x"], "path": "p", "hdfsUser": "u"}}),
        "templates.work.inputs.artifacts.a.hdfs.path",
        "must be an absolute file path",
    ),
    "hdfs without addresses": (
        container() | takes({"name": "a", "path": "/a", "hdfs": {"path": "/p", "hdfsUser": "u"}}),
        "templates.work.inputs.artifacts.a.hdfs.addresses",
        "is required",
    ),
    "hdfs keytab": (
        container()
        | takes(
            {"name": "a", "path": "/a", "hdfs": {"addresses": ["x"], "path": "/p", "krbKeytabSecret": {"key": "k"}}}
        ),
        "templates.work.inputs.artifacts.a.hdfs",
        "are required with krbKeytabSecret",
    ),
    "hdfs cache": (
        container()
        | takes(
            {"name": "a", "path": "/a", "hdfs": {"addresses": ["x"], "path": "/p", "krbCCacheSecret": {"key": "k"}}}
        ),
        "templates.work.inputs.artifacts.a.hdfs",
        "are required with krbCCacheSecret",
    ),
    "addressing style": (
        container() | takes({"name": "a", "path": "/a", "s3": {"key": "k", "addressingStyle": "x"}}),
        "templates.work.inputs.artifacts.a.s3.addressingStyle",
        "must be one of: path, virtual-hosted",
    ),
    "artifact GC": (
        container(**gives(artifacts=[{"name": "a", "path": "/a", "artifactGC": {"strategy": "Later"}}])),
        "templates.work.outputs.artifacts.a.artifactGC.strategy",
        "must be one of: Never",
    ),
    "mode": (container() | takes(RAW | {"mode": 1000}), "templates.work.inputs.artifacts.a.mode", "between 0 and 511"),
    "two archives": (
        container(**gives(artifacts=[{"name": "a", "path": "/a", "archive": {"none": {}, "zip": {}}}])),
        "templates.work.outputs.artifacts.a.archive",
        "can be specified, not none, zip",
    ),
    "archive location": (
        container(archiveLocation={"git": {"revision": "x"}}),
        "templates.work.archiveLocation.git.repo",
        "is required",
    ),
    "output without a value": (
        container(**gives({"name": "x"})),
        "templates.work.outputs.parameters.x",
        "does not have valueFrom or value specified",
    ),
    "output with both": (
        container(**gives({"name": "x", "value": "1", "valueFrom": {"path": "/x"}})),
        "templates.work.outputs.parameters.x",
        "has both valueFrom and value specified",
    ),
    "output from nothing": (
        container(**gives({"name": "x", "valueFrom": {"default": "1"}})),
        "templates.work.outputs.parameters.x",
        "valueFrom type unspecified",
    ),
    "output from several": (
        container(**gives({"name": "x", "valueFrom": {"path": "/x", "jqFilter": "y"}})),
        "templates.work.outputs.parameters.x",
        "multiple valueFrom types specified: path, jqFilter",
    ),
    "container's output from a parameter": (
        container(**gives({"name": "x", "valueFrom": {"parameter": "x"}})),
        "templates.work.outputs.parameters.x",
        "path must be specified for Container templates",
    ),
    "script's output supplied": (
        script(**gives({"name": "x", "valueFrom": {"supplied": {}}})),
        "templates.work.outputs.parameters.x",
        "path must be specified for Script templates",
    ),
    "resource's output from a path": (
        resource() | gives({"name": "x", "valueFrom": {"path": "/x"}}),
        "templates.work.outputs.parameters.x",
        "jqFilter or jsonPath must be specified for Resource templates",
    ),
    "steps' output from a path": (
        steps(call("a", "main"), **gives({"name": "x", "valueFrom": {"path": "/x"}})),
        "templates.main.outputs.parameters.x",
        "parameter or expression must be specified for Steps templates",
    ),
    "DAG's output from a path": (
        dag(call("a", "main"), **gives({"name": "x", "valueFrom": {"path": "/x"}})),
        "templates.main.outputs.parameters.x",
        "parameter or expression must be specified for DAG templates",
    ),
    "output artifact of steps with a path": (
        steps(call("a", "main"), **gives(artifacts=[{"name": "x", "path": "/x"}])),
        "templates.main.outputs.artifacts.x.path",
        "only valid in container/script templates",
    ),
    "output artifact of a DAG from nowhere": (
        dag(call("a", "main"), **gives(artifacts=[{"name": "x"}])),
        "templates.main.outputs.artifacts.x",
        "from or fromExpression must be specified for DAG templates",
    ),
    "output artifact of steps from two sources": (
        steps(
            call("a", "main"), **gives(artifacts=[{"name": "x", "from": "{{workflow.name}}", "fromExpression": "1"}])
        ),
        "templates.main.outputs.artifacts.x",
        "shouldn't have both `from` and `fromExpression`",
    ),
    "global name": (
        container(**gives({"name": "x", "globalName": "a.b", "valueFrom": {"path": "/x"}})),
        "templates.work.outputs.parameters.x.globalName",
        "'a.b' is invalid",
    ),
    "global name of an artifact": (
        container(**gives(artifacts=[{"name": "x", "globalName": "a b", "path": "/x"}])),
        "templates.work.outputs.artifacts.x.globalName",
        "'a b' is invalid",
    ),
    "retry policy": (
        container(retryStrategy={"retryPolicy": "Never"}),
        "templates.work.retryStrategy.retryPolicy",
        "must be one of: Always",
    ),
    "retry limit": (
        container(retryStrategy={"limit": "many"}),
        "templates.work.retryStrategy.limit",
        "must be an integer >= 0",
    ),
    "backoff": (
        container(retryStrategy={"backoff": {"duration": "x"}}),
        "templates.work.retryStrategy.backoff.duration",
        "has invalid duration format",
    ),
    "backoff without a duration": (
        container(retryStrategy={"backoff": {"factor": 2}}),
        "templates.work.retryStrategy.backoff.duration",
        "is required",
    ),
    "retry expression": (
        container(retryStrategy={"expression": "lastRetry.code == 1"}),
        "templates.work.retryStrategy.expression",
        "failed to resolve {{lastRetry.code}}",
    ),
    "retry expression's grammar": (
        container(retryStrategy={"expression": "a ||"}),
        "templates.work.retryStrategy.expression",
        "expression is invalid",
    ),
    "mutex": (
        container(synchronization={"mutexes": [{}]}),
        "templates.work.synchronization.mutexes[0]",
        "name is required",
    ),
    "semaphore": (
        container(synchronization={"semaphores": [{"namespace": "x"}]}),
        "templates.work.synchronization.semaphores[0]",
        "exactly one of configMapKeyRef and database",
    ),
    "semaphore's key": (
        container(synchronization={"semaphores": [{"configMapKeyRef": {"name": "x"}}]}),
        "templates.work.synchronization.semaphores[0].configMapKeyRef",
        "name and key are required",
    ),
    "memo without a key": (
        container(memoize={"cache": {"configMap": {"name": "c"}}}),
        "templates.work.memoize.key",
        "is required",
    ),
    "memo without a cache": (
        container(memoize={"key": "k"}),
        "templates.work.memoize.cache.configMap.name",
        "is required",
    ),
    "memo's age": (
        container(memoize={"key": "k", "maxAge": "60", "cache": {"configMap": {"name": "c"}}}),
        "templates.work.memoize.maxAge",
        "write a unit, such as 60s",
    ),
    "deadline": (
        container(activeDeadlineSeconds=-1),
        "templates.work.activeDeadlineSeconds",
        "must be a positive integer > 0 or an argo variable",
    ),
    "deadline of steps": (
        steps(call("a", "main"), activeDeadlineSeconds=3),
        "templates.main.activeDeadlineSeconds",
        "is only valid for leaf templates",
    ),
    "timeout of a DAG": (
        dag(call("a", "main"), timeout="3s"),
        "templates.main",
        "DAG template doesn't support timeout field",
    ),
    "pending timeout of steps": (
        steps(call("a", "main"), pendingTimeout="3s"),
        "templates.main",
        "Steps template doesn't support pendingTimeout field",
    ),
    "timeout without a unit": (container(timeout="30"), "templates.work.timeout", "has invalid duration format"),
    "parallelism of a leaf": (
        container(parallelism=2),
        "templates.work.parallelism",
        "is only valid for steps and dag templates",
    ),
    "no parallelism": (steps(call("a", "main"), parallelism=0), "templates.main.parallelism", ">= 1"),
    "claims of a pod": (
        container(podResources={"claims": [{"name": "gpu"}]}),
        "templates.work.podResources.claims",
        "is not supported for pod-level resources",
    ),
    "pod resources of a request": (
        http() | {"podResources": {"limits": {"cpu": "1"}}},
        "templates.work.podResources",
        "is not supported for HTTP templates",
    ),
    "resource claims of a request": (
        http() | {"resourceClaims": [{"name": "x"}]},
        "templates.work.resourceClaims",
        "is not supported for HTTP templates, which do not create a pod",
    ),
    "resource claims of steps": (
        steps(call("a", "main"), resourceClaims=[{"name": "x"}]),
        "templates.main.resourceClaims",
        "is not supported for Steps templates, which do not create a pod",
    ),
    "quantity": (
        container(container={"image": "x", "resources": {"limits": {"memory": "1GB"}}}),
        "templates.work.container.resources.limits.memory",
        "is not a quantity",
    ),
    "negative quantity": (
        container(sidecars=[{"name": "s", "image": "x", "resources": {"requests": {"cpu": "-1"}}}]),
        "templates.work.sidecars.s.resources.requests.cpu",
        "must be greater than or equal to 0",
    ),
    "unknown field": (container(retryStategy={}), "templates.work.retryStategy", "did you mean 'retryStrategy'?"),
}


@pytest.mark.parametrize(("template", "place", "phrase"), BAD.values(), ids=BAD)
def test_bad_templates_have_one_error(template: Json, place: str, phrase: str) -> None:
    [error] = errors(workflow(template))

    assert error.startswith(place + " ")
    assert phrase in error


def test_an_output_of_suspend_that_nobody_supplies_is_worth_a_warning() -> None:
    template = leaf(suspend={}, **gives({"name": "x", "valueFrom": {"path": "/x"}}))

    assert problems(workflow(template)) == [
        "warning: templates.work.outputs.parameters.x is never set: outputs of Suspend templates are valueFrom.supplied"
    ]
