"""Workflows of a server, by Argo's REST API; several that are submitted at once by ours."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys.client.argo_paths import joined, path_of
from tiphys.client.changes import ChangeStream
from tiphys.client.connection import Connection
from tiphys.client.downloads import download
from tiphys.client.log_lines import log_batches
from tiphys.client.objects import ClientObjects
from tiphys.client.summaries import OF_EVENTS, OF_LISTS, finished_at, is_meant, list_query, summary_of
from tiphys.client.templates import ServerTemplates
from tiphys.errors import AlreadyExistsError, NotFoundError, UnimplementedError, UsageError
from tiphys.plugins.loading import load
from tiphys.ports.wire import API
from tiphys.ports.workflows import (
    ChangeType,
    LogEntry,
    LogQuery,
    Manifest,
    ManifestPage,
    SubmitOptions,
    WorkflowChange,
    WorkflowFilter,
    WorkflowPage,
    Workflows,
)
from tiphys.records.workflows import RUNNER_ANNOTATION, WorkflowSummary
from tiphys.spec.problems import Problem
from tiphys.spec.validate.lint import validate
from tiphys.spec.validate.stored import GivenTemplates

if TYPE_CHECKING:
    from tiphys.spec.reading import Document

#: Annotation by which a client knows a workflow again that it submitted, when the answer was lost.
REQUEST_ANNOTATION = "tiphys.dev/request"
#: Letters of generated names, and how much of a prefix stands before them (as Kubernetes has it).
_LETTERS, _MAX_PREFIX = "bcdfghjklmnpqrstvwxz2456789", 58


class ClientWorkflows(Workflows):
    """Workflows of one namespace of a server, which carries them out itself.

    Args:
        connection: The server.
        namespace: Where names are looked up.
    """

    def __init__(self, connection: Connection, *, namespace: str) -> None:
        self._connection = connection
        self._namespace = namespace

    def in_namespace(self, namespace: str) -> ClientWorkflows:
        """The same for another namespace."""
        return ClientWorkflows(self._connection, namespace=namespace)

    # Submitting -------------------------------------------------------------------------------------------------------

    def submit(self, manifest: Mapping[str, Any], options: SubmitOptions | None = None) -> Manifest:
        """Have the server store a workflow and carry it out."""
        options = options or SubmitOptions()
        workflow = _prepared(manifest, options)
        namespace = self._namespace_of(workflow)
        body: dict[str, Any] = {"namespace": namespace, "workflow": workflow, "createOptions": {}}
        if options.strict:
            body["createOptions"]["fieldValidation"] = "Strict"
        if options.dry_run:
            body["serverDryRun"] = True
        try:
            return self._ask("POST", path_of("workflows", namespace), body=body)
        except AlreadyExistsError:
            return self._as_submitted_before(namespace, workflow)

    def submit_all(
        self, manifests: Sequence[Mapping[str, Any]], options: SubmitOptions | None = None
    ) -> list[Manifest]:
        """Submit several workflows; those of each namespace are stored all, or none."""
        options = options or SubmitOptions()
        if len(manifests) == 1:
            return [self.submit(manifests[0], options)]
        together: dict[str, list[Manifest]] = {}
        for manifest in manifests:
            workflow = _prepared(manifest, options)
            together.setdefault(self._namespace_of(workflow), []).append(workflow)
        submitted: list[Manifest] = []
        for namespace, workflows in together.items():
            body = {"workflows": workflows, "strict": options.strict, "dry_run": options.dry_run}
            path = f"{API}/workspaces/{joined(namespace)}/workflows"
            try:
                submitted += self._ask("POST", path, body=body)["items"]
            except AlreadyExistsError:
                submitted += [self._as_submitted_before(namespace, workflow) for workflow in workflows]
        return submitted

    def submit_from(self, kind: str, name: str, options: SubmitOptions | None = None) -> Manifest:
        """Have the server submit a stored template or schedule."""
        options = options or SubmitOptions()
        annotations = _with_runner(options.annotations, options.runner)
        given = {
            "name": options.name,
            "generateName": options.generate_name,
            "entryPoint": options.entrypoint,
            "parameters": _pairs(options.parameters),
            "artifacts": _pairs(options.artifacts),
            "labels": ",".join(_pairs(options.labels)),
            "annotations": ",".join(_pairs(annotations)),
            "serviceAccount": options.service_account,
            "podPriorityClassName": options.pod_priority_class,
            "priority": options.priority,
            "ownerReference": options.owner_reference,
            "serverDryRun": options.dry_run,
        }
        if any("," in value for value in (*options.labels.values(), *annotations.values())):
            raise UsageError("Labels and annotations of what is submitted from a stored object can have no commas.")
        body = {
            "namespace": self._namespace,
            "resourceKind": kind,
            "resourceName": name,
            "submitOptions": {key: value for key, value in given.items() if value not in ("", [], False, None)},
        }
        return self._ask("POST", path_of("workflows", self._namespace, "submit"), body=body)

    def _namespace_of(self, workflow: Manifest) -> str:
        return str(workflow["metadata"].get("namespace") or self._namespace)

    def _as_submitted_before(self, namespace: str, workflow: Manifest) -> Manifest:
        """A workflow that was submitted by a request whose answer was lost.

        Raises:
            AlreadyExistsError: somebody else submitted the one of that name.
        """
        name = workflow["metadata"]["name"]
        present = self.in_namespace(namespace).get(name)
        wanted = workflow["metadata"]["annotations"][REQUEST_ANNOTATION]
        if (present["metadata"].get("annotations") or {}).get(REQUEST_ANNOTATION) != wanted:
            raise AlreadyExistsError(
                f"There is a workflow '{name}' already.", hint="Use generateName, or another name with --name."
            )
        return present

    def carry_out(self, uids: Sequence[str], ready: Callable[[], None]) -> None:
        """Not for clients: a server carries its workflows out itself.

        Raises:
            UnimplementedError: always.
        """
        del uids, ready
        raise UnimplementedError(f"The server {self._connection.url} carries its workflows out itself.")

    def lint(self, document: Document, *, given: Iterable[object] = (), strict: bool = True) -> list[Problem]:
        """What is wrong with a manifest; templates that are not given are asked of the server."""
        objects = ClientObjects(self._connection, namespace=self._namespace)
        return validate(document, library=ServerTemplates(objects, GivenTemplates(given)), strict=strict)

    # Looking ----------------------------------------------------------------------------------------------------------

    def get(self, name: str, *, uid: str = "", archive: bool = False) -> Manifest:
        """A workflow with its status."""
        if uid and not name:
            return self._ask("GET", path_of("archived-workflows", uid), query={"namespace": self._namespace})
        try:
            return self._ask("GET", self._path(name), query={"uid": uid} if uid else {})
        except NotFoundError:
            if uid or not archive:
                raise
            page = self.find(WorkflowFilter(names=(name,), archive=True), limit=1)
            if not page.items:
                raise
            return self.get("", uid=page.items[0].id)

    def find(self, wanted: WorkflowFilter, *, limit: int = 0, after: str = "") -> WorkflowPage:
        """Workflows that obey the filter, newest first."""
        items, following = self._page(wanted, limit, after, OF_LISTS)
        return WorkflowPage(items=[summary_of(one) for one in items], next=following)

    def find_whole(
        self, wanted: WorkflowFilter, *, limit: int = 0, after: str = "", nodes: bool = True
    ) -> ManifestPage:
        """As `find`, with specification and status."""
        items, following = self._page(wanted, limit, after, "" if nodes else "-items.status.nodes")
        return ManifestPage(items=items, next=following)

    def archived_labels(self, key: str | None = None) -> list[str]:
        """Keys of labels, or values of one."""
        query = {"namespace": self._namespace} if self._namespace else {}
        if key is None:
            found = self._ask("GET", path_of("archived-workflows-label-keys"), query=query)
        else:
            query |= {"listOptions.labelSelector": key}
            found = self._ask("GET", path_of("archived-workflows-label-values"), query=query)
        return list(found.get("items") or ())

    def _page(self, wanted: WorkflowFilter, limit: int, after: str, fields: str) -> tuple[list[Manifest], str]:
        query = list_query(wanted, limit=limit, after=after) | ({"fields": fields} if fields else {})
        namespace = "" if wanted.all_namespaces else self._namespace
        if wanted.archive:
            query |= {"namespace": namespace} if namespace else {}
        page = self._ask("GET", path_of("archived-workflows") if wanted.archive else _list_of(namespace), query=query)
        items = [one for one in page.get("items") or () if is_meant(one["metadata"]["name"], wanted)]
        return items, (page.get("metadata") or {}).get("continue") or ""

    def wait(self, name: str) -> WorkflowSummary:
        """Wait for the end of a workflow."""
        for found in self._watch(name, OF_EVENTS):
            if finished_at(found) is not None:
                return summary_of(found)
        raise NotFoundError(f"The workflow {name} was deleted before it ended.")

    def watch(self, name: str) -> Iterator[Manifest]:
        """A workflow each time it has changed, until it ends."""
        return self._watch(name, "")

    def _watch(self, name: str, fields: str) -> Iterator[Manifest]:
        first = self.get(name)
        uid, real_name = first["metadata"]["uid"], first["metadata"]["name"]
        if finished_at(first) is not None:
            yield first
            return
        seen = False
        with closing(self._stream(WorkflowFilter(names=(real_name,)), fields).batches(None)) as batches:
            for batch in batches:
                if not batch and not seen:
                    # It may have gone before the stream began, which then never tells of it.
                    self.get(real_name, uid=uid)
                for change in batch:
                    if change.object["metadata"]["uid"] != uid:
                        continue
                    if change.type is ChangeType.DELETED:
                        return
                    seen = True
                    yield change.object
                    if finished_at(change.object) is not None:
                        return

    def changes(self, wanted: WorkflowFilter, *, since: datetime | None = None) -> Iterator[list[WorkflowChange]]:
        """What happens to workflows that obey the filter, without end; waits for each thing itself."""
        return self._stream(wanted, "").batches(since)

    def _stream(self, wanted: WorkflowFilter, fields: str) -> ChangeStream:
        namespace = "" if wanted.all_namespaces else self._namespace
        events = path_of("workflow-events", namespace)
        return ChangeStream(self._connection, _list_of(namespace), events, wanted, fields=fields)

    def logs(self, name: str, query: LogQuery) -> Iterator[LogEntry]:
        """What the containers wrote."""
        for batch in self.log_batches(name, query):
            yield from batch

    def log_batches(self, name: str, query: LogQuery) -> Iterator[list[LogEntry]]:
        """What the containers wrote, as it comes; waits for each line itself."""
        return log_batches(self._connection, self._path(name, "log"), query)

    def fetch_artifact(
        self, name: str, node_id: str, artifact: str, target: Path, *, uid: str = "", of_inputs: bool = False
    ) -> None:
        """Write an output (or input) artifact of a node to a file or folder."""
        kind = "input-artifacts" if of_inputs else "artifacts"
        holder = (f"{kind}-by-uid", uid) if uid else (kind, self._namespace, name)
        download(self._connection, f"/{joined(*holder, node_id, artifact)}", target, packed=f"{artifact}.tgz")

    # Changing ---------------------------------------------------------------------------------------------------------

    def delete(self, name: str, *, uid: str = "", archive: bool = False, force: bool = False) -> None:
        """Remove a workflow and what is to go with it; one that runs is terminated first."""
        if archive:
            uid = uid or self.get(name, archive=True)["metadata"]["uid"]
            self._ask("DELETE", path_of("archived-workflows", uid), query={"namespace": self._namespace})
            return
        query = {"force": "true"} if force else {}
        if uid:
            query["deleteOptions.preconditions.uid"] = uid
        self._ask("DELETE", self._path(name), query=query)

    def stop(self, name: str, *, selector: str = "", message: str = "") -> Manifest:
        """End a workflow and run its exit handler, or fail the Suspend nodes that the selector means."""
        return self._change(name, "stop", nodeFieldSelector=selector, message=message)

    def terminate(self, name: str) -> Manifest:
        """End a workflow at once."""
        return self._change(name, "terminate")

    def suspend(self, name: str) -> Manifest:
        """Start nothing new."""
        return self._change(name, "suspend")

    def resume(self, name: str, *, selector: str = "") -> Manifest:
        """Go on, and end the waiting Suspend nodes."""
        return self._change(name, "resume", nodeFieldSelector=selector)

    def set_nodes(
        self, name: str, *, selector: str, phase: str = "", message: str = "", outputs: Mapping[str, str] | None = None
    ) -> Manifest:
        """Change the waiting Suspend nodes that a node field selector means."""
        values = json.dumps(dict(outputs)) if outputs else ""
        return self._change(
            name, "set", nodeFieldSelector=selector, phase=phase, message=message, outputParameters=values
        )

    def retry(
        self,
        name: str,
        *,
        uid: str = "",
        restart_successful: bool = False,
        selector: str = "",
        parameters: Mapping[str, str] | None = None,
        detached: bool = False,
    ) -> Manifest:
        """Take a failed workflow up again where it failed."""
        del detached
        return self._change(
            name,
            "retry",
            uid=uid,
            restartSuccessful=restart_successful,
            nodeFieldSelector=selector,
            parameters=_pairs(parameters or {}),
        )

    def resubmit(
        self,
        name: str,
        *,
        uid: str = "",
        memoized: bool = False,
        parameters: Mapping[str, str] | None = None,
        priority: int | None = None,
        detached: bool = False,
    ) -> Manifest:
        """Submit a workflow again as a new one; the priority is one that Argo's own server does not take."""
        del detached
        return self._change(
            name, "resubmit", uid=uid, memoized=memoized, parameters=_pairs(parameters or {}), priority=priority
        )

    # Semaphores -------------------------------------------------------------------------------------------------------

    def set_limit(self, key: str, limit: int, *, config_map: str = "", new: bool = False) -> None:
        """Say how many may hold a semaphore."""
        body = {"namespace": self._namespace, "key": key, "limit": limit, **_place(config_map)}
        if new:
            self._ask("POST", path_of("sync", self._namespace), body=body)
        else:
            self._ask("PUT", path_of("sync", self._namespace, key), body=body)

    def limit(self, key: str, *, config_map: str = "") -> int:
        """How many may hold a semaphore."""
        found = self._ask("GET", path_of("sync", self._namespace, key), query=_place(config_map))
        return int(found.get("limit") or 0)

    def delete_limit(self, key: str, *, config_map: str = "") -> None:
        """Remove a semaphore's limit."""
        self._ask("DELETE", path_of("sync", self._namespace, key), query=_place(config_map))

    def _change(self, name: str, verb: str, *, uid: str = "", **given: Any) -> Manifest:
        path = path_of("archived-workflows", uid, verb) if uid else self._path(name, verb)
        body = {"name": name, "namespace": self._namespace}
        return self._ask("PUT", path, body=body | {key: value for key, value in given.items() if value})

    def _path(self, name: str, *more: str) -> str:
        return path_of("workflows", self._namespace, name, *more)

    def _ask(self, verb: str, path: str, **given: Any) -> Manifest:
        found: Manifest = self._connection.ask(verb, path, **given)
        return found


def _list_of(namespace: str) -> str:
    return path_of("workflows", namespace)


def _prepared(manifest: Mapping[str, Any], options: SubmitOptions) -> Manifest:
    """A workflow with the options applied, and what its submission is known by if the answer is lost."""
    chosen = replace(options, annotations=_with_runner(options.annotations, options.runner))
    workflow: Manifest = load("tiphys.services.workflows.options:apply_options")(manifest, chosen)
    metadata = workflow["metadata"]
    if not metadata.get("name"):
        prefix = str(metadata.get("generateName") or "workflow-")
        metadata["name"] = prefix[:_MAX_PREFIX] + "".join(secrets.choice(_LETTERS) for _ in range(5))
    metadata["annotations"] = {**(metadata.get("annotations") or {}), REQUEST_ANNOTATION: secrets.token_hex(8)}
    return workflow


def _with_runner(annotations: Mapping[str, str], runner: str | None) -> dict[str, str]:
    return dict(annotations) | ({RUNNER_ANNOTATION: runner} if runner else {})


def _pairs(values: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in values.items()]


def _place(config_map: str) -> dict[str, str]:
    return {"type": "CONFIGMAP", "cmName": config_map} if config_map else {"type": "DATABASE"}
