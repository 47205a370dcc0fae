"""`tiphys argo`: what its commands print, change and exit with."""

from __future__ import annotations

import json

import pytest
from tests.unit.cli.argo.conftest import HELLO

from tiphys.errors import ArtifactError, NotFoundError, TiphysError
from tiphys.records.base import Query
from tiphys.records.stacks import ComponentType
from tiphys.records.workflows import WorkflowRequest
from tiphys.services.workflows.pods import log_of
from tiphys.spec.yaml import load

# submit


def test_a_file_is_submitted_to_a_process_of_its_own(invoke, hello, backend, detached):
    shown = invoke("argo", "submit", hello, "-p", "who=me", "-l", "b=2,c=3", "--priority", "5").stdout
    assert shown.startswith("Name:                hello\n")
    assert "  who:               me\n" in shown
    found = backend.workflows.get("hello")
    assert detached == [found["metadata"]["uid"]]
    assert found["metadata"]["labels"].items() >= {"app": "x", "b": "2", "c": "3"}.items()
    assert found["spec"]["priority"] == 5


@pytest.mark.parametrize(
    ("options", "path", "value"),
    [
        (("--name", "n"), ("metadata", "name"), "n"),
        (("--entrypoint", "main"), ("spec", "entrypoint"), "main"),
        (("--serviceaccount", "s"), ("spec", "serviceAccountName"), "s"),
        (
            ("--scheduled-time", "2026-01-31T12:00:00Z"),
            ("metadata", "annotations"),
            {"workflows.argoproj.io/scheduled-time": "2026-01-31T12:00:00Z"},
        ),
        (("-n", "team"), ("metadata", "namespace"), "team"),
    ],
)
def test_options_of_submit(invoke, hello, options, path, value):
    found = json.loads(invoke("argo", "submit", hello, "--dry-run", "-o", "json", *options).stdout)
    for key in path:
        found = found[key]
    assert found == value


def test_standard_input_and_parameter_files(invoke, tmp_path):
    parameters = tmp_path / "p.yaml"
    parameters.write_text("who: file\nm: 1\nlist: [1, two]\n")
    shown = invoke("argo", "submit", "-", "-f", str(parameters), "-p", "m=2", "--dry-run", "-o", "yaml", input=HELLO)
    assert load(shown.stdout)["spec"]["arguments"]["parameters"] == [
        {"name": "who", "value": "file"},
        {"name": "m", "value": "2"},
        {"name": "list", "value": '[1,"two"]'},
    ]


def test_waiting_gives_the_exit_code(invoke, hello, carry, backend, detached, monkeypatch):
    ends = iter(["Succeeded", "Failed"])
    monkeypatch.setattr(backend.workflows._host(), "wait", lambda *_: carry("hello", next(ends)))
    assert "hello Succeeded at 2025-06-15" in invoke("argo", "submit", hello, "--wait").stdout
    invoke("argo", "delete", "hello")
    assert invoke("argo", "submit", hello, "--wait", "-o", "name", code=1).stdout == "hello\n"


def test_logs_and_the_tree_can_be_followed(invoke, hello, backend, carry, monkeypatch):
    monkeypatch.setattr("tiphys.services.workflows.logs.time.sleep", lambda _: carry("hello", "Succeeded"))
    assert "hello" in invoke("argo", "submit", hello, "--log", "-o", "name").stdout
    invoke("argo", "delete", "hello")
    monkeypatch.setattr("tiphys.services.workflows.service.time.sleep", lambda _: carry("hello", "Succeeded"))
    shown = invoke("argo", "submit", hello, "--watch").stdout
    assert "Status:              Pending" in shown
    assert "Status:              Succeeded" in shown


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "nothing to submit"),
        (("FILE", "--from", "wftmpl/t"), "cannot be combined with files"),
        (("--from", "t"), "'t' is malformed"),
        (("--from", "wftmpl/t"), "no WorkflowTemplate 't'"),
        (("FILE", "--dry-run"), "should have an output option"),
        (("FILE", "--dry-run", "-o", "name", "--wait"), "cannot be combined with --dry-run"),
        (("FILE", "--wait", "--watch"), "--wait cannot be combined with --watch"),
        (("FILE", "-p", "who"), "of the form NAME=VALUE, not 'who'"),
        (("/no/such/file",), "'/no/such/file' cannot be read: No such file"),
        (("http://127.0.0.1:9/w.yaml",), "'http://127.0.0.1:9/w.yaml' cannot be read"),
    ],
)
def test_what_submit_refuses(invoke, hello, options, said):
    arguments = [hello if one == "FILE" else one for one in options]
    assert said in invoke("argo", "submit", *arguments, code=2).stderr


