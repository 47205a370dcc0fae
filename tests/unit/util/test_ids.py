"""Ids ascend, are never given twice (not by threads, not by forked processes), and read as UUIDs of version 7."""

from __future__ import annotations

import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tiphys._util.ids import dns_name, new_id, next_tick


def test_ids_are_uuids_of_version_7_with_the_time() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(new_id())
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert 0 <= (made.int >> 80) - before < 10_000


def test_ids_ascend() -> None:
    ids = [new_id() for _ in range(3000)]
    assert ids == sorted(set(ids))


def test_ids_ascend_while_the_clock_stands_still_or_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    start = time.time_ns()
    readings = iter([start, start, start - 10**12, start])
    monkeypatch.setattr("tiphys._util.ids.time.time_ns", lambda: next(readings))
    ids = [new_id() for _ in range(4)]
    assert ids == sorted(set(ids))


def test_the_random_parts_differ() -> None:
    assert len({new_id()[20:] for _ in range(3000)}) == 3000


def test_threads_get_different_ids() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: [new_id() for _ in range(500)], range(16)))
    assert len({one for ids in made for one in ids}) == 8000


def test_ticks_ascend() -> None:
    ticks = [next_tick() for _ in range(1000)]
    assert ticks == sorted(set(ticks))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_gets_different_ids() -> None:
    new_id()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, "".join(new_id()[20:] for _ in range(50)).encode())
        os._exit(0)
    os.close(writing)
    mine = {new_id()[20:] for _ in range(600)}
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(child, 0)
    theirs = {text[start : start + 16] for start in range(0, len(text), 16)}
    assert len(theirs) == 50
    assert not mine & theirs


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("My Pipeline_1", "my-pipeline-1"),
        ("--a--", "a"),
        ("ÄÖ", "x"),
        ("a" * 70, "a" * 63),
        ("a" * 62 + "-b", "a" * 62),
    ],
)
def test_names_that_kubernetes_accepts(text: str, name: str) -> None:
    assert dns_name(text) == name
