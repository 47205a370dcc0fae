"""Argo's API: which handler answers what."""

from __future__ import annotations

from typing import Any

from starlette.routing import Route

from tiphys.errors import UnimplementedError
from tiphys.records.objects import ObjectKind
from tiphys.server.argo import about, archive, artifacts, limits, uploads, workflows
from tiphys.server.argo.stored import Stored
from tiphys.server.call import Call, Endpoint, Handler, endpoint

_API = "/api/v1"
_TEMPLATES = Stored(ObjectKind.WORKFLOW_TEMPLATE, "template")
_CLUSTER_TEMPLATES = Stored(ObjectKind.CLUSTER_WORKFLOW_TEMPLATE, "template")
_SCHEDULES = Stored(ObjectKind.CRON_WORKFLOW, "cronWorkflow")

#: What Argo has and this server does not.
_MISSING = ("event-sources", "sensors", "stream", "events", "workflow-event-bindings")
_VERBS = ["GET", "POST", "PUT", "DELETE"]


def routes() -> list[Route]:
    """All routes of the API."""
    return [*_workflow_routes(), *_stored_routes(), *_archive_routes(), *_artifact_routes(), *_other_routes()]


def _route(verb: str, path: str, handler: Handler) -> Route:
    return _raw(verb, path, endpoint(handler))


def _raw(verb: str, path: str, answer: Endpoint) -> Route:
    return Route(path, answer, methods=[verb])


def _workflow_routes() -> list[Route]:
    here = f"{_API}/workflows/{{namespace}}"
    one = f"{here}/{{name}}"
    changes = {
        "suspend": workflows.suspend,
        "resume": workflows.resume,
        "stop": workflows.stop,
        "terminate": workflows.terminate,
        "set": workflows.set_nodes,
        "retry": workflows.retry,
        "resubmit": workflows.resubmit,
    }
    return [
        _route("GET", f"{_API}/workflows/", workflows.find),
        _route("GET", here, workflows.find),
        _route("POST", here, workflows.create),
        _route("POST", f"{here}/lint", workflows.lint),
        _route("POST", f"{here}/submit", workflows.submit),
        _route("GET", one, workflows.get),
        _route("DELETE", one, workflows.delete),
        *(_route("PUT", f"{one}/{verb}", handler) for verb, handler in changes.items()),
        _raw("GET", f"{one}/log", workflows.logs),
        _raw("GET", f"{one}/{{pod}}/log", workflows.logs),
        _raw("GET", f"{_API}/workflow-events/", workflows.events),
        _raw("GET", f"{_API}/workflow-events/{{namespace}}", workflows.events),
    ]


def _stored_routes() -> list[Route]:
    schedules = f"{_API}/cron-workflows/{{namespace}}/{{name}}"
    return [
        _route("GET", f"{_API}/workflow-templates/", _TEMPLATES.find),
        *_routes_of(_TEMPLATES, f"{_API}/workflow-templates/{{namespace}}"),
        *_routes_of(_CLUSTER_TEMPLATES, f"{_API}/cluster-workflow-templates"),
        _route("GET", f"{_API}/cron-workflows/", _SCHEDULES.find),
        *_routes_of(_SCHEDULES, f"{_API}/cron-workflows/{{namespace}}"),
        _route("PUT", f"{schedules}/suspend", _SCHEDULES.suspend),
        _route("PUT", f"{schedules}/resume", _SCHEDULES.resume),
    ]


def _routes_of(stored: Stored, here: str) -> list[Route]:
    return [
        _route("GET", here, stored.find),
        _route("POST", here, stored.create),
        _route("POST", f"{here}/lint", stored.lint),
        _route("GET", f"{here}/{{name}}", stored.get),
        _route("PUT", f"{here}/{{name}}", stored.update),
        _route("DELETE", f"{here}/{{name}}", stored.delete),
    ]


def _archive_routes() -> list[Route]:
    one = f"{_API}/archived-workflows/{{uid}}"
    return [
        _route("GET", f"{_API}/archived-workflows", archive.find),
        _route("GET", f"{_API}/archived-workflows-label-keys", archive.label_keys),
        _route("GET", f"{_API}/archived-workflows-label-values", archive.label_values),
        _route("GET", one, archive.get),
        _route("DELETE", one, archive.delete),
        _route("PUT", f"{one}/retry", workflows.retry),
        _route("PUT", f"{one}/resubmit", workflows.resubmit),
    ]


def _artifact_routes() -> list[Route]:
    of_outputs, of_inputs = artifacts.download(of_inputs=False), artifacts.download(of_inputs=True)
    files = "/artifact-files/{namespace}/{holder}/{id}/{node}/{direction}/{artifact}"
    return [
        _route("GET", "/artifacts/{namespace}/{name}/{node}/{artifact}", of_outputs),
        _route("GET", "/artifacts-by-uid/{uid}/{node}/{artifact}", of_outputs),
        _route("GET", "/input-artifacts/{namespace}/{name}/{node}/{artifact}", of_inputs),
        _route("GET", "/input-artifacts-by-uid/{uid}/{node}/{artifact}", of_inputs),
        _route("GET", files, artifacts.file),
        _route("GET", f"{files}/{{path:path}}", artifacts.file),
    ]


def _other_routes() -> list[Route]:
    limit = f"{_API}/sync/{{namespace}}/{{key}}"
    return [
        _route("POST", f"{_API}/sync/{{namespace}}", limits.create),
        _route("GET", limit, limits.get),
        _route("PUT", limit, limits.update),
        _route("DELETE", limit, limits.delete),
        _route("GET", f"{_API}/info", about.info),
        _route("GET", f"{_API}/userinfo", about.user),
        _route("GET", f"{_API}/version", about.version),
        _route("POST", f"{_API}/tracking/event", about.track),
        *(_route("GET", f"{_API}/{kind}/{{namespace}}", about.nothing) for kind in ("event-sources", "sensors")),
        *(Route(f"{_API}/{name}/{{rest:path}}", endpoint(_unimplemented(name)), methods=_VERBS) for name in _MISSING),
        _raw("POST", "/upload-artifacts/{namespace}/{template}/{artifact}", uploads.upload),
    ]


def _unimplemented(name: str) -> Handler:
    def answer(_call: Call) -> Any:
        raise UnimplementedError(f"This server does not offer '{name}' of Argo's API.")

    return answer
