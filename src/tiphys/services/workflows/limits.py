"""Limits of semaphores: in the database, or in a key of a ConfigMap (as Argo 4.1, server/sync)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tiphys._util.ids import new_id
from tiphys.errors import AlreadyExistsError, NotFoundError, UsageError
from tiphys.ports.store import Reader, Transaction
from tiphys.records.base import Query
from tiphys.records.synchronization import LockLimit


def set_stored_limit(transaction: Transaction, namespace: str, key: str, limit: int, *, new: bool) -> None:
    """Create or change a limit of the database.

    Raises:
        AlreadyExistsError: it is to be new, and there is one.
        NotFoundError: it is to be changed, and there is none.
    """
    present = _find(transaction, namespace, key)
    _check(key, new=new, present=present is not None)
    record = LockLimit(id=present.id if present else new_id(), key=_key(namespace, key), limit_count=limit)
    transaction.put(record, "key")


def stored_limit(reader: Reader, namespace: str, key: str) -> LockLimit:
    """A limit of the database.

    Raises:
        NotFoundError: there is none.
    """
    found = _find(reader, namespace, key)
    if found is None:
        raise _missing(key)
    return found


def delete_stored_limit(transaction: Transaction, namespace: str, key: str) -> None:
    """Remove a limit of the database. Raises as `stored_limit`."""
    transaction.delete(LockLimit, [stored_limit(transaction, namespace, key).id])


def with_limit(manifest: Mapping[str, Any], key: str, limit: int, *, new: bool) -> dict[str, Any]:
    """A ConfigMap with a limit in it. Raises as `set_stored_limit`."""
    data = dict(manifest.get("data") or {})
    _check(key, new=new, present=key in data)
    return {**manifest, "data": {**data, key: str(limit)}}


def limit_in(manifest: Mapping[str, Any], key: str) -> int:
    """A limit that stands in a ConfigMap.

    Raises:
        NotFoundError: there is none.
        UsageError: it is no number.
    """
    text = (manifest.get("data") or {}).get(key)
    if text is None:
        raise _missing(key)
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"The limit of '{key}' is no number: '{text}'.") from None


def without_limit(manifest: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A ConfigMap without a limit."""
    return {**manifest, "data": {name: value for name, value in (manifest.get("data") or {}).items() if name != key}}


def _find(reader: Reader, namespace: str, key: str) -> LockLimit | None:
    found = reader.find(Query.of(LockLimit, key=_key(namespace, key), limit=1))
    return found[0] if found else None


def _key(namespace: str, key: str) -> str:
    return f"{namespace}/Database/{key}"


def _check(key: str, *, new: bool, present: bool) -> None:
    if new and present:
        raise AlreadyExistsError(f"The semaphore '{key}' has a limit already.", hint="Change it with `update`.")
    if not new and not present:
        raise _missing(key)


def _missing(key: str) -> NotFoundError:
    return NotFoundError(f"The semaphore '{key}' has no limit.", hint="Set one: tiphys argo sync create KEY --limit N")
