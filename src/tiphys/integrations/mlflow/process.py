"""A process that outlives the script that started it, told from any later process of the same number by its start."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Detached:
    """A process with a session, and so a process group, of its own."""

    pid: int
    #: When it started, in a form of the system's own that is compared and not read.
    started: str

    def is_alive(self) -> bool:
        """Whether it runs still (one that ended and was not waited for does not)."""
        return bool(self.started) and start_of(self.pid) == self.started

    def end(self, grace: float) -> None:
        """Ask the whole group to end, and force it after `grace` seconds. One that ended is left alone."""
        if not self.is_alive():
            return
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGTERM)
        deadline = time.monotonic() + grace
        while self.is_alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        # The first of the group, or what it left behind: the system gives its number to nobody while the group exists.
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        while self.is_alive():
            time.sleep(0.02)


def start_detached(
    command: Sequence[str], *, environment: Mapping[str, str], log: Path, descriptors: Sequence[int]
) -> Detached:
    """Start `command` in a session of its own, so that no signal to this script's group reaches it.

    Args:
        command: The program and its arguments.
        environment: All of its environment.
        log: File to which its output is appended.
        descriptors: Open files that it inherits under the same numbers.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603  the caller's own program
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            pass_fds=tuple(descriptors),
            start_new_session=True,
        )
    started = start_of(process.pid)
    # Somebody has to take note of its end while this script runs, else its number stays occupied.
    threading.Thread(target=process.wait, name=f"wait-{process.pid}", daemon=True).start()
    return Detached(process.pid, started)


def start_of(pid: int) -> str:
    """When the process `pid` started; empty if there is none, or it has ended and only its number is left."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "" if Path("/proc/self/stat").exists() else _start_by_ps(pid)
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else fields[18]


def _start_by_ps(pid: int) -> str:
    """The same where there is no /proc (macOS)."""
    listed = subprocess.run(  # noqa: S603  a number is all that varies
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],  # noqa: S607  found where the system has it
        capture_output=True,
        text=True,
        check=False,
    )
    state, _, start = listed.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else start.strip()
