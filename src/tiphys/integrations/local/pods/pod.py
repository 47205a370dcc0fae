"""One pod in the pod server: which of its containers is started when, and what their ends mean."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from tiphys.integrations.local.pods.folder import note_result
from tiphys.integrations.local.pods.leash import is_held
from tiphys.integrations.local.pods.orders import ContainerOrder, PodOrder, PodResult, ProbeOrder
from tiphys.integrations.local.pods.processes import signal_group, signal_inside, spawn
from tiphys.sdk.pods.containers import CANNOT_START, LONGEST_RESULT, ContainerEnd
from tiphys.sdk.pods.files import write_whole
from tiphys.sdk.pods.log_times import note_size

#: Seconds after which a sandbox that has not started its program is asked again to end.
_AGAIN = 0.02
#: Seconds between looks at a log: the first and while it grows, and at most.
_LOG_LOOK, _LOG_LOOK_MOST = 0.2, 1.0
#: Seconds between looks at a leash. It must be found free twice: whoever takes a pod over has that long.
_LEASH_LOOK = 0.5
#: Bytes of a pipe that are read at once.
_CHUNK = 1 << 16
#: Seconds after which what could not be written is written again: the disk was full, perhaps.
_WRITE_AGAIN = 1.0


class Host(Protocol):
    """What a pod asks of the pod server."""

    def adopt(self, pid: int, ended: Callable[[int], None]) -> None:
        """Call `ended` with the exit code when the process has ended."""

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call `call` later."""

    def watch(self, source: Any, events: int, call: Callable[[], object]) -> None:
        """Call `call` whenever `source` is ready."""

    def forget(self, source: Any) -> None:
        """Undo `watch`."""

    def probe(self, order: ProbeOrder, container: ContainerOrder, succeeded: Callable[[], None]) -> Callable[[], None]:
        """Call `succeeded` as soon as the probe has; returns what ends the probing."""

    def ready(self, pod: Pod) -> None:
        """All containers of a daemon are ready."""

    def over(self, pod: Pod, result: PodResult) -> None:
        """Nothing of the pod runs any more."""


class _Container:
    """A container: at most one process at a time."""

    __slots__ = ("code", "error", "order", "output", "pid", "ready", "stop_probe", "tries")

    def __init__(self, order: ContainerOrder) -> None:
        self.order = order
        #: Of the process that runs.
        self.pid: int | None = None
        #: Exit code, once it has ended for good.
        self.code: int | None = None
        self.error: str | None = None
        self.tries = 0
        self.ready = False
        self.output: _Output | None = None
        self.stop_probe: Callable[[], None] | None = None

    def end(self) -> ContainerEnd:
        """How it ended."""
        return {"name": self.order["name"], "role": self.order["role"], "code": self.code, "error": self.error}


