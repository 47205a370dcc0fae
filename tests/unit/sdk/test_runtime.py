from __future__ import annotations

import enum
import json
import os
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest

from tiphys.engine.events import TaskFinished
from tiphys.engine.model import Phase, Reason
from tiphys.errors import ArtifactMissingError, StepCancelledError, StepTimeoutError
from tiphys.ports.ml_components import ExperimentTracker, StepInfo
from tiphys.ports.step_result import StepResult
from tiphys.records.artifacts import ArtifactRef
from tiphys.sdk.components import components_of
from tiphys.sdk.config import UnmaterializedArtifact
from tiphys.sdk.context import get_step_context
from tiphys.sdk.logs.files import live_path
from tiphys.sdk.materializing import load_value, save_value
from tiphys.sdk.registry import remember
from tiphys.sdk.runtime import report_lost, run_task
from tiphys.testing.stored_logs import read_log
from tiphys.testing.tasks import components, step_task


def result(finished: TaskFinished) -> StepResult:
    assert isinstance(finished.details, StepResult)
    return finished.details


def exception(finished: TaskFinished) -> dict[str, Any]:
    found = result(finished).exception
    assert found is not None
    return dict(found)


@pytest.fixture
def store(tmp_path):
    return components_of({"components": components(tmp_path)}).store


@pytest.fixture
def run(tmp_path):
    def run(function, **rest) -> TaskFinished:
        return run_task(step_task(function, home=tmp_path, **rest))

    return run


@pytest.fixture
def saved(store):
    def saved(value: Any, name: str = "a") -> dict[str, Any]:
        found = save_value(value, store)
        return ArtifactRef(
            version_id=f"version of {name}",
            name=name,
            digest=found.digest,
            materializer=found.materializer,
            data_type=found.data_type,
            type=found.type.value,
        ).to_json()

    return saved


@pytest.fixture
def value_of(store):
    def value_of(finished: TaskFinished, output: str = "output") -> Any:
        assert finished.phase is Phase.SUCCEEDED, finished.message
        assert finished.outputs is not None
        return load_value(ArtifactRef.from_json(finished.outputs.artifacts[output]), store)

    return value_of


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: int


