"""The rules by which ended workflows are kept, as they stand in the database."""

from __future__ import annotations

from dataclasses import asdict

from tiphys._util.ids import new_id
from tiphys.ports.store import Reader, Transaction
from tiphys.records.base import Query, Where
from tiphys.records.retention import PREFIX, Retention
from tiphys.records.synchronization import LockLimit


def retention(reader: Reader) -> Retention:
    """The rules that hold."""
    found = reader.find(Query(LockLimit, (Where("key", PREFIX, "prefix"),)))
    return Retention(**{rule.key.removeprefix(PREFIX): rule.limit_count for rule in found})


def set_retention(transaction: Transaction, rules: Retention) -> None:
    """Have these rules hold, and no others."""
    transaction.delete_found(Query(LockLimit, (Where("key", PREFIX, "prefix"),)))
    for name, value in asdict(rules).items():
        if value is not None:
            transaction.add(LockLimit(id=new_id(), key=f"{PREFIX}{name}", limit_count=value))
