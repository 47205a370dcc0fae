"""Detached processes, told apart from later ones of the same number."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tiphys.integrations.mlflow.process import Detached, start_detached, start_of

#: Tells that it is ready by its log, and does not mind being asked to end.
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
)
#: A process with a child, both of which would run for long.
FAMILY = "import subprocess; child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True); child.wait()"


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def start(code: str, log: Path) -> Detached:
    process = start_detached([sys.executable, "-c", code], environment=os.environ, log=log, descriptors=[])
    wait_for(log.read_text)
    return process


def test_the_whole_group_is_ended(log: Path) -> None:
    process = start(FAMILY, log)
    child = int(log.read_text())
    assert process.is_alive()
    assert os.getsid(process.pid) == process.pid
    process.end(10)
    assert not process.is_alive()
    wait_for(lambda: not start_of(child))


def test_force_comes_after_grace(log: Path) -> None:
    process = start(STUBBORN, log)
    process.end(0.1)
    assert not process.is_alive()


def test_one_that_ended_is_left_alone(log: Path) -> None:
    process = start("print('done')", log)
    wait_for(lambda: not process.is_alive())
    process.end(1)
    assert log.read_text() == "done\n"


def test_another_process_of_the_same_number_is_not_touched(log: Path) -> None:
    process = start(FAMILY, log)
    assert not Detached(process.pid, "long ago").is_alive()
    Detached(process.pid, "long ago").end(1)
    assert process.is_alive()
    process.end(10)


def test_a_number_that_nobody_has() -> None:
    assert start_of(2**22 + 1) == ""
    assert not Detached(2**22 + 1, "").is_alive()