class TestInputs:
    def test_plain_parameters_arrive_as_they_are(self, run, value_of):
        def step(a: int, b: str, c: list[int], d: dict[str, Any], e: float | None = None) -> list[Any]:
            return [a, b, c, d, e]

        finished = run(step, parameters={"a": 1, "b": "x", "c": [1, 2], "d": {"k": None}})
        assert value_of(finished) == [1, "x", [1, 2], {"k": None}, None]

    def test_annotations_are_obeyed(self, run, value_of):
        def step(colour: Colour, point: Point, day: date, ratio: float, pair: tuple[int, int]) -> list[str]:
            return [repr(value) for value in (colour, point.x, day, ratio, pair)]

        parameters = {"colour": "red", "point": {"x": 1, "y": 2}, "day": "2026-01-31", "ratio": 3, "pair": [1, 2]}
        assert value_of(run(step, parameters=parameters)) == [
            "<Colour.RED: 'red'>",
            "1",
            "datetime.date(2026, 1, 31)",
            "3.0",
            "(1, 2)",
        ]

    def test_a_parameter_that_does_not_fit_is_named(self, run):
        def step(point: Point) -> None: ...

        finished = run(step, parameters={"point": {"x": "far"}}, outputs=())
        assert finished.phase is Phase.ERROR
        assert "'point' of the step 'step' does not fit" in finished.message

    def test_artifacts_are_loaded(self, run, saved, value_of):
        def step(a: list[int], b: Any) -> int:
            return sum(a) + b

        assert value_of(run(step, artifacts={"a": saved([1, 2]), "b": saved(3)})) == 6

    def test_several_artifacts_and_plain_items_make_a_list(self, run, saved, value_of):
        def step(xs: list[int]) -> list[int]:
            return xs

        finished = run(
            step,
            artifacts={"xs-0": saved(10), "xs-2": saved(30)},
            parameters={"xs-1": 20},
            body={"inputs": {"xs": {"kind": "list", "length": 3}}},
        )
        assert value_of(finished) == [10, 20, 30]

    def test_an_empty_list(self, run, value_of):
        def step(xs: list[int]) -> list[int]:
            return xs

        assert value_of(run(step, body={"inputs": {"xs": {"kind": "list", "length": 0}}})) == []

    def test_an_external_artifact_stands_in_the_body(self, run, saved, value_of):
        def step(x: int) -> int:
            return x + 1

        assert value_of(run(step, body={"inputs": {"x": {"kind": "external", "ref": saved(5)}}})) == 6

    def test_a_loops_artifacts_are_a_list(self, run, saved, value_of):
        def step(xs: list[int]) -> int:
            return sum(xs)

        assert value_of(run(step, artifacts={"xs": [saved(1), saved(2)]})) == 3

    def test_an_item_is_json_or_a_place_in_a_list(self, run, saved, value_of):
        def step(x: Any) -> Any:
            return x

        stored = [(1, 2), b"two"]
        for item, expected in ((5, 5), ({"$item": 0}, (1, 2)), ({"$item": 1}, b"two")):
            finished = run(
                step,
                parameters={"x": item},
                artifacts={"x-list": saved(stored)},
                body={"inputs": {"x": {"kind": "item"}}},
            )
            assert value_of(finished) == expected

    def test_an_item_of_a_loops_artifacts(self, run, saved, value_of):
        def step(x: Any) -> Any:
            return x

        finished = run(
            step,
            parameters={"x": {"$item": 1}},
            artifacts={"x-list": [saved("a"), saved("b")]},
            body={"inputs": {"x": {"kind": "item"}}},
        )
        assert value_of(finished) == "b"

    def test_an_unmaterialized_artifact_is_described(self, run, saved, value_of):
        def step(a: UnmaterializedArtifact) -> str:
            return f"{a.id} {a.name} {Path(a.uri).is_dir()}"

        assert value_of(run(step, artifacts={"a": saved(object, name="n")})) == "version of n n True"

    def test_a_missing_input_is_named(self, run):
        def step(a: int) -> None: ...

        finished = run(step, outputs=(), body={"inputs": {"a": {"kind": "artifact"}}})
        assert "without its input 'a'" in finished.message

    def test_a_deleted_artifact_is_an_error(self, run, saved, store):
        def step(a: int) -> None: ...

        reference = saved(1)
        store.delete(reference["digest"])
        finished = run(step, outputs=(), artifacts={"a": reference})
        assert finished.phase is Phase.ERROR
        assert exception(finished)["type"].endswith(ArtifactMissingError.__name__)


