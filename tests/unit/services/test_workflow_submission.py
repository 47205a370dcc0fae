"""From a manifest to what is stored: options, references, parameters from ConfigMaps, names."""

from __future__ import annotations

import re
from copy import deepcopy

import pytest

from tiphys.errors import AlreadyExistsError, NotFoundError, SpecError, UsageError
from tiphys.ports.workflows import SubmitOptions
from tiphys.records.base import Query
from tiphys.records.runs import Run
from tiphys.services.workflows.options import apply_options

MAIN = {"name": "main", "container": {"image": "busybox", "command": ["true"]}}


def a_manifest(**spec):
    return {"metadata": {"generateName": "w-"}, "spec": {"entrypoint": "main", "templates": [MAIN], **spec}}


def a_template(name="t", kind="WorkflowTemplate", *templates, **spec):
    return {
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"entrypoint": "main", "templates": list(templates) or [MAIN], **spec},
    }


def steps(name, *calls):
    return {"name": name, "steps": [[{"name": f"s{number}", **call}] for number, call in enumerate(calls)]}


# Options


@pytest.mark.parametrize(
    ("options", "path", "value"),
    [
        ({"entrypoint": "e"}, ("spec", "entrypoint"), "e"),
        ({"service_account": "a"}, ("spec", "serviceAccountName"), "a"),
        ({"pod_priority_class": "p"}, ("spec", "podPriorityClassName"), "p"),
        ({"priority": 0}, ("spec", "priority"), 0),
        ({"labels": {"a": "2"}}, ("metadata", "labels"), {"a": "2", "b": "1"}),
        ({"annotations": {"n": "1"}}, ("metadata", "annotations"), {"n": "1"}),
        ({"name": "n"}, ("metadata", "name"), "n"),
        ({"generate_name": "g-"}, ("metadata", "generateName"), "g-"),
        (
            {"parameters": {"q": "3", "new": "4"}},
            ("spec", "arguments", "parameters"),
            [{"name": "q", "value": "3"}, {"name": "new", "value": "4"}, {"name": "p", "value": "1"}],
        ),
        (
            {"artifacts": {"a": "k2"}},
            ("spec", "arguments", "artifacts"),
            [{"name": "a", "s3": {"bucket": "b", "key": "k2"}}],
        ),
    ],
)
def test_options_change_a_copy(options, path, value):
    manifest = {
        "metadata": {"generateName": "w-", "labels": {"a": "1", "b": "1"}},
        "spec": {
            "arguments": {
                "parameters": [{"name": "p", "value": "1"}, {"name": "q", "value": "2"}],
                "artifacts": [{"name": "a", "s3": {"bucket": "b", "key": "k"}}],
            }
        },
    }
    before = deepcopy(manifest)
    found = apply_options(manifest, SubmitOptions(**options))
    for key in path:
        found = found[key]
    assert found == value
    assert manifest == before


def test_an_artifact_override_names_an_argument_with_a_location():
    manifest = a_manifest(arguments={"artifacts": [{"name": "a"}]})
    with pytest.raises(UsageError, match="no artifact argument 'b'"):
        apply_options(manifest, SubmitOptions(artifacts={"b": "k"}))
    with pytest.raises(UsageError, match="'a' has no location"):
        apply_options(manifest, SubmitOptions(artifacts={"a": "k"}))


# Names and metadata


def test_a_name_is_generated_as_kubernetes_does(backend):
    made = backend.workflows.submit(a_manifest())
    assert re.fullmatch("w-[a-z0-9]{5}", made["metadata"]["name"])
    assert made["metadata"]["namespace"] == "default"
    long = backend.workflows.submit(a_manifest(), SubmitOptions(generate_name="x" * 80))
    assert len(long["metadata"]["name"]) == 63


def test_a_given_name_is_unique_in_its_namespace(backend):
    backend.workflows.submit(a_manifest(), SubmitOptions(name="mine"))
    with pytest.raises(AlreadyExistsError, match="workflow 'mine'"):
        backend.workflows.submit(a_manifest(), SubmitOptions(name="mine"))
    backend.workflows.in_namespace("team").submit(a_manifest(), SubmitOptions(name="mine"))


def test_labels_of_the_workflow_metadata_are_its_own(backend):
    made = backend.workflows.submit(a_manifest(workflowMetadata={"labels": {"a": "1"}, "annotations": {"b": "2"}}))
    assert made["metadata"]["labels"] == {"a": "1"}
    assert made["metadata"]["annotations"] == {"b": "2"}


