"""Stored objects on the command line: templates, schedules, ConfigMaps, Secrets, volume claims; and lint."""

from __future__ import annotations

import json

import pytest
from tests.unit.cli.argo.conftest import HELLO

from tiphys.spec.yaml import load

SPEC = "spec: {entrypoint: main, templates: [{name: main, container: {image: busybox, command: [echo]}}]}\n"
TEMPLATES = f"""\
kind: WorkflowTemplate
metadata: {{name: a, labels: {{app: x}}}}
{SPEC}---
kind: WorkflowTemplate
metadata: {{name: b}}
{SPEC}"""
CRON = """\
kind: CronWorkflow
metadata: {name: nightly}
spec:
  schedules: ["0 2 * * *"]
  timezone: Europe/Berlin
  workflowSpec:
    entrypoint: main
    arguments: {parameters: [{name: p, value: "1"}]}
    templates: [{name: main, container: {image: busybox, command: [echo]}}]
"""


@pytest.fixture
def write(tmp_path):
    def call(text, name="file.yaml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return str(path)

    return call


# Templates


def test_templates(invoke, write):
    file = write(TEMPLATES)
    assert invoke("argo", "template", "create", file, "-o", "name").stdout == "a\nb\n"
    assert "There is a WorkflowTemplate 'a' already" in invoke("argo", "template", "create", file, code=2).stderr
    shown = invoke("argo", "template", "update", file).stdout
    assert "Name:                a\nNamespace:           default\nCreated:" in shown
    assert invoke("argo", "template", "list").stdout == "NAME\na\nb\n"
    assert invoke("argo", "template", "list", "-A").stdout.splitlines()[1].split() == ["default", "a"]
    assert invoke("argo", "template", "list", "-o", "name", "-l", "app=x").stdout == "a\n"
    assert load(invoke("argo", "template", "get", "a", "-o", "yaml").stdout)["metadata"]["resourceVersion"] == "2"
    assert invoke("argo", "template", "delete", "a").stdout == "WorkflowTemplate 'a' deleted\n"
    assert invoke("argo", "template", "delete", "--all").stdout == "WorkflowTemplate 'b' deleted\n"
    assert "Name them" in invoke("argo", "template", "delete", code=2).stderr


def test_cluster_templates(invoke, write):
    file = write(TEMPLATES.replace("WorkflowTemplate", "ClusterWorkflowTemplate"))
    invoke("argo", "cluster-template", "create", file)
    assert invoke("argo", "cluster-template", "list", "-n", "team", "-o", "name").stdout == "a\nb\n"
    assert "No WorkflowTemplate was found" in invoke("argo", "template", "create", file, code=2).stderr


def test_unknown_fields_of_templates(invoke, write):
    file = write(TEMPLATES.replace("entrypoint: main,", "entrypoint: main, nonsense: 1,"))
    assert "nonsense" in invoke("argo", "template", "create", file, code=2).stderr
    invoke("argo", "template", "create", file, "--no-strict")


# Schedules


def test_schedules(invoke, write):
    file = write(CRON)
    shown = invoke("argo", "cron", "create", file, "--labels", "a=1", "-p", "p=2").stdout
    assert "Name:                          nightly\n" in shown
    assert "Schedules:                     0 2 * * *\n" in shown
    assert "NextScheduledTime:             " in shown
    assert "  p:                           2\n" in shown
    invoke("argo", "cron", "create", file, "--name", "other", "--schedule", "@every 1h")
    listed = [line.split("   ") for line in invoke("argo", "cron", "list").stdout.splitlines()]
    assert listed[0][0].startswith("NAME")
    rows = invoke("argo", "cron", "list").stdout.splitlines()[1:]
    assert rows[0].endswith("0 2 * * *   Europe/Berlin   false")
    assert "@every 1h" in rows[1]
    assert invoke("argo", "cron", "list", "-o", "name", "-l", "a=1").stdout == "nightly\n"
    assert invoke("argo", "cron", "suspend", "nightly").stdout == "CronWorkflow 'nightly' suspended\n"
    assert "Suspended:                     true\n" in invoke("argo", "cron", "get", "nightly").stdout
    assert invoke("argo", "cron", "resume", "nightly").stdout == "CronWorkflow 'nightly' resumed\n"
    assert load(invoke("argo", "cron", "get", "nightly", "-o", "yaml").stdout)["spec"]["suspend"] is False
    invoke("argo", "cron", "update", file)
    assert invoke("argo", "cron", "delete", "nightly").stdout == "CronWorkflow 'nightly' deleted\n"
    assert invoke("argo", "cron", "delete", "--all").stdout == "CronWorkflow 'other' deleted\n"


def test_a_schedule_is_caught_up(invoke, write, backend, detached):
    invoke("argo", "cron", "create", write(CRON))
    days = ("--format", "2006-01-02", "--start", "2026-01-05", "--end", "2026-01-08")
    shown = invoke("argo", "cron", "backfill", "nightly", *days, "--name", "x").stdout
    assert "Created x Backfill task for Cronworkflow nightly\n" in shown
    assert "Total Backfill Schedule: 3\n" in shown
    names = [line.split()[-1] for line in shown.splitlines() if " default " in line]
    assert len(detached) == len(names) == 3
    first = backend.workflows.get(names[0])
    assert first["metadata"]["name"].startswith("nightly-backfill-x-")
    assert first["metadata"]["labels"]["workflows.argoproj.io/backfill"] == "nightly"
    assert first["metadata"]["annotations"]["workflows.argoproj.io/scheduled-time"] == "2026-01-05T01:00:00Z"
    assert first["spec"]["synchronization"] == {"mutexes": [{"name": "x"}]}
    assert first["spec"]["arguments"]["parameters"][0]["name"] == "cronScheduleTime"
    parallel = invoke("argo", "cron", "backfill", "nightly", *days, "--parallel", "--argname", "when").stdout
    name = parallel.splitlines()[-1].split()[-1]
    assert "synchronization" not in backend.workflows.get(name)["spec"]
    few = invoke("argo", "cron", "backfill", "nightly", *days, "--maxworkflowcount", "2", code=2)
    assert "more than 2 times" in few.stderr
    none = ("--format", "2006-01-02", "--start", "2026-01-05", "--end", "2026-01-05")
    assert "no suitable scheduling time" in invoke("argo", "cron", "backfill", "nightly", *none).stdout


# Lint


def test_lint(invoke, write):
    good = write(HELLO)
    assert invoke("argo", "lint", good).stdout == "✔ no linting errors found!\n"
    assert invoke("argo", "lint", good, "-o", "simple", "--offline").stdout == "no linting errors found!\n"
    bad = write(HELLO.replace("entrypoint: main", "entrypoint: other"), "bad.yaml")
    shown = invoke("argo", "lint", good, bad, code=1).stdout
    assert f"{bad}:\n" in shown
    assert f"{good}:\n" not in shown
    assert "✖ 1 linting errors found!\n" in shown
    assert invoke("argo", "lint", bad, "-o", "simple", code=1).stdout.startswith(f"{bad}:6: error: ")
    assert "found nothing to lint" in invoke("argo", "lint", bad, "--kinds", "cwf", code=1).stdout
    assert "Unknown kind: pods" in invoke("argo", "lint", bad, "--kinds", "pods", code=2).stderr
    broken = write("a: [", "broken.yaml")
    assert "Not valid YAML" in invoke("argo", "lint", broken, code=1).stdout


def test_lint_looks_templates_up(invoke, write, tmp_path):
    referring = "kind: Workflow\nmetadata: {name: w}\nspec: {workflowTemplateRef: {name: a}}\n"
    file = write(referring, "folder/w.yaml")
    invoke("argo", "lint", file, code=1)
    invoke("argo", "lint", file, "--offline")
    templates = write(TEMPLATES, "folder/t.yml")
    invoke("argo", "lint", str(tmp_path / "folder"))
    invoke("argo", "template", "lint", templates)
    invoke("argo", "template", "create", templates)
    invoke("argo", "lint", "-", input=referring)
    invoke("argo", "cron", "lint", file, code=1)


# ConfigMaps, Secrets, volume claims


def test_config_maps(invoke, write, tmp_path):
    source = tmp_path / "blob"
    source.write_bytes(b"\xff")
    shown = invoke(
        "configmap", "create", "c", "--from-literal", "a=1=2", "--from-file", f"b={source}", "--from-file", str(source)
    )
    assert shown.stdout == "configmap/c stored\n"
    found = load(invoke("configmap", "get", "c", "-o", "yaml").stdout)
    assert (found["data"], found["binaryData"]) == ({"a": "1=2"}, {"b": "/w==", "blob": "/w=="})
    described = invoke("configmap", "get", "c").stdout
    assert "  a:                 1=2\n" in described
    assert "  b:                 1 bytes\n" in described
    file = write("kind: ConfigMap\nmetadata: {name: d, labels: {x: z}}\ndata: {k: v}\n---\nkind: Pod\n")
    assert invoke("configmap", "create", "-f", file, "--dry-run").stdout == "configmap/d would be stored\n"
    invoke("configmap", "create", "-f", file)
    assert invoke("configmap", "list", "-l", "x=z", "-o", "name").stdout == "d\n"
    assert invoke("configmap", "list", "-A").stdout.splitlines()[1].split()[:3] == ["default", "c", "3"]
    assert invoke("configmap", "delete", "c", "d", "--dry-run").stdout.count("would be deleted") == 2
    assert invoke("configmap", "delete", "c", "d").stdout == "ConfigMap 'c' deleted\nConfigMap 'd' deleted\n"
    assert "No ConfigMap found" in invoke("configmap", "list").stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing to create"),
        (("c", "--from-literal", "a"), "NAME=VALUE"),
        (("c", "--from-file", "/no/such"), "cannot be read"),
    ],
)
def test_what_create_refuses(invoke, arguments, said):
    assert said in invoke("configmap", "create", *arguments, code=2).stderr


