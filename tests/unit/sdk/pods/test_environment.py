"""The environment of containers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.sdk.pods.planning import Cluster

from tiphys.errors import SpecError
from tiphys.sdk.pods.context import PodContext
from tiphys.sdk.pods.environment import amount, environment_of, expand, field_of

CONTEXT = PodContext(workflow="wf", node_id="wf-1", pod_name="pod", namespace="ns", labels={"a": 'x"y'}, deadline=0.0)


def environment(cluster: Cluster | None = None, **container: Any) -> dict[str, str]:
    given = {"name": "main", "image": "i", **container}
    return environment_of(given, context=CONTEXT, objects=cluster or Cluster(), template="{}")


def test_what_argo_adds_cannot_be_changed() -> None:
    found = environment(env=[{"name": "ARGO_NODE_ID", "value": "mine"}])
    assert found == {
        "HOSTNAME": "pod",
        "ARGO_CONTAINER_NAME": "main",
        "ARGO_TEMPLATE": "{}",
        "ARGO_NODE_ID": "wf-1",
        "ARGO_INCLUDE_SCRIPT_OUTPUT": "true",
        "ARGO_DEADLINE": "1970-01-01T00:00:00Z",
        "ARGO_WORKFLOW_NAME": "wf",
        "ARGO_PROGRESS_FILE": "/var/run/argo/progress",
    }


def test_own_variables_win_over_those_of_maps_and_may_refer_to_them() -> None:
    cluster = Cluster()
    cluster.maps["m"] = {"A": b"map", "B": b"b", "not a name": b""}
    found = environment(
        cluster,
        envFrom=[{"configMapRef": {"name": "m"}}, {"secretRef": {"name": "none", "optional": True}}],
        env=[{"name": "A", "value": "own"}, {"name": "C", "value": "$(A)-$(B)-$(D)"}, {"name": "D"}],
    )
    assert (found["A"], found["C"], found["D"]) == ("own", "own-b-$(D)", "")
    assert "not a name" not in found


@pytest.mark.parametrize(
    ("resource", "divisor", "value"),
    [
        ("limits.cpu", "0", "1"),
        ("limits.cpu", "1m", "250"),
        ("limits.memory", "1Mi", "64"),
        ("requests.memory", "1Ki", "65536"),
    ],
)
def test_resources(resource: str, divisor: str, value: str) -> None:
    source = {"resourceFieldRef": {"resource": resource, "divisor": divisor}}
    found = environment(
        env=[{"name": "X", "valueFrom": source}], resources={"limits": {"cpu": "250m", "memory": "64Mi"}}
    )
    assert found["X"] == value


@pytest.mark.parametrize(
    ("path", "value"),
    [("metadata.name", "pod"), ("metadata.labels['a']", 'x"y'), ("metadata.labels", 'a="x\\"y"')],
)
def test_fields(path: str, value: str) -> None:
    assert field_of(path, CONTEXT, "here") == value


@pytest.mark.parametrize(
    ("container", "message"),
    [
        ({"envFrom": [{"configMapRef": {"name": "m"}}]}, "there is no ConfigMap 'm'"),
        ({"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}, "there is no Secret 's'"),
        ({"env": [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "spec.none"}}}]}, "no field 'spec.none'"),
        ({"env": [{"name": "X", "valueFrom": {"resourceFieldRef": {"resource": "limits.gpu"}}}]}, "no resource"),
        ({"env": [{"name": "X", "valueFrom": {"other": {}}}]}, "no source that is known"),
    ],
)
def test_what_is_missing(container: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        environment(**container)


class Objects:
    def config_map(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        return {("ns", "c"): {"k": b"v", "1 bad name": b"x"}}.get((namespace, name))

    def secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        return {("ns", "s"): {"key": b"hidden"}}.get((namespace, name))

    def claim_folder(self, namespace: str, name: str) -> Path | None:
        return None


def made(**container: Any) -> dict[str, str]:
    return environment_of({"name": "main", **container}, context=CONTEXT, objects=Objects(), template="{}")


def variable(**source: Any) -> str:
    return made(env=[{"name": "X", "valueFrom": source}])["X"]


def test_variables_of_the_image_may_be_referred_to_and_changed() -> None:
    found = environment_of(
        {"name": "main", "env": [{"name": "PATH", "value": "/own:$(PATH)"}]},
        context=CONTEXT,
        objects=Objects(),
        template="{}",
        progress="/task/progress",
        image={"HOME": "/root", "PATH": "/bin"},
    )
    assert (found["HOME"], found["PATH"], found["ARGO_PROGRESS_FILE"]) == ("/root", "/own:/bin", "/task/progress")


def test_sources() -> None:
    assert variable(configMapKeyRef={"name": "c", "key": "k"}) == "v"
    assert variable(secretKeyRef={"name": "s", "key": "key"}) == "hidden"
    assert variable(fieldRef={"fieldPath": "metadata.namespace"}) == "ns"


def test_whole_objects() -> None:
    found = made(envFrom=[{"configMapRef": {"name": "c"}}, {"prefix": "S_", "secretRef": {"name": "s"}}])
    assert (found["k"], found["S_key"]) == ("v", "hidden")
    assert "1 bad name" not in found


def test_what_is_missing_may_be_optional() -> None:
    reference = {"name": "none", "key": "k", "optional": True}
    found = made(
        env=[{"name": "X", "valueFrom": {"configMapKeyRef": reference}}],
        envFrom=[{"secretRef": {"name": "none", "optional": True}}],
    )
    assert "X" not in found


# Values as in Kubernetes' third_party/forked/golang/expansion/expand_test.go.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)", "1"),
        ("a$(A)b$(B)", "a1b2"),
        ("$(NONE)", "$(NONE)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$$", "$"),
        ("$A ${A} $(A", "$A ${A} $(A"),
        ("$()", "$()"),
    ],
)
def test_expansion(text: str, expected: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500m", Decimal("0.5")),
        ("2", Decimal(2)),
        ("1Gi", Decimal(1 << 30)),
        ("1.5k", Decimal(1500)),
        ("1e3", Decimal(1000)),
        ("-1M", Decimal(-(10**6))),
        ("0.5Ki", Decimal(512)),
    ],
)
def test_quantities(text: str, expected: Decimal) -> None:
    assert amount(text, "x") == expected


@pytest.mark.parametrize("text", ["", "Gi", "1.2.3", "1KiB", "one"])
def test_no_quantities(text: str) -> None:
    with pytest.raises(SpecError, match="quantity"):
        amount(text, "x")


@pytest.mark.parametrize(
    ("reference", "expected"),
    [({"resource": "requests.memory", "divisor": "60Mi"}, "2"), ({"resource": "requests.cpu"}, "1")],
)
def test_resources_are_rounded_up(reference: dict[str, str], expected: str) -> None:
    resources = {"limits": {"memory": "64Mi"}, "requests": {"cpu": "100m"}}
    found = made(resources=resources, env=[{"name": "X", "valueFrom": {"resourceFieldRef": reference}}])
    assert found["X"] == expected


def test_without_a_limit_all_of_the_machine_is_there() -> None:
    assert variable(resourceFieldRef={"resource": "limits.cpu"}) == str(os.cpu_count())


@given(st.text(alphabet="ab()"))
def test_text_without_dollars_stays(text: str) -> None:
    assert expand(text, {"a": "x"}) == text


@given(st.text())
def test_doubled_dollars_are_dollars(text: str) -> None:
    assert expand(text.replace("$", "$$"), {}) == text
