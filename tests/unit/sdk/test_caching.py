"""What a cache key depends on, and how a difference is explained."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys._util.canonical import digest_of
from tiphys.engine.model import Values
from tiphys.sdk.caching import cache_key, explain, input_name

BODY = {
    "step": "train",
    "source": "project.steps:train",
    "code_digest": "c1",
    "code_parts": {"project.steps:train": "a1", "project.steps:helper": "b1"},
    "inputs": {"data": {"kind": "artifact"}, "rate": {"kind": "parameter"}, "xs": {"kind": "list"}},
    "outputs": [{"name": "output", "artifact_name": "model", "tags": ["t"], "materializers": ["m:M"]}],
    "cache": {"enabled": True, "policy": {}, "extras": {"function": "v1"}, "environment": ["B", "A"]},
}


def ref(digest, version_id="v"):
    return {"version_id": version_id, "name": "n", "digest": digest}


INPUTS = Values(parameters={"rate": "0.5"}, artifacts={"data": ref("d1"), "xs-0": ref("x0")})


def key(body=BODY, inputs=INPUTS, **options):
    return cache_key(body, inputs, **options)[0]


def changed(**fields):
    return {**BODY, **fields}


def with_policy(**policy):
    return changed(cache={**BODY["cache"], "policy": policy})


def test_the_key_is_the_digest_of_its_parts():
    found, text = cache_key(BODY, INPUTS)
    parts = json.loads(text)
    assert found == digest_of(parts)
    assert parts["parameters"] == {"rate": "0.5"}
    assert parts["inputs"] == {"data": "d1", "xs-0": "x0"}
    assert parts["environment"] == ["A", "B"]


@given(
    parameters=st.dictionaries(st.text(max_size=5), st.text(max_size=8), max_size=3),
    names=st.lists(st.text(max_size=5), max_size=3),
)
def test_the_key_is_the_digest_of_its_parts_whatever_they_are(parameters, names):
    inputs = Values(parameters=parameters, artifacts={name: [ref(name), [ref("d")]] for name in names})
    found, parts = cache_key(BODY, inputs)
    assert found == digest_of(json.loads(parts))


@pytest.mark.parametrize(
    "body",
    [
        changed(code_digest="c2"),
        changed(outputs=[{"name": "other", "materializers": ["m:M"]}]),
        changed(outputs=[{"name": "output", "materializers": ["m:N"]}]),
        changed(cache={**BODY["cache"], "extras": {"function": "v2"}}),
        changed(cache={**BODY["cache"], "environment": ["A", "B", "C"]}),
        changed(source="project.steps:other"),
    ],
)
def test_what_changes_the_key(body):
    assert key(body) != key()


@pytest.mark.parametrize(
    "body",
    [
        changed(outputs=[{"name": "output", "artifact_name": "renamed", "tags": [], "materializers": ["m:M"]}]),
        changed(settings={"gpu": 1}, hooks={"on_success": "a:b"}, docstring="more"),
        changed(source="project.moved:train"),
        changed(cache={**BODY["cache"], "environment": ["A", "B"], "expires_after": 3}),
    ],
)
def test_what_does_not_change_the_key(body):
    assert key(body) == key()


def test_inputs_change_the_key():
    for parameters, artifacts in (
        ({"rate": "0.25"}, INPUTS.artifacts),
        (INPUTS.parameters, {**INPUTS.artifacts, "data": ref("d2")}),
        (INPUTS.parameters, {"data": ref("x0"), "xs-0": ref("d1")}),
    ):
        assert key(inputs=Values(parameters=parameters, artifacts=artifacts)) != key()
    again = {"data": ref("d1", "another"), "xs-0": ref("x0", "version")}
    assert key(inputs=Values(parameters=INPUTS.parameters, artifacts=again)) == key()


def test_workspaces_share_nothing():
    assert key(workspace="a") != key(workspace="b")


def test_without_its_code_a_step_is_told_by_its_full_name():
    body = with_policy(include_step_code=False)
    edited = {**body, "code_digest": "c2", "code_parts": {}}
    assert key(edited) == key(body)
    assert key({**body, "source": "other.module:train"}) != key(body)


def test_ignored_inputs_and_parameters():
    other = Values(parameters={"rate": "9"}, artifacts={**INPUTS.artifacts, "xs-0": ref("y"), "xs-1": ref("z")})
    assert key(with_policy(ignored_inputs=["rate", "xs"]), other) == key(with_policy(ignored_inputs=["rate", "xs"]))
    assert key(with_policy(ignored_inputs=["rate"]), other) != key(with_policy(ignored_inputs=["rate"]))
    rate = Values(parameters={"rate": "9"}, artifacts=INPUTS.artifacts)
    assert key(with_policy(include_step_parameters=False), rate) == key(with_policy(include_step_parameters=False))


def test_identity_instead_of_content():
    by_id = with_policy(include_artifact_values=False)
    same_content = Values(parameters=INPUTS.parameters, artifacts={"data": ref("d1", "w"), "xs-0": ref("x0")})
    same_id = Values(parameters=INPUTS.parameters, artifacts={"data": ref("d2"), "xs-0": ref("x0")})
    assert key(by_id, same_content) != key(by_id)
    assert key(by_id, same_id) == key(by_id)
    neither = with_policy(include_artifact_values=False, include_artifact_ids=False)
    assert key(neither, same_content) == key(neither, same_id) == key(neither)


LOOP = changed(inputs={"x": {"kind": "item"}})


def test_an_element_counts_and_the_rest_of_its_list_does_not():
    def of(text, digest):
        return key(LOOP, Values(parameters={"x": text}, artifacts={"x-list": ref(digest)}))

    assert of("1", "l1") == of("1", "l2")
    assert of("1", "l1") != of("2", "l1")
    assert of('{"$item":0}', "l1") != of('{"$item":0}', "l2")
    assert of('{"$item":0}', "l1") != of('{"$item":1}', "l1")


def test_an_artifact_from_outside_counts():
    def of(digest, **policy):
        body = changed(
            inputs={"x": {"kind": "external", "ref": ref(digest)}}, cache={**BODY["cache"], "policy": policy}
        )
        return key(body, Values())

    assert of("d1") != of("d2")
    assert of("d1", ignored_inputs=["x"]) == of("d2", ignored_inputs=["x"])


def test_which_parameter_an_input_belongs_to():
    declared = {"xs": {}, "x": {}}
    names = {name: input_name(name, declared) for name in ("x", "xs-0", "xs-12", "x-list", "y-0")}
    assert names == {"x": "x", "xs-0": "xs", "xs-12": "xs", "x-list": "x", "y-0": "y-0"}


def difference(body=BODY, inputs=INPUTS):
    return [str(one) for one in explain(cache_key(BODY, INPUTS)[1], cache_key(body, inputs)[1])]


def test_equal_keys_need_no_explanation():
    assert difference() == []


def test_changes_are_named():
    edited = changed(code_digest="c2", code_parts={"project.steps:train": "a1", "project.steps:helper": "b2"})
    assert difference(edited) == ["code of project.steps:helper changed: b1 → b2"]
    assert difference(changed(code_digest="c2")) == ["code changed: c1 → c2"]
    inputs = Values(parameters={"rate": "1", "depth": "3"}, artifacts={"data": ref("d2")})
    assert difference(inputs=inputs) == [
        "input data changed: d1 → d2",
        "input xs-0 is gone: x0",
        "parameter depth is new: 3",
        "parameter rate changed: 0.5 → 1",
    ]
    assert difference(changed(cache={**BODY["cache"], "environment": ["A"]})) == [
        'environment variables changed: ["A","B"] → ["A"]'
    ]
