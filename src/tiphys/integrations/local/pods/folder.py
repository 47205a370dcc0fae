"""What a pod leaves on disk, so that any later process can find it again.

`<home>/pods/<digest of the task's id>/` is made by the pod server that takes the task, in one system call: whoever
makes it has the task. It holds:

- `state`: two lines, each complete when its end is there: `<pid> <start>` of the pod server, and, when all containers
  have ended, how they did. (Folders and files are what a task costs beside its process, so there are few.)
- `report.json`: the report with its outputs, once they have been stored; its folders are removed then.
- `ready`: of a daemon that is.
- `cancel`: written by a runner that has no connection to the pod server: seconds of grace.
- `<container>.log`, and what containers write (`root-<container>`, `volumes/<name>`, `work`).
"""

# Every task pays for the calls made here, and pathlib costs several times what the system call does.
# ruff: noqa: PTH101, PTH104, PTH112

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import NamedTuple

from tiphys.integrations.local.pods.orders import PodResult
from tiphys.integrations.local.task_folder import process_start


class Server(NamedTuple):
    """A pod server that has a task."""

    pid: int
    #: Names the process together with its pid, which another may get later.
    start: str

    def is_alive(self) -> bool:
        """Whether it still runs."""
        return bool(self.start) and process_start(self.pid) == self.start


class PodFolder:
    """The folder of one task.

    Args:
        home: Folder of the database and all else.
        task_id: The task's id.
    """

    __slots__ = ("name", "path")

    def __init__(self, home: str, task_id: str) -> None:
        #: Names the task on this machine; all its processes have it in their environment.
        self.name = hashlib.sha256(task_id.encode()).hexdigest()[:32]
        self.path = f"{pods_folder(home)}/{self.name}"

    def exists(self) -> bool:
        """Whether a pod server made it."""
        return Path(self.path).is_dir()

    def server(self) -> Server | None:
        """The pod server that has the task, or had it."""
        lines = self._state()
        if not lines:
            return None
        pid, _, start = lines[0].decode().partition(" ")
        return Server(int(pid), start)

    def result(self) -> PodResult | None:
        """How the containers ended, if they did."""
        lines = self._state()
        return json.loads(lines[1]) if len(lines) > 1 else None

    def _state(self) -> list[bytes]:
        """The complete lines of `state`."""
        try:
            return Path(self.path, "state").read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []

    def report(self) -> bytes | None:
        """The report, if it has been written."""
        with contextlib.suppress(FileNotFoundError):
            return Path(self.path, "report.json").read_bytes()
        return None

    def write_report(self, text: str) -> None:
        """Keep the report: what containers left is not needed any more."""
        write_whole(f"{self.path}/report.json", text)

    def leftovers(self) -> list[str]:
        """Folders that containers wrote to."""
        with os.scandir(self.path) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]

    def is_ready(self) -> bool:
        """Whether the pod server found the daemon ready."""
        return Path(self.path, "ready").exists()

    def ask_to_cancel(self, grace: float) -> None:
        """Leave word for the pod server, which is told to look by SIGUSR1."""
        write_whole(f"{self.path}/cancel", str(grace))

    def remove(self) -> None:
        """Remove the folder; one that is not there is ignored."""
        remove_tree(self.path)


def pods_folder(home: str) -> str:
    """Where all pods have their folders."""
    return f"{home}/pods"


def claim(path: str, server: Server) -> None:
    """Note in a folder that was made just now who has the task."""
    _append(f"{path}/state", f"{server.pid} {server.start}\n".encode(), os.O_CREAT | os.O_EXCL)


def note_result(path: str, result: PodResult) -> None:
    """Note in a task's folder how its containers ended."""
    _append(f"{path}/state", json.dumps(result).encode() + b"\n", 0)


def _append(path: str, data: bytes, flags: int) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | flags, 0o644)
    try:
        while data:
            data = data[os.write(file, data) :]
    finally:
        os.close(file)


def write_whole(path: str, text: str) -> None:
    """Write a file that is complete from the moment it is visible."""
    staged = f"{path}.{os.getpid()}"
    file = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        data = text.encode()
        while data:
            data = data[os.write(file, data) :]
    finally:
        os.close(file)
    os.rename(staged, path)


def remove_tree(path: str) -> None:
    """Remove a folder with all that containers left in it, also what they wrote without permission to change it."""
    if not os.path.isdir(path):
        return
    shutil.rmtree(path, ignore_errors=True)
    if os.path.isdir(path):
        for folder, _, _ in os.walk(path):
            with contextlib.suppress(OSError):
                os.chmod(folder, 0o700)
        shutil.rmtree(path, ignore_errors=True)