class Pod:
    """A pod that is being carried out.

    Args:
        order: What it consists of.
        host: The pod server.
    """

    def __init__(self, order: PodOrder, host: Host) -> None:
        self.order = order
        self._host = host
        containers = [_Container(each) for each in order["containers"]]
        self._inits = [each for each in containers if each.order["role"] == "init"]
        self._mains = {each.order["name"]: each for each in containers if each.order["role"] == "main"}
        self._sidecars = [each for each in containers if each.order["role"] == "sidecar"]
        self._all = containers
        self._started = time.time()
        self._begun = False
        self._stopping = False
        self._cancelled = False
        self._ready = False
        self._over = False
        self._result: str | None = None

    def begin(self) -> None:
        """Start what can be started."""
        if self.order["leash"] is not None:
            self._look_after(self.order["leash"], free=False)
        self._advance()

    def cancel(self, grace: float) -> None:
        """Ask all that runs to end, and kill it after `grace` seconds; nothing else is started."""
        if not self._cancelled:
            self._cancelled = self._stopping = True
            self._stop(self._all, grace)
            self._advance()

    def _look_after(self, leash: str, *, free: bool) -> None:
        """End the pod when nobody needs it any more; `free` says whether nobody did at the last look."""
        if self._stopping:
            return
        held = is_held(leash)
        if free and not held:
            self.cancel(self.order["grace"])
        else:
            self._host.after(_LEASH_LOOK, lambda: self._look_after(leash, free=not held))

    def _advance(self) -> None:
        """Start what can be started now, and see whether all is over."""
        if self._over:
            return
        if not self._stopping:
            for container in self._inits:
                if container.code is None:
                    if container.pid is None:
                        self._start(container)
                    if container.code is None:
                        return
                if container.code != 0:
                    self._stopping = True
                    break
        if not self._stopping:
            self._start_mains()
            if all(each.code is not None for each in self._mains.values()):
                self._stopping = True
                self._stop(self._sidecars, self.order["grace"])
        if self._stopping and all(each.pid is None for each in self._all):
            self._finish()

    def _start_mains(self) -> None:
        if not self._begun:
            self._begun = True
            for container in self._sidecars:
                self._start(container)
        progress = True
        while progress:
            progress = False
            for container in self._mains.values():
                if container.code is None and container.pid is None and container.tries == 0:
                    progress = self._start_main(container) or progress

    def _start_main(self, container: _Container) -> bool:
        """Start a main if all that it depends on has ended well; returns whether another may now be able to start."""
        for name in container.order["after"]:
            code = self._mains[name].code
            if code is None:
                return False
            if code != 0:
                container.code = code
                container.error = f"it depends on '{name}', which ended with exit code {code}"
                return True
        self._start(container)
        return container.code is not None

    def _start(self, container: _Container) -> None:
        order = container.order
        container.tries += 1
        output: _Output | None = None
        try:
            if order["result"]:
                output = container.output = _Output(order["log"], self._host)
            container.pid = spawn(
                order["program"],
                order["argv"],
                order["env"],
                folder=order["folder"],
                log=order["log"],
                pipes=None if output is None else (output.stdout, output.stderr),
            )
        except OSError as error:
            container.code = CANNOT_START
            container.error = f"{order['program']}: {error.strerror}"
        if output is not None:
            output.close_ends()
            if container.pid is not None:
                output.listen()
            else:
                output.close()
        if container.pid is None:
            return
        self._host.adopt(container.pid, lambda code: self._ended(container, code))
        if not order["log"].startswith(self.order["folder"]):  # where nobody else reads it
            self._look_at_log(container, container.pid, _LOG_LOOK, 0)
        if self.order["daemon"] and order["role"] == "main":
            self._await_ready(container)

    def _look_at_log(self, container: _Container, pid: int, pause: float, known: int) -> None:
        """Keep the times at which a log has grown, after a pause and for as long as the process runs."""

        def look() -> None:
            if container.pid == pid:
                size = known
                with contextlib.suppress(OSError):  # this look's time is missing then
                    size = note_size(container.order["log"], known)
                next_pause = _LOG_LOOK if size > known else min(2 * pause, _LOG_LOOK_MOST)
                self._look_at_log(container, pid, next_pause, size)

        self._host.after(pause, look)

    def _await_ready(self, container: _Container) -> None:
        probe = container.order["probe"]
        if probe is None:
            # It must not come before the server knows the pod.
            self._host.after(0, lambda: self._found_ready(container))
        else:
            container.stop_probe = self._host.probe(probe, container.order, lambda: self._found_ready(container))

    def _found_ready(self, container: _Container) -> None:
        container.ready = True
        if container.pid is None or self._stopping or self._ready:
            return
        if all(each.ready for each in self._mains.values()):
            try:
                write_whole(f"{self.order['folder']}.ready", "")
            except OSError:
                self._host.after(_WRITE_AGAIN, lambda: self._found_ready(container))
                return
            self._ready = True
            self._host.ready(self)

    def _ended(self, container: _Container, code: int) -> None:
        container.pid = None
        if container.stop_probe is not None:
            container.stop_probe()
        if container.output is not None:
            self._result = container.output.close()
        if code != 0 and container.tries < container.order["tries"] and not self._stopping:
            self._host.after(container.order["pause"], lambda: self._try_again(container))
            return
        container.code = code
        self._advance()

    def _try_again(self, container: _Container) -> None:
        if not self._stopping:
            self._start(container)
        self._advance()

    def _stop(self, containers: list[_Container], grace: float) -> None:
        running = [each for each in containers if each.pid is not None]
        for container in running:
            self._terminate(container)
        if running:
            self._host.after(grace, lambda: self._kill(containers))

    def _terminate(self, container: _Container) -> None:
        if container.pid is None:
            return
        if not container.order["sandboxed"]:
            signal_group(container.pid, signal.SIGTERM)
        elif not signal_inside(container.pid, signal.SIGTERM):
            self._host.after(_AGAIN, lambda: self._terminate(container))

    def _kill(self, containers: list[_Container]) -> None:
        for container in containers:
            if container.pid is not None:
                signal_group(container.pid, signal.SIGKILL)

    def _finish(self) -> None:
        self._over = True
        result: PodResult = {
            "started": self._started,
            "finished": time.time(),
            "containers": [each.end() for each in self._all],
            "result": self._result,
            "cancelled": self._cancelled,
            "ready": self._ready,
        }
        self._note(result)

    def _note(self, result: PodResult) -> None:
        """Leave word of the end, however long it takes: without it the containers would be carried out again."""
        try:
            note_result(self.order["folder"], result)
        except OSError:
            if not self._cancelled:  # else nobody wants to know
                self._host.after(_WRITE_AGAIN, lambda: self._note(result))
                return
        self._host.over(self, result)


