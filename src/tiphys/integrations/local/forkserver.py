"""A small process that has the step runtime loaded and forks itself for each step.

Started by the process runner as `python -m tiphys.integrations.local.forkserver <socket> <echo pipe>` with both
descriptors inherited. It is single-threaded, so forking is safe. If its client dies, it goes on until its last child
has ended, and writes down how that was.
"""

from __future__ import annotations

import contextlib
import gc
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from tiphys.integrations.local.child import TAKEN, Surroundings, carry_out
from tiphys.integrations.local.messages import Unpacker, pack
from tiphys.integrations.local.task_folder import TaskFolder

#: Loaded before the first fork, because most steps need them.
PRELOADED = (
    "asyncio",
    "cloudpickle",
    "pydantic",
    "tiphys.integrations.local.artifact_store",
    "tiphys.integrations.local.config",
    "tiphys.sdk.materializers.builtin",
    "tiphys.sdk.materializers.nested",
)


class _Child:
    """A task's process."""

    def __init__(self, task_id: str, folder: TaskFolder) -> None:
        self.task_id = task_id
        self.folder = folder
        #: When it is to be killed; monotonic seconds.
        self.kill_at: float | None = None
        self.cancelled = False


class ForkServer:
    """The loop.

    Args:
        client: Connected to the process runner.
        echo: Where children write what is to be shown.
    """

    def __init__(self, client: socket.socket, echo: int) -> None:
        self._client = client
        self._echo = echo
        self._children: dict[int, _Child] = {}
        self._surroundings = Surroundings({}, [], "/")
        self._connected = True
        self._unpacker = Unpacker()
        self._signals, wake = socket.socketpair()
        self._signals.setblocking(False)
        wake.setblocking(False)
        self._wake = wake
        signal.signal(signal.SIGCHLD, _ignore)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(client, selectors.EVENT_READ)
        self._selector.register(self._signals, selectors.EVENT_READ)

    def serve(self) -> None:
        """Fork and reap until the client is gone and no child is left."""
        while self._connected or self._children:
            for key, _ in self._selector.select(self._until_next_kill()):
                if key.fileobj is self._client:
                    self._receive()
                else:
                    self._signals.recv(4096)
            self._kill_overdue()
            self._reap()

    def _receive(self) -> None:
        try:
            data = self._client.recv(1 << 18)
        except ConnectionError:
            data = b""
        if not data:
            self._connected = False
            self._selector.unregister(self._client)
        for message, payload in self._unpacker.feed(data):
            operation = message["op"]
            if operation == "setup":
                self._surroundings = Surroundings(message["environment"], message["path"], message["folder"])
            elif operation == "launch":
                self._launch(message, payload)
            elif operation == "cancel":
                self._cancel(message["id"], message["grace"])

    def _launch(self, message: dict[str, Any], payload: bytes) -> None:
        task_id = message["task"]["id"]
        folder = TaskFolder(Path(message["home"]), task_id)
        pid = os.fork()
        if pid == 0:
            self._become_child(message, payload, folder)
        self._children[pid] = _Child(task_id, folder)

    def _become_child(self, message: dict[str, Any], payload: bytes, folder: TaskFolder) -> None:
        """Carry the task out and end; never returns."""
        status = 70  # EX_SOFTWARE
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._selector.close()
            for each in (self._client, self._signals, self._wake):
                each.close()
            status = carry_out(message, payload, folder, self._surroundings, self._echo)
        except BaseException:  # noqa: BLE001  # the process ends here, and its status tells
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(status)

    def _cancel(self, task_id: str, grace: float) -> None:
        for pid, child in self._children.items():
            if child.task_id == task_id:
                child.cancelled = True
                child.kill_at = time.monotonic() + grace
                _signal_group(pid, signal.SIGTERM)

    def _until_next_kill(self) -> float | None:
        times = [child.kill_at for child in self._children.values() if child.kill_at is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for pid, child in self._children.items():
            if child.kill_at is not None and child.kill_at <= now:
                child.kill_at = None
                _signal_group(pid, signal.SIGKILL)

    def _reap(self) -> None:
        while self._children:
            # Looked at before it is reaped: its number cannot be another's yet, so its group is still its own.
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                return
            child = self._children.pop(ended.si_pid)
            if child.cancelled:
                _signal_group(ended.si_pid, signal.SIGKILL)
            _, status = os.waitpid(ended.si_pid, 0)
            taken = os.waitstatus_to_exitcode(status) == TAKEN
            if not taken and child.folder.path.is_dir() and child.folder.result() is None:
                with contextlib.suppress(OSError):  # that there is neither says nearly as much
                    child.folder.write_exit(status)
            self._send({"op": "ended", "id": child.task_id, "taken": taken})

    def _send(self, message: dict[str, Any]) -> None:
        if self._connected:
            try:
                self._client.sendall(pack(message))
            except OSError:  # the client died; its end is read in a moment
                self._connected = False
                self._selector.unregister(self._client)


def _signal_group(pid: int, number: int) -> None:
    """Send a signal to a child and all that it started, or to it alone if it has no group of its own yet."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return


def _ignore(_number: int, _frame: object) -> None:
    """SIGCHLD only has to interrupt the loop's wait."""


def main() -> None:
    """Serve on the inherited socket."""
    for name in PRELOADED:
        __import__(name)
    gc.collect()
    gc.freeze()  # what is loaded now is never written to by a child's collector, and so stays shared
    ForkServer(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])).serve()


if __name__ == "__main__":
    main()
