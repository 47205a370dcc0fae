"""Rules for whole workflows, stored templates, schedules and bindings. Facts: Argo v4.1, workflow/validate."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.spec.validate.manifests import (
    Json,
    call,
    container,
    errors,
    given,
    problems,
    steps,
    stored,
    taking,
    workflow,
)

WORK = container()
LIBRARY = [
    stored(WORK, entrypoint="work"),
    stored(taking("x"), name="needy", entrypoint="work", arguments=given(x=None)),
    stored(taking("x"), name="giving", entrypoint="work", arguments=given(x="1")),
    stored(
        container(container={}), name="imageless", entrypoint="work", templateDefaults={"container": {"image": "x"}}
    ),
    stored(WORK, name="handled", entrypoint="work", onExit="work"),
    stored(WORK, kind="ClusterWorkflowTemplate", entrypoint="work"),
]


def running(name: str, **spec: Any) -> Json:
    """A workflow that runs a stored template."""
    cluster = {"clusterScope": True} if spec.pop("cluster", False) else {}
    return workflow(workflowTemplateRef={"name": name} | cluster, **spec)


def cron(**spec: Any) -> Json:
    body = {"schedules": ["0 * * * *"], "workflowSpec": workflow(WORK)["spec"]} | spec
    return {"kind": "CronWorkflow", "metadata": {"name": "c"}, "spec": body}


def binding(**spec: Any) -> Json:
    body = {"event": {"selector": "payload.x == 'y'"}, "submit": {"workflowTemplateRef": {"name": "lib"}}} | spec
    return {"kind": "WorkflowEventBinding", "metadata": {"name": "b"}, "spec": body}


def plugins(*, name: str | None = "p", **container_: Any) -> Json:
    good = {
        "image": "x",
        "ports": [{"containerPort": 1}],
        "securityContext": {},
        "resources": {"requests": {}, "limits": {}},
    }
    return workflow(
        WORK,
        executorPlugins=[
            {"metadata": {"name": name} if name else {}, "spec": {"sidecar": {"container": good | container_}}}
        ],
    )


def installed(text: str) -> Json:
    """A ConfigMap that installs a plugin."""
    labels = {"workflows.argoproj.io/configmap-type": "ExecutorPlugin"}
    metadata = {"name": "p-executor-plugin", "labels": labels}
    return {"kind": "ConfigMap", "metadata": metadata, "data": {"sidecar.container": text}}


PLUGIN = "{image: x, ports: [{containerPort: 1}], securityContext: {}, resources: {requests: {}, limits: {}}}"

GOOD: dict[str, Json] = {
    "installed plugin": installed(PLUGIN),
    "ConfigMap that is no plugin": {"kind": "ConfigMap", "data": {"sidecar.container": "[no: container"}},
    "image by default": workflow(container(container={}), templateDefaults={"container": {"image": "x"}}),
    "image of a script by default": workflow(
        {"name": "work", "script": {"source": "x"}}, templateDefaults={"script": {"image": "x"}}
    ),
    "argument without a value": workflow(taking("x"), arguments=given(x=None)),
    "argument from a config map": workflow(
        taking("x"),
        arguments={"parameters": [{"name": "x", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]},
    ),
    "argument of an enum": workflow(WORK, arguments={"parameters": [{"name": "x", "value": "1", "enum": ["1", "2"]}]}),
    "argument of an enum without a value": workflow(WORK, arguments={"parameters": [{"name": "x", "enum": ["1"]}]}),
    "exit handler with the workflow's arguments": workflow(
        WORK, taking("x", name="bye"), onExit="bye", arguments=given(x="1")
    ),
    "exit hook with the workflow's arguments": workflow(
        WORK, taking("x", name="bye"), hooks={"exit": {"template": "bye"}}, arguments=given(x="1")
    ),
    "hook": workflow(WORK, hooks={"started": {"template": "work", "expression": "workflow.status == 'Running'"}}),
    "runs a stored template": running("lib"),
    "runs one of the cluster": running("lib", cluster=True),
    "runs one that is not known": running("other"),
    "gives it arguments": running("needy", arguments=given(x="1")),
    "lets it keep its own": running("giving"),
    "images of its defaults": running("imageless"),
    "its exit handler": running("handled"),
    "policies": workflow(
        WORK,
        podGC={"strategy": "OnPodSuccess", "deleteDelayDuration": "30s", "labelSelector": {"matchLabels": {"a": "b"}}},
        artifactGC={"strategy": "Never"},
        volumeClaimGC={"strategy": "OnWorkflowCompletion"},
        ttlStrategy={"secondsAfterCompletion": 0},
        shutdown="Stop",
        parallelism=1,
        activeDeadlineSeconds=0,
        podResources={"requests": {"cpu": "100m"}},
    ),
    "settings of pods by inputs": workflow(WORK, nodeSelector={"arch": "{{inputs.parameters.arch}}"}),
    "executor plugins": plugins(),
    "no executor plugins": workflow(WORK, executorPlugins=[]),
    "a stored template needs no entrypoint": workflow(WORK, kind="WorkflowTemplate", entrypoint=None),
    "nor arguments for it": workflow(taking("x"), kind="ClusterWorkflowTemplate"),
    "schedule": cron(
        timezone="UTC", when="{{= cronworkflow.failed }} < 3", stopStrategy={"expression": "cronworkflow.failed > 3"}
    ),
    "several schedules": cron(schedules=["@daily", "@every 1h30m", "*/5 1-3 * jan mon"], concurrencyPolicy="Forbid"),
    "binding": binding(),
    "binding with arguments": binding(
        submit={
            "workflowTemplateRef": {"name": "lib"},
            "arguments": {"parameters": [{"name": "x", "valueFrom": {"event": "payload.message ?? 'none'"}}]},
        }
    ),
    "config map": {"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}},
    "kind that nothing reads": {"kind": "Pod", "spec": {"any": 1}},
}


@pytest.mark.parametrize("document", GOOD.values(), ids=GOOD)
def test_good_documents_have_no_problems(document: Json) -> None:
    assert problems(document, library=LIBRARY) == []


#: Name → document, place, phrase.
BAD: dict[str, tuple[Json, str, str]] = {
    "long name": (
        workflow(WORK, metadata={"name": "a" * 64}),
        "metadata.name",
        "must not be more than 63 characters long (currently 64)",
    ),
    "long name of a template": (
        workflow(WORK, kind="WorkflowTemplate", metadata={"name": "a" * 70}),
        "metadata.name",
        'workflow template name "',
    ),
    "long name of a cluster template": (
        workflow(WORK, kind="ClusterWorkflowTemplate", metadata={"name": "a" * 70}),
        "metadata.name",
        "cluster workflow template name",
    ),
    "long name of a schedule": (
        cron() | {"metadata": {"name": "a" * 53}},
        "metadata.name",
        "must not be more than 52 characters long (currently 53)",
    ),
    "name that is none": (workflow(WORK, metadata={"name": "A_b"}), "metadata.name", "must consist of lower case"),
    "no entrypoint": (workflow(WORK, entrypoint=None), "spec.entrypoint", "is required"),
    "unknown entrypoint": (workflow(WORK, entrypoint="x"), "spec.entrypoint", "template name 'x' undefined"),
    "unknown entrypoint of a stored template": (
        workflow(WORK, kind="WorkflowTemplate", entrypoint="x"),
        "spec.entrypoint",
        "template name 'x' undefined",
    ),
    "entrypoint needs more": (workflow(taking("x")), "spec.entrypoint", "inputs.parameters.x was not supplied"),
    "entrypoint needs an artifact": (
        workflow(container(inputs={"artifacts": [{"name": "a", "path": "/a"}]})),
        "spec.entrypoint",
        "inputs.artifacts.a was not supplied",
    ),
    "template twice": (workflow(WORK, WORK), "spec.templates[1]", "name 'work' is not unique"),
    "template without a name": (workflow(WORK, WORK | {"name": ""}), "spec.templates[1]", "name is required"),
    "bad argument name": (
        workflow(WORK, arguments=given(**{"x#1": "1"})),
        "spec.arguments.parameters[0]",
        "is invalid",
    ),
    "argument without an enum's value": (
        workflow(WORK, arguments={"parameters": [{"name": "x", "value": "3", "enum": ["1"]}]}),
        "spec.arguments.parameters.x",
        "should be present in the enum list",
    ),
    "argument with an empty enum": (
        workflow(WORK, arguments={"parameters": [{"name": "x", "value": "3", "enum": []}]}),
        "spec.arguments.parameters.x",
        "enum should contain at least one value",
    ),
    "argument from an expression": (
        workflow(WORK, arguments={"parameters": [{"name": "x", "valueFrom": {"expression": "1"}}]}),
        "spec.arguments.parameters.x",
        "valueFrom only allows",
    ),
    "argument artifact from nowhere": (
        workflow(WORK, arguments={"artifacts": [{"name": "x"}]}),
        "spec.arguments.artifacts.x",
        "from, artifact location, or key is required",
    ),
    "no image of a script by a container's default": (
        workflow({"name": "work", "script": {"source": "x"}}, templateDefaults={"container": {"image": "x"}}),
        "templates.work.script.image",
        "may not be empty",
    ),
    "onExit": (workflow(WORK, onExit="x"), "spec.onExit", "template name 'x' undefined"),
    "onExit needs more": (
        workflow(WORK, taking("x", name="bye"), onExit="bye"),
        "spec.onExit",
        "templates.bye inputs.parameters.x was not supplied",
    ),
    "hook": (workflow(WORK, hooks={"h": {"template": "work"}}), "spec.hooks.h", "Expression required"),
    "hook's template": (workflow(WORK, hooks={"exit": {"template": "x"}}), "spec.hooks.exit.template", "undefined"),
    "hook's expression": (
        workflow(WORK, hooks={"h": {"template": "work", "expression": "workflow.state == 'x'"}}),
        "spec.hooks.h.expression",
        "failed to resolve {{workflow.state}}",
    ),
    "templates beside workflowTemplateRef": (
        running("lib", templates=[WORK]),
        "spec.templates",
        "Templates is invalid field in spec if workflow referred WorkflowTemplate reference",
    ),
    "workflowTemplateRef without a name": (
        workflow(workflowTemplateRef={}),
        "spec.workflowTemplateRef.name",
        "is required",
    ),
    "unknown entrypoint of the stored template": (
        running("lib", entrypoint="x"),
        "spec.entrypoint",
        "template name 'x' undefined",
    ),
    "pod GC": (workflow(WORK, podGC={"strategy": "Foo"}), "spec.podGC.strategy", "unknown strategy 'Foo'"),
    "pod GC's delay": (
        workflow(WORK, podGC={"deleteDelayDuration": "x"}),
        "spec.podGC.deleteDelayDuration",
        "invalid duration",
    ),
    "label selector": (
        workflow(
            WORK, podGC={"labelSelector": {"matchExpressions": [{"key": "k", "operator": "Is", "values": ["v"]}]}}
        ),
        "spec.podGC.labelSelector.matchExpressions[0]",
        '"Is" is not a valid label selector operator',
    ),
    "label selector's values": (
        workflow(WORK, podGC={"labelSelector": {"matchExpressions": [{"key": "k", "operator": "In"}]}}),
        "spec.podGC.labelSelector.matchExpressions[0]",
        "In must have values",
    ),
    "artifact GC": (workflow(WORK, artifactGC={"strategy": "x"}), "spec.artifactGC.strategy", "must be one of: Never"),
    "volume claim GC": (
        workflow(WORK, volumeClaimGC={"strategy": "x"}),
        "spec.volumeClaimGC.strategy",
        "must be one of",
    ),
    "settings of pods": (
        workflow(WORK, nodeSelector={"arch": "{{workflow.arch}}"}),
        "spec.nodeSelector.arch",
        "failed to resolve {{workflow.arch}}",
    ),
    "shutdown": (workflow(WORK, shutdown="Now"), "spec.shutdown", "must be one of: Stop, Terminate"),
    "time to live": (
        workflow(WORK, ttlStrategy={"secondsAfterFailure": -1}),
        "spec.ttlStrategy.secondsAfterFailure",
        "must be an integer >= 0",
    ),
    "parallelism": (workflow(WORK, parallelism=0), "spec.parallelism", "must be an integer >= 1"),
    "deadline": (workflow(WORK, activeDeadlineSeconds=-1), "spec.activeDeadlineSeconds", ">= 0"),
    "pod resources": (
        workflow(WORK, podResources={"limits": {"nvidia.com/gpu": "1"}}),
        "spec.podResources",
        '"nvidia.com/gpu" is not a valid pod-level resource',
    ),
    "synchronization": (
        workflow(WORK, synchronization={"mutexes": [{}]}),
        "spec.synchronization.mutexes[0]",
        "name is required",
    ),
    "retry": (workflow(WORK, retryStrategy={"retryPolicy": "x"}), "spec.retryStrategy.retryPolicy", "must be one of"),
    "metric": (
        workflow(WORK, metrics={"prometheus": [{"name": "m", "help": "h"}]}),
        "spec.metrics.prometheus.m",
        "exactly one of gauge",
    ),
    "labels from": (
        workflow(WORK, workflowMetadata={"labelsFrom": {"l": {"expression": "1 +"}}}),
        "spec.workflowMetadata.labelsFrom.l.expression",
        "expression is invalid",
    ),
    "default archive location": (
        workflow(WORK, templateDefaults={"archiveLocation": {"git": {}}}),
        "spec.templateDefaults.archiveLocation.git.repo",
        "is required",
    ),
    "plugin without a name": (
        plugins(name=None),
        "spec.executorPlugins[0]",
        "executor plugin metadata name is mandatory",
    ),
    "plugin without a port": (plugins(ports=[]), "spec.executorPlugins[0]", "at least one port is mandatory"),
    "plugin with a port without a number": (
        plugins(ports=[{"name": "http"}]),
        "spec.executorPlugins[0]",
        "the first port needs a containerPort",
    ),
    "plugin without requests": (
        plugins(resources={"limits": {}}),
        "spec.executorPlugins[0]",
        "resources requests are mandatory",
    ),
    "plugin without limits": (
        plugins(resources={"requests": {}}),
        "spec.executorPlugins[0]",
        "resources limits are mandatory",
    ),
    "plugin without a context": (
        plugins(securityContext=None),
        "spec.executorPlugins[0]",
        "security context is mandatory",
    ),
    "installed plugin without a port": (
        installed(PLUGIN.replace("containerPort: 1", "")),
        "data.sidecar.container",
        "the first port needs a containerPort",
    ),
    "installed plugin that is not YAML": (installed("[a: b"), "data.sidecar.container", "YAML"),
    "installed plugin that is no object": (installed("[]"), "data.sidecar.container", "an object, not list"),
    "installed plugin of the wrong type": (installed("{ports: 1}"), "data.sidecar.container", "ports"),
    "installed plugin with an unknown field": (
        installed(PLUGIN.replace("image", "imgae")),
        "data.sidecar.container.imgae",
        "did you mean 'image'?",
    ),
    "unknown field": (workflow(WORK, entryPoint="x"), "spec.entryPoint", "did you mean 'entrypoint'?"),
    "unknown field of metadata": (workflow(WORK, metadata={"lables": {}}), "metadata.lables", "did you mean 'labels'?"),
    "wrong type": (workflow(WORK, parallelism="many"), "spec.parallelism", "has the wrong type"),
    "no schedule": (cron(schedules=[]), "spec.schedules", "cron workflow must have at least one schedule"),
    "schedule": (cron(schedules=["* * *"]), "spec.schedules[0]", "cron schedule * * * is malformed"),
    "timezone": (cron(timezone="Not/A_Zone"), "spec.timezone", 'invalid timezone "Not/A_Zone"'),
    "concurrency": (
        cron(concurrencyPolicy="Maybe"),
        "spec.concurrencyPolicy",
        "'Maybe' is not valid: must be one of: Allow",
    ),
    "starting deadline": (cron(startingDeadlineSeconds=-1), "spec.startingDeadlineSeconds", "must be positive"),
    "history": (cron(failedJobsHistoryLimit=-1), "spec.failedJobsHistoryLimit", "must be positive"),
    "cron when": (cron(when="a = b"), "spec.when", "is not a condition"),
    "cron variable": (cron(when="{{cronworkflow.x}} == 1"), "spec.when", "failed to resolve {{cronworkflow.x}}"),
    "stop strategy": (cron(stopStrategy={}), "spec.stopStrategy.expression", "is required"),
    "no workflow": (cron(workflowSpec=None), "spec.workflowSpec", "is required"),
    "workflow of a schedule": (
        cron(workflowSpec=workflow(WORK, entrypoint="x")["spec"]),
        "spec.workflowSpec.entrypoint",
        "template name 'x' undefined",
    ),
    "argument of a scheduled workflow": (
        cron(workflowSpec=workflow(taking("x"), arguments=given(x=None))["spec"]),
        "spec.workflowSpec.arguments.parameters.x",
        "value or valueFrom is required",
    ),
    "no specification": ({"kind": "CronWorkflow", "metadata": {"name": "c"}}, "spec", "is required"),
    "no selector": (binding(event={}), "spec.event.selector", "is required"),
    "selector": (binding(event={"selector": "payload ="}), "spec.event.selector", "expression is invalid"),
    "binding of nothing": (binding(submit={}), "spec.submit.workflowTemplateRef.name", "is required"),
    "event's expression": (
        binding(
            submit={
                "workflowTemplateRef": {"name": "lib"},
                "arguments": {"parameters": [{"name": "x", "valueFrom": {"event": "payload."}}]},
            }
        ),
        "spec.submit.arguments.parameters.x.valueFrom.event",
        "expression is invalid",
    ),
}


@pytest.mark.parametrize(("document", "place", "phrase"), BAD.values(), ids=BAD)
def test_bad_documents_have_one_error(document: Json, place: str, phrase: str) -> None:
    [error] = errors(document, library=LIBRARY)

    assert error.startswith(place + " ")
    assert phrase in error


def test_at_submission_every_argument_has_a_value() -> None:
    document = workflow(taking("x"), arguments=given(x=None))

    assert errors(document, submit=True) == [
        "spec.arguments.parameters.x needs a value: value or valueFrom is required"
    ]
    assert errors(running("needy"), library=LIBRARY, submit=True) == [
        "spec.arguments.parameters.x needs a value: value or valueFrom is required"
    ]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (running("other"), "spec.workflowTemplateRef workflow template 'other' not found"),
        (
            running("needy", cluster=True),
            "spec.workflowTemplateRef cluster workflow template 'needy' not found",
        ),
        (
            binding(submit={"workflowTemplateRef": {"name": "x"}}),
            "spec.submit.workflowTemplateRef workflow template 'x' not found",
        ),
    ],
)
def test_what_a_complete_library_lacks_does_not_exist(document: Json, message: str) -> None:
    assert errors(document, library=LIBRARY) == []
    assert errors(document, library=LIBRARY, complete=True) == [message]


def test_what_is_wrong_with_the_stored_template_is_told_at_the_reference() -> None:
    broken = stored(steps(call("a", "nothing")), entrypoint="main")

    assert errors(running("lib"), library=[broken]) == [
        "spec.workflowTemplateRef namespaced/lib: templates.main.steps[0].a.template template name 'nothing' undefined"
    ]


def test_two_exit_handlers_are_worth_a_warning() -> None:
    document = workflow(WORK, onExit="work", hooks={"exit": {"template": "work"}})

    assert problems(document) == ["warning: spec.hooks.exit is not used, as onExit is set"]


def test_unknown_fields_are_for_strict_mode() -> None:
    assert errors(workflow(WORK, entryPoint="x"), strict=False) == []
