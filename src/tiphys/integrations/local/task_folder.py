"""What a task in a process of its own leaves on disk, so that any later process can find it again.

`<home>/tasks/<digest of the task's id>/` holds:

- `claim.json`: {pid, start, at} of the process that carries the task out; made once, by whoever comes first.
- `result.json`: the report, complete from the moment it is visible.
- `exit.json`: {status, at} if the process ended without a report; written by the forkserver.
- `stdout`, `stderr`: what was written past Python's streams; `read`: how much of them is in the step's log.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

#: The streams that are kept, with their descriptors.
STREAMS = {"stdout": 1, "stderr": 2}


class Claim(NamedTuple):
    """The process that carries a task out."""

    pid: int
    #: Names the process together with its pid, which another may get later.
    start: str
    #: Epoch seconds.
    at: float

    def is_alive(self) -> bool:
        """Whether it still runs."""
        return bool(self.start) and process_start(self.pid) == self.start


class TaskFolder:
    """The folder of one task.

    Args:
        home: Folder of the database and all else.
        task_id: The task's id.
    """

    def __init__(self, home: Path, task_id: str) -> None:
        self.path = tasks_folder(home) / hashlib.sha256(task_id.encode()).hexdigest()[:32]

    def claim(self) -> bool:
        """Take the task for this process; False if another one has it."""
        pid = os.getpid()
        own = self.path / f"claim.{pid}"
        try:
            own.write_text(json.dumps({"pid": pid, "start": process_start(pid), "at": time.time()}))
            os.link(own, self.path / "claim.json")
        except FileExistsError:
            return False
        finally:
            own.unlink(missing_ok=True)
        return True

    def claimed_by(self) -> Claim | None:
        """The process that carries the task out, or did."""
        found = _read_json(self.path / "claim.json")
        return None if found is None else Claim(**found)

    def write_result(self, text: str) -> None:
        """Make the report visible, whole."""
        _write_whole(self.path / "result.json", text)

    def result(self) -> bytes | None:
        """The report, if there is one."""
        try:
            return (self.path / "result.json").read_bytes()
        except FileNotFoundError:
            return None

    def write_exit(self, status: int) -> None:
        """Note that the process ended without a report."""
        _write_whole(self.path / "exit.json", json.dumps({"status": status, "at": time.time()}))

    def exit_status(self) -> int | None:
        """As `os.waitpid` gives it, of a process that ended without a report."""
        found = _read_json(self.path / "exit.json")
        return None if found is None else int(found["status"])

    def read_so_far(self) -> dict[str, int]:
        """How much of each stream is in the step's log; bytes."""
        return _read_json(self.path / "read") or dict.fromkeys(STREAMS, 0)

    def note_read(self, sizes: dict[str, int]) -> None:
        """Note how much of each stream is in the step's log."""
        _write_whole(self.path / "read", json.dumps(sizes))

    def unread(self) -> dict[str, str]:
        """What was written to each stream and is not in the step's log."""
        found = {}
        for name, size in self.read_so_far().items():
            try:
                found[name] = (self.path / name).read_bytes()[size:].decode("utf-8", "replace")
            except FileNotFoundError:
                continue
        return found

    def remove(self) -> None:
        """Remove the folder; one that is not there is ignored."""
        shutil.rmtree(self.path, ignore_errors=True)


def tasks_folder(home: Path) -> Path:
    """Where all tasks have their folders."""
    return home / "tasks"


def process_start(pid: int) -> str:
    """When a process was started, as the system tells it; empty if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "" if Path("/proc/self/stat").exists() else _start_from_ps(pid)
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else f"{_boot_id()}:{fields[19]}"


@lru_cache(maxsize=1)
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _start_from_ps(pid: int) -> str:
    """For systems without /proc."""
    told = subprocess.run(  # noqa: S603  # a number is its only argument
        ["ps", "-o", "lstart=", "-p", str(pid)],  # noqa: S607  # a standard command, wherever it is
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stdout.strip()


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    return found


def _write_whole(path: Path, text: str) -> None:
    staged = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        staged.write_text(text)
        staged.replace(path)
    except OSError:
        staged.unlink(missing_ok=True)
        raise
