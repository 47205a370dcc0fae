"""Threads that do what is due."""

from __future__ import annotations

import queue
import threading

from tests.unit.integrations.local_agents.agency import LONG, threads

from tiphys.integrations.local.agents.workers import Workers


def test_what_is_due_earlier_comes_first() -> None:
    workers, done = Workers(1, "order"), queue.SimpleQueue[int]()
    for number, after in ((2, 0.04), (1, 0.02), (0, 0.0)):
        workers.submit(lambda number=number: done.put(number), after=after)
    assert [done.get(timeout=LONG) for _ in range(3)] == [0, 1, 2]
    workers.close()


def test_threads_are_made_as_needed_and_no_more_than_allowed() -> None:
    workers, gate, begun = Workers(3, "bounded"), threading.Event(), queue.SimpleQueue[None]()

    def work() -> None:
        begun.put(None)
        gate.wait(LONG)

    for number in range(5):
        workers.submit(work)
        if number < 3:
            begun.get(timeout=LONG)
            assert threads("bounded") == number + 1
    assert (threads("bounded"), begun.empty()) == (3, True)
    gate.set()
    for _ in range(2):
        begun.get(timeout=LONG)
    workers.close()


def test_what_is_not_due_needs_one_thread_to_look_after_it() -> None:
    workers, done = Workers(9, "waiting"), threading.Event()
    for _ in range(50):
        workers.submit(lambda: None, after=LONG)
    workers.submit(done.set, after=0.01)
    assert done.wait(LONG)
    assert threads("waiting") <= 2
    workers.close()
    workers.submit(done.clear)
    assert done.is_set()
