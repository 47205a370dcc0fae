"""`resource` templates over the API of a cluster, by the real client."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.kubernetes_api import Call, Fault, KubernetesAPI

from tiphys.engine.events import TaskFinished
from tiphys.engine.model import Phase, Values
from tiphys.errors import UsageError
from tiphys.integrations.kubernetes.keeper import cluster
from tiphys.integrations.kubernetes.settings import ClusterSettings, settings_from
from tiphys.integrations.local.agents import resource as resource_module
from tiphys.integrations.local.agents.keepers import ON_CLUSTER
from tiphys.integrations.local.agents.plugin_host import PluginHost
from tiphys.integrations.local.agents.resource_changes import CREATED_BY
from tiphys.integrations.local.agents.runner import AgentRunner
from tiphys.integrations.local.artifact_store import LocalArtifactStore
from tiphys.integrations.local.config import LocalArtifactStoreConfig
from tiphys.ports.runner import Task

LONG = 60.0
OK, FAILED, ERROR = Phase.SUCCEEDED, Phase.FAILED, Phase.ERROR
JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"generateName": "pi-"},
    "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}]}}},
}
UNTIL = {"successCondition": "status.succeeded > 0", "failureCondition": "status.failed > 3"}
WIDGET = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 1}}
CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}}
NAME = {"name": {"jsonPath": "{.metadata.name}"}}


class Nothing:
    """There are no stored objects and no other artifacts."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


class Desk:
    """A runner with a cluster."""

    def __init__(self, home: Path, settings: ClusterSettings) -> None:
        self.home, self.settings = home, settings
        self.reports: queue.SimpleQueue[TaskFinished] = queue.SimpleQueue()
        self.runner = self.another_runner()

    def another_runner(self) -> AgentRunner:
        """As it is after the engine was killed: nothing is known of what was launched."""
        return AgentRunner(
            actions=Nothing(),
            cluster=lambda: cluster(self.settings),
            secrets=lambda *_: None,
            store=LocalArtifactStore(name="s", config=LocalArtifactStoreConfig(path=str(self.home / "artifacts"))),
            sources=lambda _: Nothing(),
            plugins=PluginHost(self.home, flavour="process", pods=Nothing),
        )

    def launch(self, action: str, manifest: Any = None, *, id: str = "uid/n/0", **rest: Any) -> Task:
        outputs = [{"name": name, "valueFrom": source} for name, source in rest.pop("outputs", {}).items()]
        metadata = {"annotations": {ON_CLUSTER: "true"}} if rest.pop("on_cluster", False) else {}
        body = {"action": action, **rest, **({} if manifest is None else {"manifest": json.dumps(manifest)})}
        task = Task(
            id=id,
            workflow_uid="uid",
            node_id="n",
            name="step",
            attempt=0,
            body={"name": "t", "metadata": metadata, "resource": body, "outputs": {"parameters": outputs}},
            inputs=Values(),
            context={"workflow": "parent", "namespace": "argo"},
        )
        self.runner.launch(task, self.reports.put)
        return task

    def report(self) -> TaskFinished:
        return self.reports.get(timeout=LONG)

    def run(self, action: str, manifest: Any = None, **rest: Any) -> TaskFinished:
        self.launch(action, manifest, **rest)
        return self.report()


@pytest.fixture
def api() -> Iterator[KubernetesAPI]:
    server = KubernetesAPI()
    yield server
    server.stop()


