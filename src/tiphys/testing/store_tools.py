"""What the parts of the store contract share: settings of property tests, work that is undone, threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tiphys.ports.store import Store, Transaction

#: The store is the same for all examples (each is undone), and the suite runs once for each backend.
PROPERTY = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.differing_executors,
        HealthCheck.too_slow,
    ],
)


class _UndoError(Exception):
    """Ends a transaction without a trace."""


@contextmanager
def undone(store: Store) -> Iterator[Transaction]:
    """A transaction that leaves nothing behind."""
    with pytest.raises(_UndoError), store.transaction() as tx:
        yield tx
        raise _UndoError


def in_threads(number: int, work: Callable[[int], Any]) -> list[Any]:
    """The results of `work(0) … work(number - 1)`, begun together in threads of their own."""
    results: list[Any] = [None] * number
    errors: list[BaseException] = []
    together = threading.Barrier(number)

    def run(index: int) -> None:
        try:
            together.wait()
            results[index] = work(index)
        except BaseException as error:  # noqa: BLE001 (raised below)
            errors.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results
