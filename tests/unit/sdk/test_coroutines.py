from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from tiphys.integrations.local.artifact_store import LocalArtifactStore
from tiphys.integrations.local.config import LocalArtifactStoreConfig
from tiphys.sdk.coroutines import run
from tiphys.sdk.logs.capture import capture
from tiphys.testing.stored_logs import read_log


async def value(result: Any) -> Any:
    await asyncio.sleep(0)
    if isinstance(result, Exception):
        raise result
    return result


def in_a_loop(function: Any, *arguments: Any) -> Any:
    """Call a function as a notebook's cell does: from a loop that goes on."""

    async def cell() -> Any:
        return function(*arguments)

    return asyncio.run(cell())


def test_runs_to_the_end() -> None:
    assert run(value(3)) == 3
    with pytest.raises(ValueError, match="bad"):
        run(value(ValueError("bad")))


def test_runs_inside_of_a_loop_and_leaves_no_thread() -> None:
    threads = threading.active_count()
    assert in_a_loop(lambda: run(value(3))) == 3
    with pytest.raises(ValueError, match="bad"):
        in_a_loop(lambda: run(value(ValueError("bad"))))
    assert threading.active_count() == threads


def test_what_it_prints_inside_of_a_loop_belongs_to_the_step(tmp_path: Path) -> None:
    async def speak() -> None:
        print("from the coroutine")

    store = LocalArtifactStore(name="s", config=LocalArtifactStoreConfig(path=str(tmp_path / "store")))
    with capture({"home": str(tmp_path), "run_id": "r", "step_name": "s"}) as log:
        in_a_loop(lambda: run(speak()))
        digest = log.finish(store)
    assert digest is not None
    assert [line.text for line in read_log(store, digest)] == ["from the coroutine"]
