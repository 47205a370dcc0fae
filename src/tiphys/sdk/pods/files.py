"""Names and files of tasks on this machine: light, as a process that starts containers needs it too."""

# Every task pays for the calls made here, and pathlib costs several times what the system call does.
# ruff: noqa: PTH101, PTH104, PTH108, PTH112

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil


def name_of(task_id: str) -> str:
    """Names a task on this machine: its folder, and all that belongs to it."""
    return hashlib.sha256(task_id.encode()).hexdigest()[:32]


def write_whole(path: str, text: str) -> None:
    """Write a file that is complete from the moment it is visible."""
    staged = f"{path}.{os.getpid()}"
    try:
        file = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            data = text.encode()
            while data:
                data = data[os.write(file, data) :]
        finally:
            os.close(file)
        os.rename(staged, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(staged)
        raise


def append_line(path: str, data: bytes, flags: int) -> None:
    """Append a line as a whole, or nothing of it.

    Args:
        path: The file.
        data: The line with its end.
        flags: For `os.open`, beside those for appending.

    Raises:
        OSError: it cannot be written; nothing of it is there.
    """
    file = os.open(path, os.O_WRONLY | os.O_APPEND | flags, 0o644)
    before = os.fstat(file).st_size
    try:
        while data:
            data = data[os.write(file, data) :]
    except OSError:
        os.ftruncate(file, before)
        raise
    finally:
        os.close(file)


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
