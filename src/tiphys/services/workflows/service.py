"""Workflows in a store, carried out by an engine host or by processes of their own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys._util.times import to_epoch, utc_now
from tiphys.engine import operations
from tiphys.engine.events import SuspendRequested
from tiphys.engine.model import Phase, WorkflowState
from tiphys.engine.status.workflow import workflow_status
from tiphys.errors import ConflictError, NotFoundError, UsageError
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.ports.engine_host import EngineHost
from tiphys.ports.store import Reader, Store, StoredWorkflow, Transaction, WorkflowBatch
from tiphys.ports.workflows import (
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
from tiphys.records.base import DEFAULT_WORKSPACE, Query
from tiphys.records.objects import ObjectKind
from tiphys.records.runs import ExecutionStatus, Run
from tiphys.records.stacks import ComponentType
from tiphys.records.workflows import RUNNER_ANNOTATION, WorkflowRequest, WorkflowRow, WorkflowSummary
from tiphys.services.artifacts import as_artifact_store
from tiphys.services.objects import ObjectService
from tiphys.services.retention import retention
from tiphys.services.stacks import StackService
from tiphys.services.stored_templates import StoredTemplates
from tiphys.services.workflows import again, artifacts, limits
from tiphys.services.workflows.abandoned import tell, waiting, with_messages
from tiphys.services.workflows.changes import ChangeHub, ChangeReader
from tiphys.services.workflows.claims import make_claims
from tiphys.services.workflows.detached import carry_out_detached
from tiphys.services.workflows.garbage import Garbage
from tiphys.services.workflows.listing import find_workflows, labels_of
from tiphys.services.workflows.logs import LoggedWorkflow, LogReader, remove_logs, remove_parts
from tiphys.services.workflows.removal import delete_leftovers, remove
from tiphys.services.workflows.requests import Wish, as_asked, requests_for
from tiphys.services.workflows.submission import Submitted, is_taken, kind_named, prepare, whole_spec, workflow_from
from tiphys.spec.problems import Problem
from tiphys.spec.validate.lint import validate
from tiphys.spec.validate.stored import GivenTemplates
from tiphys.spec.workflow import Workflow

if TYPE_CHECKING:
    from tiphys.spec.reading import Document

#: Stands for the name of the newest workflow.
LATEST = "@latest"
#: Seconds between looks at a workflow that is watched.
WATCH_PAUSE = 0.3


class WorkflowService(Workflows):
    """Workflows of one namespace.

    Args:
        store: The database.
        stacks: Gives the artifact store.
        host: Asked for the engine's host when one is needed.
        is_alive: Tells whether the process that `WorkflowRow.owner` names still runs.
        home: Folder of the logs.
        db_url: How another process opens the same database.
        namespace: Where names are looked up.
        hub: Looks for changes; one for all namespaces.
    """

    def __init__(
        self,
        store: Store,
        stacks: StackService,
        *,
        host: Callable[[], EngineHost],
        is_alive: Callable[[str], bool],
        home: Path,
        db_url: str,
        namespace: str = DEFAULT_WORKSPACE,
        hub: ChangeHub | None = None,
    ) -> None:
        self._store = store
        self._stacks = stacks
        self._host = host
        self._is_alive = is_alive
        self._home = home
        self._db_url = db_url
        self._namespace = namespace
        self._hub = hub or ChangeHub(store, show=whole, revisions=lambda: self._host().revisions())

    def in_namespace(self, namespace: str) -> WorkflowService:
        """The same for another namespace."""
        return WorkflowService(
            self._store,
            self._stacks,
            host=self._host,
            is_alive=self._is_alive,
            home=self._home,
            db_url=self._db_url,
            namespace=namespace,
            hub=self._hub,
        )

    # Submitting -------------------------------------------------------------------------------------------------------

    def submit(self, manifest: Mapping[str, Any], options: SubmitOptions | None = None) -> Manifest:
        """Store a workflow and have it carried out."""
        return self.submit_all([manifest], options)[0]

    def submit_all(
        self, manifests: Sequence[Mapping[str, Any]], options: SubmitOptions | None = None
    ) -> list[Manifest]:
        """Submit several workflows."""
        return self._submit(lambda _: manifests, options or SubmitOptions())

    def submit_from(self, kind: str, name: str, options: SubmitOptions | None = None) -> Manifest:
        """Submit a stored template or schedule."""
        stored_kind, options = kind_named(kind), options or SubmitOptions()
        changed = options.artifacts.keys()
        return self._submit(
            lambda reader: [workflow_from(reader, stored_kind, self._namespace, name, utc_now(), artifacts=changed)],
            options,
        )[0]

    def _submit(self, make: Callable[[Reader], Sequence[Mapping[str, Any]]], options: SubmitOptions) -> list[Manifest]:
        submitted: list[Submitted] = []
        with self._store.transaction() as transaction:
            if options.claim is not None:
                options.claim(transaction)
            for manifest in make(transaction):
                found = prepare(transaction, manifest, options, namespace=self._namespace, now=utc_now())
                if not options.dry_run:
                    found = self._add(transaction, found, detached=options.detached)
                submitted.append(found)
        if not options.dry_run:
            self._start([one.row for one in submitted], detached=options.detached)
        return [one.manifest for one in submitted]

    def submit_within(
        self, transaction: Transaction, manifest: Mapping[str, Any], options: SubmitOptions
    ) -> WorkflowRow:
        """Store a workflow with all else that a transaction writes; `start` it afterwards. Raises as `submit`."""
        found = prepare(transaction, manifest, options, namespace=self._namespace, now=utc_now())
        return self._add(transaction, found, detached=False).row

    def start(self, rows: Sequence[WorkflowSummary]) -> None:
        """Begin with workflows of `submit_within`, once they are committed."""
        self._start(rows, detached=False)

    def _add(self, transaction: Transaction, submitted: Submitted, *, detached: bool) -> Submitted:
        """Store a workflow with its run, which has the active stack; returns it as it was stored."""
        stack = self._stacks.for_run(transaction, None)
        make_claims(transaction, self._home, submitted.row, whole_spec(submitted.manifest))
        row = self._host().admit(transaction, submitted.row, None, detached=detached)
        transaction.add(row, replace(submitted.run, stack=stack.name))
        return replace(submitted, row=row)

    def _start(self, rows: Sequence[WorkflowSummary], *, detached: bool) -> None:
        if detached:
            carry_out_detached([row.id for row in rows], home=self._home, db_url=self._db_url)
            return
        for row in rows:
            if row.owner:
                self._host().start(row.id)
            else:
                self._host().await_turn(row.id)

    def carry_out(self, uids: Sequence[str], ready: Callable[[], None]) -> None:
        """Take up stored workflows in this process, and return when all have ended."""
        host = self._host()
        taken = [uid for uid in uids if host.resume(uid)]
        ready()
        for uid in taken:
            host.wait(uid)

    def lint(self, document: Document, *, given: Iterable[object] = (), strict: bool = True) -> list[Problem]:
        """What is wrong with a manifest."""
        with self._store.reader() as reader:
            library = StoredTemplates(reader, self._namespace, given=GivenTemplates(given))
            return validate(document, library=library, strict=strict)

    # Looking ----------------------------------------------------------------------------------------------------------

    def get(self, name: str, *, uid: str = "", archive: bool = False) -> Manifest:
        """A workflow with its status."""
        with self._store.reader() as reader:
            stored = self._load(reader, name, uid=uid, archive=archive)
            found = whole(stored)
            tell(reader, stored.row, found, self._is_alive)
            return found

    def find(self, wanted: WorkflowFilter, *, limit: int = 0, after: str = "") -> WorkflowPage:
        """Workflows that obey the filter, newest first."""
        with self._store.reader() as reader:
            page = find_workflows(reader, wanted, self._namespace, limit=limit, after=after)
            return replace(page, items=with_messages(reader, page.items, self._is_alive))

    def find_whole(
        self, wanted: WorkflowFilter, *, limit: int = 0, after: str = "", nodes: bool = True
    ) -> ManifestPage:
        """As `find`, with specification and status."""
        with self._store.reader() as reader:
            page = find_workflows(reader, wanted, self._namespace, limit=limit, after=after)
            items = []
            for stored in _with_nodes(reader, page) if nodes else _without_nodes(reader, page):
                items.append(whole(stored))
                tell(reader, stored.row, items[-1], self._is_alive)
            return ManifestPage(items=items, next=page.next, remaining=page.remaining)

    def archived_labels(self, key: str | None = None) -> list[str]:
        """Keys of labels, or values of one; of all namespaces if this is that of none."""
        namespace = self._namespace or None
        with self._store.reader() as reader:
            return reader.label_keys(namespace) if key is None else reader.label_values(key, namespace)

    def wait(self, name: str) -> WorkflowSummary:
        """Wait for the end of a workflow, wherever it is carried out."""
        with self._store.reader() as reader:
            row = self._row(reader, name)
            self._expect_alive(reader, row)
        if row.finished_at is None:
            self._host().wait(row.id)
        with self._store.reader() as reader:
            return self._row(reader, row.name, uid=row.id)

    def watch(self, name: str) -> Iterator[Manifest]:
        """A workflow each time it has changed, until it ends."""
        with self._store.reader() as reader:
            row = self._row(reader, name)
        before: StoredWorkflow | None = None
        while True:
            with self._store.reader() as reader:
                now = reader.load_workflow(row.id)
                if now is not None:
                    self._expect_alive(reader, now.row)
            if now is None:
                return
            if before is None or (now.state, now.nodes) != (before.state, before.nodes):
                yield whole(now)
            if now.row.finished_at is not None:
                return
            before = now
            time.sleep(WATCH_PAUSE)

    def changes(self, wanted: WorkflowFilter, *, since: datetime | None = None) -> Iterator[list[WorkflowChange]]:
        """What happens to workflows that obey the filter."""
        return ChangeReader(self._hub, wanted, self._namespace, since=since).batches()

    def logs(self, name: str, query: LogQuery) -> Iterator[LogEntry]:
        """What the containers wrote."""
        return self._log_reader(name, query).entries()

    def log_batches(self, name: str, query: LogQuery) -> Iterator[list[LogEntry]]:
        """What the containers wrote, look by look."""
        return self._log_reader(name, query).batches()

    def _log_reader(self, name: str, query: LogQuery) -> LogReader:
        with self._store.reader() as reader:
            stored = self._load(reader, name)
        manifest = json.loads(stored.row.manifest)
        return LogReader(
            self._store,
            home=self._home,
            artifact_store=self._artifact_store,
            workflow=LoggedWorkflow(stored.row.id, stored.row.name, whole_spec(manifest), _templates_of(manifest)),
            query=query,
        )

    def fetch_artifact(
        self, name: str, node_id: str, artifact: str, target: Path, *, uid: str = "", of_inputs: bool = False
    ) -> None:
        """Write an output (or input) artifact of a node to a file or folder."""
        with self._store.reader() as reader:
            stored = self._load(reader, name, uid=uid, archive=bool(uid))
        artifacts.fetch(
            artifacts.find(stored, node_id, artifact, of_inputs=of_inputs),
            target,
            store=self._artifact_store(),
            drivers=artifacts.drivers_of(self._objects(), stored.row.workspace, self._home),
        )

    # Changing ---------------------------------------------------------------------------------------------------------

    def delete(self, name: str, *, uid: str = "", archive: bool = False, force: bool = False) -> None:
        """Remove a workflow and what is to go with it; one that runs is terminated first.

        If there is an archive it keeps the workflow, unless it is meant itself.
        """
        with self._store.reader() as reader:
            row = self._row(reader, name, uid=uid, archive=archive)
        if row.finished_at is None:
            self._host().shut_down(row.id, "Terminate")
            self._host().wait(row.id)
        with self._store.reader() as reader:
            kept = retention(reader).archive is not None and not archive and not row.archived
        if not row.archived:
            delete_leftovers(self._store, row, lambda: self._garbage(row), force=force)
        remove(self._store, row, self._home, archive=kept)

    def _garbage(self, row: WorkflowSummary) -> Garbage:
        objects = self._objects().in_namespace(row.workspace)
        return Garbage(self._store, objects, artifacts.drivers_of(objects, row.workspace, self._home))

    def stop(self, name: str, *, selector: str = "", message: str = "") -> Manifest:
        """End a workflow and run its exit handler, or fail the Suspend nodes that the selector means."""
        if selector:
            return self.set_nodes(name, selector=selector, phase="Failed", message=message)
        return self._shut_down(name, "Stop")

    def terminate(self, name: str) -> Manifest:
        """End a workflow at once."""
        return self._shut_down(name, "Terminate")

    def suspend(self, name: str) -> Manifest:
        """Start nothing new."""
        return self._ask(name, lambda _: [SuspendRequested()])

    def resume(self, name: str, *, selector: str = "") -> Manifest:
        """Go on, and end the waiting Suspend nodes."""
        return self._ask(
            name,
            lambda stored: operations.resume(_workflow(stored), stored.state, stored.nodes, selector=selector),
        )

    def set_nodes(
        self, name: str, *, selector: str, phase: str = "", message: str = "", outputs: Mapping[str, str] | None = None
    ) -> Manifest:
        """Change the waiting Suspend nodes that a node field selector means."""
        if not selector:
            raise UsageError(
                "'set' only changes suspend nodes, and needs a node field selector to find them.",
                hint="--node-field-selector displayName=NAME",
            )
        if phase and phase not in Phase.__members__.values():
            raise UsageError(f"There is no phase '{phase}'.", hint=f"The phases are: {', '.join(Phase)}.")
        return self._ask(
            name,
            lambda stored: operations.set_node(
                _workflow(stored),
                stored.state,
                stored.nodes,
                selector,
                phase=Phase(phase) if phase else None,
                message=message,
                outputs=outputs,
            ),
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
        with self._store.transaction() as transaction:
            stored = self._load(transaction, name, uid=uid, archive=bool(uid))
            if stored.row.finished_at is None:
                raise ConflictError(f"The workflow {stored.row.name} has not ended yet ({stored.row.phase}).")
            if stored.row.archived and is_taken(transaction, stored.row.workspace, stored.row.name):
                raise ConflictError(
                    f"Another workflow bears the name {stored.row.name} by now.",
                    hint="Resubmit the archived one, which gives it a name of its own.",
                )
            row, batch, removed = again.retried(
                stored, restart_successful=restart_successful, selector=selector, parameters=parameters
            )
            row = self._replace(transaction, row, batch, detached=detached)
            remove_parts(transaction, row.id, removed)
        remove_logs(self._home, row.id, removed)
        self._start([row], detached=detached)
        return self.get(row.name, uid=row.id)

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
        """Submit a workflow again as a new one."""
        with self._store.transaction() as transaction:
            stored = self._load(transaction, name, uid=uid, archive=bool(uid))
            submitted, batch = again.resubmitted(
                transaction,
                stored,
                memoized=memoized,
                parameters=parameters,
                priority=priority,
            )
            submitted = self._add(transaction, submitted, detached=detached)
            transaction.save(batch)
        self._start([submitted.row], detached=detached)
        return submitted.manifest

    # Semaphores -------------------------------------------------------------------------------------------------------

    def set_limit(self, key: str, limit: int, *, config_map: str = "", new: bool = False) -> None:
        """Say how many may hold a semaphore."""
        if config_map:
            objects = self._objects()
            kind = ObjectKind.CONFIG_MAP
            try:
                present = objects.get(kind, config_map)
            except NotFoundError:
                if not new:
                    raise
                present = {"kind": kind.value, "metadata": {"name": config_map}}
            objects.apply(limits.with_limit(present, key, limit, new=new))
            return
        with self._store.transaction() as transaction:
            limits.set_stored_limit(transaction, self._namespace, key, limit, new=new)

    def limit(self, key: str, *, config_map: str = "") -> int:
        """How many may hold a semaphore."""
        if config_map:
            return limits.limit_in(self._objects().get(ObjectKind.CONFIG_MAP, config_map), key)
        with self._store.reader() as reader:
            return limits.stored_limit(reader, self._namespace, key).limit_count

    def delete_limit(self, key: str, *, config_map: str = "") -> None:
        """Remove a semaphore's limit."""
        if config_map:
            objects = self._objects()
            present = objects.get(ObjectKind.CONFIG_MAP, config_map)
            limits.limit_in(present, key)
            objects.update(limits.without_limit(present, key))
            return
        with self._store.transaction() as transaction:
            limits.delete_stored_limit(transaction, self._namespace, key)

    def _artifact_store(self, name: str | None = None) -> ArtifactStore:
        return as_artifact_store(self._stacks.component(ComponentType.ARTIFACT_STORE, name))

    def _objects(self) -> ObjectService:
        return ObjectService(self._store, home=self._home, namespace=self._namespace)

    def _replace(
        self, transaction: Transaction, row: WorkflowRow, batch: WorkflowBatch, *, detached: bool
    ) -> WorkflowRow:
        """Write a workflow anew, with no other nodes than those of `batch`; returns it as it was stored."""
        transaction.delete(WorkflowRow, [row.id])
        row = self._host().admit(transaction, row, None, detached=detached)
        transaction.add(row)
        transaction.save(batch)
        for run in transaction.find(Query.of(Run, workflow_uid=row.id)):
            transaction.update(Run, run.id, status=ExecutionStatus.RUNNING, message="", finished_at=None)
        return row

    def _shut_down(self, name: str, strategy: str) -> Manifest:
        with self._store.reader() as reader:
            row = self._row(reader, name)
        if row.finished_at is not None:
            raise ConflictError(f"Cannot shutdown a completed workflow: {row.name} has ended ({row.phase}).")
        unowned = not self._is_alive(row.owner)
        self._host().shut_down(row.id, strategy)
        if unowned:
            # It is ours now, and nobody else's: this process must not end before it has.
            self._host().wait(row.id)
        return self.get(row.name, uid=row.id)

    def _ask(self, name: str, make: Callable[[StoredWorkflow], Sequence[Wish]]) -> Manifest:
        """Leave wishes for the owner of a workflow; if nobody works on it, have it taken up."""
        with self._store.transaction() as transaction:
            stored = self._load(transaction, name)
            if stored.row.finished_at is not None:
                raise ConflictError(f"The workflow {stored.row.name} has ended already ({stored.row.phase}).")
            pending = transaction.find(Query.of(WorkflowRequest, workflow_uid=stored.row.id, order="id"))
            stored.nodes = as_asked(stored.nodes, pending)
            transaction.add(*requests_for(stored.row.id, make(stored)))
            waits = bool(waiting(transaction, [stored.row]))
        if not waits and not self._is_alive(stored.row.owner):
            carry_out_detached([stored.row.id], home=self._home, db_url=self._db_url)
        return whole(stored)

    def _expect_alive(self, reader: Reader, row: WorkflowSummary) -> None:
        if row.finished_at is None and not self._is_alive(row.owner) and not waiting(reader, [row]):
            raise ConflictError(
                f"The process that carried out {row.name} died.",
                hint=f"Go on: tiphys argo resume {row.name}",
            )

    def _load(self, reader: Reader, name: str, *, uid: str = "", archive: bool = False) -> StoredWorkflow:
        row = self._row(reader, name, uid=uid, archive=archive)
        stored = reader.load_workflow(row.id)
        if stored is None:
            raise NotFoundError(f"There is no workflow '{name}'.")
        return stored

    def _row(self, reader: Reader, name: str, *, uid: str = "", archive: bool = False) -> WorkflowSummary:
        """A workflow by its uid, its name, or `@latest`; the newest of those that bore a name in the archive."""
        if uid:
            found = reader.get(WorkflowSummary, uid)
            rows = [found] if found is not None else []
        else:
            equal: dict[str, Any] = {"workspace": self._namespace}
            if name != LATEST:
                equal["name"] = name
            if not archive:
                equal["archived"] = False
            rows = reader.find(Query.of(WorkflowSummary, limit=1, **equal))
        if not rows:
            what = (
                "Nothing was submitted yet" if name == LATEST and not uid else f"There is no workflow '{uid or name}'"
            )
            raise NotFoundError(f"{what} in the namespace {self._namespace}.", hint="See them all: tiphys argo list -A")
        return rows[0]


