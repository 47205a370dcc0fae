"""A small API server of Kubernetes, for tests: discovery, objects in namespaces, patches, deletion with finalizers.

What kubectl does with it is in tests/integration/test_kubernetes_api.py; it stands for a cluster in all others.
No controller is at work: what a Job's would do is done by the test (`change`).
"""

from __future__ import annotations

import base64
import json
import random
import ssl
import string
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import trustme

from tiphys.errors import SpecError
from tiphys.lang.selectors import parse_selector
from tiphys.spec.merge import apply_patch

TOKEN = "let-me-in"
_PATCHES = {
    "application/strategic-merge-patch+json": "strategic",
    "application/merge-patch+json": "merge",
    "application/json-patch+json": "json",
}
_APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True)
class Resource:
    kind: str
    plural: str
    version: str
    namespaced: bool = True
    short: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        return self.version.rpartition("/")[0]

    @property
    def full(self) -> str:
        """As in messages: `jobs.batch`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def custom(self) -> bool:
        return "." in self.group and not self.group.endswith(".k8s.io")


KNOWN = (
    Resource("Pod", "pods", "v1", short=("po",)),
    Resource("ConfigMap", "configmaps", "v1", short=("cm",)),
    Resource("Secret", "secrets", "v1"),
    Resource("Namespace", "namespaces", "v1", namespaced=False, short=("ns",)),
    Resource("Deployment", "deployments", "apps/v1", short=("deploy",)),
    Resource("Job", "jobs", "batch/v1"),
    Resource("Widget", "widgets", "example.com/v1", short=("wd",)),
)


class StatusError(Exception):
    """An answer that is not the one hoped for."""

    def __init__(self, code: int, reason: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code, self.reason, self.details = code, reason, details or {}


@dataclass
class Call:
    """A request whose path names objects."""

    method: str
    resource: Resource
    namespace: str
    name: str
    query: Mapping[str, str]
    content_type: str
    body: Any

    @property
    def key(self) -> tuple[str, str, str]:
        return self.resource.full, self.namespace, self.name


@dataclass
class Fault:
    """What goes wrong with one request: a status, or a connection that breaks off, before or after the work."""

    status: int = 0
    message: str = "it is too much"
    reason: str = ""
    after: bool = False


@dataclass
class Objects:
    """What the cluster keeps."""

    kept: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    version: int = 0

    def carry_out(self, call: Call) -> dict[str, Any]:
        if call.method == "GET":
            return deepcopy(self._found(call)) if call.name else self._listed(call)
        if call.method == "POST":
            return self._created(call)
        if call.method == "DELETE":
            return self._deleted(call)
        return self._changed(call)

    def _found(self, call: Call) -> dict[str, Any]:
        if call.key not in self.kept:
            raise StatusError(404, "NotFound", f'{call.resource.full} "{call.name}" not found')
        return self.kept[call.key]

    def _listed(self, call: Call) -> dict[str, Any]:
        labels = parse_selector(call.query.get("labelSelector", ""))
        name = call.query.get("fieldSelector", "").removeprefix("metadata.name=")
        items = []
        for (full, namespace, own), each in sorted(self.kept.items()):
            meant = full == call.resource.full and call.namespace in ("", namespace) and name in ("", own)
            if meant and labels.matches(each["metadata"].get("labels") or {}):
                items.append({key: value for key, value in deepcopy(each).items() if key not in ("kind", "apiVersion")})
        return {
            "kind": f"{call.resource.kind}List",
            "apiVersion": call.resource.version,
            "metadata": {"resourceVersion": str(self.version)},
            "items": items,
        }

    def _created(self, call: Call) -> dict[str, Any]:
        manifest = self._checked(call, call.body)
        metadata = manifest["metadata"]
        if metadata.get("resourceVersion"):
            raise StatusError(400, "BadRequest", "resourceVersion should not be set on objects to be created")
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + "".join(random.choices(string.ascii_lowercase, k=5))
        call.name = metadata.get("name") or ""
        if not call.name:
            raise self._invalid(call, "metadata.name: Required value: name or generateName is required")
        if call.key in self.kept:
            raise StatusError(409, "AlreadyExists", f'{call.resource.full} "{call.name}" already exists')
        return self._new(call, manifest)

    def _new(self, call: Call, manifest: dict[str, Any]) -> dict[str, Any]:
        if call.resource.namespaced and ("namespaces", "", call.namespace) not in self.kept:
            raise StatusError(404, "NotFound", f'namespaces "{call.namespace}" not found')
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        manifest["metadata"] |= {"name": call.name, "uid": str(uuid.uuid4()), "creationTimestamp": now}
        if call.resource.namespaced:
            manifest["metadata"]["namespace"] = call.namespace
        return self._kept(call, manifest)

    def _kept(self, call: Call, manifest: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        manifest["metadata"]["resourceVersion"] = str(self.version)
        if call.query.get("dryRun") != "All":
            self.kept[call.key] = manifest
        return deepcopy(manifest)

    def _checked(self, call: Call, given: Any) -> dict[str, Any]:
        """The object of a request, if it fits the path."""
        if not isinstance(given, dict) or (given.get("kind"), given.get("apiVersion")) != (
            call.resource.kind,
            call.resource.version,
        ):
            raise StatusError(400, "BadRequest", "the object provided is of another kind than the path")
        manifest = deepcopy(given)
        metadata = manifest["metadata"] = dict(manifest.get("metadata") or {})
        if metadata.get("namespace", call.namespace) != call.namespace:
            message = "the namespace of the provided object does not match the namespace sent on the request"
            raise StatusError(400, "BadRequest", message)
        if call.name and metadata.get("name", call.name) != call.name:
            message = f"the name of the object ({metadata['name']}) does not match the name on the URL ({call.name})"
            raise StatusError(400, "BadRequest", message)
        if call.resource.kind == "Job" and not (manifest.get("spec") or {}).get("template"):
            raise self._invalid(call, "spec.template: Required value", metadata.get("name"))
        return manifest

    def _invalid(self, call: Call, message: str, name: str | None = None) -> StatusError:
        resource, name = call.resource, name or call.name
        where, _, why = message.partition(": ")
        causes = [{"reason": "FieldValueInvalid", "message": why, "field": where}]
        details = {"name": name, "group": resource.group, "kind": resource.kind, "causes": causes}
        kind = f"{resource.kind}.{resource.group}".rstrip(".")
        return StatusError(422, "Invalid", f'{kind} "{name}" is invalid: {message}', details)

    def _changed(self, call: Call) -> dict[str, Any]:
        if call.content_type == _APPLY:
            return self._applied(call)
        present = self._found(call)
        if call.method == "PUT":
            wanted = self._checked(call, call.body)
            if call.resource.custom and not wanted["metadata"].get("resourceVersion"):
                raise self._invalid(
                    call, "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update"
                )
        else:
            wanted = self._patched(call, present)
        version = wanted["metadata"].get("resourceVersion") or present["metadata"]["resourceVersion"]
        if version != present["metadata"]["resourceVersion"]:
            message = (
                f'Operation cannot be fulfilled on {call.resource.full} "{call.name}": the object has been modified; '
                "please apply your changes to the latest version and try again"
            )
            raise StatusError(409, "Conflict", message)
        fixed = ("uid", "creationTimestamp", "namespace", "deletionTimestamp")
        wanted["metadata"] |= {key: present["metadata"][key] for key in fixed if key in present["metadata"]}
        if call.method == "PUT" and "status" in present:
            wanted["status"] = deepcopy(present["status"])
        if wanted["metadata"].get("deletionTimestamp") and not wanted["metadata"].get("finalizers"):
            del self.kept[call.key]
            return wanted
        return self._kept(call, wanted)

    def _patched(self, call: Call, present: dict[str, Any]) -> dict[str, Any]:
        strategy = _PATCHES.get(call.content_type)
        if strategy is None or (strategy == "strategic" and call.resource.custom):
            known = f"application/json-patch+json, application/merge-patch+json, {_APPLY}"
            message = f"the body of the request was in an unknown format - accepted media types include: {known}"
            raise StatusError(415, "UnsupportedMediaType", message)
        try:
            return self._checked(call, apply_patch(present, call.body, strategy))
        except SpecError as error:
            raise StatusError(422, "Invalid", f"the server rejected our request: {error.message}") from None

    def _applied(self, call: Call) -> dict[str, Any]:
        """Server-side apply, its fields known by who set them last; lists are merged as by strategic patches."""
        manager = call.query.get("fieldManager")
        if not manager:
            message = "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value: is required for apply patch"
            raise StatusError(422, "Invalid", message)
        wanted = self._checked(call, call.body)
        present = self.kept.get(call.key)
        if present is None:
            wanted["metadata"]["managedFields"] = [{"manager": manager, "config": _fields(wanted)}]
            return self._new(call, wanted)
        managed = deepcopy(present["metadata"].get("managedFields") or [])
        own = next((each for each in managed if each["manager"] == manager), {"manager": manager, "config": {}})
        others = [each for each in managed if each["manager"] != manager]
        fields = _fields(wanted)
        for other in others:
            taken = [path for path in fields if path in other["config"] and other["config"][path] != fields[path]]
            if taken and call.query.get("force") != "true":
                message = f'Apply failed with 1 conflict: conflict with "{other["manager"]}": {taken[0]}'
                raise StatusError(409, "Conflict", message)
            for path in taken:
                del other["config"][path]
        gone = [path for path in own["config"] if path not in fields and not any(path in o["config"] for o in others)]
        changed = deepcopy(present)
        for path in gone:
            _remove(changed, path.split("\0"))
        wanted = apply_patch(changed, wanted, "merge" if call.resource.custom else "strategic")
        wanted["metadata"]["managedFields"] = [*others, {"manager": manager, "config": fields}]
        return deepcopy(present) if wanted == present else self._kept(call, wanted)

    def _deleted(self, call: Call) -> dict[str, Any]:
        present = self._found(call)
        if present["metadata"].get("finalizers"):
            present["metadata"].setdefault("deletionTimestamp", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
            return self._kept(call, present)
        del self.kept[call.key]
        details = {"name": call.name, "kind": call.resource.plural, "uid": present["metadata"]["uid"]}
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _fields(manifest: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """The leaves of an object by their path; lists are leaves."""
    found: dict[str, Any] = {}
    for key, value in manifest.items():
        here = f"{path}\0{key}" if path else key
        if isinstance(value, dict) and value:
            found |= _fields(value, here)
        elif here not in ("apiVersion", "kind", "metadata\0name", "metadata\0namespace"):
            found[here] = value
    return found


def _remove(tree: Any, path: list[str]) -> None:
    for part in path[:-1]:
        tree = tree.get(part) or {}
    tree.pop(path[-1], None)


class KubernetesAPI(ThreadingHTTPServer):
    """The server, on a free port of loopback with a certificate of its own."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects = Objects()
        self.lock = threading.RLock()
        self.calls: list[Call] = []
        #: What happens to the next requests for objects; None: nothing.
        self.faults: list[Fault | None] = []
        #: Called with each request for objects and before it is carried out.
        self.before: Callable[[Call], None] = lambda call: None
        self.known = list(KNOWN)
        authority = trustme.CA()
        self.authority = authority.cert_pem.bytes()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        for name in ("default", "argo"):
            self.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone away is no matter."""

    def kubeconfig(self, path: Path, *, token: str = TOKEN, authority: bytes | None = None) -> Path:
        """Write a kubeconfig."""
        data = base64.b64encode(authority or self.authority).decode()
        server = f"https://127.0.0.1:{self.server_address[1]}"
        names = [("here", server), ("nowhere", "https://127.0.0.1:1")]
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [
                {"name": name, "cluster": {"server": url, "certificate-authority-data": data}} for name, url in names
            ],
            "users": [{"name": "me", "user": {"token": token}}],
            "contexts": [
                {"name": name, "context": {"cluster": name, "user": "me", "namespace": "default"}} for name, _ in names
            ],
        }
        path.write_text(json.dumps(config))
        return path

    def resource(self, kind: str) -> Resource:
        return next(each for each in self.known if each.kind == kind)

    def put(self, manifest: dict[str, Any], namespace: str = "argo") -> dict[str, Any]:
        """Have an object."""
        resource = self.resource(manifest["kind"])
        namespace = namespace if resource.namespaced else ""
        with self.lock:
            return self.objects.carry_out(
                Call("POST", resource, namespace, "", {}, "application/json", deepcopy(manifest))
            )

    def get(self, kind: str, name: str, namespace: str = "argo") -> dict[str, Any] | None:
        """An object as it is; None if there is none."""
        with self.lock:
            return deepcopy(self.objects.kept.get((self.resource(kind).full, namespace, name)))

    def names(self, kind: str) -> list[str]:
        with self.lock:
            return sorted(name for full, _, name in self.objects.kept if full == self.resource(kind).full)

    def change(self, kind: str, name: str, patch: dict[str, Any], namespace: str = "argo") -> None:
        """Do what a controller does, by a merge patch."""
        with self.lock:
            self.objects.carry_out(
                Call("PATCH", self.resource(kind), namespace, name, {}, "application/merge-patch+json", patch)
            )

    def done(self, method: str) -> list[Call]:
        """The requests of one method so far."""
        return [call for call in self.calls if call.method == method]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: KubernetesAPI

    def log_message(self, format: str, *args: Any) -> None:
        """Be silent."""

    def _serve(self) -> None:
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"null") if length else None
        query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        try:
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                raise StatusError(401, "Unauthorized", "Unauthorized")
            parts = [unquote(part) for part in url.path.strip("/").split("/")]
            answer = self._discovered(parts) or self._carried_out(parts, query, body)
        except StatusError as error:
            self._answer(error.code, _status(error))
            return
        if answer is not None:
            self._answer(201 if self.command == "POST" else 200, answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _discovered(self, parts: list[str]) -> dict[str, Any] | None:
        known = self.server.known
        if parts == ["version"]:
            return {"major": "1", "minor": "32", "gitVersion": "v1.32.0"}
        if parts == ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        if parts == ["apis"]:
            versions = dict.fromkeys(each.version for each in known if each.group)
            groups = [
                {
                    "name": version.partition("/")[0],
                    "versions": [{"groupVersion": version, "version": version.partition("/")[2]}],
                    "preferredVersion": {"groupVersion": version, "version": version.partition("/")[2]},
                }
                for version in versions
            ]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        version = "/".join(parts[1:])
        resources = [each for each in known if each.version == version]
        if not resources or parts[0] != ("apis" if "/" in version else "api"):
            return None
        verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
        entries = []
        for each in resources:
            entry = {"name": each.plural, "singularName": each.kind.lower(), "namespaced": each.namespaced}
            entry |= {"kind": each.kind, "verbs": verbs, "shortNames": list(each.short)}
            entries += [entry, {**entry, "name": f"{each.plural}/status", "verbs": ["get", "patch", "update"]}]
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": entries}

    def _carried_out(self, parts: list[str], query: dict[str, str], body: Any) -> dict[str, Any] | None:
        call = self._call(parts, query, body)
        with self.server.lock:
            self.server.calls.append(call)
            fault = self.server.faults.pop(0) if self.server.faults else None
            if fault is not None and not fault.after:
                return self._fail(fault)
            self.server.before(call)
            answer = self.server.objects.carry_out(call)
        return self._fail(fault) if fault is not None else answer

    def _fail(self, fault: Fault) -> None:
        if fault.status:
            raise StatusError(fault.status, fault.reason, fault.message)
        self.close_connection = True

    def _call(self, parts: list[str], query: dict[str, str], body: Any) -> Call:
        count = 2 if parts[0] == "api" else 3
        version, rest = "/".join(parts[1:count]), parts[count:]
        namespace = ""
        if len(rest) > 2 and rest[0] == "namespaces":
            namespace, rest = rest[1], rest[2:]
        found = [each for each in self.server.known if each.version == version and rest and each.plural == rest[0]]
        if not found or len(rest) > 2:
            raise StatusError(404, "NotFound", "the server could not find the requested resource")
        content_type = (self.headers.get("Content-Type") or "").partition(";")[0]
        return Call(self.command, found[0], namespace, rest[1] if len(rest) > 1 else "", query, content_type, body)

    def _answer(self, code: int, answer: Any) -> None:
        data = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _status(error: StatusError) -> dict[str, Any]:
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": str(error)}
    return {**status, "reason": error.reason, "code": error.code, "details": error.details}
