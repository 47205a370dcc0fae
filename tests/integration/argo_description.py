"""Argo's API as OpenAPI, made of the server's own table of routes: paths, parameters, and what bodies may hold."""

from __future__ import annotations

import re
from typing import Any

from tiphys.server.argo.routes import routes

Schema = dict[str, Any]

#: What the fixtures store, so that some requests meet something.
THERE = "there"
#: All names that handlers look for in queries; the values are texts of any kind.
ASKED = (
    *(f"listOptions.{name}" for name in ("limit", "continue", "labelSelector", "fieldSelector", "resourceVersion")),
    *(f"logOptions.{name}" for name in ("container", "sinceSeconds", "sinceTime", "tailLines", "timestamps")),
    *("deleteOptions.dryRun", "deleteOptions.preconditions.uid", "getOptions.resourceVersion"),
    *("fields", "namePrefix", "nameFilter", "namePattern", "namespace", "grep", "selector", "podName", "createdAfter"),
    *("finishedBefore", "force", "uid", "type", "key", "cmName"),
)
ANY: Schema = {}
TEXT: Schema = {"type": "string"}
NAME: Schema = {"anyOf": [{"enum": [THERE]}, TEXT]}
TRUTH: Schema = {"anyOf": [{"type": "boolean"}, ANY]}


def _object(**fields: Schema) -> Schema:
    return {"type": "object", "properties": fields}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items, "maxItems": 3}


_CONTAINER = _object(image=TEXT, command=_list(TEXT), args=_list(TEXT), env=ANY, resources=ANY)
_PARAMETERS = _object(parameters=_list(_object(name=NAME, value=ANY, valueFrom=ANY)), artifacts=ANY)
_TEMPLATE = _object(
    name=NAME,
    container=_CONTAINER,
    script=_object(image=TEXT, source=TEXT),
    steps=_list(_list(_object(name=NAME, template=NAME, arguments=_PARAMETERS, when=TEXT, withItems=ANY))),
    dag=_object(tasks=_list(_object(name=NAME, template=NAME, dependencies=_list(NAME), depends=TEXT))),
    suspend=ANY,
    inputs=_PARAMETERS,
    outputs=_PARAMETERS,
    retryStrategy=ANY,
    metadata=ANY,
)
_SPEC = _object(
    entrypoint=NAME,
    templates=_list(_TEMPLATE),
    arguments=_PARAMETERS,
    workflowTemplateRef=_object(name=NAME, clusterScope=TRUTH),
    ttlStrategy=ANY,
    synchronization=ANY,
    hooks=ANY,
)
_METADATA = _object(name=NAME, generateName=TEXT, namespace=TEXT, labels=ANY, annotations=ANY, uid=ANY)
_OBJECT = _object(
    apiVersion=TEXT,
    kind={"anyOf": [{"enum": ["Workflow", "WorkflowTemplate", "CronWorkflow", "ClusterWorkflowTemplate"]}, ANY]},
    metadata=_METADATA,
    spec={"anyOf": [_SPEC, _object(workflowSpec=_SPEC, schedules=_list(TEXT), schedule=TEXT, event=ANY, submit=ANY)]},
    status=ANY,
)
_SUBMIT_OPTIONS = _object(
    name=NAME,
    generateName=TEXT,
    entryPoint=NAME,
    parameters=_list(TEXT),
    labels=TEXT,
    annotations=TEXT,
    artifacts=ANY,
    priority=ANY,
    dryRun=TRUTH,
    serverDryRun=TRUTH,
    ownerReference=ANY,
)
BODY: Schema = {
    "anyOf": [
        _object(
            workflow=_OBJECT,
            template=_OBJECT,
            cronWorkflow=_OBJECT,
            workflowEventBinding=_OBJECT,
            resourceKind={"anyOf": [{"enum": ["WorkflowTemplate", "CronWorkflow", "cwft"]}, ANY]},
            resourceName=NAME,
            submitOptions=_SUBMIT_OPTIONS,
            createOptions=ANY,
            nodeFieldSelector=TEXT,
            parameters=_list(TEXT),
            outputParameters=TEXT,
            phase=TEXT,
            message=ANY,
            restartSuccessful=TRUTH,
            memoized=TRUTH,
            key=NAME,
            cmName=NAME,
            limit=ANY,
            type=ANY,
        ),
        ANY,
    ]
}


def described() -> Schema:
    """The description."""
    paths: dict[str, Schema] = {}
    for route in routes():
        path = re.sub(r"\{(\w+)(:\w+)?\}", r"{\1}", route.path)
        for verb in (route.methods or set()) - {"HEAD"}:
            paths.setdefault(path, {})[verb.lower()] = _operation(verb, path)
    return {"openapi": "3.1.0", "info": {"title": "Argo", "version": "4"}, "paths": paths}


def _operation(verb: str, path: str) -> Schema:
    inside = [{"name": name, "in": "path", "required": True, "schema": NAME} for name in re.findall(r"\{(\w+)\}", path)]
    asked = [{"name": name, "in": "query", "schema": TEXT} for name in ASKED]
    found: Schema = {"parameters": [*inside, *asked], "responses": {"200": {"description": "An answer."}}}
    if verb in ("POST", "PUT"):
        found["requestBody"] = {"content": {"application/json": {"schema": BODY}}}
    return found