def test_what_the_runner_cannot_give_is_refused_before_anything_runs(invoke, detached):
    manifest = HELLO.replace("    container:", "    volumes: [{name: far, nfs: {}}]\n    container:")
    shown = invoke("argo", "submit", "-", code=2, input=manifest).stderr
    assert "templates.main.volumes.far: only emptyDir" in shown
    assert detached == []


def test_a_wrong_type_is_told_with_its_line(invoke):
    shown = invoke("argo", "submit", "-", code=2, input="kind: Workflow\nspec:\n  entrypoint: [1]\n").stderr
    assert "line 3: spec.entrypoint has the wrong type" in shown


# list, get, delete


def test_workflows_are_listed(invoke, hello, carry):
    assert invoke("argo", "list").stdout == "No workflows found\n"
    assert invoke("argo", "list", "-o", "json").stdout == "[]\n"
    for name, phase in (("a", "Succeeded"), ("b", "Failed"), ("c", "Running")):
        invoke("argo", "submit", hello, "--name", name)
        carry(name, phase, "it said so" if phase == "Failed" else "")
    lines = [line.split(maxsplit=5) for line in invoke("argo", "list").stdout.splitlines()]
    assert lines[0] == ["NAME", "STATUS", "AGE", "DURATION", "PRIORITY", "MESSAGE"]
    assert [line[:2] for line in lines[1:]] == [["c", "Running"], ["b", "Failed"], ["a", "Succeeded"]]
    assert lines[2][3:] == ["1m", "0", "it said so"]
    assert invoke("argo", "list", "--completed", "-o", "name").stdout == "b\na\n"
    assert invoke("argo", "list", "--running", "-o", "name").stdout == "c\n"
    assert invoke("argo", "list", "--status", "Failed,Error", "--no-headers").stdout.startswith("b ")
    assert invoke("argo", "list", "--prefix", "c", "--since", "1h", "-o", "name").stdout == "c\n"
    assert invoke("argo", "list", "--older", "1d", "--chunk-size", "1", "-o", "name").stdout == "b\na\n"
    assert invoke("argo", "list", "-A").stdout.startswith("NAMESPACE   NAME")
    wide = invoke("argo", "list", "-o", "wide", "--prefix", "a").stdout.splitlines()
    assert wide[0].split()[-2:] == ["P/R/C", "PARAMETERS"]
    assert wide[1].split()[-2:] == ["0/0/1", "who=you"]
    assert [one["metadata"]["name"] for one in load(invoke("argo", "list", "-o", "yaml").stdout)] == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--completed", "--running"), "cannot be used together"), (("--since", "soon"), "10m, 3h or 1d")],
)
def test_what_list_refuses(invoke, options, said):
    assert said in invoke("argo", "list", *options, code=2).stderr


def test_a_workflow_is_shown(invoke, hello, carry):
    invoke("argo", "submit", hello)
    carry("hello", "Failed", "main: Error (exit code 1)")
    shown = invoke("argo", "get", "@latest").stdout
    assert "Status:              Failed\nMessage:             main: Error (exit code 1)\n" in shown
    assert "Duration:            1 minute 5 seconds\n" in shown
    assert " ✖ hello  main      hello    1m        main: Error (exit code 1)" in shown
    assert " Failed hello" in invoke("argo", "get", "hello", "--no-utf8").stdout
    assert invoke("argo", "get", "hello", "-o", "name").stdout == "hello\n"
    assert json.loads(invoke("argo", "get", "hello", "-o", "json").stdout)["status"]["phase"] == "Failed"
    assert "no workflow 'other'" in invoke("argo", "get", "other", code=2).stderr


def test_namespaces_stand_anywhere_or_in_the_environment(invoke, hello, monkeypatch):
    invoke("argo", "-n", "team", "submit", hello)
    assert "no workflow" in invoke("argo", "get", "hello", code=2).stderr
    assert invoke("argo", "get", "hello", "-n", "team", "-o", "name").stdout == "hello\n"
    monkeypatch.setenv("ARGO_NAMESPACE", "team")
    assert invoke("argo", "get", "hello", "-o", "name").stdout == "hello\n"


def test_workflows_are_deleted(invoke, hello, carry):
    for name in ("a", "b", "c"):
        invoke("argo", "submit", hello, "--name", name)
    carry("a", "Succeeded")
    assert invoke("argo", "delete", "--completed", "--dry-run").stdout == "Workflow 'a' deleted (dry-run)\n"
    assert invoke("argo", "delete", "--completed").stdout == "Workflow 'a' deleted\n"
    assert invoke("argo", "delete", "a", "b").stdout == "Workflow 'a' not found\nWorkflow 'b' deleted\n"
    assert invoke("argo", "delete", "--all").stdout == "Workflow 'c' deleted\n"
    assert invoke("argo", "delete", "--all").stdout == "No resources found\n"
    assert "Either a workflow or an option" in invoke("argo", "delete", code=2).stderr