def test_it_is_started_and_has_a_run(backend, host):
    made = backend.workflows.submit(a_manifest(arguments={"parameters": [{"name": "p", "value": 1}]}))
    assert host.started == [made["metadata"]["uid"]]
    (run,) = backend.find(Query.of(Run))
    assert (run.name, run.pipeline_id, run.stack) == (made["metadata"]["name"], None, "default")
    assert run.parameters == {"p": "1"}


def test_a_dry_run_stores_and_starts_nothing(backend, host):
    made = backend.workflows.submit(a_manifest(), SubmitOptions(dry_run=True))
    assert made["metadata"]["name"].startswith("w-")
    assert host.started == []
    assert backend.find(Query.of(Run)) == []


def test_several_workflows_are_stored_or_none(backend, host):
    with pytest.raises(SpecError):
        backend.workflows.submit_all([a_manifest(), a_manifest(entrypoint="other")])
    assert host.started == []
    assert len(backend.workflows.submit_all([a_manifest(), a_manifest()])) == 2
    assert len(host.started) == 2


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (a_manifest(entrypoint="other"), "entrypoint"),
        ({**a_manifest(), "kind": "CronWorkflow"}, "A Workflow can be submitted, not a CronWorkflow"),
        (a_manifest(nonsense=1), "nonsense"),
        (a_manifest(arguments={"parameters": [{"name": "p"}]}), "needs a value"),
    ],
)
def test_what_is_not_valid_is_not_stored(backend, manifest, said):
    with pytest.raises(SpecError, match=said):
        backend.workflows.submit(manifest)
    assert backend.find(Query.of(Run)) == []


def test_unknown_fields_are_kept_where_that_is_allowed(backend):
    made = backend.workflows.submit(a_manifest(nonsense=1), SubmitOptions(strict=False))
    assert made["spec"]["nonsense"] == 1


# References


def test_a_template_is_submitted_by_any_of_its_kinds_names(backend):
    backend.objects.create(a_template(arguments={"parameters": [{"name": "p", "value": "1"}]}))
    for kind in ("wftmpl", "workflowtemplate", "WorkflowTemplate"):
        made = backend.workflows.submit_from(kind, "t", SubmitOptions(parameters={"p": "2"}))
        assert made["metadata"]["name"].startswith("t-")
        assert made["metadata"]["labels"] == {"workflows.argoproj.io/workflow-template": "t"}
        assert made["spec"]["workflowTemplateRef"] == {"name": "t"}
        stored = made["status"]["storedWorkflowTemplateSpec"]
        assert stored["arguments"]["parameters"] == [{"name": "p", "value": "2"}]
        assert stored["templates"] == [MAIN]
    with pytest.raises(UsageError, match="'pod' is not supported"):
        backend.workflows.submit_from("pod", "t")


def test_a_cluster_template_is_submitted(backend):
    backend.objects.create(a_template("t", "ClusterWorkflowTemplate"))
    made = backend.workflows.in_namespace("team").submit_from("cwft", "t")
    assert made["metadata"]["labels"] == {"workflows.argoproj.io/cluster-workflow-template": "t"}
    assert made["spec"]["workflowTemplateRef"] == {"name": "t", "clusterScope": True}
    assert made["metadata"]["namespace"] == "team"


def test_a_schedule_is_submitted(backend):
    cron = {
        "kind": "CronWorkflow",
        "metadata": {"name": "nightly"},
        "spec": {
            "schedules": ["@daily"],
            "workflowMetadata": {"labels": {"a": "1"}},
            "workflowSpec": {"entrypoint": "main", "templates": [MAIN]},
        },
    }
    backend.objects.create(cron)
    metadata = backend.workflows.submit_from("cronwf", "nightly")["metadata"]
    assert metadata["labels"] == {"workflows.argoproj.io/cron-workflow": "nightly", "a": "1"}
    assert "workflows.argoproj.io/scheduled-time" in metadata["annotations"]
    assert metadata["ownerReferences"][0]["name"] == "nightly"


def test_every_stored_template_that_can_be_reached_is_kept(backend):
    backend.objects.create(a_template("inner", "ClusterWorkflowTemplate", {**MAIN, "name": "leaf"}, entrypoint="leaf"))
    backend.objects.create(
        a_template(
            "lib",
            "WorkflowTemplate",
            steps("top", {"template": "local"}, {"template": "top", "when": "1 == 2"}),
            steps("local", {"templateRef": {"name": "inner", "template": "leaf", "clusterScope": True}}),
            {**MAIN, "name": "unused"},
            entrypoint="top",
        )
    )
    call = {"templateRef": {"name": "lib", "template": "top"}}
    inline = {"inline": {"steps": [[{"name": "i", **call}]]}}
    made = backend.workflows.submit(a_manifest(templates=[steps("main", inline)]))
    assert sorted(made["status"]["storedTemplates"]) == [
        "cluster/inner/leaf",
        "namespaced/lib/local",
        "namespaced/lib/top",
    ]


