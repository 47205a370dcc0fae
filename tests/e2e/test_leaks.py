"""Hundreds of runs in one process leave no threads, files or processes behind."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

from tests.e2e.programs import wait_until
from tiphys import pipeline, step
from tiphys.errors import RunFailedError

#: Pools of threads and connections have a size that they may reach late; runs that left something would leave hundreds.
POOLS = 10


def children() -> set[str]:
    return {line for task in Path("/proc/self/task").iterdir() for line in (task / "children").read_text().split()}


def open_files() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # fewer files are open meanwhile


@step
def first(x: int) -> int:
    print("first", x)
    return x + 1


@step(enable_cache=False)
def second(x: int) -> int:
    print("second", x)
    return x * 2


@step(enable_cache=False)
def sometimes(x: int) -> int:
    if x % 10 == 0:
        raise ValueError("every tenth")
    return x


def test_many_runs_leave_nothing_behind() -> None:
    @pipeline
    def p(x: int) -> None:
        found = first(x)
        second(found)
        second(found)
        sometimes(x)

    def run(numbers: range) -> None:
        for number in numbers:
            try:
                p(number)
            except RunFailedError:
                assert number % 10 == 0

    run(range(1, 20))
    threads, files = threading.active_count(), open_files()
    run(range(20, 320))
    assert threading.active_count() <= threads + POOLS
    assert open_files() <= files + POOLS


def test_many_processes_leave_nothing_behind() -> None:
    @pipeline(runner="process", enable_cache=False)
    def p(x: int) -> None:
        found = first(x)
        sometimes(found)

    for number in range(3):
        p(10 * number + 1)
    before, threads, files = children(), threading.active_count(), open_files()
    for number in range(20):
        p(10 * number + 1)
    assert threading.active_count() <= threads + POOLS
    wait_until(lambda: len(children()) <= len(before), "the end of the steps' processes")
    wait_until(lambda: open_files() <= files + POOLS, "files to be closed")
