"""Scenarios 19 and 20: artifacts saved and registered by hand."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import pytest

from tiphys import ArtifactConfig, Client, load_artifact, pipeline, register_artifact, save_artifact, step
from tiphys.errors import AlreadyExistsError


def test_19_versions_of_saved_artifacts() -> None:
    save_artifact(42, "m")
    save_artifact(43, "m")
    assert load_artifact("m") == 43
    assert load_artifact("m", "1") == 42
    save_artifact(44, "m", version="44")
    assert load_artifact("m") == 44
    with pytest.raises(AlreadyExistsError, match="44"):
        save_artifact(45, "m", version="44")


def test_19_parallel_saves_get_every_number_once() -> None:
    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(lambda value: save_artifact(value, "m").version, range(20)))
    assert sorted(map(int, versions)) == list(range(1, 21))


def test_19_saved_in_a_step_it_belongs_to_the_step() -> None:
    @step
    def s() -> int:
        save_artifact({"a": 1}, "extra")
        return 1

    @pipeline
    def p() -> None:
        s()

    run = p()
    version = Client().get_artifact_version("extra")
    assert version.load() == {"a": 1}
    assert version.producer_step_run_id == run.steps["s"].id


@pytest.mark.own_disk
def test_20_registering_a_folder_of_the_store(home: Path) -> None:
    root = Path(Client().active_stack.artifact_store.root)
    folder = root / "by-hand"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("hello")
    assert register_artifact(folder, "folder").version == "1"
    loaded = load_artifact("folder")
    assert isinstance(loaded, Path)
    assert (loaded / "a.txt").read_text() == "hello"


def test_20_outside_of_the_store(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    with pytest.raises(FileNotFoundError, match=r"save_artifact\(Path"):
        register_artifact(outside, "folder")
    # Also where it is behind a server, and its root no path.
    with pytest.raises(FileNotFoundError, match="There is nothing|is not in the artifact store"):
        register_artifact(f"{Client().active_stack.artifact_store.root}/by-hand", "folder")


def test_a_format_on_request() -> None:
    from sklearn.linear_model import LinearRegression

    @step
    def train() -> Annotated[Any, ArtifactConfig(name="line", format="skops")]:
        return LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0])

    @step
    def slope(model: Any) -> float:
        return float(model.coef_[0])

    @pipeline
    def p() -> None:
        slope(train())

    run = p()
    version = Client().get_artifact_version("line")
    assert version.materializer == "tiphys.integrations.sklearn.materializers:SklearnSkopsMaterializer"
    assert run.steps["slope"].output.load() == pytest.approx(2.0)
