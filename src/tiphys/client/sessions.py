"""Processes of this machine that carry out steps of a server's runs, and those that died of it.

Each holds a file of its own (flock) while it does. A file that nobody holds is a dead one's: the server, which cannot
know, is told so, and gives its run to whoever starts the same pipeline again.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tiphys._util.ids import new_id

_FOLDER = "sessions"


@contextmanager
def session(home: Path) -> Iterator[str]:
    """The name of a session, which is alive until the end of the block or the process."""
    folder = home / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    name = new_id()
    path = folder / name
    # Held before it has its name, so that nobody finds it free.
    fresh = folder / f".{name}"
    with fresh.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        fresh.rename(path)
        try:
            yield name
        finally:
            path.unlink(missing_ok=True)


def dead_sessions(home: Path) -> list[str]:
    """Names of sessions whose processes died."""
    try:
        paths = [path for path in (home / _FOLDER).iterdir() if not path.name.startswith(".")]
    except FileNotFoundError:
        return []
    return [path.name for path in paths if not _is_held(path)]


def forget_sessions(home: Path, names: list[str]) -> None:
    """They need not be told of any more."""
    for name in names:
        (home / _FOLDER / name).unlink(missing_ok=True)


def _is_held(path: Path) -> bool:
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True  # it ended in order meanwhile
    except BlockingIOError:
        return True
    return False
