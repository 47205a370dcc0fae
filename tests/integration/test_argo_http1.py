"""The requests of Argo's own HTTP client, byte for byte, and answers that its decoder takes.

Written after pkg/apiclient/http1 of Argo 4.1: the fields of a request's message that stand in the path are put there
without escapes, the others are the query of GET and DELETE, flattened with dots, or the body's JSON; a part of the path
that has no value is left out. Answers other than 200 have `code` and `message`; each line of a stream is `data: ` and
an object with `result`, and every line longer than that is taken for one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from tests.integration.server_desk import RunningServer, workflow

NS = "http1"
_PREFIX = len("data: ")


class Facade:
    """Sends messages as `Facade` of Argo's client does."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client

    def __call__(self, verb: str, path: str, message: Mapping[str, Any] | None = None) -> Any:
        message = message or {}
        body = json.dumps(message, separators=(",", ":")) if verb in ("PUT", "POST") else ""
        # Go sends no content type here, and an empty authorization.
        answer = self._client.request(
            verb, self._address(verb, path, message), content=body, headers={"Authorization": ""}
        )
        decoded = answer.json()
        if answer.status_code != 200:
            raise Refused(decoded["code"], decoded["message"])
        return decoded

    def events(self, path: str, message: Mapping[str, Any]) -> Iterator[Any]:
        headers = {"Accept": "text/event-stream", "Authorization": ""}
        with self._client.stream("GET", self._address("GET", path, message), headers=headers) as answer:
            if answer.status_code != 200:
                decoded = json.loads(answer.read())
                raise Refused(decoded["code"], decoded["message"])
            for line in answer.iter_lines():
                if len(line) + 1 > _PREFIX:
                    yield json.loads(line[_PREFIX:])["result"]

    def _address(self, verb: str, path: str, message: Mapping[str, Any]) -> str:
        query = {}
        for key, value in flat(message):
            if f"{{{key}}}" in path:
                path = path.replace(f"{{{key}}}", value)
            elif verb in ("GET", "DELETE"):
                query[key] = value
        return f"{re.sub('{[^}]*}', '', path)}?{urlencode(query)}"


