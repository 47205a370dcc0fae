"""What is kept on a client's machine of a server's data: never out of date, as names are digests, but not without end.

Several processes share it. What was used within the last hour is never removed: somebody may be reading it, or have yet
to send it.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiphys.errors import UsageError
from tiphys.plugins.loading import load

#: Environment variable: megabytes that are kept of each artifact store.
VARIABLE = "TIPHYS_KEPT_MB"
_MEGABYTES = 10_240
#: Seconds for which what was used is safe.
GRACE = 3600.0
#: Seconds between two looks at how much there is, and the part of the bound that may come between them.
_PAUSE, _PART = 600.0, 20


@dataclass(frozen=True, slots=True)
class KeptStore:
    """What is kept of one artifact store."""

    name: str
    trees: int
    size: int
    #: Epoch seconds; None if there is nothing.
    last_used: float | None


class Kept:
    """The data of one artifact store that is on this machine.

    Args:
        folder: Where it is.
        limit: Bytes that are kept.
    """

    def __init__(self, folder: Path, *, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        settings = load("tiphys.integrations.local.config:LocalArtifactStoreConfig")(path=str(folder))
        #: The store that holds it.
        self.store: Any = load("tiphys.integrations.local.artifact_store:LocalArtifactStore")(
            name=folder.name, config=settings
        )
        #: Its time of change is when somebody looked last.
        self._stamp = folder.with_name(f".{folder.name}.looked")
        #: Held by those who say that a tree is used, together, or by who removes one, alone.
        self._lock_file = folder.with_name(f".{folder.name}.lock")
        self._lock = threading.Lock()
        self._grown = 0

    def use(self, digest: str) -> bool:
        """Whether a tree is here; it is safe for a while then."""
        with self._locked(fcntl.LOCK_SH):
            found: bool = self.store.touch(digest)
        return found

    @contextmanager
    def _locked(self, operation: int) -> Iterator[None]:
        file = os.open(self._lock_file, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, operation)
            yield
        finally:
            os.close(file)

    def grew(self, size: int) -> None:
        """Take account of bytes that came; now and then what was not used for longest goes."""
        with self._lock:
            self._grown += size
            if self._grown * _PART < self._limit and not self._is_due():
                return
            self._grown = 0
        self._stamp.touch()
        self.trim()

    def _is_due(self) -> bool:
        try:
            return time.time() - self._stamp.stat().st_mtime > _PAUSE
        except FileNotFoundError:
            return True

    def trim(self, limit: int | None = None) -> int:
        """Remove what was not used for longest, down to the bound or another one; returns the bytes."""
        oldest_safe = time.time() - GRACE
        trees = sorted(self.store.list_trees(), key=lambda tree: tree[2])
        too_much = sum(size for _, size, _ in trees) - (self._limit if limit is None else limit)
        removed = 0
        for digest, size, used in trees:
            if removed >= too_much or used > oldest_safe:
                break
            with self._locked(fcntl.LOCK_EX):  # whoever says now that a tree is used finds that it is not there
                self.store.delete(digest, unused_since=oldest_safe)
            removed += size
        self.store.sweep(before=oldest_safe)
        return removed

    def describe(self) -> KeptStore:
        """How much there is."""
        trees = list(self.store.list_trees())
        last = max((used for _, _, used in trees), default=None)
        return KeptStore(self._folder.name, len(trees), sum(size for _, size, _ in trees), last)


def limit_from(environment: Mapping[str, str]) -> int:
    """Bytes that are kept of each store.

    Raises:
        UsageError: the variable is no number.
    """
    given = environment.get(VARIABLE, "").strip() or str(_MEGABYTES)
    if not (given.isascii() and given.isdigit()):
        raise UsageError(f"{VARIABLE} is '{given}', which is no number of megabytes.", hint=f"Such as {_MEGABYTES}.")
    return int(given) * 1024 * 1024


def kept_in(home: Path) -> list[Kept]:
    """What is kept under a home, by the names of stores."""
    limit = limit_from(os.environ)
    folder = home / "kept"
    if not folder.is_dir():
        return []
    return [Kept(one, limit=limit) for one in sorted(folder.iterdir()) if one.is_dir()]
