"""Containers' logs, while they are written and afterwards.

Their lines are as the container wrote them, in one file a container, and hold no times: a line's time is that of the
file's last change, or of its reading where it is read as it comes.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tiphys._util.times import from_epoch
from tiphys.engine.model import Node, NodeType
from tiphys.errors import NotFoundError, UsageError
from tiphys.lang.selectors import parse_selector
from tiphys.ports.workflows import LogEntry, LogQuery
from tiphys.services.workflows.pods import log_of, pod_labels, pod_name

#: Seconds between looks for new lines.
FOLLOW_PAUSE = 0.2


@dataclass(frozen=True, slots=True)
class LoggedWorkflow:
    """A workflow whose logs are read."""

    uid: str
    name: str
    #: Its specification, and its templates by name, as JSON.
    spec: Mapping[str, Any]
    templates: Mapping[str, Mapping[str, Any]]


class LogReader:
    """Reads logs.

    Args:
        home: Folder under which they are.
        workflow: Whose they are.
        query: Which lines are meant.

    Raises:
        UsageError: the regular expression is none.
    """

    def __init__(self, home: Path, workflow: LoggedWorkflow, query: LogQuery) -> None:
        self._home = home
        self._workflow = workflow
        self._query = query
        self._labels = parse_selector(query.labels)
        self._read: dict[Path, int] = {}
        try:
            self._grep = re.compile(query.grep)
        except re.error as error:
            raise UsageError(f"'{query.grep}' is not a regular expression: {error}.") from error

    def entries(self, look: Callable[[], tuple[bool, list[Node]]]) -> Iterator[LogEntry]:
        """Lines of the nodes that `look` gives, together with whether the workflow has ended.

        Raises:
            NotFoundError: the query names a pod that there is not.
        """
        ended, nodes = look()
        if self._query.pod and (ended or not self._query.follow) and not any(map(self._is_meant, nodes)):
            known = ", ".join(self._pod(node) for node in nodes if node.type is NodeType.POD) or "none"
            raise NotFoundError(
                f"The workflow {self._workflow.name} has no pod '{self._query.pod}'.", hint=f"It has: {known}."
            )
        first = True
        while True:
            for node in nodes:
                if self._is_meant(node):
                    yield from self._new_lines(node, tail=self._query.tail if first else None)
            if ended or not self._query.follow:
                return
            first = False
            time.sleep(FOLLOW_PAUSE)
            ended, nodes = look()

    def _is_meant(self, node: Node) -> bool:
        if node.type is not NodeType.POD:
            return False
        if self._query.pod and not self._is_named(node):
            return False
        workflow = self._workflow
        return self._labels.matches(pod_labels(workflow.name, workflow.spec, node, workflow.templates))

    def _is_named(self, node: Node) -> bool:
        """Whether the query names the node: by its id, or by its pod's name, of which the hash at the end counts."""
        asked = self._query.pod
        return asked == node.id or (
            asked.startswith(self._workflow.name) and asked.rpartition("-")[2] == node.id.rpartition("-")[2]
        )

    def _pod(self, node: Node) -> str:
        return pod_name(self._workflow.name, node.id, node.template)

    def _new_lines(self, node: Node, *, tail: int | None) -> Iterator[LogEntry]:
        path = log_of(self._home, self._workflow.uid, node.id, self._query.container)
        try:
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                content = file.read()
            at = from_epoch(path.stat().st_mtime)
        except FileNotFoundError:
            return
        if not node.phase.fulfilled:
            # What follows the last newline is still being written.
            content = content[: content.rfind(b"\n") + 1]
        self._read[path] = self._read.get(path, 0) + len(content)
        if self._query.since is not None and at < self._query.since:
            return
        lines = content.split(b"\n")
        if lines[-1] == b"":
            lines.pop()
        wanted = lines if tail is None else lines[max(0, len(lines) - tail) :]
        yield from self._matching(self._pod(node), wanted, at)

    def _matching(self, pod: str, lines: list[bytes], at: datetime) -> Iterator[LogEntry]:
        for line in lines:
            text = line.decode("utf-8", "replace")
            if self._grep.search(text):
                yield LogEntry(pod, text, at)