class Refused(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def flat(message: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """As util/flatten: values as Go prints them."""
    for key, value in message.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield f"{prefix}{key}", f"[{' '.join(map(str, value))}]"
        elif isinstance(value, bool):
            yield f"{prefix}{key}", str(value).lower()
        elif value is not None:
            yield f"{prefix}{key}", f"{value:.0e}" if isinstance(value, int) and value >= 10**21 else str(value)


@pytest.fixture(scope="module")
def send(server: RunningServer) -> Iterator[Facade]:
    with server.client() as client:
        yield Facade(client)


def ended(send: Facade, name: str) -> Mapping[str, Any]:
    """As the `argo` command waits: it watches from the version 0."""
    options = {"fieldSelector": f"metadata.name={name}", "resourceVersion": "0"}
    for event in send.events("/api/v1/workflow-events/{namespace}", {"namespace": NS, "listOptions": options}):
        if event["object"].get("status", {}).get("finishedAt"):
            found: Mapping[str, Any] = event["object"]
            return found
    raise AssertionError("The stream has ended.")


def test_workflows(send: Facade) -> None:
    one = "/api/v1/workflows/{namespace}/{name}"
    given = {"namespace": NS, "workflow": workflow("sh", "-c", "echo one; echo two")}
    linted = send("POST", "/api/v1/workflows/{namespace}/lint", given)
    assert linted["spec"]["entrypoint"] == "main"
    dry = send("POST", "/api/v1/workflows/{namespace}", {**given, "createOptions": {"dryRun": ["All"]}})
    made = send("POST", "/api/v1/workflows/{namespace}", {**given, "createOptions": {}})
    assert dry["metadata"]["name"] != made["metadata"]["name"]
    name = made["metadata"]["name"]
    assert ended(send, "@latest")["metadata"]["name"] == name
    named = {"namespace": NS, "name": name}
    found = send("GET", one, {**named, "getOptions": {}})
    assert found["status"]["phase"] == "Succeeded"
    assert found["metadata"]["resourceVersion"].isdigit()
    assert "nodes" not in send("GET", one, {**named, "fields": "-status.nodes"})["status"]
    listed = send("GET", "/api/v1/workflows/{namespace}", {"namespace": NS, "listOptions": {"limit": 1}})
    assert [each["metadata"]["name"] for each in listed["items"]] == [name]
    assert name in [each["metadata"]["name"] for each in send("GET", "/api/v1/workflows/{namespace}")["items"]]
    log = {**named, "logOptions": {"container": "main", "follow": True, "sinceSeconds": 1000}}
    assert [line["content"] for line in send.events(f"{one}/log", log)] == ["one", "two"]
    tail = {**named, "podName": name, "logOptions": {"container": "main", "tailLines": 1, "timestamps": True}}
    assert [line["content"][-5:] for line in send.events(f"{one}/{{podName}}/log", tail)] == ["Z two"]
    again = send("PUT", f"{one}/resubmit", {**named, "memoized": False})
    assert again["metadata"]["name"] != name
    ended(send, again["metadata"]["name"])
    for held in (name, again["metadata"]["name"]):
        assert send("DELETE", one, {"namespace": NS, "name": held, "deleteOptions": {}, "force": True}) == {}
    with pytest.raises(Refused) as gone:
        send("GET", one, named)
    assert gone.value.code == 5
    with pytest.raises(Refused) as gone:
        next(
            send.events(
                "/api/v1/workflow-events/{namespace}",
                {"namespace": NS, "listOptions": {"fieldSelector": f"metadata.name={name}", "resourceVersion": "0"}},
            )
        )
    assert gone.value.code == 5


def test_operations_on_what_runs(send: Facade) -> None:
    manifest = workflow("true")
    manifest["spec"]["templates"] = [{"name": "main", "suspend": {}}]
    one = "/api/v1/workflows/{namespace}/{name}"

    def begun() -> dict[str, Any]:
        made = send("POST", "/api/v1/workflows/{namespace}", {"namespace": NS, "workflow": manifest})
        name = made["metadata"]["name"]
        options = {"fieldSelector": f"metadata.name={name}"}
        for event in send.events("/api/v1/workflow-events/{namespace}", {"namespace": NS, "listOptions": options}):
            if event["object"].get("status", {}).get("nodes"):
                break
        return {"namespace": NS, "name": name}

    named = begun()
    send("PUT", f"{one}/suspend", named)
    send("PUT", f"{one}/set", {**named, "nodeFieldSelector": "displayName=" + named["name"], "message": "soon"})
    send("PUT", f"{one}/resume", {**named, "nodeFieldSelector": ""})
    assert ended(send, named["name"])["status"]["phase"] == "Succeeded"
    with pytest.raises(Refused) as refused:
        send("PUT", f"{one}/retry", {**named, "restartSuccessful": False})
    assert refused.value.code in (3, 9, 10)
    named = begun()
    send("PUT", f"{one}/stop", {**named, "message": "enough"})
    assert ended(send, named["name"])["status"]["phase"] == "Failed"
    named = begun()
    send("PUT", f"{one}/terminate", named)
    assert ended(send, named["name"])["status"]["phase"] == "Failed"


@pytest.mark.parametrize(
    ("place", "field", "kind"),
    [
        ("workflow-templates/{namespace}", "template", "WorkflowTemplate"),
        ("cluster-workflow-templates", "template", "ClusterWorkflowTemplate"),
        ("cron-workflows/{namespace}", "cronWorkflow", "CronWorkflow"),
    ],
)
def test_stored_objects(send: Facade, place: str, field: str, kind: str) -> None:
    here, named = f"/api/v1/{place}", {"namespace": NS, "name": "http1-stored"}
    spec: dict[str, Any] = workflow("true")["spec"]
    if kind == "CronWorkflow":
        spec = {"schedules": ["0 0 1 1 *"], "workflowSpec": spec}
    given = {"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": {"name": named["name"]}, "spec": spec}
    body = {"namespace": NS, field: given, "createOptions": {}}
    send("POST", f"{here}/lint", body)
    made = send("POST", here, body)
    found = send("GET", f"{here}/{{name}}", {**named, "getOptions": {}})
    assert found["metadata"]["uid"] == made["metadata"]["uid"]
    changed = send(
        "PUT", f"{here}/{{name}}", {**named, field: {**found, "metadata": {**found["metadata"], "labels": {"a": "b"}}}}
    )
    assert changed["metadata"]["labels"] == {"a": "b"}
    listed = send("GET", here, {"namespace": NS, "listOptions": {"labelSelector": "a=b"}})
    assert [one["metadata"]["name"] for one in listed["items"]] == [named["name"]]
    if kind == "CronWorkflow":
        assert send("PUT", f"{here}/{{name}}/suspend", named)["spec"]["suspend"] is True
        assert not send("PUT", f"{here}/{{name}}/resume", named)["spec"].get("suspend")
    submitted = {
        "namespace": NS,
        "resourceKind": kind,
        "resourceName": named["name"],
        "submitOptions": {
            "labels": "x=y",
            "ownerReference": {"apiVersion": "v1", "kind": "Job", "name": "j", "uid": "u"},
        },
    }
    begun = send("POST", "/api/v1/workflows/{namespace}/submit", submitted)
    assert (begun["metadata"]["labels"]["x"], begun["metadata"]["ownerReferences"][-1]["name"]) == ("y", "j")
    assert send("DELETE", f"{here}/{{name}}", {**named, "deleteOptions": {}}) == {}


def test_the_archive(send: Facade) -> None:
    made = send("POST", "/api/v1/workflows/{namespace}", {"namespace": NS, "workflow": workflow("false")})
    uid, label = made["metadata"]["uid"], "workflows.argoproj.io/phase"
    ended(send, made["metadata"]["name"])
    options = {"fieldSelector": "metadata.namespace=http1,ext.showRemainingItemCount=true", "limit": 1}
    page = send("GET", "/api/v1/archived-workflows", {"listOptions": options})
    assert (len(page["items"]), page["metadata"]["remainingItemCount"] >= 0) == (1, True)
    early = {"fieldSelector": "metadata.namespace=http1,spec.startedAt<2020-01-01T00:00:00Z"}
    assert send("GET", "/api/v1/archived-workflows", {"listOptions": early})["items"] == []
    one = "/api/v1/archived-workflows/{uid}"
    assert send("GET", one, {"uid": uid})["status"]["phase"] == "Failed"
    assert isinstance(send("GET", "/api/v1/archived-workflows-label-keys")["items"], list)
    values = {"listOptions": {"labelSelector": label}}
    assert isinstance(send("GET", "/api/v1/archived-workflows-label-values", values)["items"], list)
    send("PUT", f"{one}/retry", {"uid": uid, "namespace": NS})
    ended(send, made["metadata"]["name"])
    again = send("PUT", f"{one}/resubmit", {"uid": uid, "namespace": NS})
    ended(send, again["metadata"]["name"])
    assert send("DELETE", one, {"uid": uid}) == {}


def test_limits_have_numbers_for_types(send: Facade) -> None:
    one = "/api/v1/sync/{namespace}/{key}"
    made = send("POST", "/api/v1/sync/{namespace}", {"type": 1, "namespace": NS, "key": "gpu", "limit": 2})
    assert (made["type"], made["limit"]) == (1, 2)
    assert send("PUT", one, {"type": 1, "namespace": NS, "key": "gpu", "limit": 3})["limit"] == 3
    assert send("GET", one, {"type": 1, "namespace": NS, "key": "gpu"})["type"] == 1
    assert send("DELETE", one, {"type": 1, "namespace": NS, "key": "gpu"}) == {}
    # The type 0 is left out of messages.
    in_map = {"namespace": NS, "cmName": "limits", "key": "gpu"}
    assert send("POST", "/api/v1/sync/{namespace}", {**in_map, "limit": 2})["limit"] == 2
    assert send("DELETE", one, in_map) == {}


def test_the_server_itself(send: Facade) -> None:
    assert send("GET", "/api/v1/version")["version"].startswith("v")
    assert send("GET", "/api/v1/info")["links"] == []
    assert isinstance(send("GET", "/api/v1/userinfo"), dict)
    assert send("POST", "/api/v1/tracking/event", {"name": "openedApp"}) == {}
    assert send("GET", "/api/v1/event-sources/{namespace}", {"namespace": NS})["items"] == []


def test_a_file_is_uploaded_for_an_input(send: Facade, server: RunningServer) -> None:
    manifest = workflow("cat", "/tmp/given")
    main = manifest["spec"]["templates"][0]
    main["inputs"] = {"artifacts": [{"name": "given", "path": "/tmp/given"}]}
    manifest["spec"]["arguments"] = {"artifacts": [{"name": "given", "s3": {"key": "usual.txt"}}]}
    template = {"metadata": {"name": "reads"}, "spec": manifest["spec"]}
    send("POST", "/api/v1/workflow-templates/{namespace}", {"namespace": NS, "template": template})
    with server.client() as client:
        here = f"/upload-artifacts/{NS}/reads"
        answer = client.post(f"{here}/given", files={"file": ("../../evil/a.txt", b"from elsewhere\n")}).json()
        assert (answer["name"], answer["key"].split("/")[:2], answer["key"][-6:]) == (
            "given",
            ["uploads", NS],
            "/a.txt",
        )
        assert client.post(f"{here}/none", files={"file": ("a.txt", b"")}).status_code == 404
        assert client.post(f"{here}/given", data={"file": "no file"}).status_code == 400
        assert client.post(f"{here}/given", files={"file": ("..", b"")}).status_code == 400
    options = {"artifacts": [f"given={answer['key']}"]}
    given = {"namespace": NS, "resourceKind": "WorkflowTemplate", "resourceName": "reads", "submitOptions": options}
    name = send("POST", "/api/v1/workflows/{namespace}/submit", given)["metadata"]["name"]
    assert ended(send, name)["status"]["phase"] == "Succeeded"
    log = {"namespace": NS, "name": name, "logOptions": {"container": "main"}}
    assert [line["content"] for line in send.events("/api/v1/workflows/{namespace}/{name}/log", log)] == [
        "from elsewhere"
    ]