class TestOutputs:
    def test_one_output(self, run, value_of, store):
        def step() -> int:
            return 7

        finished = run(step)
        assert value_of(finished) == 7
        (output,) = result(finished).outputs
        assert (output.output, output.ref.name, output.has_custom_name, output.store) == (
            "output",
            "p::step::output",
            False,
            "default",
        )
        assert store.exists(output.ref.digest)

    def test_several_outputs(self, run, value_of):
        def step() -> tuple[int, str]:
            return 1, "b"

        finished = run(step, outputs=("output_0", "output_1"))
        assert (value_of(finished, "output_0"), value_of(finished, "output_1")) == (1, "b")

    def test_no_output(self, run):
        def step() -> None:
            return None

        finished = run(step, outputs=())
        assert finished.phase is Phase.SUCCEEDED
        assert finished.outputs is not None
        assert finished.outputs.artifacts == {}

    def test_the_environment_is_the_steps_alone(self, run, value_of, monkeypatch):
        monkeypatch.setenv("TIPHYS_TEST_A", "before")

        def step() -> list[str | None]:
            return [os.environ.get("TIPHYS_TEST_A"), os.environ.get("TIPHYS_TEST_B")]

        finished = run(step, body={"environment": {"TIPHYS_TEST_A": "during", "TIPHYS_TEST_B": 5}})
        assert value_of(finished) == ["during", "5"]
        assert (os.environ["TIPHYS_TEST_A"], os.environ.get("TIPHYS_TEST_B")) == ("before", None)

    @pytest.mark.parametrize(
        ("returned", "outputs", "expected"),
        [
            (5, (), "returned a value of type int, but has no outputs"),
            (5, ("a", "b"), "has the outputs 'a', 'b', but returned one int"),
            ((1, 2, 3), ("a", "b"), "has the outputs 'a', 'b', but returned 3 values"),
        ],
    )
    def test_the_number_of_values_is_checked(self, run, returned, outputs, expected):
        def step():
            return returned

        finished = run(step, outputs=outputs)
        assert finished.phase is Phase.FAILED
        assert expected in finished.message

    def test_a_wrong_type_names_the_output(self, run):
        def step() -> int:
            return "text"  # type: ignore[return-value]  # the point of the test

        finished = run(step)
        assert finished.phase is Phase.FAILED
        assert "output 'output' of the step 'step' has the wrong type: expected int, got str" in finished.message

    def test_a_custom_output_is_checked_too(self, run):
        def step() -> tuple[Annotated[int, "n"], Annotated[str, "t"]]:
            return 1, 2  # type: ignore[return-value]  # the point of the test

        assert "output 't'" in run(step, outputs=("n", "t")).message

    def test_what_the_definition_says_is_passed_on(self, run):
        def step() -> int:
            get_step_context().add_output_metadata({"from": "step"})
            get_step_context().add_output_tags(["b"])
            return 1

        declared = {
            "name": "n",
            "artifact_name": "n",
            "version": 44,
            "tags": ["a"],
            "metadata": {"from": "definition", "k": 1},
            "artifact_type": "ModelArtifact",
        }
        (output,) = result(run(step, outputs=(declared,))).outputs
        assert (output.ref.name, output.version, output.tags, output.has_custom_name) == ("n", "44", ("a", "b"), True)
        assert output.ref.type == "ModelArtifact"
        assert output.metadata == {**output.metadata, "from": "step", "k": 1}

    def test_placeholders_in_names(self, run):
        def step() -> int:
            return 1

        declared = {"name": "n", "artifact_name": "{date}-{who}-{time}"}
        context = {"substitutions": {"date": "D", "time": "T", "who": "me"}}
        (output,) = result(run(step, outputs=(declared,), context=context)).outputs
        assert output.ref.name == "D-me-T"
        finished = run(step, outputs=({"name": "n", "artifact_name": "{nobody}"},))
        assert "unknown placeholder {nobody}" in finished.message

    def test_an_exposed_output_is_passed_as_json(self, run):
        def step() -> dict[str, Any]:
            return {"a": [1, "x"]}

        finished = run(step, outputs=({"name": "output", "exposed": True},))
        assert finished.outputs is not None
        assert json.loads(finished.outputs.parameters["output"]) == {"a": [1, "x"]}

    def test_an_exposed_output_needs_a_json_form(self, run):
        def step() -> Any:
            return object

        finished = run(step, outputs=({"name": "output", "exposed": True},))
        assert "'output' is used in a condition" in finished.message

    def test_a_mapped_output_is_passed_by_items(self, run):
        def step() -> list[Any]:
            return [1, "two", {"k": 3}, (4, 5), {"$item": 6}, float("nan"), "x" * 10_000]

        finished = run(step, outputs=({"name": "output", "mapped": True},))
        assert finished.outputs is not None
        items = [json.loads(text) for text in json.loads(finished.outputs.parameters["output-items"])]
        assert items == [1, "two", {"k": 3}, {"$item": 3}, {"$item": 4}, {"$item": 5}, {"$item": 6}]

    @pytest.mark.parametrize("value", [[], 5, "text", {"a": 1}])
    def test_only_a_list_with_elements_can_be_mapped(self, run, value):
        def step():
            return value

        finished = run(step, outputs=({"name": "output", "mapped": True},))
        assert finished.phase is Phase.FAILED
        assert "'output' is mapped over" in finished.message

    def test_a_coroutine_is_awaited(self, run, value_of):
        async def step() -> int:
            return 8

        assert value_of(run(step)) == 8


