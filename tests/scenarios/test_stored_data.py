"""What is stored is what is loaded: changed and deleted data, caching over several functions, runs and processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from tests.scenarios.helpers import statuses
from tests.scenarios.test_03_08_caching import load_module
from tiphys import Client, ExternalArtifact, load_artifact, pipeline, save_artifact, step
from tiphys.errors import ArtifactMissingError, DefinitionError, DigestMismatchError, RunFailedError

EXPLOIT = b"cos\nsystem\n(S'touch %s'\ntR."


class Custom:
    """Only cloudpickle can store it."""

    def __init__(self, value: int) -> None:
        self.value = value


def frame() -> pd.DataFrame:
    return pd.DataFrame({"a": [1.5, 2.5], "b": ["x", "y"]})


def model() -> LinearRegression:
    return LinearRegression().fit(np.arange(6.0).reshape(3, 2), [1.0, 2.0, 3.0])


VALUES: dict[str, Callable[[], Any]] = {
    "pickle": lambda: Custom(3),
    "model": model,
    "array": lambda: np.arange(12.0),
    "frame": frame,
    "json": lambda: {"a": 1},
}


def files_of(uri: str) -> list[Path]:
    return [path for path in (Path(uri), *Path(uri).rglob("*")) if path.is_file()]


@pytest.mark.own_disk
@pytest.mark.parametrize("kind", VALUES)
def test_changed_data_is_not_loaded(kind: str, tmp_path: Path) -> None:
    version = save_artifact(VALUES[kind](), "thing")
    assert load_artifact("thing") is not None
    touched = tmp_path / "touched"
    for file in files_of(version.uri):
        file.chmod(0o644)
        size = file.stat().st_size
        times = file.stat()
        content = (EXPLOIT % bytes(touched)).ljust(size, b"\n")[: max(size, len(EXPLOIT % bytes(touched)))]
        file.write_bytes(content)
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(DigestMismatchError, match="changed after it was stored"):
        load_artifact("thing")
    with pytest.raises(DigestMismatchError):
        Client().get_artifact_version("thing").load()
    assert not touched.exists()


@pytest.mark.own_disk
@pytest.mark.parametrize("runner", ["inline", "process"])
def test_a_step_is_not_given_changed_data(tmp_path: Path, runner: str) -> None:
    version = save_artifact(Custom(3), "thing")
    file = next(file for file in files_of(version.uri) if b"Custom" in file.read_bytes())
    touched = tmp_path / "touched"
    file.chmod(0o644)
    file.write_bytes(EXPLOIT % bytes(touched))

    @step(enable_cache=False)
    def use(thing: Any) -> int:
        return 1

    @pipeline(runner=runner)
    def p() -> None:
        use(ExternalArtifact(id=version.id))

    with pytest.raises(RunFailedError, match="changed after it was stored"):
        p()
    assert not touched.exists()


@pytest.mark.own_disk
def test_deleted_data_is_said_to_be_gone() -> None:
    version = save_artifact([1, 2], "thing")
    Path(version.uri).unlink()
    with pytest.raises(ArtifactMissingError, match="no longer has the data"):
        load_artifact("thing")

    @step
    def use(xs: list[int]) -> int:
        return sum(xs)

    @pipeline
    def p() -> None:
        use(version)

    with pytest.raises(DefinitionError, match=r"'xs' of step 'use' in pipeline 'p'.*gone"):
        p()


@pytest.mark.own_disk
def test_a_deleted_artifact_is_no_cache_hit() -> None:
    @step
    def make() -> dict[str, int]:
        return {"a": 1}

    @step
    def use(values: dict[str, int]) -> int:
        return values["a"]

    @pipeline
    def p() -> None:
        use(make())

    Path(p().steps["make"].output.uri).unlink()
    again = p()
    assert statuses(again) == {"make": "completed", "use": "cached"}
    assert again.steps["make"].output.load() == {"a": 1}
    # The earlier version is of the same data, which is there again.
    assert Client().get_artifact_version("p::make::output", "1").load() == {"a": 1}


MODULE = """
    from tiphys import pipeline, step

    @step
    def work(x: int) -> int:
        return x + 1

    @pipeline
    def p():
        work(1)
"""


def test_equal_code_in_two_modules_is_two_steps(tmp_path: Path) -> None:
    one = load_module(tmp_path / "acceptance_one.py", MODULE)
    two = load_module(tmp_path / "acceptance_two.py", MODULE)
    assert statuses(one.p()) == {"work": "completed"}
    assert statuses(two.p()) == {"work": "completed"}
    assert statuses(one.p()) == {"work": "cached"}
    assert statuses(two.p()) == {"work": "cached"}


def test_runs_of_one_pipeline_at_the_same_time() -> None:
    together = threading.Barrier(4, timeout=30)

    @step
    def make(x: int) -> int:
        together.wait()
        return x

    @step
    def use(x: int) -> int:
        return x + 1

    @pipeline
    def p() -> None:
        use(make(1))

    with ThreadPoolExecutor(4) as pool:
        runs = [future.result() for future in [pool.submit(p) for _ in range(4)]]
    assert {str(run.status) for run in runs} == {"completed"}
    assert len({run.name for run in runs}) == 4
    versions = Client().list_artifact_versions(name="p::make::output", sort_by="asc:created")
    assert sorted(int(version.version) for version in versions) == [1, 2, 3, 4]
    assert len({version.digest for version in versions}) == 1
    assert statuses(p()) == {"make": "cached", "use": "cached"}