@pytest.fixture
def desk(api: KubernetesAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(resource_module, "ATTEMPTS", (0.01, 0.01))
    monkeypatch.setattr(resource_module, "LONGEST_PAUSE", 0.1)
    desk = Desk(tmp_path, ClusterSettings(kubeconfig=str(api.kubeconfig(tmp_path / "config"))))
    yield desk
    desk.runner.close()


def wait_for(condition) -> None:
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def looked(api: KubernetesAPI, times: int) -> bool:
    return len([call for call in api.done("GET") if call.name]) >= times


# Actions


def test_a_job_is_created_and_waited_for(desk: Desk, api: KubernetesAPI) -> None:
    outputs = {**NAME, "n": {"jqFilter": ".status.succeeded"}}
    desk.launch("create", JOB, setOwnerReference=True, outputs=outputs, **UNTIL)
    wait_for(lambda: looked(api, 2))
    (name,) = api.names("Job")
    assert desk.reports.empty()
    api.change("Job", name, {"status": {"succeeded": 1}})
    finished = desk.report()
    assert (finished.phase, finished.message) == (
        OK,
        "setOwnerReference has no effect: a cluster removes objects whose owner it does not know",
    )
    assert finished.outputs is not None
    assert finished.outputs.parameters == {"name": name, "n": "1"}
    made = api.get("Job", name)
    assert made is not None
    assert made["metadata"]["annotations"] == {CREATED_BY: "uid/n/0"}
    assert "ownerReferences" not in made["metadata"]


def test_a_job_that_fails(desk: Desk, api: KubernetesAPI) -> None:
    desk.launch("create", {**JOB, "metadata": {"name": "j"}}, **UNTIL)
    wait_for(lambda: looked(api, 1))
    api.change("Job", "j", {"status": {"failed": 4}})
    finished = desk.report()
    assert (finished.phase, finished.message) == (
        FAILED,
        "failure condition 'status.failed>3' of Job 'j' evaluated true",
    )


def test_a_job_that_disappears(desk: Desk, api: KubernetesAPI) -> None:
    desk.launch("create", {**JOB, "metadata": {"name": "j"}}, **UNTIL)
    wait_for(lambda: looked(api, 1))
    with api.lock:
        api.objects.kept = {key: each for key, each in api.objects.kept.items() if each["kind"] != "Job"}
    finished = desk.report()
    expected = "The Job 'j' has been deleted while its status was still being checked."
    assert (finished.phase, finished.message) == (FAILED, expected)


def test_apply_makes_changes_and_takes_away(desk: Desk, api: KubernetesAPI) -> None:
    assert desk.run("apply", {**WIDGET, "spec": {"size": 1, "old": 1}}).phase is OK
    api.change("Widget", "w", {"spec": {"other": 1}})
    assert desk.run("apply", {**WIDGET, "spec": {"size": 2}}).phase is OK
    assert (api.get("Widget", "w") or {})["spec"] == {"size": 2, "other": 1}


def test_whose_fields_are_taken_over(desk: Desk, api: KubernetesAPI) -> None:
    theirs = Call(
        "PATCH", api.resource("Widget"), "argo", "w", {"fieldManager": "them"}, "application/apply-patch+yaml", WIDGET
    )
    api.objects.carry_out(theirs)
    changed = {**WIDGET, "spec": {"size": 2}}
    finished = desk.run("apply", changed, flags=["--server-side"])
    assert (finished.phase, 'conflict with "them"' in finished.message) == (FAILED, True)
    assert desk.run("apply", changed, flags=["--server-side", "--force-conflicts"]).phase is OK
    assert desk.run("apply", {**WIDGET, "spec": {"size": 3}}).phase is OK
    assert (api.get("Widget", "w") or {})["spec"] == {"size": 3}


@pytest.mark.parametrize(
    ("strategy", "flags", "manifest", "expected"),
    [
        ("merge", [], {**WIDGET, "spec": {"size": None, "b": 2}}, {"b": 2}),
        ("merge", ["wd", "w"], {"spec": {"b": 2}}, {"size": 1, "b": 2}),
        ("json", ["widgets.v1.example.com/w"], [{"op": "add", "path": "/spec/b", "value": 2}], {"size": 1, "b": 2}),
    ],
)
def test_patch(desk: Desk, api: KubernetesAPI, strategy, flags, manifest, expected) -> None:
    api.put(WIDGET)
    outputs = {"spec": {"jsonPath": "{.spec}"}}
    finished = desk.run("patch", manifest, mergeStrategy=strategy, flags=flags, outputs=outputs)
    assert (finished.phase, finished.message) == (OK, "")
    assert finished.outputs is not None
    assert json.loads(finished.outputs.parameters["spec"]) == expected
    assert (api.get("Widget", "w") or {})["spec"] == expected


def test_a_strategic_patch_is_the_servers_work(desk: Desk, api: KubernetesAPI) -> None:
    api.put({**JOB, "metadata": {"name": "j"}})
    api.put(WIDGET)
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "busybox"}]}}}}
    assert desk.run("patch", patch, flags=["job", "j"]).phase is OK
    job = api.get("Job", "j") or {}
    assert {each["name"] for each in job["spec"]["template"]["spec"]["containers"]} == {"main", "side"}
    finished = desk.run("patch", {"spec": {}}, flags=["widget", "w"])
    assert (finished.phase, "(UnsupportedMediaType)" in finished.message) == (FAILED, True)


