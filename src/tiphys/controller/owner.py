"""Who works on a workflow: a name for this process that no later process can bear."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def this_process() -> str:
    """`<host>:<pid>:<start of the process>`."""
    pid = os.getpid()
    return f"{socket.gethostname()}:{pid}:{_start_of(pid)}"


def is_here(owner: str) -> bool:
    """Whether the process that `owner` names is, or was, one of this machine."""
    return owner.rpartition(":")[0].rpartition(":")[0] == socket.gethostname()


def is_alive(owner: str) -> bool:
    """Whether the process that `owner` names still runs; one on another machine cannot be seen and is taken to."""
    if owner.count(":") < 2:
        return False
    if not is_here(owner):
        return True
    _, pid_text, start = owner.rsplit(":", 2)
    pid = int(pid_text)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _start_of(pid) == start


def _start_of(pid: int) -> str:
    """When a process was started, in the kernel's ticks; empty where /proc does not tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]
