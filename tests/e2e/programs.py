"""Starts programs as users do, in processes of their own, and waits for signs of their progress."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Seconds after which a program that shows nothing is considered to hang; nothing here takes nearly as long.
PATIENCE = 60.0


def start_script(script: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start a script; its two outputs are read by `communicate`."""
    return subprocess.Popen(
        [sys.executable, str(script), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        start_new_session=True,
    )


def run_script(script: Path, *arguments: str, **environment: str) -> str:
    """Run a script that must succeed; returns what it printed."""
    process = start_script(script, *arguments, **environment)
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output + errors
    return output


def tiphys(*arguments: str, code: int | None = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Call the command line in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tiphys", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, **environment},
    )
    assert code is None or done.returncode == code, (
        f"{arguments} ended with {done.returncode}\n{done.stdout}{done.stderr}"
    )
    return done


def wait_until(condition: Callable[[], Any], what: str, process: subprocess.Popen[str] | None = None) -> Any:
    """Wait until a condition holds; returns what it gave."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = condition()
        if found:
            return found
        ended = process is not None and process.poll() is not None
        if ended or time.monotonic() > deadline:
            told = "".join(process.communicate()) if process is not None and ended else ""
            raise AssertionError(f"Waited in vain for {what}. {told}")
        time.sleep(0.01)


@contextmanager
def ended_at_last(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """See to it that a process does not outlive the test, whatever happens in it."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
