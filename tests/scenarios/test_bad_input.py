"""Mistakes are told before anything runs: what is wrong, in which pipeline, step and parameter, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import pytest

from tiphys import ArtifactConfig, CachePolicy, Client, ExecutionMode, ExternalArtifact, pipeline, step
from tiphys.errors import TiphysError

CALLS: list[str] = []


@pytest.fixture(autouse=True)
def forget() -> None:
    CALLS.clear()


@step
def make(x: int = 1) -> int:
    CALLS.append("make")
    return x


@step
def use(x: int, label: str = "a") -> int:
    CALLS.append("use")
    return x


@step
def pair() -> tuple[int, int]:
    CALLS.append("pair")
    return 1, 2


@step
def show(thing: Any) -> None:
    CALLS.append("show")


def missing_argument() -> None:
    use()


def unknown_argument() -> None:
    use(make(), lable="b")


def unknown_output() -> None:
    use(pair()["third"])


def several_outputs_for_one_parameter() -> None:
    use(pair())


def circle() -> None:
    first = make(id="first", after="last")
    use(first, id="last")


def unserialisable() -> None:
    show(object())


def wrong_type() -> None:
    use("text")


def duplicate_id() -> None:
    make(id="same")
    use(make(), id="same")


def unknown_step_after() -> None:
    make(after="mkae")


def absent_artifact() -> None:
    use(ExternalArtifact(id="0123456789abcdef0123456789abcdef"))


def looked_up_artifact() -> None:
    use(Client().get_artifact_version("elsewhere", "7"))


def absent_component() -> None:
    use.with_options(experiment_tracker="nowhere")(1)


def missing_file() -> None:
    use.with_options(cache_policy=CachePolicy(file_dependencies=["/nonexistent/listed.txt"]))(1)


@step
def stored_oddly() -> Annotated[int, ArtifactConfig(name="odd", format="skip")]:
    CALLS.append("stored_oddly")
    return 1


def unknown_format() -> None:
    stored_oddly()


MISTAKES: dict[Callable[[], None], tuple[str, ...]] = {
    missing_argument: ("'use'", "pipeline 'p'", "parameter 'x'", "use(x=...)"),
    unknown_argument: ("'use'", "pipeline 'p'", "'lable'", "Did you mean 'label'?"),
    unknown_output: ("'third'", "'pair'", "pipeline 'p'", "output_0", "output_1"),
    several_outputs_for_one_parameter: ("'use'", "pipeline 'p'", "'x'", "'pair'", "output_0"),
    circle: ("pipeline 'p'", "circle", "first → last → first", "after="),
    unserialisable: ("'thing'", "step 'show'", "pipeline 'p'", "ExternalArtifact"),
    wrong_type: ("'x'", "step 'use'", "pipeline 'p'", "expected int, got str"),
    duplicate_id: ("Pipeline 'p'", "'same'", "'make'", "'use'", "another id"),
    unknown_step_after: ("'make'", "pipeline 'p'", "'mkae'", "Did you mean 'make'?"),
    absent_artifact: ("'x'", "step 'use'", "pipeline 'p'", "0123456789abcdef", "tiphys artifact list"),
    looked_up_artifact: ("'elsewhere'", "tiphys artifact list"),
    absent_component: ("'use'", "pipeline 'p'", "'nowhere'", "tiphys experiment-tracker"),
    unknown_format: ("'odd'", "step 'stored_oddly'", "pipeline 'p'", "'skip'", "skops"),
    missing_file: ("'use'", "pipeline 'p'", "/nonexistent/listed.txt"),
}


@pytest.mark.parametrize("body", MISTAKES, ids=lambda body: body.__name__)
def test_a_mistake_is_told_before_anything_runs(body: Callable[[], None]) -> None:
    with pytest.raises(TiphysError) as caught:
        pipeline(name="p")(body)()
    assert CALLS == []
    assert Client().list_pipeline_runs() == []
    for part in MISTAKES[body]:
        assert part in str(caught.value), f"{part!r} is not in: {caught.value}"


def test_a_failure_mode_that_the_orchestrator_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    from tiphys.integrations.local.orchestrator import LocalOrchestrator

    monkeypatch.setattr(
        LocalOrchestrator, "supported_execution_modes", frozenset({ExecutionMode.CONTINUE_ON_FAILURE.value})
    )

    @pipeline(execution_mode=ExecutionMode.FAIL_FAST)
    def p() -> None:
        use(make())

    with pytest.raises(ValueError) as caught:
        p()
    assert CALLS == []
    assert Client().list_pipeline_runs() == []
    for part in ("'p'", "FAIL_FAST", "'default'", "CONTINUE_ON_FAILURE"):
        assert part in str(caught.value), str(caught.value)


def test_a_parameter_of_the_pipeline() -> None:
    @pipeline
    def p(x: int, y: int = 1) -> None:
        use(x)

    for call, parts in (
        (lambda: p(), ("'p'", "'x'")),
        (lambda: p(1, z=1), ("'p'", "'z'")),
        (lambda: p("text"), ("'p'", "'x'", "expected int, got str")),
    ):
        with pytest.raises(TiphysError) as caught:
            call()
        for part in parts:
            assert part in str(caught.value)
    assert CALLS == []


def test_an_output_name_that_is_taken() -> None:
    def twice() -> tuple[Annotated[int, "a"], Annotated[int, ArtifactConfig(name="a")]]:
        return 1, 2

    with pytest.raises(TiphysError) as caught:
        step(twice)
    assert "'a'" in str(caught.value)
    assert "twice" in str(caught.value)