def whole(stored: StoredWorkflow) -> Manifest:
    """A workflow as Argo's API shows it."""
    manifest: Manifest = json.loads(stored.row.manifest)
    state = stored.state
    spec = manifest.setdefault("spec", {})
    if state.suspended:
        spec["suspend"] = True
    else:
        spec.pop("suspend", None)
    if state.shutdown:
        spec["shutdown"] = state.shutdown
    metadata = manifest["metadata"]
    metadata["labels"] = labels_of(stored.row)
    metadata["annotations"] = {**(metadata.get("annotations") or {}), RUNNER_ANNOTATION: stored.row.runner}
    status = workflow_status(_workflow(stored), state, stored.nodes)
    manifest["status"] = {**(manifest.get("status") or {}), **status}
    return manifest


def _with_nodes(reader: Reader, page: WorkflowPage) -> Iterator[StoredWorkflow]:
    return (found for row in page.items if (found := reader.load_workflow(row.id)) is not None)


def _without_nodes(reader: Reader, page: WorkflowPage) -> Iterator[StoredWorkflow]:
    rows = reader.get_many(WorkflowRow, [row.id for row in page.items])
    for row in (rows[one.id] for one in page.items):
        state = WorkflowState(
            uid=row.id,
            name=row.name,
            phase=Phase(row.phase),
            message=row.message,
            started_at=to_epoch(row.started_at) if row.started_at else None,
            finished_at=to_epoch(row.finished_at) if row.finished_at else None,
            shutdown=row.shutdown,
            suspended=row.suspended,
        )
        yield StoredWorkflow(row, state, [], [])


def _workflow(stored: StoredWorkflow) -> Workflow:
    return Workflow.from_json_text(stored.row.manifest)


def _templates_of(manifest: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Templates by name, the workflow's own before those it refers to."""
    stored = (manifest.get("status") or {}).get("storedTemplates") or {}
    found = {str(template.get("name")): template for template in stored.values()}
    return found | {str(template.get("name")): template for template in whole_spec(manifest).get("templates") or ()}