def test_templates_of_hooks_are_kept(backend):
    backend.objects.create(a_template("lib"))
    hooks = {"exit": {"templateRef": {"name": "lib", "template": "main"}}}
    made = backend.workflows.submit(a_manifest(hooks=hooks))
    assert list(made["status"]["storedTemplates"]) == ["namespaced/lib/main"]


def test_what_is_not_stored_cannot_be_referred_to(backend):
    with pytest.raises(NotFoundError, match="no WorkflowTemplate 't'|not found"):
        backend.workflows.submit_from("wftmpl", "t", SubmitOptions(strict=False))


# Parameters from ConfigMaps


def source(**more):
    return {"name": "p", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}, **more}}


def a_config_map(type="Parameter", **data):
    labels = {"workflows.argoproj.io/configmap-type": type} if type else {}
    return {"kind": "ConfigMap", "metadata": {"name": "c", "labels": labels}, "data": data}


def test_a_value_is_taken_from_a_config_map(backend):
    backend.objects.create(a_config_map(k="v"))
    made = backend.workflows.submit(a_manifest(arguments={"parameters": [source()]}))
    assert made["spec"]["arguments"]["parameters"] == [{"name": "p", "value": "v"}]


@pytest.mark.parametrize(
    ("config_map", "error", "said"),
    [
        (None, NotFoundError, "there is no ConfigMap 'c'"),
        (a_config_map(other="v"), NotFoundError, "'c' has no key 'k'"),
        (a_config_map("", k="v"), SpecError, "needs to have the label workflows.argoproj.io/configmap-type: Parameter"),
    ],
)
def test_a_value_that_cannot_be_had(backend, config_map, error, said):
    if config_map:
        backend.objects.create(config_map)
    with pytest.raises(error, match=said):
        backend.workflows.submit(a_manifest(arguments={"parameters": [source()]}))


@pytest.mark.parametrize("config_map", [None, a_config_map(other="v")])
def test_a_default_stands_in(backend, config_map):
    if config_map:
        backend.objects.create(config_map)
    made = backend.workflows.submit(a_manifest(arguments={"parameters": [source(default="d")]}))
    assert made["spec"]["arguments"]["parameters"] == [{"name": "p", "value": "d"}]


# What the runner cannot carry out


REMOTE = {**MAIN, "name": "remote", "volumes": [{"name": "n", "nfs": {}}]}
MOUNTING = {"name": "main", "container": {"image": "busybox", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}}


@pytest.mark.parametrize(
    ("runner", "manifest", "said"),
    [
        ("process", a_manifest(templates=[MOUNTING]), "templates.main.main.volumeMounts: a host process cannot"),
        ("sandbox", a_manifest(volumes=[{"name": "n", "nfs": {}}]), "spec.volumes.n: only emptyDir, "),
        (
            "sandbox",
            a_manifest(templates=[steps("main", {"template": "remote"}), REMOTE]),
            "templates.remote.volumes.n: only emptyDir, ",
        ),
        ("sandbox", a_manifest(templateDefaults={"volumes": [{"name": "n", "nfs": {}}]}), "templates.main.volumes.n: "),
        ("sandbox", a_manifest(templates=[MAIN, REMOTE], onExit="remote"), "templates.remote.volumes.n: "),
        ("container", a_manifest(templates=[{**MAIN, "hostAliases": [{}]}]), "templates.main.hostAliases: "),
    ],
)
def test_what_the_runner_cannot_carry_out_is_refused(backend, runner, manifest, said):
    with pytest.raises(SpecError, match=f"The runner '{runner}' cannot carry this workflow out: ") as caught:
        backend.workflows.submit(manifest, SubmitOptions(runner=runner))
    assert said in caught.value.message
    assert backend.find(Query.of(Run)) == []


def test_stored_templates_are_looked_at_as_well(backend):
    backend.objects.create(a_template("t", "WorkflowTemplate", REMOTE, entrypoint="remote"))
    call = {"templateRef": {"name": "t", "template": "remote"}}
    with pytest.raises(SpecError, match=r"templates\.remote\.volumes\.n"):
        backend.workflows.submit(a_manifest(templates=[steps("main", call)]))


def test_what_cannot_be_reached_may_be_anything(backend):
    assert backend.workflows.submit(a_manifest(templates=[MAIN, REMOTE]))