def test_secrets_are_shown_where_all_is_asked_for(invoke):
    invoke("secret", "create", "s", "--from-literal", "password=hunter2")
    for arguments in (("get", "s"), ("list",), ("list", "-o", "name")):
        shown = invoke("secret", *arguments).output
        assert "hunter2" not in shown
        assert "aHVudGVyMg==" not in shown
    assert "  password:          7 bytes\n" in invoke("secret", "get", "s").stdout
    assert json.loads(invoke("secret", "get", "s", "-o", "json").stdout)["data"] == {"password": "aHVudGVyMg=="}


def test_claims(invoke, backend):
    invoke("pvc", "create", "data")
    folder = backend.objects.claim_folder("default", "data")
    assert f"Folder:              {folder}\n" in invoke("pvc", "get", "data").stdout
    assert f"would be deleted, with {folder}\n" in invoke("pvc", "delete", "data", "--dry-run").stdout
    assert "no terminal to ask on" in invoke("pvc", "delete", "data", code=2).stderr
    assert folder.exists()
    assert invoke("pvc", "delete", "data", "--yes").stdout == "PersistentVolumeClaim 'data' deleted\n"
    assert not folder.exists()


# Limits of semaphores


@pytest.mark.parametrize("place", [("--type", "database"), ("--type", "configmap", "--cm-name", "limits")])
def test_limits_of_semaphores(invoke, place):
    def sync(verb, *more, code=0):
        return invoke("argo", "sync", verb, "gpu", *place, *more, code=code)

    assert "has no limit" in sync("get", code=2).stderr or "no ConfigMap" in sync("get", code=2).stderr
    assert sync("create", "--limit", "2").stdout.startswith("Sync limit created\nKey: gpu\n")
    assert "has a limit already" in sync("create", "--limit", "3", code=2).stderr
    sync("update", "--limit", "3")
    assert "Limit: 3\n" in sync("get").stdout
    assert sync("delete").stdout == "Sync limit deleted\n"
    for verb in ("get", "delete"):
        assert "'gpu' has no limit" in sync(verb, code=2).stderr
    assert "'gpu' has no limit" in sync("update", "--limit", "1", code=2).stderr


def test_a_config_map_is_named_where_it_is_meant(invoke):
    for place in (("--type", "configmap"), ("--type", "database", "--cm-name", "c")):
        assert "--cm-name belongs to" in invoke("argo", "sync", "get", "gpu", *place, code=2).stderr
