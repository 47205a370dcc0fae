"""Fields of earlier versions. Facts: Argo's docs/deprecations.md and docs/upgrading.md."""

from __future__ import annotations

from typing import Any

import pytest

from tiphys.spec.old_spellings import modernize

CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], list[str]]] = {
    "schedule": ("CronWorkflow", {"schedule": "@daily"}, {"schedules": ["@daily"]}, ["spec.schedule"]),
    "both schedules": (
        "CronWorkflow",
        {"schedule": "@daily", "schedules": ["@hourly"]},
        {"schedules": ["@daily", "@hourly"]},
        ["spec.schedule"],
    ),
    "empty schedule": (
        "CronWorkflow",
        {"schedule": "", "schedules": ["@daily"]},
        {"schedules": ["@daily"]},
        ["spec.schedule"],
    ),
    "locks of a workflow": (
        "Workflow",
        {"synchronization": {"mutex": {"name": "m"}, "semaphore": {"configMapKeyRef": {"name": "c", "key": "k"}}}},
        {
            "synchronization": {
                "mutexes": [{"name": "m"}],
                "semaphores": [{"configMapKeyRef": {"name": "c", "key": "k"}}],
            }
        },
        ["spec.synchronization.mutex", "spec.synchronization.semaphore"],
    ),
    "locks of a template": (
        "WorkflowTemplate",
        {"templates": [{"synchronization": {"mutex": {"name": "m"}, "mutexes": [{"name": "n"}]}}]},
        {"templates": [{"synchronization": {"mutexes": [{"name": "m"}, {"name": "n"}]}}]},
        ["spec.templates.0.synchronization.mutex"],
    ),
    "locks of template defaults": (
        "ClusterWorkflowTemplate",
        {"templateDefaults": {"synchronization": {"mutex": {"name": "m"}}}},
        {"templateDefaults": {"synchronization": {"mutexes": [{"name": "m"}]}}},
        ["spec.templateDefaults.synchronization.mutex"],
    ),
    "locks of inline templates": (
        "CronWorkflow",
        {
            "workflowSpec": {
                "templates": [
                    {"steps": [[{"inline": {"synchronization": {"mutex": {"name": "m"}}}}]]},
                    {"dag": {"tasks": [{"inline": {"synchronization": {"mutex": {"name": "m"}}}}]}},
                ]
            }
        },
        {
            "workflowSpec": {
                "templates": [
                    {"steps": [[{"inline": {"synchronization": {"mutexes": [{"name": "m"}]}}}]]},
                    {"dag": {"tasks": [{"inline": {"synchronization": {"mutexes": [{"name": "m"}]}}}]}},
                ]
            }
        },
        [
            "spec.workflowSpec.templates.0.steps.0.0.inline.synchronization.mutex",
            "spec.workflowSpec.templates.1.dag.tasks.0.inline.synchronization.mutex",
        ],
    ),
    "priority of pods": ("Workflow", {"podPriority": 3}, {}, ["spec.podPriority"]),
    "time to live": (
        "Workflow",
        {"ttlSecondsAfterFinished": 60},
        {"ttlStrategy": {"secondsAfterCompletion": 60}},
        ["spec.ttlSecondsAfterFinished"],
    ),
    "both times to live": (
        "Workflow",
        {"ttlSecondsAfterFinished": 60, "ttlStrategy": {"secondsAfterSuccess": 1}},
        {"ttlStrategy": {"secondsAfterSuccess": 1}},
        ["spec.ttlSecondsAfterFinished"],
    ),
    "fields that have gone": (
        "Workflow",
        {
            "templates": [
                {"priority": 1, "resubmitPendingPods": True, "steps": [[{"templateRef": {"runtimeResolution": True}}]]}
            ]
        },
        {"templates": [{"steps": [[{"templateRef": {}}]]}]},
        [
            "spec.templates.0.resubmitPendingPods",
            "spec.templates.0.priority",
            "spec.templates.0.steps.0.0.templateRef.runtimeResolution",
        ],
    ),
    "other kinds": ("ConfigMap", {"schedule": "x", "podPriority": 1}, {"schedule": "x", "podPriority": 1}, []),
    "nothing old": ("Workflow", {"entrypoint": "x", "priority": 3}, {"entrypoint": "x", "priority": 3}, []),
    "what is no list": (
        "Workflow",
        {"templates": {"a": 1}, "synchronization": 3},
        {"templates": {"a": 1}, "synchronization": 3},
        [],
    ),
}


@pytest.mark.parametrize(("kind", "old", "new", "paths"), CASES.values(), ids=CASES)
def test_old_fields_become_new_ones(kind: str, old: dict[str, Any], new: dict[str, Any], paths: list[str]) -> None:
    document = {"kind": kind, "spec": old}

    remarks = modernize(document)

    assert document["spec"] == new
    assert [".".join(str(part) for part in remark.path) for remark in remarks] == paths


def test_a_manifest_without_a_specification_stays_as_it_is() -> None:
    assert modernize({"kind": "Workflow"}) == []