class TestFailures:
    def test_an_exception_is_reported(self, run):
        def step() -> None:
            raise ValueError("no good")

        finished = run(step, outputs=())
        assert (finished.phase, finished.message) == (Phase.FAILED, "ValueError: no good")
        assert (finished.retryable, finished.reason) == (True, Reason.NONE)
        told = exception(finished)
        assert (told["type"], told["message"]) == ("ValueError", "no good")
        assert told["location"] == f"{__file__}:{step.__code__.co_firstlineno + 1}"
        assert "_execute" not in told["traceback"]

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
    def test_an_interrupt_is_never_tried_again(self, run, error):
        def step() -> None:
            raise error

        finished = run(step, outputs=())
        assert finished.phase is Phase.FAILED
        assert not finished.retryable

    @pytest.mark.parametrize(
        ("retry", "expected"),
        [
            ({"only": ["ValueError"]}, True),
            ({"only": ["builtins.Exception"]}, True),
            ({"only": ["builtins:OSError"]}, False),
            ({"never": ["ValueError"]}, False),
            ({"never": ["OSError"]}, True),
            ({"only": ["Exception"], "never": ["builtins:ValueError"]}, False),
            ({"only": [], "never": []}, True),
        ],
    )
    def test_filters_of_exceptions(self, run, retry, expected):
        def step() -> None:
            raise ValueError

        assert run(step, outputs=(), body={"retry": retry}).retryable is expected

    def test_a_cancelled_step_is_stopped(self, run):
        def step() -> None:
            raise StepCancelledError("stop")

        finished = run(step, outputs=())
        assert (finished.reason, finished.retryable) == (Reason.STOPPED, False)

    @pytest.mark.parametrize("error", [StepCancelledError("stop"), StepTimeoutError("late")])
    def test_after_its_deadline_it_timed_out(self, run, error):
        def step() -> None:
            raise error

        finished = run(step, outputs=(), deadline=1.0)
        assert (finished.reason, finished.retryable) == (Reason.TIMED_OUT, True)

    def test_a_function_that_is_nowhere_is_an_error(self, run):
        finished = run(lambda: None, outputs=(), body={"source": "no.such.module:step"})
        assert finished.phase is Phase.ERROR
        assert "'no.such.module:step' cannot be found" in finished.message

    def test_without_an_artifact_store_nothing_runs(self, run):
        called = []
        finished = run(called.append, context={"components": {}})
        assert (finished.phase, called) == (Phase.ERROR, [])
        assert "without an artifact store" in finished.message


