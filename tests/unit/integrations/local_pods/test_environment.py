"""The environment of containers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tiphys.errors import SpecError
from tiphys.integrations.local.pods.context import PodContext
from tiphys.integrations.local.pods.environment import environment_of, expand, field_of, quantity

CONTEXT = PodContext(
    workflow="wf",
    namespace="ns",
    node_id="wf-1",
    pod_name="wf-t-1",
    labels={"a": "b"},
    annotations={"q": 'say "hi"'},
    deadline=0.0,
)


class Objects:
    def config_map(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        return {("ns", "c"): {"k": b"v", "1 bad name": b"x"}}.get((namespace, name))

    def secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        return {("ns", "s"): {"key": b"hidden"}}.get((namespace, name))

    def claim_folder(self, namespace: str, name: str) -> Path | None:
        return None


def made(**container: Any) -> dict[str, str]:
    return environment_of(
        {"name": "main", **container},
        context=CONTEXT,
        objects=Objects(),
        template="{}",
        shims="/shims",
        progress="/var/run/argo/progress",
    )


def variable(**source: Any) -> str:
    return made(env=[{"name": "X", "valueFrom": source}])["X"]


def test_what_argo_adds() -> None:
    found = made()
    assert {name: value for name, value in found.items() if name.startswith("ARGO")} == {
        "ARGO_CONTAINER_NAME": "main",
        "ARGO_TEMPLATE": "{}",
        "ARGO_NODE_ID": "wf-1",
        "ARGO_INCLUDE_SCRIPT_OUTPUT": "true",
        "ARGO_DEADLINE": "1970-01-01T00:00:00Z",
        "ARGO_WORKFLOW_NAME": "wf",
        "ARGO_PROGRESS_FILE": "/var/run/argo/progress",
    }
    assert set(found) - {"HOME", "PATH", "HOSTNAME"} == {name for name in found if name.startswith("ARGO")}


def test_shims_are_first_on_any_path() -> None:
    assert made()["PATH"].startswith("/shims:/usr/local/sbin:")
    assert made(env=[{"name": "PATH", "value": "/own"}])["PATH"] == "/shims:/own"


def test_variables_refer_to_earlier_ones() -> None:
    variables = [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)$(C)"}, {"name": "C", "value": "3"}]
    assert made(env=variables)["B"] == "1$(C)"


def test_sources() -> None:
    assert variable(configMapKeyRef={"name": "c", "key": "k"}) == "v"
    assert variable(secretKeyRef={"name": "s", "key": "key"}) == "hidden"
    assert variable(fieldRef={"fieldPath": "metadata.namespace"}) == "ns"


def test_whole_objects() -> None:
    found = made(envFrom=[{"configMapRef": {"name": "c"}}, {"prefix": "S_", "secretRef": {"name": "s"}}])
    assert (found["k"], found["S_key"]) == ("v", "hidden")
    assert "1 bad name" not in found


@pytest.mark.parametrize(
    "container",
    [
        {"env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "k"}}}]},
        {"env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "none"}}}]},
        {"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k"}}}]},
        {"env": [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "spec.none"}}}]},
        {"env": [{"name": "X", "valueFrom": {"somethingNew": {"none": 1}}}]},
        {"env": [{"name": "X", "valueFrom": {"resourceFieldRef": {"resource": "limits.none"}}}]},
        {"envFrom": [{"configMapRef": {"name": "none"}}]},
    ],
)
def test_what_is_missing_is_named(container: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=r"none|somethingNew"):
        made(**container)


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


def test_fields() -> None:
    assert field_of("metadata.labels['a']", CONTEXT, "x") == "b"
    assert field_of("metadata.labels['none']", CONTEXT, "x") == ""
    assert field_of("metadata.annotations", CONTEXT, "x") == 'q="say \\"hi\\""'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500m", Fraction(1, 2)),
        ("2", Fraction(2)),
        ("1Gi", Fraction(1 << 30)),
        ("1.5k", Fraction(1500)),
        ("1e3", Fraction(1000)),
        ("-1M", Fraction(-(10**6))),
        ("0.5Ki", Fraction(512)),
    ],
)
def test_quantities(text: str, expected: Fraction) -> None:
    assert quantity(text, "x") == expected


@pytest.mark.parametrize("text", ["", "Gi", "1.2.3", "1KiB", "one"])
def test_no_quantities(text: str) -> None:
    with pytest.raises(SpecError, match="quantity"):
        quantity(text, "x")


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ({"resource": "limits.memory"}, str(64 << 20)),
        ({"resource": "limits.memory", "divisor": "1Mi"}, "64"),
        ({"resource": "requests.memory", "divisor": "60Mi"}, "2"),
        ({"resource": "requests.cpu"}, "1"),
        ({"resource": "limits.cpu"}, str(os.cpu_count())),
    ],
)
def test_resources(reference: dict[str, str], expected: str) -> None:
    resources = {"limits": {"memory": "64Mi"}, "requests": {"cpu": "100m"}}
    found = made(resources=resources, env=[{"name": "X", "valueFrom": {"resourceFieldRef": reference}}])
    assert found["X"] == expected
