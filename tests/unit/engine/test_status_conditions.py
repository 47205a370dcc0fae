"""Conditions of a workflow: what follows from its nodes, and which fields of its manifest have no effect."""

from __future__ import annotations

from typing import Any

import pytest

from tiphys.engine.model import Node, NodeType, Phase, WorkflowState
from tiphys.engine.status.conditions import METRICS_ERROR, SPEC_WARNING, conditions, with_condition
from tiphys.engine.status.ignored import ignored_fields
from tiphys.spec.status import Condition


def a_node(type: NodeType, phase: Phase) -> Node:
    return Node(type, type, type, type, phase, "t")


def state(phase: Phase) -> WorkflowState:
    return WorkflowState("uid", "wf", phase)


@pytest.mark.parametrize(
    ("phase", "nodes", "expected"),
    [
        (Phase.PENDING, [], {}),
        (Phase.RUNNING, [], {"PodRunning": "False"}),
        (Phase.RUNNING, [(NodeType.POD, Phase.RUNNING)], {"PodRunning": "True"}),
        (Phase.RUNNING, [(NodeType.POD, Phase.PENDING)], {"PodRunning": "False"}),
        (Phase.RUNNING, [(NodeType.SUSPEND, Phase.RUNNING)], {"PodRunning": "False"}),
        (Phase.FAILED, [(NodeType.POD, Phase.FAILED)], {"PodRunning": "False", "Completed": "True"}),
        (Phase.SUCCEEDED, [], {"PodRunning": "False", "Completed": "True"}),
    ],
)
def test_conditions_follow_from_the_nodes(
    phase: Phase, nodes: list[tuple[NodeType, Phase]], expected: dict[str, str]
) -> None:
    found = conditions(None, state(phase), [a_node(*each) for each in nodes])
    assert {one["type"]: one["status"] for one in found} == expected


def test_given_conditions_go_first_and_old_ones_of_the_nodes_are_dropped() -> None:
    given = [Condition(type="Completed", status="False"), Condition(type=SPEC_WARNING, message="w")]
    assert conditions(given, state(Phase.SUCCEEDED), []) == [
        {"type": SPEC_WARNING, "message": "w"},
        {"type": "PodRunning", "status": "False"},
        {"type": "Completed", "status": "True"},
    ]


def test_a_condition_replaces_the_one_of_its_type() -> None:
    given = [{"type": METRICS_ERROR, "message": "old"}, {"type": SPEC_WARNING, "message": "w"}]
    new = {"type": METRICS_ERROR, "status": "True", "message": "new"}
    assert with_condition(given, METRICS_ERROR, "new") == [given[1], new]
    assert with_condition(given, METRICS_ERROR, "") == [given[1]]
    assert with_condition(None, METRICS_ERROR, "new") == [new]


# What has no effect

SPEC_FIELDS: dict[str, Any] = {
    "affinity": {"nodeAffinity": {}},
    "automountServiceAccountToken": True,
    "dnsConfig": {"searches": ["a"]},
    "dnsPolicy": "Default",
    "executor": {"serviceAccountName": "a"},
    "hostAliases": [{"ip": "1.2.3.4"}],
    "hostNetwork": True,
    "imagePullSecrets": [{"name": "s"}],
    "nodeSelector": {"disk": "fast"},
    "podDisruptionBudget": {"minAvailable": 1},
    "podPriorityClassName": "high",
    "podSpecPatch": "{}",
    "schedulerName": "other",
    "securityContext": {"runAsUser": 1},
    "tolerations": [{"key": "a"}],
}


@pytest.mark.parametrize("name", SPEC_FIELDS)
def test_fields_of_the_specification_are_named(name: str) -> None:
    assert ignored_fields({name: SPEC_FIELDS[name]}, runner="sandbox") == [f"spec.{name}"]


def test_every_part_of_a_template_is_looked_at() -> None:
    used = {"resources": {"limits": {"cpu": 1}}}
    spec = {
        "templateDefaults": {"tolerations": [{"key": "a"}]},
        "templates": [
            {
                "name": "a",
                "nodeSelector": {"disk": "fast"},
                "podSpecPatch": "{}",
                "container": {"image": "i", "livenessProbe": {"exec": {}}, **used},
                "initContainers": [{"name": "first", **used}],
                "sidecars": [{"name": "db", "securityContext": {"runAsUser": 1}}],
            },
            {"name": "b", "script": {"image": "i", **used}},
            {"name": "c", "containerSet": {"containers": [{"name": "x", **used}, {"name": "y"}]}},
            {"name": "d", "dag": {"tasks": [{"name": "t", "inline": {"container": used}}, {"name": "u"}]}},
            {"name": "e", "steps": [[{"name": "s", "inline": {"schedulerName": "o"}}]]},
        ],
    }
    stored = {"namespaced/w/t": {"container": {"imagePullPolicy": "Always"}}}
    assert ignored_fields(spec, stored, runner="sandbox") == [
        "templateDefaults.tolerations",
        "templates.a.nodeSelector",
        "templates.a.podSpecPatch",
        "templates.a.container.livenessProbe",
        "templates.a.container.resources",
        "templates.a.initContainers.first.resources",
        "templates.a.sidecars.db.securityContext",
        "templates.b.script.resources",
        "templates.c.containerSet.x.resources",
        "templates.d.t.inline.container.resources",
        "templates.e.s.inline.schedulerName",
        "storedTemplates.namespaced/w/t.container.imagePullPolicy",
    ]


@pytest.mark.parametrize("runner", ["sandbox", "container"])
def test_the_container_of_a_plugin_is_looked_at(runner: str) -> None:
    container = {"image": "i", "ports": [{"containerPort": 1}], "resources": {"limits": {"cpu": 1}}}
    plugin = {"metadata": {"name": "p"}, "spec": {"sidecar": {"container": container}}}
    assert ignored_fields({"executorPlugins": [plugin]}, runner=runner) == ["spec.executorPlugins.p.resources"]


def test_real_containers_heed_more() -> None:
    container = {
        "resources": {"limits": {"cpu": 1}},
        "securityContext": {"runAsUser": 1},
        "imagePullPolicy": "Never",
        "lifecycle": {"preStop": {}},
    }
    spec = {"templates": [{"name": "a", "container": container, "securityContext": {"runAsUser": 1}}]}
    assert ignored_fields(spec, runner="container") == ["templates.a.container.lifecycle"]
    assert len(ignored_fields(spec, runner="process")) == 5


def test_what_is_heeded_or_empty_is_not_named() -> None:
    spec = {
        "nodeSelector": {},
        "tolerations": [],
        "serviceAccountName": "a",
        "volumes": [{"name": "v", "emptyDir": {}}],
        "templates": [{"name": "a", "container": {"image": "i", "env": [{"name": "A"}], "readinessProbe": {}}}],
    }
    assert ignored_fields(spec, runner="sandbox") == []
