"""A task's folder: what its containers share with this machine, and what is left for whoever takes the task up.

`<home>/containers/<digest of the task's id>/` holds:

- `owner`: the process that has the task, `<pid> <start>`;
- `volumes/<name>`, `inputs/<artifact>`, `files/<container>`, `progress`: mounted in containers;
- `tries`: how often containers that are tried again were started, as JSON;
- `report.json`: the report with its outputs, once they have been stored: all else is removed then;
- `<container>.log` where nobody named another place.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

from tiphys.sdk.pods.files import name_of, remove_tree, write_whole

#: Folders of tasks that nobody asked for are removed after so many seconds.
KEPT = 7 * 24 * 3600.0
_SHARED = ("volumes", "inputs", "files", "progress")


class TaskFolder:
    """The folder of one task.

    Args:
        home: Folder of the database and all else.
        task_id: The task's id.
    """

    __slots__ = ("path",)

    def __init__(self, home: str, task_id: str) -> None:
        self.path = Path(home, "containers", name_of(task_id))

    def claim(self) -> None:
        """Note that this process has the task."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_whole(str(self.path / "owner"), _this_process())

    def is_owned(self) -> bool:
        """Whether the process that has the task lives."""
        try:
            owner = (self.path / "owner").read_text()
        except FileNotFoundError:
            return False
        pid, _, start = owner.partition(" ")
        return _start_of(int(pid)) == start

    def clear(self) -> None:
        """Remove what a try to prepare it left."""
        for name in _SHARED:
            remove_tree(str(self.path / name))

    def tries(self) -> dict[str, int]:
        """Container → how often it was started."""
        with contextlib.suppress(FileNotFoundError):
            found: dict[str, int] = json.loads((self.path / "tries").read_text())
            return found
        return {}

    def note_tries(self, tries: Mapping[str, int]) -> None:
        """Keep how often containers were started."""
        write_whole(str(self.path / "tries"), json.dumps(tries))

    def report(self) -> bytes | None:
        """The report, if it has been written."""
        with contextlib.suppress(FileNotFoundError):
            return (self.path / "report.json").read_bytes()
        return None

    def write_report(self, text: str) -> None:
        """Keep the report."""
        write_whole(str(self.path / "report.json"), text)

    def remove(self) -> None:
        """Remove all of it."""
        remove_tree(str(self.path))


def sweep(home: str) -> None:
    """Remove what tasks of long ago left."""
    with contextlib.suppress(FileNotFoundError):
        for entry in Path(home, "containers").iterdir():
            with contextlib.suppress(FileNotFoundError):
                if entry.stat().st_mtime < time.time() - KEPT:
                    remove_tree(str(entry))


def _this_process() -> str:
    return f"{os.getpid()} {_start_of(os.getpid())}"


def _start_of(pid: int) -> str | None:
    """When a process was started, which tells it from a later one of the same id; None if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        pass
    if Path("/proc/self").exists():
        return None
    try:  # a system without /proc: its id must do
        os.kill(pid, 0)
    except OSError:
        return None
    return "0"
