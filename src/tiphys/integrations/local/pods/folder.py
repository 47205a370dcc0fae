"""What a pod leaves on disk, so that any later process can find it again.

In `<home>/pods`, with the digest of the task's id as `<name>`:

- `<name>.state`: two lines, each complete when its end is there: `<pid> <lock>` of the pod server, and, when all
  containers have ended, how they did. Whoever makes the file has the task.
- `server.<id>`: a pod server's lock: held while it runs, and by a process it is just starting.
- `<name>/`: what containers write: a host process's working directory, or `root-<container>`, `volumes/<name>`, `work`.
- `<name>.<container>.log`: standard output and error.
- `<name>.report`: the report with its outputs, once they have been stored; the folder is removed then.
- `<name>.ready`: of a daemon that is.
- `<name>.cancel`: written by a runner that has no connection to the pod server: seconds of grace.

A trivial task makes two files and a folder: on a disk they cost as much as its process.
"""

# Every task pays for the calls made here, and pathlib costs several times what the system call does.
# ruff: noqa: PTH104, PTH108, PTH119, PTH120

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from pathlib import Path
from typing import NamedTuple

from tiphys._util.ids import new_id
from tiphys.integrations.local.pods.orders import PodResult
from tiphys.sdk.pods.files import append_line, name_of, remove_tree, write_whole

#: Environment variable that names a process's pod.
MARK = "TIPHYS_POD"
_LOCK = "server."


class Server(NamedTuple):
    """A pod server that has a task."""

    pid: int
    #: Path of its lock.
    lock: str

    def is_alive(self) -> bool:
        """Whether it still runs, or a process that it was starting when it died has not become its container yet."""
        return _is_held(self.lock)


class PodFolder:
    """The folder of one task.

    Args:
        home: Folder of the database and all else.
        task_id: The task's id.
    """

    __slots__ = ("name", "path")

    def __init__(self, home: str, task_id: str) -> None:
        self.name = name_of(task_id)
        self.path = f"{pods_folder(home)}/{self.name}"

    @property
    def mark(self) -> str:
        """Stands in the environment of all its processes, and of no other's."""
        return f"{MARK}={self.path}"

    def exists(self) -> bool:
        """Whether a pod server took the task."""
        return Path(f"{self.path}.state").exists()

    def server(self) -> Server | None:
        """The pod server that has the task, or had it."""
        lines = _state(self.path)
        return _server(self.path, lines[0]) if lines else None

    def result(self) -> PodResult | None:
        """How the containers ended, if they did."""
        lines = _state(self.path)
        return json.loads(lines[1]) if len(lines) > 1 else None

    def report(self) -> bytes | None:
        """The report, if it has been written."""
        with contextlib.suppress(FileNotFoundError):
            return Path(f"{self.path}.report").read_bytes()
        return None

    def write_report(self, text: str) -> None:
        """Keep the report: what containers left is not needed any more."""
        write_whole(f"{self.path}.report", text)

    def is_ready(self) -> bool:
        """Whether the pod server found the daemon ready."""
        return Path(f"{self.path}.ready").exists()

    def ask_to_cancel(self, grace: float) -> None:
        """Leave word for the pod server, which is told to look by SIGUSR1."""
        write_whole(f"{self.path}.cancel", str(grace))

    def discard(self) -> str:
        """Let the task be unknown here; returns a folder that is still to be removed and is in nobody's way."""
        result = self.result()
        if result is None:
            logs = [str(path) for path in Path(self.path).parent.glob(f"{self.name}.*.log")]
        else:
            logs = [f"{self.path}.{end['name']}.log" for end in result["containers"]]
        aside = f"{os.path.dirname(self.path)}/.{self.name}-{new_id()}"
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.path, aside)
        for path in (*logs, *(f"{self.path}.{kind}" for kind in ("ready", "cancel", "report", "state"))):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        return aside

    def remove(self) -> None:
        """Remove all that the task left."""
        remove_tree(self.discard())


def pods_folder(home: str) -> str:
    """Where all pods have their folders."""
    return f"{home}/pods"


def runs(path: str) -> bool:
    """Whether a pod server works on the task of a folder."""
    lines = _state(path)
    return len(lines) == 1 and _server(path, lines[0]).is_alive()


def take_lock(pods: str) -> Server:
    """Let this process be a pod server of the folder of all pods, until it ends."""
    lock = f"{_LOCK}{new_id()}"
    # It is left open: whatever way this process ends, the lock is gone when the last process is that could still
    # become a container of it.
    file = os.open(f"{pods}/{lock}", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    fcntl.flock(file, fcntl.LOCK_EX)
    return Server(os.getpid(), f"{pods}/{lock}")


def in_use(path: str) -> bool:
    """Whether an entry of the folder of all pods is a running pod server's, or of a pod that one works on."""
    folder, _, entry = path.rpartition("/")
    return _is_held(path) if entry.startswith(_LOCK) else runs(f"{folder}/{entry.partition('.')[0]}")


def _is_held(lock: str) -> bool:
    try:
        file = os.open(lock, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _server(path: str, line: bytes) -> Server:
    pid, _, lock = line.decode().partition(" ")
    return Server(int(pid), f"{os.path.dirname(path)}/{lock}")


def _state(path: str) -> list[bytes]:
    """The complete lines of a task's `state`."""
    try:
        return Path(f"{path}.state").read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []


def claim(path: str, server: Server) -> None:
    """Take the task of a folder for a pod server.

    Raises:
        FileExistsError: another has it.
        OSError: it cannot be written; nobody has the task.
    """
    line = f"{server.pid} {os.path.basename(server.lock)}\n".encode()
    try:
        append_line(f"{path}.state", line, os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        raise
    except OSError:
        give_up(path)
        raise


def give_up(path: str) -> None:
    """Let nobody have the task of a folder that was claimed and could not be begun."""
    with contextlib.suppress(OSError):
        os.unlink(f"{path}.state")


def note_result(path: str, result: PodResult) -> None:
    """Note in a task's folder how its containers ended; if it was removed, nobody wants to know.

    Raises:
        OSError: it cannot be written; nothing of it is there.
    """
    with contextlib.suppress(FileNotFoundError):
        append_line(f"{path}.state", json.dumps(result).encode() + b"\n", 0)
