"""Keeps who lost a workflow from committing for it.

A process that was cut off (stopped, or without its database) for longer than its lease holds may find that another one
has taken its workflows up. Each transaction of the controller therefore holds the rows of its workflows as their owner,
which keeps them from being claimed until it ends, and leaves out those that are another's.

So nothing is committed twice. A task may be carried out twice, under the same id, if who launched it was cut off while
alive; it ends the tasks as soon as it notices.
"""

from __future__ import annotations

from collections.abc import Collection

from tiphys.ports.store import Reader
from tiphys.records.workflows import WorkflowSummary


def new_places(reader: Reader, lost: Collection[str]) -> dict[str, str]:
    """Where workflows are carried out now that were lost: uid → the new owner's place, empty if it is not known."""
    if not lost:
        return {}
    places = {lease.owner: lease.place for lease in reader.leases()}
    rows = reader.get_many(WorkflowSummary, lost)
    return {uid: places.get(rows[uid].owner, "") if uid in rows else "" for uid in lost}