def test_a_workflow_whose_artifacts_cannot_be_deleted_does_not_keep_the_others(invoke, hello, monkeypatch, backend):
    for name in ("a", "b"):
        invoke("argo", "submit", hello, "--name", name)
    delete = backend.workflows.delete

    def refuse(name, *, force, **options):
        if name == "b" and not force:
            raise ArtifactError("b is kept: no", hint="--force b")
        delete(name, **options)

    monkeypatch.setattr(backend.workflows, "delete", refuse)
    result = invoke("argo", "delete", "b", "a", code=1)
    assert result.stdout == "Workflow 'a' deleted\n"
    assert "b is kept: no" in result.stderr
    assert invoke("argo", "delete", "b", "--force").stdout == "Workflow 'b' deleted\n"


# logs, wait, watch


def test_logs_have_the_pods_name_before_each_line(invoke, hello, carry, backend):
    invoke("argo", "submit", hello)
    carry("hello", "Succeeded")
    log = log_of(backend.home, backend.workflows.get("hello")["metadata"]["uid"], "hello")
    log.parent.mkdir(parents=True)
    log.write_text("one\ntwo\n")
    assert invoke("argo", "logs", "hello").stdout == "hello: one\nhello: two\n"
    assert invoke("argo", "logs", "hello", "hello", "--tail", "1", "--no-color").stdout == "hello: two\n"
    stamped = invoke("argo", "logs", "hello", "--grep", "one", "--timestamps", "--since", "1h").stdout
    assert stamped.startswith("hello: 2")
    assert stamped.endswith("Z one\n")
    assert invoke("argo", "logs", "hello", "--since-time", "2999-01-01T00:00:00Z").stdout == ""
    both = invoke("argo", "logs", "hello", "--since", "1h", "--since-time", "2999-01-01T00:00:00Z", code=2)
    assert "cannot be used together" in both.stderr
    assert "is not a time" in invoke("argo", "logs", "hello", "--since-time", "soon", code=2).stderr


def test_wait(invoke, hello, carry):
    invoke("argo", "submit", hello)
    carry("hello", "Succeeded")
    assert invoke("argo", "wait", "@latest").stdout.startswith("hello Succeeded at ")
    invoke("argo", "submit", hello, "--name", "bad")
    carry("bad", "Error")
    assert "bad Error at " in invoke("argo", "wait", "hello", "bad", code=1).stdout
    invoke("argo", "wait", "other", code=2)
    assert invoke("argo", "wait", "other", "--ignore-not-found").stdout == ""


def test_watch_draws_the_end(invoke, hello, carry):
    invoke("argo", "submit", hello)
    carry("hello", "Succeeded")
    assert " ✔ hello" in invoke("argo", "watch", "hello").stdout


# stop, terminate, suspend, resume, node


@pytest.mark.parametrize(("verb", "done"), [("stop", "stopped"), ("terminate", "terminated")])
def test_ending(invoke, hello, carry, host, verb, done):
    invoke("argo", "submit", hello)
    carry("hello", "Running")
    assert invoke("argo", verb, "-l", "app=x", "--dry-run").stdout == f"workflow hello {done} (dry-run)\n"
    assert host.shut == []
    assert invoke("argo", verb, "hello", "-l", "app=x").stdout == f"workflow hello {done}\n"
    assert len(host.shut) == 1
    assert "a selector is needed" in invoke("argo", verb, code=2).stderr


def test_suspend_and_resume(invoke, hello, carry, backend):
    invoke("argo", "submit", hello)
    carry("hello", "Running")
    assert invoke("argo", "suspend", "hello").stdout == "workflow hello suspended\n"
    assert invoke("argo", "resume", "hello").stdout == "workflow hello resumed\n"
    assert [one.operation.value for one in backend.find(Query.of(WorkflowRequest, order="id"))] == ["suspend", "resume"]


def test_node_set_finds_no_suspend_node(invoke, hello, carry):
    invoke("argo", "submit", hello)
    carry("hello", "Running")
    shown = invoke(
        "argo", "node", "set", "hello", "-p", 'a="b c"', "--node-field-selector", "displayName=hello", code=2
    ).stderr
    assert "no suspend nodes matching nodeFieldSelector: displayName=hello" in shown


# retry, resubmit, archive


