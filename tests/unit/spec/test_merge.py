"""A workflow over its template and the defaults, and patches over objects.

The cases of `merge_specs` and `merge_template_defaults` follow argo-workflows v4.1, workflow/util/merge_test.go and
workflow/controller/operator_tmpl_default_test.go; those of the patches are the examples of RFC 7386 and RFC 6902.
"""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.errors import SpecError
from tiphys.spec.merge import apply_patch, merge_specs, merge_template_defaults

WORKFLOW: dict[str, Any] = {
    "entrypoint": "whalesay",
    "templates": [{"name": "whalesay", "container": {"image": "docker/whalesay:latest", "args": ["hello world"]}}],
}
TEMPLATE: dict[str, Any] = {
    "entrypoint": "whalesay-template",
    "workflowMetadata": {"labels": {"testLabel": "wft"}},
    "arguments": {"parameters": [{"name": "message", "value": "hello world"}]},
    "templates": [{"name": "whalesay-template", "container": {"image": "docker/whalesay"}}],
}
DEFAULTS: dict[str, Any] = {
    "entrypoint": "whalesay",
    "activeDeadlineSeconds": 7200,
    "arguments": {
        "artifacts": [{"name": "message", "path": "/tmp/message"}],
        "parameters": [{"name": "message", "value": "default"}],
    },
    "onExit": "whalesay-exit",
    "templates": [{"name": "whalesay-exit", "container": {"image": "docker/whalesay"}}],
    "ttlStrategy": {"secondsAfterCompletion": 60},
    "volumes": [{"name": "test", "secret": {"secretName": "test"}}],
}


def test_joins_workflow_template_and_defaults() -> None:
    assert merge_specs(WORKFLOW, TEMPLATE, DEFAULTS) == {
        "activeDeadlineSeconds": 7200,
        "workflowMetadata": {"labels": {"testLabel": "wft"}},
        "arguments": {
            "artifacts": [{"name": "message", "path": "/tmp/message"}],
            "parameters": [{"name": "message", "value": "hello world"}],
        },
        "entrypoint": "whalesay",
        "onExit": "whalesay-exit",
        "templates": [*WORKFLOW["templates"], *TEMPLATE["templates"], *DEFAULTS["templates"]],
        "ttlStrategy": {"secondsAfterCompletion": 60},
        "volumes": [{"name": "test", "secret": {"secretName": "test"}}],
    }


def test_templates_of_one_name_are_merged() -> None:
    upper = {"templates": [{"name": "a", "container": {"env": [{"name": "X", "value": "1"}], "args": ["new"]}}]}
    lower = {
        "templates": [
            {
                "name": "a",
                "container": {"image": "i", "env": [{"name": "Y"}, {"name": "X", "value": "0"}], "args": ["o"]},
            }
        ]
    }
    assert merge_specs(upper, lower)["templates"] == [
        {
            "name": "a",
            "container": {"image": "i", "env": [{"name": "Y"}, {"name": "X", "value": "1"}], "args": ["new"]},
        }
    ]


def test_tasks_of_one_name_are_merged_and_steps_are_replaced() -> None:
    upper = {
        "templates": [{"name": "d", "dag": {"tasks": [{"name": "B", "when": "w"}]}}, {"name": "s", "steps": [[1]]}]
    }
    lower = {
        "templates": [
            {"name": "d", "dag": {"tasks": [{"name": "A"}, {"name": "B", "template": "t"}]}},
            {"name": "s", "steps": [[2], [3]]},
        ]
    }
    assert merge_specs(upper, lower)["templates"] == [
        {"name": "d", "dag": {"tasks": [{"name": "A"}, {"name": "B", "template": "t", "when": "w"}]}},
        {"name": "s", "steps": [[1]]},
    ]


def test_a_parameter_is_taken_whole_from_the_first_spec_that_gives_it_a_value() -> None:
    source = {"configMapKeyRef": {"name": "test-config-map", "key": "PARAM1"}}
    upper = {
        "arguments": {"parameters": [{"name": "p1", "valueFrom": source}, {"name": "p2"}, {"name": "p5", "value": 5}]}
    }
    middle = {
        "arguments": {
            "parameters": [
                {"name": "p1", "value": "ignored"},
                {"name": "p2", "default": "d", "enum": ["d"]},
                {"name": "p3", "value": "3"},
                {"name": "p5"},
            ]
        }
    }
    lower = {"arguments": {"parameters": [{"name": "p2", "value": "ignored"}, {"name": "p6", "value": "6"}]}}
    upper["arguments"]["parameters"].append({"name": "p6", "enum": ["6"]})
    assert merge_specs(upper, middle, lower)["arguments"]["parameters"] == [
        {"name": "p1", "valueFrom": source},
        {"name": "p2", "default": "d", "enum": ["d"]},
        {"name": "p3", "value": "3"},
        {"name": "p5", "value": 5},
        {"name": "p6", "value": "6", "enum": ["6"]},
    ]


