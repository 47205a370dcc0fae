"""What happens to workflows, told by a server that may go away and come back.

After an interruption all that there is now is listed and compared with what was told, so that nothing is told twice and
nothing, a deletion neither, is missed.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tiphys._util.canonical import digest_of
from tiphys._util.times import to_epoch
from tiphys.client.connection import Connection
from tiphys.client.streams import StreamLostError, await_server, frames
from tiphys.client.summaries import finished_at, is_meant, list_query
from tiphys.ports.workflows import ChangeType, Manifest, WorkflowChange, WorkflowFilter


@dataclass(frozen=True, slots=True)
class _Told:
    """A workflow as it was told of."""

    digest: str
    #: Enough of it to tell that it is gone.
    rest: Manifest


class ChangeStream:
    """Follows the changes of workflows.

    Args:
        connection: The server.
        list_path: Where they are listed.
        event_path: Where changes are told.
        wanted: Which workflows.
        fields: What of an event is asked for; empty for all.
    """

    def __init__(
        self, connection: Connection, list_path: str, event_path: str, wanted: WorkflowFilter, *, fields: str = ""
    ) -> None:
        self._connection = connection
        self._list_path = list_path
        self._event_path = event_path
        self._wanted = wanted
        self._query = list_query(wanted) | ({"fields": fields} if fields else {})
        self._list_fields = fields.replace("result.object", "items")
        self._told: dict[str, _Told] = {}

    def batches(self, since: datetime | None) -> Generator[list[WorkflowChange], None, None]:
        """A list for each thing that the server tells, empty for its signs of life; without end."""
        version = str(round(to_epoch(since) * 1000)) if since else ""
        while True:
            try:
                query = self._query | ({"listOptions.resourceVersion": version} if version else {})
                for frame in frames(self._connection, self._event_path, query):
                    yield self._news(frame)
            except StreamLostError:
                pass
            await_server(self._connection)
            version, changes = self._caught_up(since)
            yield changes

    def _news(self, frame: dict[str, Any] | None) -> list[WorkflowChange]:
        if frame is None or not is_meant(frame["object"]["metadata"]["name"], self._wanted):
            return []
        found: Manifest = frame["object"]
        uid = found["metadata"]["uid"]
        if frame["type"] == ChangeType.DELETED:
            self._told.pop(uid, None)
            return [WorkflowChange(ChangeType.DELETED, found)]
        before, now = self._told.get(uid), _told(found)
        self._told[uid] = now
        if before is not None and before.digest == now.digest:
            return []
        # One that is told of for the first time may have been there before.
        type_ = ChangeType.MODIFIED if before is not None else ChangeType(frame["type"])
        return [WorkflowChange(type_, found)]

    def _caught_up(self, since: datetime | None) -> tuple[str, list[WorkflowChange]]:
        """The moment that can be gone on from, and what happened up to it."""
        query = self._query | ({"fields": f"metadata,{self._list_fields}"} if self._list_fields else {})
        page = self._connection.ask("GET", self._list_path, query=query)
        changes: list[WorkflowChange] = []
        there = set()
        for found in page.get("items") or ():
            uid = found["metadata"]["uid"]
            there.add(uid)
            if uid not in self._told and _ended_before(found, since):
                self._told[uid] = _told(found)
            changes += self._news({"type": ChangeType.ADDED.value, "object": found})
        for uid in [uid for uid in self._told if uid not in there]:
            changes.append(WorkflowChange(ChangeType.DELETED, self._told.pop(uid).rest))
        return (page.get("metadata") or {}).get("resourceVersion", ""), changes


def _ended_before(found: Manifest, moment: datetime | None) -> bool:
    ended = finished_at(found)
    return moment is not None and ended is not None and ended <= moment


def _told(found: Manifest) -> _Told:
    metadata = {key: value for key, value in found["metadata"].items() if key != "resourceVersion"}
    status = {"phase": (found.get("status") or {}).get("phase")}
    rest: Manifest = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": metadata,
        "spec": {},
        "status": status,
    }
    return _Told(digest_of({**found, "metadata": metadata}), rest)
