"""Logs of steps, read on from where they were read to."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest

from tiphys.integrations.local.artifact_store import LocalArtifactStore
from tiphys.integrations.local.config import LocalArtifactStoreConfig
from tiphys.records.runs import StepRun
from tiphys.sdk.logs.files import live_path, store_file
from tiphys.services.step_logs import StepLogs

STEP = StepRun(id="s", run_id="r", name="train", node_id="n")


def lines(first, count):
    return "".join(f"2026-01-31T12:00:00.000000Z stdout line {number}\n" for number in range(first, first + count))


@pytest.fixture
def store(tmp_path):
    return LocalArtifactStore(name="default", config=LocalArtifactStoreConfig(path=str(tmp_path / "artifacts")))


@pytest.fixture
def live(tmp_path):
    path = live_path(tmp_path, "r", "train", 0)
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture
def logs(tmp_path, store):
    return StepLogs(lambda: store, tmp_path, stores=lambda _: store)


def read(logs, step=STEP):
    return [line.text for batch in logs.batches(step, {}) for line in batch]


def test_nothing_is_there_yet(logs):
    assert read(logs) == []


def test_live_and_then_stored_without_a_gap_or_a_repetition(logs, live, store):
    live.write_text(lines(0, 3) + "2026-01-31T12:00:00.000000Z stdout half a l")
    assert read(logs) == ["line 0", "line 1", "line 2"]
    assert read(logs) == []
    live.write_text(lines(0, 5))
    assert read(logs) == ["line 3", "line 4"]
    live.write_text(lines(0, 7))
    ended = replace(STEP, log_digest=store_file(live, store))
    live.unlink()
    assert read(logs, ended) == ["line 5", "line 6"]
    assert read(logs, ended) == []


def test_what_is_not_text_is_shown_as_far_as_it_is(logs, live):
    live.write_bytes(lines(0, 1).encode() + b"2026-01-31T12:00:00.000000Z stdout \xff\x0c!\n")
    assert read(logs) == ["line 0", "\ufffd\x0c!"]


def test_a_large_log_is_not_held_as_a_whole(logs, live, store):
    live.write_text(lines(0, 300_000))
    ended = replace(STEP, log_digest=store_file(live, store))
    count = 0
    tracemalloc.start()
    for batch in logs.batches(ended, {}):
        count += len(batch)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 300_000
    assert live.stat().st_size > 13_000_000
    assert peak < 3_000_000
