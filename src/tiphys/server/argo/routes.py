"""Argo's API: which handler answers what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tiphys.errors import UnimplementedError
from tiphys.records.objects import ObjectKind
from tiphys.server.argo import about, archive, artifacts, events, limits, uploads, workflows
from tiphys.server.argo.stored import Stored
from tiphys.server.auth.permissions import Action, Permission, needs
from tiphys.server.call import Call, Endpoint, Handler, endpoint

_API = "/api/v1"
_TEMPLATES = Stored(ObjectKind.WORKFLOW_TEMPLATE, "template")
_CLUSTER_TEMPLATES = Stored(ObjectKind.CLUSTER_WORKFLOW_TEMPLATE, "template")
_SCHEDULES = Stored(ObjectKind.CRON_WORKFLOW, "cronWorkflow")
_BINDINGS = Stored(ObjectKind.WORKFLOW_EVENT_BINDING, "workflowEventBinding")

#: Objects of Argo Events, another program, which nothing here carries out: there are none, and none can be made.
_ABSENT = ("event-sources", "sensors")
#: What all workspaces share: only an administrator changes it.
_OF_THE_SERVER = ("cluster-templates", "server")
_VERBS = ["GET", "POST", "PUT", "DELETE"]


def routes() -> list[Route]:
    """All routes of the API."""
    return [
        *_workflow_routes(),
        *_stored_routes(),
        *_event_routes(),
        *_archive_routes(),
        *_artifact_routes(),
        *_other_routes(),
    ]


def _route(verb: str, path: str, handler: Handler, resource: str, action: Action | None = None) -> Route:
    return Route(path, endpoint(handler, _needs(verb, resource, action)), methods=[verb])


def _raw(verb: str, path: str, answer: Callable[[Request, Permission], Awaitable[Response]], resource: str) -> Route:
    return Route(path, _answering(answer, _needs(verb, resource, None)), methods=[verb])


def _answering(answer: Callable[[Request, Permission], Awaitable[Response]], needed: Permission) -> Endpoint:
    # Starlette takes a function, and would take a `partial` for an application.
    async def endpoint_of(request: Request) -> Response:
        return await answer(request, needed)

    return endpoint_of


def _needs(verb: str, resource: str, action: Action | None) -> Permission:
    change = Action.ADMIN if resource in _OF_THE_SERVER else Action.WRITE
    return needs(resource, action or (Action.READ if verb == "GET" else change))


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
        _route("GET", f"{_API}/workflows/", workflows.find, "workflows"),
        _route("GET", here, workflows.find, "workflows"),
        _route("POST", here, workflows.create, "workflows"),
        _route("POST", f"{here}/lint", workflows.lint, "workflows", Action.READ),
        _route("POST", f"{here}/submit", workflows.submit, "workflows"),
        _route("GET", one, workflows.get, "workflows"),
        _route("DELETE", one, workflows.delete, "workflows"),
        *(_route("PUT", f"{one}/{verb}", handler, "workflows") for verb, handler in changes.items()),
        _raw("GET", f"{one}/log", workflows.logs, "workflows"),
        _raw("GET", f"{one}/{{pod}}/log", workflows.logs, "workflows"),
        _raw("GET", f"{_API}/workflow-events/", workflows.events, "workflows"),
        _raw("GET", f"{_API}/workflow-events/{{namespace}}", workflows.events, "workflows"),
        _raw("GET", f"{_API}/stream/events/", workflows.cluster_events, "workflows"),
        _raw("GET", f"{_API}/stream/events/{{namespace}}", workflows.cluster_events, "workflows"),
    ]


def _stored_routes() -> list[Route]:
    schedules = f"{_API}/cron-workflows/{{namespace}}/{{name}}"
    return [
        _route("GET", f"{_API}/workflow-templates/", _TEMPLATES.find, "templates"),
        *_routes_of(_TEMPLATES, f"{_API}/workflow-templates/{{namespace}}", "templates"),
        *_routes_of(_CLUSTER_TEMPLATES, f"{_API}/cluster-workflow-templates", "cluster-templates"),
        _route("GET", f"{_API}/cron-workflows/", _SCHEDULES.find, "cron-workflows"),
        *_routes_of(_SCHEDULES, f"{_API}/cron-workflows/{{namespace}}", "cron-workflows"),
        _route("PUT", f"{schedules}/suspend", _SCHEDULES.suspend, "cron-workflows"),
        _route("PUT", f"{schedules}/resume", _SCHEDULES.resume, "cron-workflows"),
    ]


def _routes_of(stored: Stored, here: str, resource: str) -> list[Route]:
    return [
        _route("GET", here, stored.find, resource),
        _route("POST", here, stored.create, resource),
        _route("POST", f"{here}/lint", stored.lint, resource, Action.READ),
        _route("GET", f"{here}/{{name}}", stored.get, resource),
        _route("PUT", f"{here}/{{name}}", stored.update, resource),
        _route("DELETE", f"{here}/{{name}}", stored.delete, resource),
    ]


def _event_routes() -> list[Route]:
    here = f"{_API}/events/{{namespace}}"
    return [
        _raw("POST", here, events.receive, "events"),
        _raw("POST", f"{here}/", events.receive, "events"),
        _raw("POST", f"{here}/{{discriminator}}", events.receive, "events"),
        # Argo has the list alone, and leaves the rest to Kubernetes.
        _route("GET", f"{_API}/workflow-event-bindings/", _BINDINGS.find, "events"),
        *_routes_of(_BINDINGS, f"{_API}/workflow-event-bindings/{{namespace}}", "events"),
    ]


def _archive_routes() -> list[Route]:
    one = f"{_API}/archived-workflows/{{uid}}"
    return [
        _route("GET", f"{_API}/archived-workflows", archive.find, "archive"),
        _route("GET", f"{_API}/archived-workflows-label-keys", archive.label_keys, "archive"),
        _route("GET", f"{_API}/archived-workflows-label-values", archive.label_values, "archive"),
        _route("GET", one, archive.get, "archive"),
        _route("DELETE", one, archive.delete, "archive"),
        _route("PUT", f"{one}/retry", workflows.retry, "archive"),
        _route("PUT", f"{one}/resubmit", workflows.resubmit, "archive"),
    ]


def _artifact_routes() -> list[Route]:
    of_outputs, of_inputs = artifacts.download(of_inputs=False), artifacts.download(of_inputs=True)
    files = "/artifact-files/{namespace}/{holder}/{id}/{node}/{direction}/{artifact}"
    return [
        _route("GET", "/artifacts/{namespace}/{name}/{node}/{artifact}", of_outputs, "artifacts"),
        _route("GET", "/artifacts-by-uid/{uid}/{node}/{artifact}", of_outputs, "artifacts"),
        _route("GET", "/input-artifacts/{namespace}/{name}/{node}/{artifact}", of_inputs, "artifacts"),
        _route("GET", "/input-artifacts-by-uid/{uid}/{node}/{artifact}", of_inputs, "artifacts"),
        _route("GET", files, artifacts.file, "artifacts"),
        _route("GET", f"{files}/{{path:path}}", artifacts.file, "artifacts"),
    ]


def _other_routes() -> list[Route]:
    limit = f"{_API}/sync/{{namespace}}/{{key}}"
    return [
        _route("POST", f"{_API}/sync/{{namespace}}", limits.create, "sync"),
        _route("GET", limit, limits.get, "sync"),
        _route("PUT", limit, limits.update, "sync"),
        _route("DELETE", limit, limits.delete, "sync"),
        _route("GET", f"{_API}/info", about.info, "server"),
        _route("GET", f"{_API}/userinfo", about.user, "server"),
        _route("GET", f"{_API}/version", about.version, "server"),
        _route("POST", f"{_API}/tracking/event", about.track, "server", Action.READ),
        *(route for kind in _ABSENT for route in _routes_of_absent(kind)),
        _raw("POST", "/upload-artifacts/{namespace}/{template}/{artifact}", uploads.upload, "artifacts"),
    ]


def _routes_of_absent(kind: str) -> list[Route]:
    watched = f"{_API}/stream/{kind}/{{namespace}}"
    return [
        _route("GET", f"{_API}/{kind}/{{namespace}}", about.nothing, "server"),
        _raw("GET", watched, about.nothing_happens, "server"),
        _raw("GET", f"{watched}/logs", about.nothing_is_logged, "server"),
        *(_route(verb, f"{_API}/{kind}/{{rest:path}}", _unimplemented(kind), "server") for verb in _VERBS),
    ]


def _unimplemented(name: str) -> Handler:
    def answer(_call: Call) -> Any:
        raise UnimplementedError(f"This server does not offer '{name}' of Argo's API.")

    return answer
