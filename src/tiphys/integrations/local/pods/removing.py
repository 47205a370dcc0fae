"""Removes what containers left, beside all else: the many folders of a root cost more than the container itself."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import threading
from pathlib import Path

from tiphys.sdk.pods.files import remove_tree

#: Most that one call of `rm` is given.
_BATCH = 1024


class Remover:
    """One thread that has `rm` remove whatever has come while it was busy. What is left at a crash is swept later."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="tiphys-pods-remover", daemon=True)
        self._thread.start()

    def remove(self, path: str) -> None:
        """Remove a file or folder some time; returns at once."""
        self._queue.put(path)

    def close(self) -> None:
        """Remove what is left."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        over = False
        while not over:
            batch = [self._queue.get()]
            with contextlib.suppress(queue.Empty):
                while len(batch) < _BATCH:
                    batch.append(self._queue.get_nowait())
            over = None in batch
            paths = [path for path in batch if path is not None]
            if paths:
                subprocess.run(  # noqa: S603  # paths of ours
                    ["rm", "-rf", "--", *paths],  # noqa: S607  # a standard command, wherever it is
                    stdin=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={"PATH": os.defpath},
                    check=False,
                )
                for path in paths:
                    if Path(path).is_dir():  # something in it may not be changed even by its owner
                        remove_tree(path)