def test_retry_and_resubmit(invoke, hello, carry, backend, detached):
    invoke("argo", "submit", hello)
    carry("hello", "Failed")
    assert "Status:              Running" in invoke("argo", "retry", "hello", "-p", "who=me").stdout
    carry("hello", "Failed")
    name = invoke("argo", "resubmit", "-l", "app=x", "-o", "name", "--priority", "3").stdout.strip()
    assert name.startswith("hello-")
    assert backend.workflows.get(name)["spec"]["priority"] == 3
    assert len(detached) == 3


def test_the_archive(invoke, hello, carry, backend):
    invoke("argo", "submit", hello)
    carry("hello", "Failed")
    uid = backend.workflows.get("hello")["metadata"]["uid"]
    listed = invoke("argo", "archive", "list").stdout.splitlines()
    assert listed[0].split()[0] == "NAMESPACE"
    assert listed[1].split()[-1] == uid
    for asked in ("hello", uid):
        assert invoke("argo", "archive", "get", asked).stdout.startswith("Name:                hello\n")
    assert json.loads(invoke("argo", "archive", "get", "hello", "-o", "json").stdout)["metadata"]["uid"] == uid
    assert invoke("argo", "archive", "list-label-keys").stdout == "app\n"
    assert invoke("argo", "archive", "list-label-values", "-l", "app").stdout == "x\n"
    assert invoke("argo", "archive", "resubmit", uid, "-o", "name").stdout.startswith("hello-")
    assert invoke("argo", "archive", "retry", "hello", "-o", "name").stdout == "hello\n"
    carry("hello", "Failed")
    assert invoke("argo", "archive", "delete", "hello").stdout == "Archived workflow 'hello' deleted\n"
    assert "no archived workflow 'hello'" in invoke("argo", "archive", "get", "hello", code=2).stderr
    assert "cannot be used together" in invoke("argo", "archive", "get", "a", "--name", "--uid", code=2).stderr


# others


def test_version(invoke):
    assert invoke("argo", "version", "--short").stdout.startswith("argo: v")


def test_old_spellings_are_converted(invoke):
    old = "kind: CronWorkflow\nmetadata: {name: x}\nspec: {schedule: '* * * * *'}\n---\nkind: Pod\nspec: {a: 1}\n"
    first, second = invoke("argo", "convert", "-", input=old).stdout.removeprefix("---\n").split("---\n")
    assert load(first)["spec"] == {"schedules": ["* * * * *"]}
    assert load(second) == {"kind": "Pod", "spec": {"a": 1}}
    assert json.loads(invoke("argo", "convert", "-", "-o", "json", input=old).stdout.splitlines()[1])["kind"] == "Pod"


def test_carrying_out_tells_when_it_has_begun(invoke, backend, monkeypatch):
    told = []
    monkeypatch.setattr("tiphys.cli.argo.carry.os.write", lambda number, text: told.append((number, text)))
    monkeypatch.setattr("tiphys.cli.argo.carry.os.close", told.append)
    invoke("argo", "carry", "uid")
    assert told == [(3, b"1"), 3]
    assert "carry" not in invoke("argo", "--help").stdout


def test_an_artifact_is_copied(invoke, tmp_path, backend, carry):
    declared = "kind: Workflow\n" + HELLO.replace("kind: Workflow\n", "").replace(
        "  - name: main\n", "  - name: main\n    outputs: {artifacts: [{name: out, path: /tmp/data.txt}]}\n"
    )
    invoke("argo", "submit", "-", input=declared)
    stored = backend.stacks.component(ComponentType.ARTIFACT_STORE).commit_bytes("data.txt", b"text")
    carry("hello", "Succeeded", artifacts={"out": {"name": "out", "digest": stored.digest}})
    assert "Created" in invoke("argo", "cp", "hello", str(tmp_path / "out")).stdout
    assert (tmp_path / "out/default/hello/hello/outputs/out/data.txt").read_bytes() == b"text"
    place = ("--path", "{templateName}/{artifactName}")
    invoke("argo", "cp", "@latest", str(tmp_path / "two"), "--artifact-name", "out", *place)
    assert (tmp_path / "two/main/out/data.txt").read_bytes() == b"text"
    assert invoke("argo", "cp", "hello", str(tmp_path / "three"), "--node-id", "other").stdout == ""
    for node_id, name, said in (("other", "out", "no node 'other'"), ("hello", "in", "no output artifact 'in'")):
        with pytest.raises(NotFoundError, match=said):
            backend.workflows.fetch_artifact("hello", node_id, name, tmp_path / "x")


def test_errors_of_the_backend_are_told(invoke, backend, monkeypatch):
    def fail(*_, **__):
        raise TiphysError("it broke", hint="mend it")

    monkeypatch.setattr(backend.workflows, "get", fail)
    shown = invoke("argo", "get", "w", code=1).stderr
    assert "it broke" in shown
    assert "mend it" in shown
