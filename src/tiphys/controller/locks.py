"""Grants mutexes and semaphores, across workflows and processes.

A claim is a row; who is first follows from the rows (priority of the workflow, then its age, then the order of asking),
so nothing has to be remembered, and what a dead process held is held until its workflow is taken up and ended. A holder
gets all its locks at once, and only from the front of each one's queue (argo-workflows, workflow/sync).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tiphys._util.ids import new_id
from tiphys.engine.commands import Acquire, Lock
from tiphys.engine.events import LocksAwaited, LocksGranted
from tiphys.ports.store import Reader, Transaction
from tiphys.records.base import Query, Where
from tiphys.records.objects import ObjectKind, StoredObject, objects_of
from tiphys.records.synchronization import LockClaim, LockLimit
from tiphys.records.workflows import WorkflowSummary


@dataclass(frozen=True, slots=True)
class Grant:
    """Locks that a holder got."""

    uid: str
    holder: str


def acquire(transaction: Transaction, row: WorkflowSummary, command: Acquire) -> LocksGranted | LocksAwaited:
    """Claim locks for a node of a workflow, or for the workflow itself."""
    limits = {}
    for lock in command.locks:
        limit = lock.limit if lock.limit is not None else _limit(transaction, lock)
        if isinstance(limit, str):
            return LocksGranted(command.holder, problem=limit)
        limits[lock.key] = limit
    claims = transaction.find(Query.of(LockClaim, workflow_uid=row.id, holder=command.holder))
    known = {claim.key for claim in claims}
    transaction.add(
        *(
            LockClaim(
                id=new_id(),
                key=lock.key,
                workflow_uid=row.id,
                holder=command.holder,
                priority=row.priority,
                created_at=row.created_at,
            )
            for lock in command.locks
            if lock.key not in known
        )
    )
    if claims and all(claim.granted for claim in claims):
        return LocksGranted(command.holder)
    if Grant(row.id, command.holder) in _grant(transaction, [lock.key for lock in command.locks]):
        return LocksGranted(command.holder)
    return LocksAwaited(command.holder, _status(transaction, command.locks, limits))


def release(transaction: Transaction, uid: str, holder: str | None = None) -> list[Grant]:
    """Give back the locks of a holder, or of all of a workflow; returns who got them."""
    query = (
        Query.of(LockClaim, workflow_uid=uid)
        if holder is None
        else Query.of(LockClaim, workflow_uid=uid, holder=holder)
    )
    claims = transaction.find(query)
    transaction.delete(LockClaim, [claim.id for claim in claims])
    return _grant(transaction, {claim.key for claim in claims})


def granted(reader: Reader, uids: Iterable[str]) -> list[Grant]:
    """Who of some workflows holds locks: another process may have given them back."""
    claims = reader.find(Query(LockClaim, (Where("workflow_uid", list(uids), "in"), Where("granted", True))))
    waiting = reader.find(Query(LockClaim, (Where("workflow_uid", list(uids), "in"), Where("granted", False))))
    without = {(claim.workflow_uid, claim.holder) for claim in waiting}
    found = {(claim.workflow_uid, claim.holder) for claim in claims} - without
    return [Grant(uid, holder) for uid, holder in sorted(found)]


def _grant(transaction: Transaction, keys: Iterable[str]) -> list[Grant]:
    """Give locks to all who are first in the queues of all that they wait for."""
    grants: list[Grant] = []
    pending = set(keys)
    while pending:
        key = pending.pop()
        for first in _front(transaction, key):
            own = transaction.find(Query.of(LockClaim, workflow_uid=first.workflow_uid, holder=first.holder))
            if all(any(claim.id == each.id for each in _front(transaction, claim.key)) for claim in own):
                for claim in own:
                    transaction.update(LockClaim, claim.id, granted=True)
                grants.append(Grant(first.workflow_uid, first.holder))
                pending |= {claim.key for claim in own}
    return grants


def _front(transaction: Transaction, key: str) -> list[LockClaim]:
    """The claims on a lock that there is room for, first come first."""
    claims = transaction.find(Query.of(LockClaim, key=key, order="id"))
    limit = 1 if "Mutex/" in key else _limit(transaction, Lock(key))
    room = (limit if isinstance(limit, int) else 0) - sum(claim.granted for claim in claims)
    waiting = [claim for claim in claims if not claim.granted]
    waiting.sort(key=lambda claim: (-claim.priority, claim.created_at, claim.workflow_uid, claim.id))
    return waiting[: max(room, 0)]


def _limit(reader: Reader, lock: Lock) -> int | str:
    """How many may hold a semaphore, or why that cannot be told."""
    namespace, kind, name = lock.key.split("/", 2)
    if kind == "Database":
        found = reader.find(Query.of(LockLimit, key=lock.key))
        if not found:
            return f"The semaphore '{name}' has no limit in the database: set one with `tiphys argo sync create`."
        return found[0].limit_count
    config_map, _, key = name.rpartition("/")
    objects: list[StoredObject] = reader.find(objects_of(ObjectKind.CONFIG_MAP, namespace=namespace, name=config_map))
    if not objects:
        return f"The ConfigMap '{config_map}', which says how many may hold the semaphore, does not exist."
    text = (objects[0].manifest.get("data") or {}).get(key)
    try:
        return int(text or "")
    except ValueError:
        return f"The ConfigMap '{config_map}' gives no whole number under '{key}', but {text!r}."


def _status(reader: Reader, locks: Iterable[Lock], limits: dict[str, int]) -> str:
    """Which lock is waited for, in Argo's words."""
    for lock in locks:
        holders = reader.count(Query.of(LockClaim, key=lock.key, granted=True))
        room = limits[lock.key] - holders
        if room <= 0:
            return f"Waiting for {lock.key} lock. Lock status: {max(room, 0)}/{limits[lock.key]}"
    return f"Waiting for {', '.join(lock.key for lock in locks)}: others came first."
