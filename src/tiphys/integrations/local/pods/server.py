"""A small process that starts containers and waits for them, so that a task costs hardly more than its own process.

Started by the runner as `python -m tiphys.integrations.local.pods.server <socket> <folder of all pods>`, with the
socket's descriptor inherited.
It is two processes: the server, single-threaded around one selector, and a guard above it that sleeps. Both are
subreapers: what a container leaves becomes the server's child and is killed when its pod is over; if the server dies,
its containers become the guard's children and are killed. If the client dies, the server goes on until its last pod is
over; each leaves its result in its folder.
"""

# Every task pays for the calls made here, and pathlib costs several times what the system call does.
# ruff: noqa: PTH102, PTH104

from __future__ import annotations

import contextlib
import ctypes
import gc
import heapq
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from tiphys.integrations.local.messages import Unpacker, pack
from tiphys.integrations.local.pods.folder import MARK, Server, claim, give_up, take_lock
from tiphys.integrations.local.pods.orders import ContainerOrder, PodOrder, PodResult, ProbeOrder
from tiphys.integrations.local.pods.pod import Pod
from tiphys.integrations.local.pods.probes import Probing
from tiphys.integrations.local.pods.processes import children_of, kill_children, signal_group, signal_process

_PR_SET_CHILD_SUBREAPER = 36