class TestHooks:
    @pytest.fixture
    def hooks(self) -> tuple[dict[str, str], list[Any]]:
        calls: list[Any] = []

        def on_failure(error: BaseException) -> None:
            calls.append(("on_failure", error))

        remember("hooks:on_failure", "", on_failure)
        for name in ("on_start", "on_end", "on_success"):
            remember(f"hooks:{name}", "", _noted(name, calls))
        return {name: f"hooks:{name}" for name in ("on_start", "on_end", "on_success", "on_failure")}, calls

    def test_after_success(self, run, hooks):
        sources, calls = hooks
        assert run(lambda: 1, body={"hooks": sources}).phase is Phase.SUCCEEDED
        assert calls == ["on_start", "on_success", "on_end"]

    def test_on_success_comes_after_the_outputs_are_stored(self, run, store):
        seen = []

        def on_success() -> None:
            seen.append(len(list(store.list_trees())))

        remember("hooks:stored", "", on_success)
        run(lambda: 1, body={"hooks": {"on_success": "hooks:stored"}})
        assert seen == [1]

    def test_on_failure_is_told_at_the_last_attempt_only(self, run, hooks):
        sources, calls = hooks
        problem = ValueError("x")

        def step() -> None:
            raise problem

        run(step, outputs=(), body={"hooks": sources}, last_attempt=False)
        assert calls == ["on_start", "on_end"]
        run(step, outputs=(), body={"hooks": sources})
        assert calls[2:] == ["on_start", ("on_failure", problem), "on_end"]

    def test_on_failure_is_told_if_no_attempt_can_follow(self, run, hooks):
        sources, calls = hooks

        def step() -> None:
            raise SystemExit(2)

        run(step, outputs=(), body={"hooks": sources}, last_attempt=False)
        assert [call if isinstance(call, str) else call[0] for call in calls] == ["on_start", "on_failure", "on_end"]

    def test_unsaved_outputs_are_a_failure(self, run, hooks):
        sources, calls = hooks

        def step() -> int:
            return "text"  # type: ignore[return-value]  # the point of the test

        run(step, body={"hooks": sources})
        assert [call if isinstance(call, str) else call[0] for call in calls] == ["on_start", "on_failure", "on_end"]

    def test_a_stopped_step_did_not_fail(self, run, hooks):
        sources, calls = hooks

        def step() -> None:
            raise StepCancelledError("stop")

        run(step, outputs=(), body={"hooks": sources})
        assert calls == ["on_start", "on_end"]

    def test_a_raising_hook_is_recorded_and_does_no_harm(self, run):
        def broken() -> None:
            raise RuntimeError("hook")

        remember("hooks:broken", "", broken)
        finished = run(lambda: 1, body={"hooks": dict.fromkeys(("on_start", "on_success", "on_end"), "hooks:broken")})
        assert finished.phase is Phase.SUCCEEDED
        assert result(finished).hook_errors == dict.fromkeys(("on_start", "on_success", "on_end"), "RuntimeError: hook")

    def test_a_hook_may_use_the_context(self, run):
        def hook() -> None:
            get_step_context().log_step_metadata({"hooked": True})

        remember("hooks:context", "", hook)
        assert result(run(lambda: 1, body={"hooks": {"on_success": "hooks:context"}})).metadata == {"hooked": True}


def _noted(name: str, calls: list[Any]):
    def hook() -> None:
        calls.append(name)

    return hook


class TestLogs:
    def test_output_is_stored(self, run, store):
        def step() -> None:
            print("hello")

        digest = result(run(step, outputs=())).log_digest
        assert [(line.source, line.text) for line in read_log(store, digest or "")] == [("stdout", "hello")]

    def test_a_failing_steps_too(self, run):
        def step() -> None:
            print("hello")
            raise ValueError

        assert result(run(step, outputs=())).log_digest is not None

    def test_silence_is_not_stored(self, run):
        assert result(run(lambda: 1)).log_digest is None

    def test_they_can_be_turned_off(self, run):
        def step() -> None:
            print("hello")

        assert result(run(step, outputs=(), body={"enable_step_logs": False})).log_digest is None

    def test_a_stopped_steps_log_stays_where_it_was_live(self, run, tmp_path):
        def step() -> None:
            print("last words")
            raise StepCancelledError("stop")

        finished = run(step, outputs=(), context={"run_id": "r"})
        assert result(finished).log_digest is None
        assert "stdout last words" in live_path(tmp_path, "r", "step", 0).read_text()

    def test_a_lost_process_leaves_its_live_log(self, tmp_path, store):
        task = step_task(lambda: 1, home=tmp_path, name="s")
        path = live_path(tmp_path, task.context["run_id"], "s", 0)
        path.parent.mkdir(parents=True)
        path.write_text("2026-01-31T12:00:00.000000Z stdout last words\n")
        finished = report_lost(task, "died", started_at=5.0)
        assert (finished.phase, finished.message, finished.retryable) == (Phase.ERROR, "died", True)
        assert [line.text for line in read_log(store, result(finished).log_digest or "")] == ["last words"]
        assert not path.exists()