def test_replace_is_of_the_present_object(desk: Desk, api: KubernetesAPI) -> None:
    missing = desk.run("replace", WIDGET)
    assert (missing.phase, missing.message) == (
        FAILED,
        'Error from server (NotFound): widgets.example.com "w" not found',
    )
    api.put({**WIDGET, "spec": {"old": 1}})
    rivals = iter([1, 2])

    def interfere(call: Call) -> None:
        if call.method == "PUT" and next(rivals, None):
            api.change("Widget", "w", {"spec": {"rival": 1}})

    api.before = interfere
    assert desk.run("replace", WIDGET).phase is OK
    assert (api.get("Widget", "w") or {})["spec"] == {"size": 1}
    assert len(api.done("PUT")) == 3
    stale = {**WIDGET, "metadata": {"name": "w", "resourceVersion": "1"}}
    finished = desk.run("replace", stale)
    assert (finished.phase, "the object has been modified" in finished.message) == (FAILED, True)


def test_delete_waits_for_the_end(desk: Desk, api: KubernetesAPI) -> None:
    api.put({**WIDGET, "metadata": {"name": "w", "finalizers": ["example.com/end"]}})
    assert desk.run("delete", WIDGET, flags=["--wait=false", "--cascade=foreground", "--grace-period=3"]).phase is OK
    (asked,) = api.done("DELETE")
    assert (asked.body["propagationPolicy"], asked.body["gracePeriodSeconds"]) == ("Foreground", 3)
    desk.launch("delete", WIDGET)
    wait_for(lambda: looked(api, 2))
    assert desk.reports.empty()
    api.change("Widget", "w", {"metadata": {"finalizers": None}})
    assert desk.report().phase is OK
    assert api.done("DELETE")[-1].body["propagationPolicy"] == "Background"
    assert desk.run("delete", WIDGET).phase is OK  # there is none


def test_delete_by_labels(desk: Desk, api: KubernetesAPI) -> None:
    for name, labels in (("a", {"x": "y"}), ("b", {"x": "y"}), ("c", {})):
        api.put({**WIDGET, "metadata": {"name": name, "labels": labels}})
    assert desk.run("delete", flags=["widgets", "--selector", "x=y"]).phase is OK
    assert api.names("Widget") == ["c"]
    assert desk.run("delete", flags=["widgets", "--all"]).phase is OK
    assert api.names("Widget") == []


def test_get(desk: Desk, api: KubernetesAPI) -> None:
    api.put({**JOB, "metadata": {"name": "j"}})
    assert desk.run("get", flags=["job/j"], outputs=NAME).phase is OK
    assert desk.run("get", flags=["po", "p"]).phase is FAILED
    finished = desk.run(
        "get", flags=["po", "p", "--ignore-not-found"], outputs={"x": {"jsonPath": "{.a}", "default": "d"}}
    )
    assert finished.outputs is not None
    assert (finished.phase, finished.outputs.parameters) == (OK, {"x": "d"})


