"""Starting containers' processes, and finding the processes below one that is not ours to signal directly."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

#: What Python ignores and programs do not expect to be ignored.
_DEFAULT_SIGNALS = (signal.SIGPIPE, signal.SIGINT, signal.SIGXFSZ, signal.SIGTERM, signal.SIGUSR1)
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND
#: Seconds after which a process that does not die of SIGKILL is left to itself.
KILLING = 5.0
_NO_INPUT = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)


def spawn(
    program: str,
    argv: list[str],
    env: Mapping[str, str],
    *,
    folder: str,
    log: str,
    pipes: tuple[int, int] | None = None,
) -> int:
    """Start a process in a group of its own; returns its id.

    Args:
        program: Absolute path.
        argv: Its arguments, its name first.
        env: Its whole environment.
        folder: Its working directory. The caller's is changed to it: it must have no other threads that mind.
        log: File that its standard output and error are appended to.
        pipes: Descriptors for its standard output and error instead.

    Raises:
        OSError: the program or the folder is not there, or cannot be executed.
    """
    os.chdir(folder)
    streams: tuple[tuple[Any, ...], ...]
    if pipes is None:
        streams = ((os.POSIX_SPAWN_OPEN, 1, log, _APPEND, 0o644), (os.POSIX_SPAWN_DUP2, 1, 2))
    else:
        streams = ((os.POSIX_SPAWN_DUP2, pipes[0], 1), (os.POSIX_SPAWN_DUP2, pipes[1], 2))
    return os.posix_spawn(
        program,
        argv,
        env,
        file_actions=(_NO_INPUT, *streams),
        setpgroup=0,
        setsigmask=(),
        setsigdef=_DEFAULT_SIGNALS,
    )


def signal_group(pid: int, number: int) -> None:
    """Send a signal to a process group; one that is gone is ignored."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def signal_process(pid: int, number: int) -> None:
    """Send a signal to a process; one that is gone is ignored."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def signal_inside(pid: int, number: int) -> bool:
    """Send a signal to what runs in the sandbox of the bubblewrap `pid`; False if nothing does yet.

    Below bubblewrap stands the sandbox's first process, which is bubblewrap too, and below that the container.
    """
    inside = [process for first in children_of(pid) for child in children_of(first) for process in _with_below(child)]
    for process in inside:
        signal_process(process, number)
    return bool(inside)


def children_of(pid: int) -> list[int]:
    """Ids of a process's children."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:  # it is gone, or the kernel does not have the list
        return [child for child, parent in _parents() if parent == pid] if Path(f"/proc/{pid}").exists() else []
    except ProcessLookupError:
        return []


def kill_children() -> None:
    """Kill and reap all children of this process with their groups, and those that they leave to it."""
    while True:
        for child in children_of(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                group = os.getpgid(child)
                if group != os.getpgid(0):
                    signal_group(group, signal.SIGKILL)
            signal_process(child, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def kill_marked(marks: Sequence[str]) -> None:
    """Kill every process of this user that has one of these texts in its environment, and what they start meanwhile."""
    wanted = [mark.encode() for mark in marks]
    deadline = time.monotonic() + KILLING
    while _kill_with(wanted) and time.monotonic() < deadline:
        time.sleep(0.001)


def _kill_with(wanted: list[bytes]) -> bool:
    """Kill those that are there; returns whether there was one."""
    found = False
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                environment = (entry / "environ").read_bytes().split(b"\0")
                if any(mark in environment for mark in wanted):
                    signal_process(int(entry.name), signal.SIGKILL)
                    found = True
    return found


def _with_below(pid: int) -> Iterator[int]:
    yield pid
    for child in children_of(pid):
        yield from _with_below(child)


def _parents() -> Iterator[tuple[int, int]]:
    """(id, parent's id) of all processes."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                yield int(entry.name), int(fields[1])