def _artifacts(*artifacts: dict[str, Any]) -> dict[str, Any]:
    return {"arguments": {"artifacts": list(artifacts)}}


def test_an_artifact_keeps_the_fields_of_its_kind_of_location() -> None:
    upper = _artifacts({"name": "a", "s3": {"key": "override-key"}})
    lower = _artifacts({"name": "a", "path": "/p", "s3": {"endpoint": "e", "bucket": "b", "key": "default-key"}})
    assert merge_specs(upper, lower) == _artifacts(
        {"name": "a", "s3": {"endpoint": "e", "bucket": "b", "key": "override-key"}}
    )


def test_an_artifact_of_another_kind_of_location_is_replaced() -> None:
    upper = _artifacts({"name": "a", "http": {"url": "u"}})
    lower = _artifacts({"name": "a", "http": {"url": "v"}, "s3": {"key": "k"}}, {"name": "b", "raw": {"data": "d"}})
    merged = merge_specs(upper, _artifacts({"name": "a", "git": {"repo": "r"}}), lower)
    assert merged == _artifacts({"name": "a", "http": {"url": "u"}}, {"name": "b", "raw": {"data": "d"}})


def test_hooks_merge_by_name_and_not_by_field() -> None:
    upper = {"hooks": {"foo": {"template": "a"}}}
    lower = {"hooks": {"foo": {"template": "c", "expression": "e"}, "bar": {"template": "b"}}}
    assert merge_specs(upper, lower) == {"hooks": {"foo": {"template": "a"}, "bar": {"template": "b"}}}
    assert merge_specs({}, lower) == lower


def test_labels_from_merge_by_name() -> None:
    def labels(**expressions: str) -> dict[str, Any]:
        return {"workflowMetadata": {"labelsFrom": {key: {"expression": text} for key, text in expressions.items()}}}

    assert merge_specs(labels(foo="BASE", baz="BASE"), labels(foo="PATCH", bar="PATCH")) == labels(
        foo="BASE", bar="PATCH", baz="BASE"
    )


def test_resource_claims_are_replaced() -> None:
    upper = {"resourceClaims": [{"name": "gpu", "resourceClaimName": "shared"}]}
    lower = {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "t"}, {"name": "nic"}]}
    assert merge_specs(upper, lower) == upper


def test_suspend_is_that_of_the_workflow() -> None:
    assert merge_specs({"entrypoint": "a"}, {"suspend": True}) == {"entrypoint": "a"}
    assert merge_specs({"suspend": True}, {"suspend": False}) == {"suspend": True}


def test_nulls_and_empty_lists_inherit() -> None:
    upper = {"entrypoint": None, "metrics": {"prometheus": []}, "nodeSelector": {"a": None}}
    lower = {"entrypoint": "main", "metrics": {"prometheus": [{"name": "m"}]}, "nodeSelector": {"a": "1"}}
    assert merge_specs(upper, lower) == lower


DEFAULT_BODIES: dict[str, Any] = {
    "activeDeadlineSeconds": 150,
    "script": {"source": "Test", "env": [{"name": "test"}]},
    "container": {"imagePullPolicy": "IfNotPresent", "env": [{"name": "test"}]},
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (
            {"name": "c", "container": {"image": "i", "env": [{"name": "own"}]}},
            {
                "container": {
                    "image": "i",
                    "imagePullPolicy": "IfNotPresent",
                    "env": [{"name": "own"}, {"name": "test"}],
                }
            },
        ),
        ({"name": "s", "script": {"source": "x"}}, {"script": {"source": "x", "env": [{"name": "test"}]}}),
        ({"name": "d", "dag": {"tasks": []}}, {"dag": {"tasks": []}}),
        ({"name": "w", "suspend": {}}, {"suspend": {}}),
        ({"name": "h", "http": {"url": "u"}, "activeDeadlineSeconds": 1}, {"http": {"url": "u"}}),
    ],
)
def test_template_defaults(template: dict[str, Any], expected: dict[str, Any]) -> None:
    merged = merge_template_defaults(template, DEFAULT_BODIES)
    assert merged == {"activeDeadlineSeconds": 150, **template, **expected}