def test_namespaces_and_what_belongs_to_none(desk: Desk, api: KubernetesAPI) -> None:
    assert desk.run("create", {**WIDGET, "metadata": {"name": "w", "namespace": "default"}}).phase is OK
    assert api.get("Widget", "w", "default") is not None
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new"}}
    assert desk.run("create", namespace).phase is OK
    assert desk.run("create", WIDGET, flags=["-n", "new"]).phase is OK
    assert api.get("Widget", "w", "new") is not None


def test_a_kind_of_ours_goes_to_the_cluster_if_the_template_says_so(desk: Desk, api: KubernetesAPI) -> None:
    assert desk.run("create", CONFIG, on_cluster=True).phase is OK
    assert desk.run("get", flags=["cm", "c"], on_cluster=True).phase is OK
    assert (api.get("ConfigMap", "c") or {})["data"] == {"a": "1"}


# Once more


def test_a_task_that_is_launched_again_waits_for_what_it_made(desk: Desk, api: KubernetesAPI) -> None:
    task = desk.launch("create", JOB, outputs=NAME, **UNTIL)
    wait_for(lambda: looked(api, 1))
    desk.runner.close()
    desk.runner = desk.another_runner()
    assert desk.runner.reattach([task], desk.reports.put) == set()
    desk.launch("create", JOB, outputs=NAME, **UNTIL)
    wait_for(lambda: len(api.done("POST")) == 2)
    (name,) = api.names("Job")
    api.change("Job", name, {"status": {"succeeded": 1}})
    finished = desk.report()
    assert finished.outputs is not None
    assert (finished.phase, finished.outputs.parameters) == (OK, {"name": name})
    assert desk.run("create", JOB, id="uid/n/1").phase is OK
    assert len(api.names("Job")) == 2


@pytest.mark.parametrize("manifest", [JOB, WIDGET])
def test_an_answer_that_is_lost_on_the_way_makes_no_second_object(desk: Desk, api: KubernetesAPI, manifest) -> None:
    api.faults = [Fault(after=True)]
    assert desk.run("create", manifest).phase is OK
    assert [call.method for call in api.calls] == ["POST", "POST", "GET"]
    assert len(api.names(str(manifest["kind"]))) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault(429),
        Fault(503),
        Fault(504),
        Fault(500, reason="ServerTimeout"),
        Fault(500, "etcdserver: leader changed"),
        Fault(403, "jobs is forbidden: exceeded quota: q", "Forbidden"),
        Fault(409, "Operation cannot be fulfilled on resourcequotas", "Conflict"),
        Fault(),
    ],
    ids=str,
)
def test_what_passes_by_itself_is_tried_again(desk: Desk, api: KubernetesAPI, fault: Fault) -> None:
    api.faults = [fault, fault]
    assert desk.run("create", WIDGET).phase is OK
    api.change("Widget", "w", {"status": {"succeeded": 1}})
    api.faults = [None, fault, fault, fault, fault]
    assert desk.run("get", WIDGET, **UNTIL).phase is OK


def test_what_does_not_pass_is_an_error_in_the_end(desk: Desk, api: KubernetesAPI) -> None:
    api.faults = [Fault(503, "the server is on holiday", "ServiceUnavailable")] * 9
    finished = desk.run("create", WIDGET)
    expected = "Error from server (ServiceUnavailable): the server is on holiday"
    assert (finished.phase, finished.message, len(api.calls)) == (ERROR, expected, 3)


def test_a_refusal_while_waiting_is_a_failure(desk: Desk, api: KubernetesAPI) -> None:
    api.faults = [None, Fault(403, "jobs is forbidden", "Forbidden")]
    finished = desk.run("create", {**JOB, "metadata": {"name": "j"}}, **UNTIL)
    assert (finished.phase, finished.message) == (FAILED, "Error from server (Forbidden): jobs is forbidden")


# What cannot be


