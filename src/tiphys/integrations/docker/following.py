"""Shows a container's output while it runs.

The log is copied again and again, as engines' own following cannot be trusted: Podman 4.3 loses lines, and may wait for
ever when the container has just ended.
"""

from __future__ import annotations

import contextlib
import threading
import time

from tiphys.errors import ServiceError
from tiphys.integrations.docker.engine import ContainerEngine
from tiphys.sdk.pods.log_times import note_size

#: Seconds between two copies; of a long log so many times what a copy takes.
_PERIOD, _TIMES = 1.0, 20


class Follower:
    """Keeps a copy of a container's log fresh until it is closed.

    Args:
        engine: Where the container runs.
        container: Its id.
        log: The file.
    """

    def __init__(self, engine: ContainerEngine, container: str, log: str) -> None:
        self._engine, self._container, self._log = engine, container, log
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="tiphys-following", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write no more."""
        self._closed.set()
        self._thread.join()

    def _follow(self) -> None:
        pause, known = _PERIOD, 0
        while not self._closed.wait(pause):
            began = time.monotonic()
            with contextlib.suppress(ServiceError, OSError):  # whoever waits for the container will hear of it
                self._engine.copy_log(self._container, self._log)
                known = note_size(self._log, known)
            pause = max(_PERIOD, _TIMES * (time.monotonic() - began))
