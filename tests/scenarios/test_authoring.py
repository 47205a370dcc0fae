"""Ways to write a step that must all work, in each runner: annotations as text, unions, nesting, defaults."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Union

import pytest
from pydantic import BaseModel

from tests.e2e.programs import run_script
from tests.scenarios.helpers import statuses
from tiphys import Client, pipeline, step

RUNNERS = pytest.mark.parametrize("runner", ["inline", "process"])


class Settings(BaseModel):
    depth: int = 3
    name: str = "tree"


@dataclass
class Point:
    x: int
    y: int = 0


@step
def optional(x: Optional[int] = None, y: int | None = 4) -> Optional[int]:  # noqa: UP045  # the point of the test
    return None if x is None else x + (y or 0)


@step
def union(x: Union[int, str]) -> Union[int, str]:  # noqa: UP007  # the point of the test
    return x


@step
def later(point: Point, settings: Settings, mode: Literal["a", "b"] = "a") -> Annotated[Point, "moved"]:
    return Point(point.x + settings.depth, len(mode))


@step
def keywords(x: int, *, scale: float = 2.0, label: str = "none", tags: tuple[str, ...] = ("t",)) -> dict[str, Any]:
    return {"x": x * scale, "label": label, "tags": list(tags)}


@RUNNERS
def test_optional_and_union(runner: str) -> None:
    @pipeline(runner=runner)
    def p() -> None:
        optional(id="nothing")
        optional(optional(1, None, id="one"), id="chained")
        union(3, id="number")
        union(union("three", id="text"), id="text_of_text")

    steps = p().steps
    assert {name: found.output.load() for name, found in steps.items()} == {
        "nothing": None,
        "one": 1,
        "chained": 5,
        "number": 3,
        "text": "three",
        "text_of_text": "three",
    }


@RUNNERS
def test_annotations_as_text_of_classes(runner: str) -> None:
    @pipeline(runner=runner)
    def p() -> None:
        later(later(Point(1), Settings()), Settings(depth=10), mode="b")

    p()
    assert Client().get_artifact_version("moved").load() == Point(14, 1)


@RUNNERS
def test_keyword_defaults(runner: str) -> None:
    @pipeline(runner=runner)
    def p() -> None:
        keywords(1, id="defaults")
        keywords(x=2, label="given", id="some")
        keywords(3, scale=0.5, label="all", tags=("a", "b"), id="all")

    steps = p().steps
    assert steps["defaults"].output.load() == {"x": 2.0, "label": "none", "tags": ["t"]}
    assert steps["some"].output.load() == {"x": 4.0, "label": "given", "tags": ["t"]}
    assert steps["all"].output.load() == {"x": 1.5, "label": "all", "tags": ["a", "b"]}
    assert set(statuses(p()).values()) == {"cached"}


def make_step(factor: int) -> Callable[..., Any]:
    class Local(BaseModel):
        factor: int

    @step
    def scaled(x: int, how: Local | None = None) -> int:
        return x * (how.factor if how else factor)

    return scaled


@RUNNERS
def test_nested_functions_that_differ_in_what_they_enclose(runner: str) -> None:
    double, triple = make_step(2), make_step(3)

    @pipeline(runner=runner)
    def p() -> None:
        triple(double(1))

    assert p().steps["scaled_2"].output.load() == 6
    assert statuses(p()) == {"scaled": "cached", "scaled_2": "cached"}


@RUNNERS
def test_a_step_used_twice_has_names_and_artifacts_of_its_own(runner: str) -> None:
    @pipeline(runner=runner)
    def p() -> None:
        keywords(union(1), id="k")
        union(union(2))

    run = p()
    assert sorted(run.steps) == ["k", "union", "union_2", "union_3"]
    assert [run.steps[name].output.name for name in ("union", "union_2", "union_3")] == [
        "p::union::output",
        "p::union_2::output",
        "p::union_3::output",
    ]


SCRIPT = """
from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Optional

from tiphys import pipeline, step

OFFSET = 10


@dataclass
class Row:
    value: int


def helper(x: int) -> int:
    return x + OFFSET


@step
def make(x: int, name: Optional[str] = None) -> Row:
    return Row(helper(x))


@step
def read(row: Row) -> int:
    assert type(row) is Row
    return row.value


@pipeline(runner=sys.argv[1])
def p(x: int = 1):
    read(make(x))


if __name__ == "__main__":
    run = p()
    print(run.status, {name: str(found.status) for name, found in run.steps.items()}, run.steps["read"].output.load())
"""


@RUNNERS
def test_steps_and_classes_of_a_script(tmp_path: Path, runner: str) -> None:
    script = tmp_path / "project.py"
    script.write_text(textwrap.dedent(SCRIPT))
    assert run_script(script, runner) == "completed {'make': 'completed', 'read': 'completed'} 11\n"
    assert run_script(script, runner) == "completed {'make': 'cached', 'read': 'cached'} 11\n"
    script.write_text(textwrap.dedent(SCRIPT).replace("OFFSET = 10", "OFFSET = 20"))
    assert run_script(script, runner) == "completed {'make': 'completed', 'read': 'completed'} 21\n"