@pytest.mark.parametrize(
    ("manifest", "flags", "message"),
    [
        (
            {**JOB, "apiVersion": "batch/v2", "metadata": {"name": "j"}},
            [],
            'no matches for kind "Job" in version "batch/v2"',
        ),
        ({"kind": "Job", "metadata": {"name": "j"}}, [], 'no matches for kind "Job" in version ""'),
        ({**WIDGET, "kind": "Gadget"}, [], 'no matches for kind "Gadget" in version "example.com/v1"'),
        (None, ["gadgets", "g"], 'the server doesn\'t have a resource type "gadgets"'),
        (None, ["jobs.apps", "g"], 'the server doesn\'t have a resource type "jobs.apps"'),
    ],
)
def test_a_kind_that_the_cluster_does_not_have(desk: Desk, manifest, flags, message) -> None:
    finished = desk.run("get", manifest, flags=flags)
    assert (finished.phase, message in finished.message) == (FAILED, True)


def test_a_kind_that_comes_later_is_found_then(desk: Desk, api: KubernetesAPI) -> None:
    widget = api.known.pop()
    assert desk.run("create", WIDGET).phase is FAILED
    api.known.append(widget)
    assert desk.run("create", WIDGET).phase is OK


def test_an_invalid_object_is_told_in_the_servers_words(desk: Desk) -> None:
    finished = desk.run("create", {**JOB, "metadata": {"name": "j"}, "spec": {}})
    expected = 'Error from server (Invalid): Job.batch "j" is invalid: spec.template: Required value'
    assert (finished.phase, finished.message) == (FAILED, expected)


def test_who_is_not_let_in_or_cannot_trust_the_server(desk: Desk, api: KubernetesAPI, tmp_path: Path) -> None:
    def run(**rest: Any) -> TaskFinished:
        desk.settings = ClusterSettings(kubeconfig=str(api.kubeconfig(tmp_path / "other", **rest)))
        desk.runner.close()
        desk.runner = desk.another_runner()
        return desk.run("create", WIDGET)

    wrong = run(token="wrong")
    assert (wrong.phase, wrong.message) == (FAILED, "Error from server (Unauthorized): Unauthorized")
    stranger = run(authority=trustme.CA().cert_pem.bytes())
    assert (stranger.phase, "CERTIFICATE_VERIFY_FAILED" in stranger.message) == (ERROR, True)


def test_a_context_that_leads_nowhere(desk: Desk, tmp_path: Path) -> None:
    desk.settings = ClusterSettings(kubeconfig=desk.settings.kubeconfig, context="nowhere")
    finished = desk.run("create", WIDGET)
    assert (finished.phase, "the cluster at https://127.0.0.1:1 does not answer" in finished.message) == (ERROR, True)


@pytest.mark.parametrize("content", [None, "", "a: [", "a: b"])
def test_a_kubeconfig_that_is_none(desk: Desk, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "broken"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match="broken cannot be used"):
        cluster(ClusterSettings(kubeconfig=str(path)))
    desk.settings = ClusterSettings(kubeconfig=str(path))
    finished = desk.run("create", WIDGET)
    assert (finished.phase, finished.message.startswith("The template 't' is about an object")) == (ERROR, True)


# Which cluster


def test_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UsageError, match="there is no kubeconfig") as caught:
        settings_from({})
    assert "KUBECONFIG" in str(caught.value.hint)
    assert "pip install 'tiphys[kubernetes]'" in str(caught.value.hint)
    assert settings_from({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}) == ClusterSettings(kubeconfig=None)
    usual = tmp_path / ".kube" / "config"
    usual.parent.mkdir()
    usual.touch()
    assert settings_from({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}) == ClusterSettings(kubeconfig=str(usual))
    given = {"KUBECONFIG": "/a", "TIPHYS_KUBE_CONTEXT": "c"}
    assert settings_from(given) == ClusterSettings(kubeconfig="/a", context="c")
    assert settings_from({**given, "TIPHYS_KUBECONFIG": "/b"}) == ClusterSettings(kubeconfig="/b", context="c")
