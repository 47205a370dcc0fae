"""What the runner of pods knows of a task that was launched or taken up."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable

from tiphys.integrations.local.pods.folder import PodFolder
from tiphys.integrations.local.pods.leash import is_held
from tiphys.integrations.local.pods.plan import Plan
from tiphys.ports.runner import Report, Task
from tiphys.sdk.pods.files import remove_tree


class Job:
    """The task, and how far its pod is."""

    __slots__ = (
        "again",
        "began",
        "cancelled",
        "folder",
        "grace",
        "notified",
        "plan",
        "progress",
        "report",
        "sent",
        "task",
        "waiting",
        "watched",
    )

    def __init__(self, task: Task, report: Report, folder: PodFolder) -> None:
        self.task = task
        self.report = report
        self.folder = folder
        self.plan: Plan | None = None
        self.began = time.monotonic()
        self.cancelled = False
        self.grace = 0.0
        #: Whether our pod server was asked for it.
        self.sent = False
        #: Whether it was ordered again, because a pod server died before it had begun.
        self.again = False
        #: Whether another pod server has it, which tells nobody of its end.
        self.watched = False
        #: Whether it was told that it is ready.
        self.notified = False
        self.progress = ""
        #: What is tried again as soon as there may be room on the disk.
        self.waiting: Callable[[], None] | None = None

    def is_needed(self) -> bool:
        """Whether somebody holds the pod's leash."""
        leash = self.task.context.get("leash")
        return leash is not None and is_held(leash)

    def remove_staged(self) -> None:
        """Remove what was prepared for the pod and did not become its folder."""
        if self.plan is not None and self.plan.order["staged"] is not None:
            remove_tree(self.plan.order["staged"])

    def ask_to_cancel(self) -> None:
        """Have another pod server, which has the pod, end it."""
        server = self.folder.server()
        if server is not None and server.is_alive():
            self.folder.ask_to_cancel(self.grace)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(server.pid, signal.SIGUSR1)
