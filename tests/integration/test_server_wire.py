"""What goes over the wire: statuses, bodies and streams as Argo's server has them."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from tests.integration.server_desk import PATIENCE, RunningServer, workflow

API = "/api/v1"


@pytest.fixture
def client(server: RunningServer) -> Iterator[httpx2.Client]:
    with server.client() as made:
        yield made


def create(client: httpx2.Client, namespace: str, manifest: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = client.post(f"{API}/workflows/{namespace}", json={"workflow": manifest, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def ended(client: httpx2.Client, namespace: str, name: str) -> dict[str, Any]:
    return until(client, namespace, name, lambda one: one["status"].get("finishedAt"))


def until(client: httpx2.Client, namespace: str, name: str, holds: Any) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = client.get(f"{API}/workflows/{namespace}/{name}").json()
        if holds(found):
            return found
        time.sleep(0.1)
    raise AssertionError(found)


def results(answer: httpx2.Response) -> list[Any]:
    return [json.loads(line)["result"] for line in answer.text.splitlines()]


def test_errors_have_argos_codes_and_statuses(client: httpx2.Client) -> None:
    def error(answer: httpx2.Response) -> tuple[int, int]:
        body = answer.json()
        assert isinstance(body["message"], str)
        return answer.status_code, body["code"]

    taken = workflow("true") | {"metadata": {"name": "taken"}}
    create(client, "errors", taken)
    assert error(client.get(f"{API}/workflows/errors/none")) == (404, 5)
    assert error(client.get(f"{API}/nothing")) == (404, 5)
    assert error(client.post(f"{API}/workflows/errors", json={"workflow": taken})) == (409, 6)
    assert error(client.post(f"{API}/workflows/errors", json={})) == (400, 3)
    assert error(client.post(f"{API}/workflows/errors", content=b"{")) == (400, 3)
    assert error(client.post(f"{API}/workflows/errors", content=b"[]")) == (400, 3)
    assert error(client.post(f"{API}/workflows/other", json={"workflow": taken | {"kind": "Pod"}})) == (400, 3)
    elsewhere = taken | {"metadata": {"name": "x", "namespace": "there"}}
    assert error(client.post(f"{API}/workflows/here", json={"workflow": elsewhere})) == (400, 3)
    assert error(client.get(f"{API}/workflows/errors", params={"listOptions.limit": "-1"})) == (400, 3)
    assert error(client.get(f"{API}/workflows/errors", params={"listOptions.labelSelector": "a in"})) == (400, 3)
    ended(client, "errors", "taken")
    assert error(client.put(f"{API}/workflows/errors/taken/stop", json={})) == (409, 10)
    assert error(client.put(f"{API}/version")) == (501, 12)


@pytest.mark.parametrize("wrong", [1, "x", ["x"], [1], {"a": {"b": 1}}, None, True])
def test_values_of_wrong_types_are_the_clients_mistakes(client: httpx2.Client, wrong: Any) -> None:
    def sent(verb: str, path: str, *fields: str) -> list[tuple[int, str]]:
        answers = [client.request(verb, f"{API}/{path}", json={field: wrong}) for field in fields]
        answers += [client.request(verb, f"{API}/{path}", json={"submitOptions": {field: wrong}}) for field in fields]
        return [(one.status_code, one.text) for one in answers]

    answers = [
        *sent("POST", "workflows/wrong", "workflow", "createOptions", "serverDryRun"),
        *sent("POST", "workflows/wrong/lint", "workflow"),
        *sent("POST", "workflows/wrong/submit", "resourceKind", "resourceName", "submitOptions", "labels", "priority"),
        *sent("PUT", "workflows/wrong/w/retry", "parameters", "nodeFieldSelector"),
        *sent("PUT", "workflows/wrong/w/set", "outputParameters", "phase", "message"),
        *sent("POST", "workflow-templates/wrong", "template"),
        *sent("POST", "cron-workflows/wrong", "cronWorkflow"),
        *sent("POST", "sync/wrong", "type", "key", "limit", "cmName"),
    ]
    for kind in ("workflows", "workflow-templates"):
        field = "workflow" if kind == "workflows" else "template"
        for part in ({"metadata": wrong}, {"spec": wrong}, {"metadata": {"name": wrong}}, {"kind": wrong}):
            answer = client.post(f"{API}/{kind}/wrong", json={field: part})
            answers.append((answer.status_code, answer.text))
    assert [one for one in answers if one[0] not in (200, 400, 404)] == []


@pytest.mark.parametrize("path", ["event-sources/a/b", "sensors/a/b", "events/a/b"])
def test_what_is_not_there_says_so(client: httpx2.Client, path: str) -> None:
    answer = client.get(f"{API}/{path}")
    assert (answer.status_code, answer.json()["code"]) == (501, 12)


@pytest.mark.parametrize("kind", ["event-sources", "sensors"])
def test_nothing_happens_to_what_is_not_there(client: httpx2.Client, kind: str) -> None:
    with client.stream("GET", f"{API}/stream/{kind}/argo", timeout=1.5) as watched:
        assert watched.status_code == 200
        with pytest.raises(httpx2.ReadTimeout):  # it goes on
            watched.read()
    logged = client.get(f"{API}/stream/{kind}/argo/logs")
    assert (logged.status_code, logged.text) == (200, "")


def test_other_origins_pages_and_other_names_are_refused(client: httpx2.Client, server: RunningServer) -> None:
    assert client.get(f"{API}/version", headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.get(f"{API}/version", headers={"Host": "evil.example:2746"}).status_code == 403
    assert client.get(f"{API}/version", headers={"Host": "[", "Origin": "null"}).status_code in (400, 403)
    assert client.get(f"{API}/version", headers={"Origin": server.url}).status_code == 200


def test_a_dry_run_stores_nothing(client: httpx2.Client) -> None:
    for more in ({"serverDryRun": True}, {"createOptions": {"dryRun": ["All"]}}):
        made = create(client, "dry", workflow("true"), **more)
        assert made["metadata"]["name"].startswith("one-")
    assert client.get(f"{API}/workflows/dry").json()["items"] == []


def test_numbers_come_back_as_the_texts_that_clients_expect(client: httpx2.Client) -> None:
    manifest = workflow("true", arguments={"parameters": [{"name": "n", "value": 3}, {"name": "on", "value": True}]})
    made = create(client, "texts", manifest)
    assert made["spec"]["arguments"]["parameters"] == [{"name": "n", "value": "3"}, {"name": "on", "value": "true"}]


def test_fields_choose_what_is_sent(client: httpx2.Client) -> None:
    name = create(client, "fields", workflow("true"))["metadata"]["name"]
    ended(client, "fields", name)
    found = client.get(f"{API}/workflows/fields", params={"fields": "items.metadata.name,items.status.phase"})
    assert found.json() == {"items": [{"metadata": {"name": name}, "status": {"phase": "Succeeded"}}]}
    one = client.get(f"{API}/workflows/fields/@latest", params={"fields": "-status.nodes,spec"}).json()
    assert ("spec" in one, "nodes" in one["status"], one["metadata"]["name"]) == (False, False, name)


def test_names_are_filtered(client: httpx2.Client) -> None:
    for name in ("apple", "pineapple", "pear"):
        create(client, "names-of", workflow("true") | {"metadata": {"name": name}})

    def found(how: str, name: str) -> list[str]:
        parameters = {"nameFilter": how, "listOptions.fieldSelector": f"metadata.name={name}"}
        answer = client.get(f"{API}/workflows/names-of", params=parameters).json()
        return [one["metadata"]["name"] for one in answer["items"]]

    assert found("Exact", "apple") == ["apple"]
    assert found("Contains", "apple") == ["pineapple", "apple"]
    assert found("Prefix", "p") == ["pear", "pineapple"]
    everywhere = client.get(f"{API}/workflows/", params={"listOptions.fieldSelector": "metadata.namespace=names-of"})
    assert len(everywhere.json()["items"]) == 3


def test_logs_are_lines_of_json_or_events(client: httpx2.Client) -> None:
    name = create(client, "logs", workflow("sh", "-c", "echo one; echo two"))["metadata"]["name"]
    here = f"{API}/workflows/logs/{name}"
    followed = client.get(f"{here}/log", params={"logOptions.follow": "True"})
    assert followed.headers["content-type"] == "application/json"
    assert results(followed) == [{"content": "one", "podName": name}, {"content": "two", "podName": name}]
    tail = {"logOptions.tailLines": "1", "logOptions.container": "main"}
    events = client.get(f"{here}/{name}/log", params=tail, headers={"Accept": "text/event-stream"})
    assert events.headers["content-type"].startswith("text/event-stream")
    assert events.text == f'data: {{"result":{{"content":"two","podName":"{name}"}}}} \n\n'
    stamped = results(client.get(f"{here}/log", params={"logOptions.timestamps": "true", "grep": "one"}))
    assert stamped[0]["content"].endswith("Z one")
    assert client.get(f"{API}/workflows/logs/none/log").status_code == 404


def test_events_tell_what_happens_to_workflows(client: httpx2.Client) -> None:
    version = client.get(f"{API}/workflows/events").json()["metadata"]["resourceVersion"]
    parameters = {
        "listOptions.resourceVersion": version,
        "fields": "result.type,result.object.metadata.name,result.object.status.phase",
    }
    headers = {"Accept": "text/event-stream"}
    seen: list[tuple[str, str]] = []
    with client.stream("GET", f"{API}/workflow-events/events", params=parameters, headers=headers) as stream:
        name = create(client, "events", workflow("sleep", "1"))["metadata"]["name"]
        deleted = False
        for line in stream.iter_lines():
            if not line.startswith("data: "):
                continue
            result = json.loads(line.removeprefix("data: "))["result"]
            assert result["object"]["metadata"] == {"name": name}
            seen.append((result["type"], result["object"]["status"]["phase"]))
            if result["type"] == "DELETED":
                break
            if seen[-1][1] == "Succeeded" and not deleted:
                deleted = client.delete(f"{API}/workflows/events/{name}").json() == {}
    assert seen[0][0] == "ADDED"
    assert seen[-2:] == [("MODIFIED", "Succeeded"), ("DELETED", "Succeeded")]


def test_kubernetes_events_tell_of_workflows_and_their_nodes(client: httpx2.Client) -> None:
    name = create(client, "told", workflow("false"))["metadata"]["name"]
    ended(client, "told", name)
    late = create(client, "told", workflow("true"))["metadata"]["name"]

    def told(wanted: str, **query: str) -> list[dict[str, Any]]:
        found = []
        with client.stream("GET", f"{API}/stream/events/told", params=query) as stream:
            for line in stream.iter_lines():
                found.append(json.loads(line)["result"])
                if found[-1]["reason"] == wanted:
                    return found
        raise AssertionError(found)

    of_one = f"involvedObject.kind=Workflow,involvedObject.name={name}"
    events = told("WorkflowFailed", **{"listOptions.fieldSelector": of_one})
    reasons = ["WorkflowRunning", "WorkflowNodeRunning", "WorkflowNodeFailed", "WorkflowFailed"]
    assert [each["reason"] for each in events] == reasons
    assert [each["type"] for each in events] == ["Normal", "Normal", "Warning", "Warning"]
    assert events[1]["message"] == f"Running node {name}"
    assert events[2]["metadata"]["annotations"]["workflows.argoproj.io/node-type"] == "Pod"
    assert {each["involvedObject"]["name"] for each in events} == {name}
    again = told("WorkflowFailed", **{"listOptions.fieldSelector": of_one})
    assert [each["metadata"]["name"] for each in again] == [each["metadata"]["name"] for each in events]
    others = told("WorkflowSucceeded", **{"listOptions.fieldSelector": f"involvedObject.name!={name}"})
    assert {each["involvedObject"]["name"] for each in others} == {late}
    slow = workflow("sleep", "60", activeDeadlineSeconds=1)
    create(client, "told", slow)
    assert told("WorkflowTimedOut")[-1]["message"] == "Workflow timed out"
    assert client.get(f"{API}/stream/events/told?listOptions.fieldSelector=(").status_code == 400


def test_a_folder_is_downloaded_packed_and_its_files_one_by_one(client: httpx2.Client) -> None:
    manifest = workflow("sh", "-c", "mkdir -p $TREE/below; echo a > $TREE/a.txt; echo b > $TREE/below/b.txt")
    main = manifest["spec"]["templates"][0]
    folder = f"/tmp/tree-{time.time_ns()}"
    main["container"]["env"] = [{"name": "TREE", "value": folder}]
    main["outputs"] = {"artifacts": [{"name": "tree", "path": folder}]}
    name = create(client, "trees", manifest)["metadata"]["name"]
    found = ended(client, "trees", name)
    assert found["status"]["phase"] == "Succeeded", found["status"]
    packed = client.get(f"/artifacts/trees/{name}/{name}/tree")
    assert packed.headers["content-disposition"] == 'attachment; filename="tree.tgz"'
    assert "sandbox" in packed.headers["content-security-policy"]
    with tarfile.open(fileobj=io.BytesIO(packed.content)) as archive:
        assert sorted(archive.getnames()) == ["tree", "tree/a.txt", "tree/below", "tree/below/b.txt"]
    files = f"/artifact-files/trees/workflows/{name}/{name}/outputs/tree"
    assert client.get(f"{files}/below/b.txt").text == "b\n"
    assert client.get(f"{files}/none").status_code == 404
    assert client.get(f"{files}/..%2f..%2f..%2fetc%2fpasswd").status_code == 404
    uid = found["metadata"]["uid"]
    archived = f"/artifact-files/trees/archived-workflows/{uid}/{name}/outputs/tree/a.txt"
    assert client.get(archived).text == "a\n"
    assert client.get(f"/input-artifacts/trees/{name}/{name}/tree").status_code == 404


def test_archived_workflows_go_on(client: httpx2.Client) -> None:
    name = create(client, "gone", workflow("false"))["metadata"]["name"]
    uid = ended(client, "gone", name)["metadata"]["uid"]
    again = client.put(f"{API}/archived-workflows/{uid}/resubmit", json={"namespace": "gone"}).json()
    assert again["metadata"]["namespace"] == "gone"
    assert client.put(f"{API}/archived-workflows/{uid}/retry", json={}).json()["metadata"]["uid"] == uid
    assert ended(client, "gone", name)["status"]["phase"] == "Failed"


def test_stored_templates_come_in_pages_and_keep_their_versions(client: httpx2.Client) -> None:
    here = f"{API}/workflow-templates/pages"
    spec = workflow("true")["spec"]
    for name in ("a", "b", "c"):
        assert client.post(here, json={"template": {"metadata": {"name": name}, "spec": spec}}).status_code == 200
    page = client.get(here, params={"listOptions.limit": 2}).json()
    assert ([one["metadata"]["name"] for one in page["items"]], page["metadata"]["remainingItemCount"]) == (
        ["a", "b"],
        1,
    )
    rest = client.get(here, params={"listOptions.limit": 2, "listOptions.continue": page["metadata"]["continue"]})
    assert [one["metadata"]["name"] for one in rest.json()["items"]] == ["c"]
    first = page["items"][0]
    assert client.put(f"{here}/a", json={"template": first}).json()["metadata"]["resourceVersion"] == "2"
    assert client.put(f"{here}/a", json={"template": first}).status_code == 409
    assert client.put(f"{here}/b", json={"template": first}).status_code == 400