# RFC 7386, appendix A
MERGE_PATCHES = [
    ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'),
    ('{"a":"b"}', '{"a":null}', "{}"),
    ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
    ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
    ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
    ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'),
    ('["a","b"]', '["c","d"]', '["c","d"]'),
    ('{"a":"b"}', '["c"]', '["c"]'),
    ('{"a":"foo"}', "null", "null"),
    ('{"a":"foo"}', '"bar"', '"bar"'),
    ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'),
    ("[1,2]", '{"a":"b","c":null}', '{"a":"b"}'),
    ("{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'),
]

# RFC 6902, appendix A
JSON_PATCHES = [
    ('{"foo":"bar"}', '[{"op":"add","path":"/baz","value":"qux"}]', '{"baz":"qux","foo":"bar"}'),
    ('{"foo":["bar","baz"]}', '[{"op":"add","path":"/foo/1","value":"qux"}]', '{"foo":["bar","qux","baz"]}'),
    ('{"baz":"qux","foo":"bar"}', '[{"op":"remove","path":"/baz"}]', '{"foo":"bar"}'),
    ('{"foo":["bar","qux","baz"]}', '[{"op":"remove","path":"/foo/1"}]', '{"foo":["bar","baz"]}'),
    ('{"baz":"qux"}', '[{"op":"replace","path":"/baz","value":"boo"}]', '{"baz":"boo"}'),
    (
        '{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}',
        '[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]',
        '{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}',
    ),
    (
        '{"foo":["all","grass","cows"]}',
        '[{"op":"move","from":"/foo/1","path":"/foo/2"}]',
        '{"foo":["all","cows","grass"]}',
    ),
    ('{"baz":"qux","foo":["a",2]}', '[{"op":"test","path":"/foo/1","value":2}]', '{"baz":"qux","foo":["a",2]}'),
    ('{"foo":"bar"}', '[{"op":"add","path":"/child","value":{"g":{}}}]', '{"foo":"bar","child":{"g":{}}}'),
    ('{"foo":"bar"}', '[{"op":"add","path":"/baz","value":"qux","xyz":123}]', '{"foo":"bar","baz":"qux"}'),
    ('{"/":9,"~1":10}', '[{"op":"test","path":"/~01","value":10}]', '{"/":9,"~1":10}'),
    ('{"foo":["bar"]}', '[{"op":"add","path":"/foo/-","value":["abc","def"]}]', '{"foo":["bar",["abc","def"]]}'),
    (
        '{"a":[1]}',
        '[{"op":"copy","from":"/a","path":"/b"},{"op":"add","path":"/a/0","value":0}]',
        '{"a":[0,1],"b":[1]}',
    ),
    ('{"a":1}', '[{"op":"replace","path":"","value":[2]}]', "[2]"),
    ('{"a":1}', '[{"op":"add","path":"","value":[2]}]', "[2]"),
]

BAD_JSON_PATCHES = [
    ('{"baz":"qux"}', '[{"op":"test","path":"/baz","value":"bar"}]', "not what the test expects"),
    ('{"a":1}', '[{"op":"test","path":"/a","value":true}]', "not what the test expects"),
    ('{"a":[1]}', '[{"op":"test","path":"/a","value":[1,2]}]', "not what the test expects"),
    ('{"foo":"bar"}', '[{"op":"add","path":"/baz/bat","value":"qux"}]', "there is no 'baz' in the object"),
    ('{"/":9,"~1":10}', '[{"op":"test","path":"/~01","value":"10"}]', "not what the test expects"),
    ('{"a":[1]}', '[{"op":"add","path":"/a/2","value":1}]', "not a place in a list of 1"),
    ('{"a":[1]}', '[{"op":"remove","path":"/a/1"}]', "there is no '1' in the list"),
    ('{"a":[1]}', '[{"op":"replace","path":"/a/01","value":1}]', "there is no '01' in the list"),
    ('{"a":1}', '[{"op":"add","path":"/a/b","value":1}]', "neither an object nor a list"),
    ('{"a":{}}', '[{"op":"move","from":"/a","path":"/a/b"}]', "into itself"),
    ('{"a":1}', '[{"op":"remove","path":""}]', "whole object"),
    ('{"a":1}', '[{"op":"remove","path":"a"}]', "must be a JSON pointer"),
    ('{"a":1}', '[{"op":"add","path":"/b"}]', "needs a value"),
    ('{"a":1}', '[{"op":"plus","path":"/a","value":1}]', "'plus' is not one of"),
    ('{"a":1}', "[1]", "Operation 0 of the JSON patch: it is not an object"),
    ('{"a":1}', "{}", "must be a list"),
]


@pytest.mark.parametrize(("target", "patch", "expected"), MERGE_PATCHES)
def test_merge_patch(target: str, patch: str, expected: str) -> None:
    assert apply_patch(json.loads(target), json.loads(patch), "merge") == json.loads(expected)


@pytest.mark.parametrize(("target", "patch", "expected"), JSON_PATCHES)
def test_json_patch(target: str, patch: str, expected: str) -> None:
    assert apply_patch(json.loads(target), json.loads(patch), "json") == json.loads(expected)


@pytest.mark.parametrize(("target", "patch", "message"), BAD_JSON_PATCHES)
def test_a_json_patch_that_does_not_fit_is_refused(target: str, patch: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        apply_patch(json.loads(target), json.loads(patch), "json")


def _deployment(*containers: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    spec = {"template": {"spec": {"containers": list(containers)}}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", **metadata}, "spec": spec}


def test_a_strategic_patch_merges_containers_by_name() -> None:
    target = _deployment({"name": "a", "image": "1", "ports": [{"containerPort": 80}]}, finalizers=["x"])
    patch = {
        "metadata": {"finalizers": ["y"]},
        "spec": {"template": {"spec": {"containers": [{"name": "b"}, {"name": "a", "image": "2"}]}}},
    }
    assert apply_patch(target, patch) == _deployment(
        {"name": "b"}, {"name": "a", "image": "2", "ports": [{"containerPort": 80}]}, finalizers=["y", "x"]
    )


def test_a_strategic_patch_of_a_kind_without_such_lists() -> None:
    target = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1", "b": "2"}, "metadata": {"labels": {"x": "y"}}}
    patch = {"data": {"a": None, "c": "3"}, "metadata": {"labels": {"$patch": "replace", "z": "w"}}}
    assert apply_patch(target, patch) == {**target, "data": {"b": "2", "c": "3"}, "metadata": {"labels": {"z": "w"}}}


@pytest.mark.parametrize(
    ("target", "patch", "strategy", "message"),
    [
        ({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow"}, {}, "strategic", "custom kind"),
        ({"kind": "Pod"}, [], "strategic", "must be objects"),
        ({}, {}, "apply", "'apply' is not a merge strategy"),
    ],
)
def test_patches_that_cannot_be_applied(target: Any, patch: Any, strategy: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        apply_patch(target, patch, strategy)


named = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from("abc")}, optional={"value": st.integers(0, 2)}),
    unique_by=lambda found: found["name"],
    min_size=1,
)
specs = st.fixed_dictionaries(
    {},
    optional={
        "entrypoint": st.sampled_from("ab"),
        "suspend": st.booleans(),
        "arguments": st.fixed_dictionaries({}, optional={"parameters": named, "artifacts": named}),
        "templates": named,
        "hooks": st.dictionaries(st.sampled_from("xy"), st.just({"template": "t"}), min_size=1),
        "nodeSelector": st.dictionaries(st.sampled_from("kl"), st.sampled_from("vw"), min_size=1),
    },
)


@given(specs)
def test_merging_with_nothing_changes_nothing(spec: dict[str, Any]) -> None:
    assert merge_specs(spec, {}) == merge_specs(spec) == merge_specs(spec, spec) == spec
    assert merge_specs({}, spec) == {key: value for key, value in spec.items() if key != "suspend"}


@given(specs, specs)
def test_merging_again_changes_nothing(upper: dict[str, Any], lower: dict[str, Any]) -> None:
    before = deepcopy((upper, lower))
    merged = merge_specs(upper, lower)
    assert merge_specs(merged, lower) == merge_specs(upper, lower, lower) == merged
    assert (upper, lower) == before


json_values = st.recursive(
    st.integers(0, 2) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=8,
)


@given(json_values, json_values)
def test_a_merge_patch_without_nulls_wins(target: Any, patch: Any) -> None:
    merged = apply_patch(target, patch, "merge")
    assert apply_patch(merged, patch, "merge") == merged


def test_no_specs_make_an_empty_one() -> None:
    assert merge_specs() == {}
