"""Carries workflows out in a process of its own, so that the command that submitted them may end.

The process is the command line again, with a hidden command; it tells by a pipe when the workflows are its own.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Sequence
from pathlib import Path

from tiphys.errors import ServiceError
from tiphys.services.workflows.pods import logs_folder

#: Seconds within which the process must have taken the workflow up.
_PATIENCE = 60.0
#: Where the pipe is in the new process.
READY_DESCRIPTOR = 3


def carry_out_detached(uids: Sequence[str], *, home: Path, db_url: str) -> None:
    """Start a process that carries stored workflows out; returns when it has taken them up.

    Args:
        uids: The workflows' uids.
        home: Home of the new process.
        db_url: Its database.

    Raises:
        ServiceError: the process did not get as far as that; the message has the end of what it said.
    """
    log = logs_folder(home, uids[0]) / "engine.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    ours, theirs = os.pipe()
    environment = {**os.environ, "TIPHYS_HOME": str(home)}
    if db_url:
        environment["TIPHYS_DB_URL"] = db_url
    try:
        os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "tiphys", "argo", "carry", *uids],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                (os.POSIX_SPAWN_DUP2, theirs, READY_DESCRIPTOR),
            ],
            setsid=True,
        )
    finally:
        os.close(theirs)
    try:
        readable, _, _ = select.select([ours], [], [], _PATIENCE)
        told = os.read(ours, 1) if readable else b""
    finally:
        os.close(ours)
    if not told:
        said = log.read_text("utf-8", "replace").strip().splitlines()[-5:]
        raise ServiceError(
            f"The process that was to carry the workflow out ended at once: {' / '.join(said) or 'it said nothing'}",
            hint=f"All it said is in {log}.",
        )
