from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.integrations.docker.planning import Cluster

from tiphys.errors import SpecError
from tiphys.integrations.docker.pods.context import PodContext
from tiphys.integrations.docker.pods.environment import environment_of, expand, field_of

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


@given(st.text(alphabet="ab()"))
def test_text_without_dollars_stays(text: str) -> None:
    assert expand(text, {"a": "x"}) == text


@given(st.text())
def test_doubled_dollars_are_dollars(text: str) -> None:
    assert expand(text.replace("$", "$$"), {}) == text
