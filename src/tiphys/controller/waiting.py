"""Those who wait for workflows: for the end of one that this process carries out, its nodes, or another process's."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tiphys.controller import queue as queue_of_workflows
from tiphys.errors import ConflictError, NotFoundError
from tiphys.ports.engine_host import Watcher
from tiphys.ports.store import Store
from tiphys.records.workflows import WorkflowRow

#: Seconds between looks for other processes' progress.
_POLL = 0.5


class Completion:
    """The end of a workflow, for those who wait for it."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.error: BaseException | None = None
        #: Whether another process carries it out.
        self.moved = False


class Watch:
    """Someone who wants to see a workflow's nodes: those there are, then each commit's."""

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher
        #: Whether the controller has shown it the nodes; a workflow that ended before is shown from the store.
        self.attached = False


def wait_for_other(store: Store, uid: str, watcher: Watcher | None, is_alive: Callable[[str], bool]) -> None:
    """Wait for a workflow that another process carries out, or that has ended.

    Raises:
        NotFoundError: there is no such workflow.
        ConflictError: that process died.
    """
    pause = threading.Event()
    while True:
        with store.reader() as reader:
            row = reader.get(WorkflowRow, uid)
            if row is None:
                raise NotFoundError(f"There is no workflow with the uid {uid}.")
            waits = not row.owner and queue_of_workflows.is_waiting(reader, uid)
            if watcher is not None:
                watcher(uid, None, reader.load_nodes(uid))
        if row.finished_at is not None:
            return
        if not waits and not is_alive(row.owner):
            raise ConflictError(
                f"The process that carried out {row.name} died.", hint="Take it up again: tiphys runs resume RUN"
            )
        pause.wait(_POLL)
