"""Memoized outputs: kept and looked up inside the controller's transactions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tiphys._util.ids import new_id
from tiphys._util.times import from_epoch, to_epoch
from tiphys.engine.commands import Memorize, Recall
from tiphys.engine.events import Recalled
from tiphys.engine.model import Values
from tiphys.ports.store import Reader, Transaction
from tiphys.records.base import Query
from tiphys.records.objects import ObjectKind, objects_of
from tiphys.records.synchronization import Memo

#: Argo keeps what it remembers in ConfigMaps with this label; one of another type is not a cache.
TYPE_LABEL = "workflows.argoproj.io/configmap-type"


def recall(reader: Reader, namespace: str, command: Recall, now: float) -> Recalled:
    """Outputs that are remembered and not too old."""
    config_maps = reader.find(objects_of(ObjectKind.CONFIG_MAP, namespace=namespace, name=command.cache))
    if config_maps and config_maps[0].labels.get(TYPE_LABEL) != "Cache":
        return Recalled(
            command.node_id, problem=f"The ConfigMap '{command.cache}' lacks the label {TYPE_LABEL}: Cache."
        )
    found = reader.find(Query.of(Memo, namespace=namespace, cache=command.cache, key=command.key))
    if not found or (command.max_age is not None and now - to_epoch(found[0].created_at) > command.max_age):
        return Recalled(command.node_id)
    return Recalled(command.node_id, values_from(found[0].outputs))


def memorize(transaction: Transaction, namespace: str, command: Memorize, now: float) -> None:
    """Keep outputs; what was kept under the key is replaced."""
    memo = Memo(
        id=new_id(),
        namespace=namespace,
        cache=command.cache,
        key=command.key,
        node_id=command.node_id,
        outputs={name: value for name, value in asdict(command.outputs).items() if value not in (None, {})},
        created_at=from_epoch(now),
    )
    transaction.put(memo, "namespace", "cache", "key")


def values_from(data: Mapping[str, Any]) -> Values:
    """Outputs as they were kept."""
    return Values(**data)