class PodServer:
    """The loop.

    Args:
        client: Connected to the runner.
        me: What it signs with.
    """

    def __init__(self, client: socket.socket, me: Server) -> None:
        self._client = client
        self._me = me
        self._pods: dict[str, Pod] = {}
        self._processes: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._connected = True
        self._unpacker = Unpacker()
        self._outgoing = bytearray()
        #: Whether processes may run that left the group of a container which has ended.
        self._strays = False
        self._selector = selectors.DefaultSelector()
        self._signals, self._wake = socket.socketpair()
        self._signals.setblocking(False)
        self._wake.setblocking(False)
        for number in (signal.SIGCHLD, signal.SIGUSR1):
            signal.signal(number, _ignore)
        for number in (signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        self._client.setblocking(False)
        self._selector.register(client, selectors.EVENT_READ, self._receive)
        self._selector.register(self._signals, selectors.EVENT_READ, self._signalled)

    def serve(self) -> None:
        """Start and reap until the client is gone and nothing runs."""
        while self._connected or self._pods:
            registered = self._selector.get_map()
            for key, _ in self._selector.select(self._until_next_timer()):
                if registered.get(key.fd) is key:  # what an earlier one of these called may have closed it
                    key.data()
            now = time.monotonic()
            while self._timers and self._timers[0][0] <= now:
                heapq.heappop(self._timers)[2]()
            if self._strays:
                self._kill_strays()
            self._flush()

    def _until_next_timer(self) -> float | None:
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    # What pods ask for

    def adopt(self, pid: int, ended: Callable[[int], None]) -> None:
        """Call `ended` with the exit code when the process has ended."""
        self._processes[pid] = ended

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call `call` later."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), call))

    def watch(self, source: Any, events: int, call: Callable[[], object]) -> None:
        """Call `call` whenever `source` is ready."""
        self._selector.register(source, events, call)

    def forget(self, source: Any) -> None:
        """Undo `watch`."""
        self._selector.unregister(source)

    def probe(self, order: ProbeOrder, container: ContainerOrder, succeeded: Callable[[], None]) -> Callable[[], None]:
        """Call `succeeded` as soon as the probe has; returns what ends the probing."""
        return Probing(order, container, self, succeeded).stop

    def ready(self, pod: Pod) -> None:
        """All containers of a daemon are ready."""
        self._send({"op": "ready", "id": pod.order["id"]})

    def over(self, pod: Pod, result: PodResult) -> None:
        """Nothing of the pod runs any more."""
        del self._pods[pod.order["id"]]
        self._strays = True
        self._send({"op": "ended", "id": pod.order["id"], "result": result})

    # What the client asks for

    def _receive(self) -> None:
        try:
            data = self._client.recv(1 << 16)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._disconnect()
        for message, _ in self._unpacker.feed(data):
            if message["op"] == "launch":
                self._launch(message["pod"])
            elif message["id"] in self._pods:
                self._pods[message["id"]].cancel(message["grace"])

    def _launch(self, order: PodOrder) -> None:
        folder = order["folder"]
        try:
            claim(folder, self._me)
        except FileExistsError:  # another server was asked too
            self._send({"op": "taken", "id": order["id"]})
            return
        except OSError as error:
            self._refuse(order, error)
            return
        try:
            if order["staged"] is None:
                os.mkdir(folder)
            else:
                os.rename(order["staged"], folder)
        except OSError as error:
            give_up(folder)
            self._refuse(order, error)
            return
        pod = self._pods[order["id"]] = Pod(order, self)
        pod.begin()

    def _refuse(self, order: PodOrder, error: OSError) -> None:
        """Nothing of the pod was begun."""
        self._send({"op": "refused", "id": order["id"], "errno": error.errno, "problem": error.strerror})

    def _send(self, message: dict[str, Any]) -> None:
        if self._connected:
            self._outgoing += pack(message)

    def _flush(self) -> None:
        """Send what is waiting; a client that does not read holds nothing up."""
        if not self._outgoing or not self._connected:
            return
        try:
            sent = self._client.send(self._outgoing)
            del self._outgoing[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._disconnect()
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._outgoing else 0)
        if self._selector.get_key(self._client).events != events:
            self._selector.modify(self._client, events, self._receive)

    def _disconnect(self) -> None:
        if self._connected:
            self._connected = False
            self._selector.unregister(self._client)

    # What the system tells

    def _signalled(self) -> None:
        numbers = self._signals.recv(4096)
        if signal.SIGUSR1 in numbers:
            self._look_for_cancellations()
        self._reap()

    def _look_for_cancellations(self) -> None:
        for pod in list(self._pods.values()):
            with contextlib.suppress(FileNotFoundError):
                pod.cancel(float(Path(pod.order["folder"] + ".cancel").read_text()))

    def _reap(self) -> None:
        while True:
            # Looked at before it is reaped: its number cannot be another's yet, so its group is still its own.
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            pid = ended.si_pid
            signal_group(pid, signal.SIGKILL)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            told = self._processes.pop(pid, None)
            if told is not None:
                told(code if code >= 0 else 128 - code)
            else:
                self._strays = True  # what it has left is this process's child from now on

    def _kill_strays(self) -> None:
        """Kill what pods that are over have left, in groups of its own: it has become this process's child."""
        self._strays = False
        strays = [pid for pid in children_of(os.getpid()) if pid not in self._processes]
        if strays:
            running = [f"{MARK}={pod.order['folder']}".encode() for pod in self._pods.values()]
            for pid in strays:
                with contextlib.suppress(OSError):
                    environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                    if not any(mark in environment for mark in running):
                        signal_process(pid, signal.SIGKILL)


def _ignore(_number: int, _frame: object) -> None:
    """The signal only has to interrupt the loop's wait."""


def _adopt_orphans() -> None:
    """Become the parent of all below whose own parent has ended."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _guard(server: int) -> None:
    """Wait for the server, and kill what it leaves behind."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    while True:
        # The server alone is reaped here: nothing else is this process's child before the server has ended.
        ended, status = os.waitpid(-1, 0)
        if ended == server:
            break
    kill_children()
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def main() -> None:
    """Serve on the inherited socket."""
    client = socket.socket(fileno=int(sys.argv[1]))
    client.set_inheritable(False)
    _adopt_orphans()
    gc.freeze()
    server = os.fork()
    if server:
        client.close()
        _guard(server)
    _adopt_orphans()
    os.umask(0o022)
    me = take_lock(sys.argv[2])
    PodServer(client, me).serve()
    Path(me.lock).unlink()


if __name__ == "__main__":
    main()
