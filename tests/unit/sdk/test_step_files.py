"""A step on files: what it reads, what it writes, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiphys.engine.events import TaskFinished
from tiphys.engine.model import Phase
from tiphys.errors import ArtifactError, DigestMismatchError
from tiphys.records.artifacts import ArtifactRef
from tiphys.sdk.components import Components
from tiphys.sdk.context import get_step_context
from tiphys.sdk.materializing import load_value, save_value
from tiphys.sdk.step_files import (
    DATA,
    DESCRIPTION,
    MOST_PACKED,
    described_store,
    pack,
    read_artifact,
    run_on_files,
    unpack,
    write_artifact,
)

SEEN: list[Any] = []


def add(x: int, y: int) -> int:
    return x + y


def numbers() -> list[int]:
    return [1, 2]


def total(xs: list[int]) -> int:
    return sum(xs)


def nth(x: int) -> int:
    return x


def tell() -> None:
    context = get_step_context()
    SEEN.append((context.run_name, context.pipeline_name, context.step_name, context.attempt))


def note_failure() -> None:
    SEEN.append("failure")


def fail() -> None:
    raise KeyError("key")


def put(value: Any, folder: Path) -> Path:
    """Write a value as an exported step would."""
    store = Components({"artifact_store": [described_store(str(folder.parent / "store"))]}).store
    saved = save_value(value, store)
    ref = ArtifactRef(
        version_id="v",
        name=folder.name,
        digest=saved.digest,
        materializer=saved.materializer,
        data_type=saved.data_type,
    )
    write_artifact(ref, folder, store)
    return folder


def call(root: Path, function: Callable[..., Any], inputs: dict[str, Any] | None = None, **rest: Any) -> TaskFinished:
    body = {"step": function.__name__, "pipeline": "p", "inputs": inputs or {}, "outputs": rest.pop("outputs", [])}
    parameters = rest.pop("parameters", {})
    source = f"{__name__}:{function.__name__}"
    return run_on_files(source, {**body, **rest.pop("body", {})}, parameters, root=root, **rest)


def test_an_output_is_the_next_ones_input(tmp_path: Path) -> None:
    kinds = {"x": {"kind": "parameter"}, "y": {"kind": "parameter"}}
    ended = call(tmp_path / "a", add, kinds, parameters={"x": "1", "y": "2"}, outputs=[{"name": "output"}])
    assert ended.phase is Phase.SUCCEEDED
    written = tmp_path / "a" / "outputs" / "output"
    assert sorted(path.name for path in written.iterdir()) == [DESCRIPTION, DATA]
    assert json.loads((written / DESCRIPTION).read_text()).keys().isdisjoint({"version_id", "version"})
    (tmp_path / "b" / "inputs").mkdir(parents=True)
    written.rename(tmp_path / "b" / "inputs" / "x")
    kinds = {"x": {"kind": "artifact"}, "y": {"kind": "parameter"}}
    ended = call(tmp_path / "b", add, kinds, parameters={"y": "10"}, outputs=[{"name": "sum"}])
    assert json.loads((tmp_path / "b" / "outputs" / "sum" / DATA / "value.json").read_text()) == 13


def test_what_conditions_and_loops_read_stands_in_files(tmp_path: Path) -> None:
    output = {"name": "rows", "exposed": True, "mapped": True, "indexed": True, "packed": True}
    call(tmp_path, numbers, outputs=[output])
    texts = {path.name: path.read_text() for path in (tmp_path / "parameters").iterdir()}
    packed = texts.pop("rows-packed")
    assert texts == {
        "rows": "[1,2]",
        "rows-items": '["1","2"]',
        "rows-indexes": '["{\\"$item\\":0}", "{\\"$item\\":1}"]',
    }
    unpack(packed, tmp_path / "unpacked")
    assert (tmp_path / "unpacked" / DATA / "value.json").read_text() == "[1,2]"


def packed_list(root: Path, name: str, *values: int) -> None:
    texts = [pack(put(value, root / f"value-{value}")) for value in values]
    (root / "inputs").mkdir()
    (root / "inputs" / f"{name}.json").write_text(json.dumps(texts))


def test_packed_results_of_a_loop_are_a_list(tmp_path: Path) -> None:
    packed_list(tmp_path, "xs", 3, 4)
    call(tmp_path, total, {"xs": {"kind": "artifacts"}}, outputs=[{"name": "o"}])
    assert json.loads((tmp_path / "outputs" / "o" / DATA / "value.json").read_text()) == 7


def test_an_item_may_be_one_of_packed_results(tmp_path: Path) -> None:
    packed_list(tmp_path, "x-list", 3, 4)
    call(tmp_path, nth, {"x": {"kind": "item"}}, parameters={"x": '{"$item":1}'}, outputs=[{"name": "o"}])
    assert json.loads((tmp_path / "outputs" / "o" / DATA / "value.json").read_text()) == 4


def test_a_value_from_outside_is_one_packed_text(tmp_path: Path) -> None:
    text = pack(put([5, 6], tmp_path / "given"))
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs" / "xs.json").write_text(json.dumps(text))
    call(tmp_path, total, {"xs": {"kind": "external"}}, outputs=[{"name": "o"}])
    assert json.loads((tmp_path / "outputs" / "o" / DATA / "value.json").read_text()) == 11


def test_the_context_of_a_step(tmp_path: Path) -> None:
    SEEN.clear()
    call(tmp_path, tell, run_name="p-x1", attempt=2)
    assert SEEN == [("p-x1", "p", "tell", 2)]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("attempt", "called"), [(0, False), (1, False), (2, True)])
def test_a_failure_writes_nothing_and_its_hook_is_called_after_the_last_attempt(
    tmp_path: Path, attempt: int, called: bool
) -> None:
    SEEN.clear()
    hooks = {"hooks": {"on_failure": f"{__name__}:note_failure"}}
    ended = call(tmp_path, fail, outputs=[{"name": "o"}], body=hooks, attempt=attempt, retries=2)
    assert (ended.phase, ended.message, ended.retryable) == (Phase.FAILED, "KeyError: 'key'", True)
    assert (["failure"] if called else []) == SEEN
    assert not (tmp_path / "outputs").exists()


def test_changed_files_are_refused(tmp_path: Path) -> None:
    folder = put(1, tmp_path / "x")
    (folder / DATA / "value.json").unlink()
    (folder / DATA / "value.json").write_text("2")
    (tmp_path / "inputs").mkdir()
    folder.rename(tmp_path / "inputs" / "x")
    with pytest.raises(DigestMismatchError, match="input 'x' are not those"):
        call(tmp_path, nth, {"x": {"kind": "artifact"}})


def test_what_is_no_artifact_is_refused(tmp_path: Path) -> None:
    (tmp_path / "inputs" / "x").mkdir(parents=True)
    with pytest.raises(ArtifactError, match="input 'x' is no artifact of a step"):
        call(tmp_path, nth, {"x": {"kind": "artifact"}})
    (tmp_path / "inputs" / "x").rename(tmp_path / "old")
    (tmp_path / "inputs" / "x.json").write_text('["bm8gemlw"]')
    with pytest.raises(ArtifactError, match="input 'x' is no packed artifact"):
        call(tmp_path, nth, {"x": {"kind": "artifacts"}})


def test_what_is_too_long_for_a_parameter_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "big"
    folder.mkdir()
    (folder / "x").write_bytes(Random(1).randbytes(MOST_PACKED))
    with pytest.raises(ArtifactError, match="'big' must travel as text in the workflow, but is 17"):
        pack(folder)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JSON)
def test_a_value_survives_packing(tmp_path: Path, value: Any) -> None:
    number = len(list(tmp_path.iterdir()))
    text = pack(put(value, tmp_path / f"{number}" / "a"))
    assert text == pack(tmp_path / f"{number}" / "a")
    unpack(text, tmp_path / f"{number}" / "b")
    store = Components({"artifact_store": [described_store(str(tmp_path / f"{number}" / "other"))]}).store
    loaded = load_value(read_artifact(tmp_path / f"{number}" / "b", store), store)
    assert (loaded, type(loaded)) == (value, type(value))
