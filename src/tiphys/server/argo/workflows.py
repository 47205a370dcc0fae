"""Argo's API over workflows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from tiphys._util.times import rfc3339, utc_now
from tiphys.errors import SpecError, UsageError
from tiphys.lang.selectors import parse_field_selector, parse_selector
from tiphys.ports.workflows import LogEntry, Manifest, SubmitOptions, WorkflowChange, WorkflowFilter
from tiphys.records.workflows import POD_RUNNERS, RUNNER_ANNOTATION
from tiphys.server.argo.bodies import (
    is_dry_run,
    is_strict,
    manifest_in,
    outputs_in,
    parameters_in,
    priority_in,
    submit_options,
    text_in,
)
from tiphys.server.argo.queries import log_query, mask_of, moment_of, needs_nodes, version_of, workflow_filter
from tiphys.server.auth.permissions import Permission
from tiphys.server.call import Call, call_of
from tiphys.server.streams import stream
from tiphys.services.workflows.cluster_events import EventTeller
from tiphys.spec.problems import Severity
from tiphys.spec.reading import read_document


def create(call: Call) -> Manifest:
    """POST /workflows/{namespace}."""
    manifest = manifest_in(call.body, "workflow", "Workflow", namespace=call.namespace)
    options = SubmitOptions(
        runner=chosen_runner(call.runner, manifest["metadata"].get("annotations")),
        strict=is_strict(call.body),
        dry_run=is_dry_run(call.body),
    )
    return call.workflows.submit(manifest, options)


def submit(call: Call) -> Manifest:
    """POST /workflows/{namespace}/submit."""
    kind, name = text_in(call.body, "resourceKind"), text_in(call.body, "resourceName")
    options = submit_options(call.body)
    return call.workflows.submit_from(
        kind, name, replace(options, runner=chosen_runner(call.runner, options.annotations))
    )


def chosen_runner(own: str | None, annotations: Mapping[str, str] | None) -> str | None:
    """What is to carry a submitted workflow out: what its annotation names, if the server leaves the choice.

    Args:
        own: The runner that the server was started with; None if it leaves the choice.
        annotations: Those of the workflow.

    Raises:
        UsageError: the server was started with another runner.
    """
    wanted = (annotations or {}).get(RUNNER_ANNOTATION)
    # A pipeline's manifest has the annotation, too, with a runner that carries no pods out.
    if wanted not in POD_RUNNERS or wanted == own:
        return own
    if own is not None:
        raise UsageError(f"This server carries pods out with '{own}', and not with '{wanted}'.")
    return wanted


def lint(call: Call) -> Manifest:
    """POST /workflows/{namespace}/lint."""
    manifest = manifest_in(call.body, "workflow", "Workflow", namespace=call.namespace)
    expect_valid(call, manifest)
    return manifest


def expect_valid(call: Call, manifest: Manifest) -> None:
    """Refuse what lint finds errors in.

    Raises:
        SpecError: it is not valid.
    """
    problems = call.workflows.lint(read_document(manifest), strict=False)
    errors = [str(problem) for problem in problems if problem.severity is Severity.ERROR]
    if errors:
        raise SpecError(f"The {manifest['kind']} is not valid: {'; '.join(errors)}")


def find(call: Call) -> dict[str, Any]:
    """GET /workflows/{namespace}."""
    return page(call, call.namespace)


def page(call: Call, namespace: str, *, archive: bool = False) -> dict[str, Any]:
    """A page of a list of workflows, with what of them was asked for."""
    call.expect_allowed(namespace)
    version = version_of(utc_now())
    service = call.backend.workflows
    fields = call.query.text("fields")
    found = (service.in_namespace(namespace) if namespace else service).find_whole(
        workflow_filter(call.query, namespace, archive=archive, visible=call.visible),
        nodes=needs_nodes(fields),
        limit=call.query.number("listOptions.limit") or 0,
        after=call.query.text("listOptions.continue"),
    )
    metadata: dict[str, Any] = {"resourceVersion": version}
    if found.next:
        metadata["continue"] = found.next
    if found.remaining is not None:
        metadata["remainingItemCount"] = found.remaining
    answer = {"metadata": metadata, "items": [versioned(one, version) for one in found.items]}
    shown: dict[str, Any] = mask_of(fields)(answer)
    return shown


def versioned(manifest: Manifest, version: str) -> Manifest:
    """A workflow with a version from which a watcher may go on: its end, or else when it was read."""
    ended = (manifest.get("status") or {}).get("finishedAt")
    manifest["metadata"]["resourceVersion"] = version_of(datetime.fromisoformat(ended)) if ended else version
    return manifest


def get(call: Call) -> Manifest:
    """GET /workflows/{namespace}/{name}; one that only the archive has is found by its uid."""
    uid, version = call.uid_here(call.query.text("uid")), version_of(utc_now())
    found = versioned(call.workflows.get(call.path["name"], uid=uid, archive=bool(uid)), version)
    shown: Manifest = mask_of(call.query.text("fields"))(found)
    return shown


def delete(call: Call) -> dict[str, Any]:
    """DELETE /workflows/{namespace}/{name}."""
    name, uid = call.path["name"], call.query.text("deleteOptions.preconditions.uid")
    if call.query.text("deleteOptions.dryRun"):
        call.workflows.get(name, uid=uid)
    else:
        call.workflows.delete(name, uid=uid, force=call.query.truth("force"))
    return {}


def suspend(call: Call) -> Manifest:
    """PUT /workflows/{namespace}/{name}/suspend."""
    return call.workflows.suspend(call.path["name"])


def resume(call: Call) -> Manifest:
    """PUT /workflows/{namespace}/{name}/resume."""
    return call.workflows.resume(call.path["name"], selector=_selector(call))


def stop(call: Call) -> Manifest:
    """PUT /workflows/{namespace}/{name}/stop."""
    message = text_in(call.body, "message")
    return call.workflows.stop(call.path["name"], selector=_selector(call), message=message)


def terminate(call: Call) -> Manifest:
    """PUT /workflows/{namespace}/{name}/terminate."""
    return call.workflows.terminate(call.path["name"])


def set_nodes(call: Call) -> Manifest:
    """PUT /workflows/{namespace}/{name}/set."""
    return call.workflows.set_nodes(
        call.path["name"],
        selector=_selector(call),
        phase=text_in(call.body, "phase"),
        message=text_in(call.body, "message"),
        outputs=outputs_in(call.body),
    )


def retry(call: Call) -> Manifest:
    """PUT /workflows/{namespace}/{name}/retry, and of archived ones by their uid."""
    uid = call.path.get("uid", "")
    return call.workflows.retry(
        call.path.get("name", ""),
        uid=uid,
        restart_successful=bool(call.body.get("restartSuccessful")),
        selector=_selector(call),
        parameters=parameters_in(call.body),
    )


def resubmit(call: Call) -> Manifest:
    """PUT /workflows/{namespace}/{name}/resubmit, and of archived ones by their uid."""
    return call.workflows.resubmit(
        call.path.get("name", ""),
        uid=call.path.get("uid", ""),
        memoized=bool(call.body.get("memoized")),
        parameters=parameters_in(call.body),
        priority=priority_in(call.body),
    )


def _selector(call: Call) -> str:
    return text_in(call.body, "nodeFieldSelector")


async def events(request: Request, needs: Permission) -> Response:
    """GET /workflow-events/{namespace}."""
    call = await call_of(request, needs)
    wanted, since = await run_in_threadpool(_watched, call), moment_of(call.query)

    def show(change: WorkflowChange) -> dict[str, Any]:
        return {"type": change.type.value, "object": versioned(change.object, version_of(utc_now()))}

    mask = mask_of(call.query.text("fields"))
    return await stream(request, lambda: call.workflows.changes(wanted, since=since), show, mask)


async def cluster_events(request: Request, needs: Permission) -> Response:
    """GET /stream/events/{namespace}: Kubernetes' Events of workflows."""
    call = await call_of(request, needs)
    selector = parse_field_selector(call.query.text("listOptions.fieldSelector"))
    labels = parse_selector(call.query.text("listOptions.labelSelector"))
    # As long as Kubernetes keeps them.
    since = moment_of(call.query) or utc_now() - timedelta(hours=1)
    wanted = WorkflowFilter(
        all_namespaces=not call.namespace, among=None if call.visible is None else tuple(sorted(call.visible))
    )

    def looks() -> Iterator[list[Manifest]]:
        teller = EventTeller(fields=selector, labels=labels, since=rfc3339(since))
        for changes in call.workflows.changes(wanted, since=since):
            yield [event for change in changes for event in teller.events(change)]

    return await stream(request, looks, lambda event: event)


def _watched(call: Call) -> WorkflowFilter:
    """Which workflows are watched: one that is named is there, and `@latest` stands for one."""
    wanted = workflow_filter(call.query, call.namespace, visible=call.visible)
    if not wanted.names or not call.namespace:
        return wanted
    return replace(wanted, names=tuple(call.workflows.get(name)["metadata"]["name"] for name in wanted.names))


async def logs(request: Request, needs: Permission) -> Response:
    """GET /workflows/{namespace}/{name}/log, and /workflows/{namespace}/{name}/{pod}/log."""
    call = await call_of(request, needs)
    query = log_query(call.query, call.path.get("pod", ""), utc_now())
    timestamps = call.query.truth("logOptions.timestamps")

    def show(entry: LogEntry) -> dict[str, Any]:
        time = f"{entry.at.isoformat().replace('+00:00', 'Z')} " if timestamps else ""
        return {"content": f"{time}{entry.content}", "podName": entry.pod}

    return await stream(request, lambda: call.workflows.log_batches(call.path["name"], query), show)