class Tracker(ExperimentTracker):
    """Notes what it is told."""

    calls: ClassVar[list[tuple[Any, ...]]] = []
    broken: ClassVar[set[str]] = set()

    def start(self, step: StepInfo) -> dict[str, Any]:
        self.calls.append(("start", self.name, step.step_name, dict(step.settings)))
        if "start" in self.broken:
            raise RuntimeError("no server")
        return {f"{self.name}_url": Path("x")}

    def end(self, step: StepInfo, *, failed: bool) -> None:
        self.calls.append(("end", self.name, failed))
        if "end" in self.broken:
            raise RuntimeError("no server")


class TestTrackers:
    @pytest.fixture
    def tracked(self, tmp_path, monkeypatch):
        monkeypatch.setattr(Tracker, "calls", [])
        monkeypatch.setattr(Tracker, "broken", set())
        monkeypatch.setitem(sys.modules, "tracker_of_this_test", sys.modules[__name__])
        described = {"name": "t", "implementation": "tracker_of_this_test:Tracker", "config": {"n": str(tmp_path)}}
        return {
            "context": {"components": {**components(tmp_path), "experiment_tracker": [described]}},
            "body": {"experiment_tracker": ["t"], "settings": {"experiment_tracker": {"nested": True}}},
        }

    def test_around_the_function(self, run, tracked):
        finished = run(lambda: Tracker.calls.append(("step",)), outputs=(), name="s", **tracked)
        assert finished.phase is Phase.SUCCEEDED
        assert Tracker.calls == [("start", "t", "s", {"nested": True}), ("step",), ("end", "t", False)]
        assert result(finished).metadata == {"t_url": "x"}

    def test_they_learn_of_a_failure(self, run, tracked):
        def step() -> None:
            raise ValueError

        run(step, outputs=(), **tracked)
        assert Tracker.calls[-1] == ("end", "t", True)

    def test_one_that_cannot_start_fails_the_step(self, run, tracked):
        Tracker.broken.add("start")
        called: list[int] = []
        finished = run(lambda: called.append(1), outputs=(), **tracked)
        assert (finished.phase, finished.message, called) == (Phase.ERROR, "RuntimeError: no server", [])

    def test_one_that_cannot_end_is_recorded(self, run, tracked):
        Tracker.broken.add("end")
        finished = run(lambda: 1, **tracked)
        assert finished.phase is Phase.SUCCEEDED
        assert result(finished).hook_errors == {"experiment_tracker t": "RuntimeError: no server"}

    def test_unnamed_ones_are_left_alone(self, run, tracked):
        run(lambda: 1, **{**tracked, "body": {}})
        assert Tracker.calls == []

    def test_one_that_the_stack_lacks_is_an_error(self, run, tracked):
        finished = run(lambda: 1, **{**tracked, "body": {"experiment_tracker": ["other"]}})
        assert "no experiment tracker 'other'" in finished.message


def test_what_a_step_says_travels_with_its_result(run):
    def step() -> None:
        context = get_step_context()
        context.log_step_metadata({"a": 1})
        context.log_run_metadata({"b": 2})
        context.add_run_tags(["t"])

    finished = result(run(step, outputs=()))
    assert finished.metadata == {"a": 1}
    assert [(kind, dict(values)) for kind, _, values in finished.other_metadata] == [("run", {"b": 2})]
    assert [(kind, tag) for kind, _, tag in finished.tags] == [("run", "t")]
    assert StepResult.from_json(json.loads(json.dumps(finished.to_json()))) == finished


def test_components_are_built_once(tmp_path):
    first = components_of({"components": components(tmp_path)})
    assert components_of({"components": components(tmp_path)}) is first
    assert components_of({"components": components(tmp_path / "other")}) is not first
