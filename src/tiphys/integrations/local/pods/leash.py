"""A leash: a file that any number of processes hold, so that a pod which they share ends with the last of them.

The hold is the kernel's (flock), so it is gone with its process in whatever way that ends.
"""

from __future__ import annotations

import fcntl
import os


class Hold:
    """A hold on a file, until it is let go of.

    Args:
        file: Descriptor of the file.
    """

    __slots__ = ("_file",)

    def __init__(self, file: int) -> None:
        self._file = file

    def let_go(self) -> None:
        """Hold it no longer."""
        os.close(self._file)


def hold(path: str) -> Hold:
    """Hold a leash, beside others; the file is made if there is none."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(file, fcntl.LOCK_SH)
    return Hold(file)


def hold_alone(path: str) -> Hold | None:
    """Hold a file if nobody else does, which is made if there is none; None if somebody does."""
    return _alone(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def is_held(path: str) -> bool:
    """Whether anybody holds a file."""
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    found = _alone(file)
    if found is not None:
        found.let_go()
    return found is None


def _alone(file: int) -> Hold | None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return Hold(file)
