"""How long and how many ended workflows are kept: what Argo has in `retentionPolicy` and `persistence.archiveTTL`.

Each rule is a `LockLimit`, as the limits of semaphores and of the queue are.
"""

from __future__ import annotations

from dataclasses import dataclass

#: What all keys of rules begin with. Those of semaphores have `Database` or `ConfigMap` in second place.
PREFIX = "retention/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """The rules. None: nothing is removed for that reason."""

    #: Seconds after its end for which the archive keeps a workflow that was deleted. None: there is no archive beside
    #: the list, and what is deleted is gone; 0: for ever.
    archive: int | None = None
    #: How many that succeeded, failed, or ended with an error are kept in the list.
    completed: int | None = None
    failed: int | None = None
    errored: int | None = None
