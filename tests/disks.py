"""A small disk of its own for a test that fills it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.needs import lacking

_CHUNK = b"\0" * 4096


@dataclass(frozen=True)
class SmallDisk:
    """A mounted file system in memory.

    Attributes:
        path: Where it is mounted.
    """

    path: Path

    @property
    def _ballast(self) -> Path:
        return self.path / "ballast"

    def fill(self, leaving: int = 0) -> None:
        """Leave no room on it, or only so many bytes."""
        free = os.statvfs(self.path)
        left = free.f_bavail * free.f_bsize - leaving
        with self._ballast.open("ab", buffering=0) as file, suppress(OSError):  # there is no room for more
            while left > 0:
                left -= file.write(_CHUNK)

    def free(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(path: Path, *, megabytes: int) -> Iterator[SmallDisk]:
    """Mount one, where this user may."""
    path.mkdir(parents=True)
    options = f"size={megabytes}m,mode=0755"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tiphys-test", str(path)], capture_output=True, text=True
    )
    if done.returncode:
        lacking(f"No disk can be mounted for this test, which needs root: {done.stderr.strip()}")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