class _Output:
    """Standard output that is a result too: it goes through the pod server into the log, and its end is kept.

    Standard error takes the same way, so that the log has them nearly in the order in which they were written; the
    order is exact where nobody wants a result, and both lead straight to the file.

    Args:
        log: File that both are appended to.
        host: The pod server.
    """

    def __init__(self, log: str, host: Host) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._host = host
        self._result, self.stdout = os.pipe2(os.O_CLOEXEC)
        self._errors, self.stderr = os.pipe2(os.O_CLOEXEC)
        self._open: list[int] = []
        self._kept = bytearray()

    def listen(self) -> None:
        """The process has its ends: from now on take what it writes."""
        for source in (self._result, self._errors):
            os.set_blocking(source, False)
            self._open.append(source)
            self._host.watch(source, selectors.EVENT_READ, partial(self._take, source))

    def _take(self, source: int) -> bool:
        """Take a piece; False if there is none."""
        try:
            data = os.read(source, _CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._forget(source)
            return False
        if source == self._result:
            self._kept += data
            if len(self._kept) > 4 * LONGEST_RESULT:
                del self._kept[: -LONGEST_RESULT - 1]
        with contextlib.suppress(OSError):  # what does not fit is lost: the container is not to suffer by it
            while data:
                data = data[os.write(self._log, data) :]
        return True

    def _forget(self, source: int) -> None:
        self._open.remove(source)
        self._host.forget(source)

    def close_ends(self) -> None:
        """Give up the process's ends: it has them, or could not be started."""
        os.close(self.stdout)
        os.close(self.stderr)

    def close(self) -> str:
        """Take what is left; returns the result: one newline at the end is trimmed."""
        for source in list(self._open):
            while source in self._open and self._take(source):
                pass
            if source in self._open:
                self._forget(source)
        for each in (self._result, self._errors, self._log):
            os.close(each)
        kept = self._kept[:-1] if self._kept.endswith(b"\n") else self._kept
        return kept[-LONGEST_RESULT:].decode("utf-8", "replace")
