"""From a pipeline's body to a workflow."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import pytest

from tiphys import (
    ArtifactConfig,
    CachePolicy,
    ExecutionMode,
    ExternalArtifact,
    Model,
    StepRetryConfig,
    Tag,
    UnmaterializedArtifact,
    pipeline,
    step,
    unmapped,
)
from tiphys.errors import DefinitionError
from tiphys.sdk.compiled import CompiledPipeline
from tiphys.sdk.compiler.compile import compile_pipeline
from tiphys.sdk.registry import resolve
from tiphys.spec.template import DAGTask, Template


@step
def one() -> int:
    return 1


@step
def inc(x: int, by: int = 1) -> int:
    """Adds. {{not.a.tag}}"""
    return x + by


@step
def total(xs: list[int]) -> int:
    return sum(xs)


@step
def pair(x: int) -> tuple[Annotated[int, "a"], Annotated[bool, "b"]]:
    return x, True


@step
def numbers() -> list[int]:
    return [1, 2, 3]


@step
def show(text: Any = None) -> None:
    print(text)


def compiled(body: Callable[..., Any], **options: Any) -> CompiledPipeline:
    return pipeline(name="p", **options)(body).compile()


def tasks(found: CompiledPipeline) -> dict[str, DAGTask]:
    spec = found.workflow.spec
    assert spec is not None
    entry = templates(found)[spec.entrypoint or ""]
    assert entry.dag is not None
    return {task.name or "": task for task in entry.dag.tasks or ()}


def templates(found: CompiledPipeline) -> dict[str, Template]:
    assert found.workflow.spec is not None
    return {template.name or "": template for template in found.workflow.spec.templates or ()}


def body_of(found: CompiledPipeline, task: str) -> dict[str, Any]:
    template = templates(found)[tasks(found)[task].template or ""]
    assert template.plugin is not None
    body: dict[str, Any] = template.plugin["tiphys"]
    return body


def parameters(task: DAGTask) -> dict[str | None, str | None]:
    return {p.name: p.value for p in (task.arguments.parameters if task.arguments else None) or ()}


def artifacts(task: DAGTask) -> dict[str | None, str | None]:
    return {a.name: a.from_ for a in (task.arguments.artifacts if task.arguments else None) or ()}


# What is called ------------------------------------------------------------------------------------------------------


def test_a_chain_shares_templates_and_carries_data() -> None:
    def body() -> None:
        x: Any = 0
        for _ in range(3):
            x = inc(x)

    found = compiled(body)
    assert list(tasks(found)) == ["inc", "inc-2", "inc-3"]
    assert [task.template for task in tasks(found).values()] == ["inc", "inc-2", "inc-2"]
    assert set(templates(found)) == {"p", "inc", "inc-2"}
    assert [task.depends for task in tasks(found).values()] == [None, "inc.Succeeded", "inc-2.Succeeded"]
    assert artifacts(tasks(found)["inc-3"]) == {"x": "{{tasks.inc-2.outputs.artifacts.output}}"}
    assert parameters(tasks(found)["inc"]) == {"x": "0", "by": "1"}
    assert list(found.steps) == ["inc", "inc_2", "inc_3"]


def test_the_whole_is_a_workflow() -> None:
    found = compiled(lambda: one(), parallelism=3, timeout="1.5s", execution_mode="STOP_ON_FAILURE")
    data = found.workflow.to_json()
    assert data["metadata"] == {
        "generateName": "p-",
        "annotations": {"tiphys.dev/execution-mode": "STOP_ON_FAILURE", "tiphys.dev/pipeline": "p"},
    }
    assert data["spec"]["entrypoint"] == "p"
    assert (data["spec"]["parallelism"], data["spec"]["activeDeadlineSeconds"]) == (3, 2)
    assert data["spec"]["templates"][0] == {
        "name": "p",
        "dag": {"failFast": True, "tasks": [{"name": "one", "template": "one"}]},
    }
    assert data["spec"]["templates"][1]["outputs"] == {"artifacts": [{"name": "output"}]}
    assert json.loads(json.dumps(data)) == data


def test_the_body_of_a_step() -> None:
    found = compiled(lambda: inc(1))
    body = body_of(found, "inc")
    assert body["step"] == "inc"
    assert body["source"] == f"{__name__}:inc"
    assert set(body["code_parts"]) == {f"{__name__}:inc", f"{__name__}:inc default of by"}
    assert body["inputs"] == {"x": {"kind": "parameter"}, "by": {"kind": "parameter"}}
    assert body["cache"]["enabled"] is True
    assert body["pipeline"] == "p"
    assert "{{" not in json.dumps(body)
    assert resolve(body["source"], body["code_digest"]) is inc.entrypoint


def test_lists_of_outputs_and_values() -> None:
    def body() -> None:
        total([inc(1), 5, pair(2)[0]])

    found = compiled(body)
    task = tasks(found)["total"]
    assert artifacts(task) == {
        "xs-0": "{{tasks.inc.outputs.artifacts.output}}",
        "xs-2": "{{tasks.pair.outputs.artifacts.a}}",
    }
    assert parameters(task) == {"xs-1": "5"}
    assert task.depends == "inc.Succeeded && pair.Succeeded"
    assert body_of(found, "total")["inputs"] == {"xs": {"kind": "list", "length": 3}}
    template = templates(found)["total"]
    assert template.inputs is not None
    assert [a.name for a in template.inputs.artifacts or ()] == ["xs-0", "xs-2"]


def test_an_empty_list_is_a_parameter() -> None:
    assert parameters(tasks(compiled(lambda: total([])))["total"]) == {"xs": "[]"}


def test_order_without_data() -> None:
    def body() -> None:
        shown = show("a")
        first = one(after="later")
        pair(1, after=[shown, first, "show"], id="both")
        inc(2, id="later")

    found = tasks(compiled(body))
    assert found["one"].depends == "later"
    assert found["both"].depends == "show && one"


def test_a_dependency_with_data_counts_once() -> None:
    def body() -> None:
        x = one()
        inc(x, after=x)

    assert tasks(compiled(body))["inc"].depends == "one.Succeeded"


def test_ids() -> None:
    def body() -> None:
        one(id="one_2")
        one()
        one()
        one()
        one(id="a-b")

    found = compiled(body)
    assert list(found.steps) == ["one_2", "one", "one_3", "one_4", "a-b"]
    assert found.workflow.metadata is not None
    assert json.loads((found.workflow.metadata.annotations or {})["tiphys.dev/step-names"]) == {"step-a-b": "a-b"}


def test_a_pipeline_in_a_pipeline() -> None:
    @pipeline(enable_cache=False)
    def inner(x: int, by: int = 2) -> Any:
        return inc(inc(x), by)

    def body() -> None:
        total([inner(1), inner(one(), by=3)])

    found = compiled(body)
    assert list(found.steps) == ["inc", "inc_2", "one", "inc_3", "inc_4", "total"]
    assert parameters(tasks(found)["inc-4"]) == {"by": "3"}


def test_arguments_of_the_pipeline() -> None:
    @pipeline
    def p(x: int, y: float = 0.5, *, data: Any = None) -> None:
        inc(x)
        show(data)

    found = p.compile(3, data=[1])
    assert found.parameters == {"x": 3, "y": 0.5, "data": [1]}
    assert parameters(tasks(found)["show"]) == {"text": "[1]"}
    assert p.with_options(parameters={"x": 4, "y": 1}).compile(y=2).parameters == {"x": 4, "y": 2, "data": None}


def test_a_default_without_json_form_is_left_to_the_function() -> None:
    marker = object()

    @step
    def s(x: Any = marker, y: int | None = None) -> None: ...

    assert parameters(tasks(compiled(lambda: s()))["s"]) == {"y": "null"}


def test_external_artifacts_are_not_parameters() -> None:
    frame = ExternalArtifact(pd.DataFrame({"a": [1]}))
    stored = []

    class Store:
        def reference(self, source: Any) -> dict[str, Any]:
            stored.append(source)
            return {"version_id": "v1", "digest": "sha256:1"}

        def trackers(self) -> list[str]:
            return ["the-only"]

    @pipeline
    def p() -> None:
        show(frame)
        show(frame)
        show.with_options(name="tracked", experiment_tracker=True)(1)

    found = compile_pipeline(p, {}, surroundings=Store())
    assert body_of(found, "show")["inputs"] == {
        "text": {"kind": "external", "ref": {"version_id": "v1", "digest": "sha256:1"}}
    }
    assert stored == [frame]
    assert tasks(found)["show"].arguments == tasks(found)["show-2"].arguments
    assert tasks(found)["show"].template == tasks(found)["show-2"].template
    assert body_of(found, "tracked")["experiment_tracker"] == ["the-only"]


def test_unmaterialized_inputs_are_marked() -> None:
    @step
    def s(x: UnmaterializedArtifact) -> None: ...

    assert body_of(compiled(lambda: s(one())), "s")["inputs"] == {"x": {"kind": "artifact", "unmaterialized": True}}


# Conditions and loops ------------------------------------------------------------------------------------------------


def test_conditions() -> None:
    def body() -> None:
        x = one()
        _, b = pair(x)
        inc(2, when=(x > 0) & b)
        show("never", when=False)
        show("always", when=True)

    found = compiled(body)
    task = tasks(found)["inc"]
    assert task.when == (
        "({{tasks.one.outputs.parameters.output}} > 0) && ({{tasks.pair.outputs.parameters.b}} == true)"
    )
    assert task.depends == "one.Succeeded && pair.Succeeded"
    assert [output["exposed"] for output in body_of(found, "pair")["outputs"]] == [False, True]
    template = templates(found)["pair"]
    assert template.outputs is not None
    assert [p.name for p in template.outputs.parameters or ()] == ["b"]
    assert (tasks(found)["show"].when, tasks(found)["show-2"].when) == ("true == false", None)


def test_only_the_call_that_is_asked_exposes_its_value() -> None:
    def body() -> None:
        one()
        x = one()
        show(when=x == 1)

    found = compiled(body)
    assert [body_of(found, name)["outputs"][0]["exposed"] for name in ("one", "one-2")] == [False, True]


def test_map_over_an_output() -> None:
    def body() -> None:
        doubled = inc.map(numbers(), by=unmapped(one()))
        total(doubled)

    found = compiled(body)
    task = tasks(found)["inc"]
    assert task.with_param == "{{tasks.numbers.outputs.parameters.output-items}}"
    assert parameters(task) == {"x": "{{item}}"}
    assert artifacts(task) == {
        "x-list": "{{tasks.numbers.outputs.artifacts.output}}",
        "by": "{{tasks.one.outputs.artifacts.output}}",
    }
    assert body_of(found, "inc")["inputs"] == {"x": {"kind": "item"}, "by": {"kind": "artifact"}}
    assert body_of(found, "numbers")["outputs"][0]["mapped"] is True
    assert artifacts(tasks(found)["total"]) == {"xs": "{{tasks.inc.outputs.artifacts.output}}"}
    assert body_of(found, "total")["inputs"] == {"xs": {"kind": "artifacts"}}


def test_map_over_a_map() -> None:
    def body() -> None:
        total(inc.map(inc.map(numbers())))

    found = compiled(body)
    task = tasks(found)["inc-2"]
    assert task.with_param == "{{tasks.numbers.outputs.parameters.output-indexes}}"
    assert artifacts(task) == {"x-list": "{{tasks.inc.outputs.artifacts.output}}"}
    assert task.depends == "inc.Succeeded"
    assert [body_of(found, "numbers")["outputs"][0][use] for use in ("exposed", "mapped", "indexed")] == [
        False,
        True,
        True,
    ]


def test_map_over_lists() -> None:
    def body() -> None:
        first, second = pair.map([1, 2, 3])
        total(first)
        inc.map(first, by=[4, 5, 6])
        inc.map(x=range(2), by=unmapped(7), id="named")
        assert len(second) == 3

    found = compiled(body)
    assert list(found.steps) == [
        *("pair", "pair_2", "pair_3", "total", "inc", "inc_2", "inc_3", "named", "named_2"),
    ]
    assert artifacts(tasks(found)["total"])["xs-2"] == "{{tasks.pair-3.outputs.artifacts.a}}"
    assert parameters(tasks(found)["inc-2"]) == {"by": "5"}
    assert parameters(tasks(found)["named-2"]) == {"x": "1", "by": "7"}


def test_product() -> None:
    def body() -> None:
        assert len(inc.product([1, 2], [3, 4, 5])) == 6

    found = tasks(compiled(body))
    assert [tuple(parameters(task).values()) for task in found.values()] == [
        *(("1", "3"), ("1", "4"), ("1", "5"), ("2", "3"), ("2", "4"), ("2", "5")),
    ]


# Options -------------------------------------------------------------------------------------------------------------


def test_retries_and_timeouts() -> None:
    class Own(Exception):
        pass

    retried = one.with_options(
        retry=StepRetryConfig(
            max_retries=3, delay=0.5, backoff=1.5, max_delay=60, jitter=0.1, only=[OSError], never=[Own, "a:b"]
        ),
        timeout=90,
    )
    found = compiled(lambda: retried())
    template = templates(found)["one"].to_json()
    assert template["timeout"] == "90s"
    assert template["retryStrategy"] == {
        "limit": 3,
        "retryPolicy": "Always",
        "backoff": {"duration": "0.5s", "factor": "1.5", "cap": "60s"},
    }
    assert body_of(found, "one")["retry"] == {
        "only": ["builtins:OSError"],
        "never": [f"{__name__}:test_retries_and_timeouts.<locals>.Own", "a:b"],
        "jitter": 0.1,
    }


@pytest.mark.parametrize(
    ("run", "step_level", "pipeline_level", "expected"),
    [
        (None, None, None, True),
        (None, None, False, False),
        (None, True, False, True),
        (False, True, True, False),
        (True, False, False, True),
    ],
)
def test_levels_of_caching(
    run: bool | None, step_level: bool | None, pipeline_level: bool | None, expected: bool
) -> None:
    chosen = one.with_options(enable_cache=step_level, cache_policy=CachePolicy(expires_after=3))

    @pipeline(name="p", enable_cache=pipeline_level, cache_policy="no_cache")
    def p() -> None:
        chosen()

    cache = body_of(p.with_options(enable_cache=run).compile(), "one")["cache"]
    assert (cache["enabled"], cache["expires_after"]) == (expected, 3)
    off = body_of(p.with_options(cache_policy="no_cache", enable_cache=True).compile(), "one")["cache"]
    assert off["enabled"] is False


def test_steps_inherit_and_override() -> None:
    def hook() -> None: ...

    def own() -> None: ...

    @pipeline(
        settings={"a": 1, "b": 1}, environment={"E": "1"}, on_failure=hook, on_start=hook, retry=2, extra={"x": 1}
    )
    def p() -> None:
        one.with_options(settings={"b": 2}, on_failure=own, environment={"F": "2"}, extra={"y": 2})()

    found = p.with_options(settings={"c": 3}, steps={"one": {"settings": {"a": 9}}}, retry=1).compile()
    body = body_of(found, "one")
    assert body["settings"] == {"a": 9, "b": 2, "c": 3}
    assert body["environment"] == {"E": "1", "F": "2"}
    assert body["cache"]["environment"] == ["E", "F"]
    assert body["extra"] == {"y": 2}
    assert found.config == {"settings": {"a": 1, "b": 1, "c": 3}, "extra": {"x": 1}}
    assert resolve(body["hooks"]["on_failure"]) is own
    assert resolve(body["hooks"]["on_start"]) is hook
    assert templates(found)["one"].to_json()["retryStrategy"]["limit"] == 1


def test_hooks_that_look_alike_are_told_apart() -> None:
    calls: list[str] = []
    hooked = one.with_options(on_start=lambda: calls.append("start"), on_end=lambda: calls.append("end"))
    hooks = body_of(compiled(lambda: hooked()), "one")["hooks"]
    for name in ("on_start", "on_end"):
        resolve(hooks[name])()
    assert calls == ["start", "end"]


def test_functions_that_look_alike_are_told_apart() -> None:
    def make(box: list[int]) -> Any:
        @step
        def s() -> int:
            box.append(1)
            return len(box)

        return s

    first, second = make([]), make([1, 2, 3])

    def body() -> None:
        first()
        second()
        first()

    found = compiled(body)
    bodies = [body_of(found, name) for name in ("s", "s-2", "s-3")]
    assert len({b["code_digest"] for b in bodies}) == 1
    assert [resolve(b["source"], b["code_digest"])() for b in bodies] == [1, 4, 2]


def test_outputs_in_the_body() -> None:
    @step(substitutions={"who": "me"}, output_materializers={"m_who": "some.module:Class"})
    def s() -> tuple[
        Annotated[int, ArtifactConfig("m_{who}", 3, tags=["t"], run_metadata={"k": 1}, artifact_type="ModelArtifact")],
        Annotated[int, "n_{date}"],
    ]:
        return 1, 2

    first, second = body_of(compiled(lambda: s()), "s")["outputs"]
    assert first == {
        "name": "m_who",
        "artifact_name": "m_me",
        "version": "3",
        "tags": ["t"],
        "metadata": {"k": 1},
        "artifact_type": "ModelArtifact",
        "materializers": ["some.module:Class"],
        "exposed": False,
        "mapped": False,
        "indexed": False,
    }
    assert second["artifact_name"] == "n_{date}"


def test_models_tags_and_names_of_the_run() -> None:
    @pipeline(model=Model("m"), tags=["a", Tag("b", cascade=True)], substitutions={"s": "1"})
    def p() -> None:
        one.with_options(model=Model("other", version="production"))()
        one(id="plain")

    found = p.with_options(run_name="r-{s}-{date}", stack="other", runner="process", resume=False).compile()
    assert found.model is not None
    assert (found.model.name, found.model.version) == ("m", None)
    assert {name: (m.name, m.version) for name, m in found.step_models.items()} == {"one": ("other", "production")}
    assert [(tag.name, tag.cascade) for tag in found.tags] == [("a", None), ("b", True)]
    assert found.run_name == "r-1-{date}"
    assert (found.options["stack"], found.options["runner"], found.options["resume"]) == ("other", "process", False)


def test_configured_parameters_beat_literals() -> None:
    @pipeline
    def p() -> None:
        inc(1)
        inc(2)

    found = tasks(p.with_options(steps={"inc_2": {"parameters": {"x": 5, "by": 6}}}).compile())
    assert parameters(found["inc"]) == {"x": "1", "by": "1"}
    assert parameters(found["inc-2"]) == {"x": "5", "by": "6"}


def test_cache_dependencies(tmp_path: Path) -> None:
    listed = tmp_path / "f.txt"
    listed.write_text("a")
    token = ["t"]

    def extras() -> Any:
        policy = CachePolicy(
            file_dependencies=[str(listed), str(tmp_path)],
            source_dependencies=[extras, "json.decoder"],
            cache_func=lambda: token[0],
        )
        return body_of(compiled(lambda: one.with_options(cache_policy=policy)()), "one")["cache"]["extras"]

    first = extras()
    assert set(first) == {"files", "sources", "function"}
    assert set(first["sources"]) == {f"{__name__}:test_cache_dependencies.<locals>.extras", "json.decoder"}
    assert extras() == first
    listed.write_text("b")
    token[0] = "u"
    second = extras()
    assert all(first["files"][name] != second["files"][name] for name in first["files"])
    assert second["function"] == "u"


# Equal and different -------------------------------------------------------------------------------------------------


def test_labels_and_priority_in_the_queue() -> None:
    found = compiled(lambda: one(), settings={"queue": {"priority": 3, "labels": {"gpu": "big"}}}).workflow.to_json()
    assert found["metadata"]["labels"] == {"gpu": "big"}
    assert found["spec"]["priority"] == 3


@pytest.mark.parametrize(
    "queue", [{"prio": 1}, {"priority": "high"}, {"priority": True}, {"labels": ["a"]}, {"labels": {"a": 1}}, 3]
)
def test_what_is_no_place_in_the_queue(queue: Any) -> None:
    with pytest.raises(DefinitionError, match="queue"):
        compiled(lambda: one(), settings={"queue": queue})


def test_the_digest_tells_definitions_apart() -> None:
    def make(value: int = 1, **options: Any) -> str:
        return pipeline(name="p", **options)(lambda: inc(value)).compile().spec_digest

    digests = [make(), make(2), make(parallelism=2), make(enable_cache=False), make(model=Model("m"))]
    assert len(set(digests)) == len(digests)
    assert make() == digests[0]


def test_compiling_does_not_change_the_pipeline() -> None:
    @pipeline
    def p() -> None:
        one()

    assert p.compile().workflow == p.with_options(run_name="r").compile().workflow == p.compile().workflow


# Errors --------------------------------------------------------------------------------------------------------------


def wrong(body: Callable[..., Any], *parts: str, **options: Any) -> DefinitionError:
    with pytest.raises(DefinitionError) as caught:
        compiled(body, **options)
    for part in parts:
        assert part in str(caught.value), str(caught.value)
    return caught.value


def test_missing_and_unknown_parameters() -> None:
    wrong(lambda: inc(), "Step 'inc' in pipeline 'p'", "without its parameter 'x'", "inc(x=...)")
    wrong(lambda: inc(1, bye=2), "'inc'", "'p'", "unknown parameter 'bye'", "Did you mean 'by'?")
    wrong(lambda: inc(1, 2, 3), "3 positional arguments", "takes 2", "x, by")
    wrong(lambda: inc(1, x=2), "'x' twice")


def test_values_of_the_wrong_kind() -> None:
    wrong(lambda: inc("a"), "Parameter 'x' of step 'inc' in pipeline 'p'", "expected int, got str")
    wrong(lambda: show(object()), "Parameter 'text' of step 'show'", "no JSON form", "ExternalArtifact")
    wrong(lambda: show({"a": one()}), "holds the output 'output' of step 'one' inside of a dict", "items of one list")
    wrong(lambda: show([[one()]]), "inside of a list")
    wrong(lambda: inc(show(1)), "the call 'show' of step 'show', which has no outputs", "after=")
    wrong(lambda: total([one(), object()]), "holds an item that", "no JSON form")


def test_what_python_cannot_do_with_an_output() -> None:
    def compare() -> None:
        if one() == 1:
            show()

    wrong(compare, "True or False", "when=condition")
    wrong(lambda: show() if one() else None, "the output 'output' of step 'one' was used as True or False", "when=")
    wrong(lambda: [show(x) for x in numbers()], "was iterated over", "pipeline 'p'", "step.map(output)")
    wrong(lambda: numbers()[0], "was indexed with 0")
    wrong(lambda: len(numbers()), "asked for its length")
    with pytest.raises(AttributeError, match="has no 'shape' while the pipeline is being built"):
        compiled(lambda: one().shape)


def test_order_that_cannot_be() -> None:
    wrong(lambda: one(after="on"), "Step 'one' in pipeline 'p' comes after 'on'", "Did you mean 'one'?")
    wrong(lambda: one(after=3), "after=3")

    def circle() -> None:
        a = inc(1, after="c", id="a")
        b = inc(a, id="b")
        inc(b, id="c")
        one(after="c")

    error = wrong(circle, "in a circle", "after=")
    assert re.search(r"a → b → c → a|b → c → a → b|c → a → b → c", str(error))
    wrong(lambda: one(id="a", after="a"), "a → a")


def test_ids_that_cannot_be() -> None:
    def twice() -> None:
        one(id="a")
        one(id="a")

    wrong(twice, "two steps with the id 'a'")
    wrong(lambda: one(id=3), "id=3")


def test_outputs_of_elsewhere() -> None:
    kept: list[Any] = []
    compiled(lambda: kept.append(one()))
    wrong(lambda: inc(kept[0]), "another run of the pipeline 'p'")
    wrong(lambda: inc(1, when=kept[0] > 1), "not of this run")


def test_loops_that_cannot_be() -> None:
    wrong(lambda: inc.map([1, 2], [1, 2, 3]), "inc.map() in pipeline 'p'", "'x' 2, 'by' 3", "unmapped")
    wrong(lambda: inc.map([]), "an empty list")
    wrong(lambda: inc.map(1), "nothing to map over")
    wrong(lambda: inc.map(numbers(), [1, 2]), "maps 'x' and 'by'")
    wrong(lambda: inc.product(numbers(), [1, 2]), "inc.product()")
    wrong(lambda: total([inc.map(numbers()), 1]), "is a list itself")
    wrong(lambda: show(when=inc.map(numbers()) == 1), "a list of results", "Reduce")


def test_conditions_that_cannot_be() -> None:
    wrong(lambda: show(when=3), "3 (int) is no condition")
    wrong(lambda: show(when=one() == [1]), "compared with [1]")


def test_pipelines_that_cannot_be() -> None:
    wrong(lambda: None, "Pipeline 'p' calls no steps")
    wrong(lambda: one(), "no option 'parallel'", "Did you mean 'parallelism'?", parallel=3)
    wrong(lambda: one(), "execution_mode='fast'", execution_mode="fast")
    wrong(lambda: one(), "parallelism=0", parallelism=0)
    wrong(lambda: one(), "the tag 3", tags=[3])

    @pipeline
    def q(x: int) -> None:
        inc(x)

    for arguments, problem in (
        (((), {}), "'q' is called without its parameter 'x'"),
        (((1,), {"z": 1}), "unknown parameter 'z'"),
        ((("a",), {}), "Parameter 'x' of pipeline 'q' is 'a': expected int, got str"),
        (((1, 2), {}), "'q' cannot be called like this"),
    ):
        with pytest.raises(DefinitionError, match=re.escape(problem)):
            q.compile(*arguments[0], **arguments[1])
    with pytest.raises(DefinitionError, match="no option 'run_nam'"):
        q.with_options(run_nam="r")


def test_configurations_that_cannot_be() -> None:
    @pipeline
    def p() -> None:
        inc(one())

    with pytest.raises(DefinitionError, match="gives 'inc' the unknown parameter 'z'"):
        p.with_options(steps={"inc": {"parameters": {"z": 1}}}).compile()
    with pytest.raises(DefinitionError, match="but the pipeline passes an artifact"):
        p.with_options(steps={"inc": {"parameters": {"x": 1}}}).compile()
    with pytest.raises(DefinitionError, match=r"Step 'inc' in the configuration(.|\n)*'enable_cach'"):
        p.with_options(steps={"inc": {"enable_cach": True}})
    with pytest.warns(UserWarning, match=r"names the step 'ink'(.|\n)*Did you mean 'inc'"):
        p.with_options(steps={"ink": {"enable_cache": True}}).compile()
    with pytest.raises(DefinitionError, match=r"unknown placeholder '\{unknown\}'"):
        p.with_options(run_name="a-{unknown}").compile()


def test_cache_policies_that_cannot_be(tmp_path: Path) -> None:
    def with_policy(policy: CachePolicy) -> Callable[[], Any]:
        return lambda: one.with_options(cache_policy=policy)()

    missing = tmp_path / "gone.txt"
    wrong(with_policy(CachePolicy(file_dependencies=[str(missing)])), "step 'one' in pipeline 'p'", "gone.txt")
    wrong(with_policy(CachePolicy(cache_func=lambda: 3)), "cache_func of step 'one'", "returned 3", "str")  # type: ignore[arg-type, return-value]
    wrong(with_policy(CachePolicy(ignored_inputs=["z"])), "ignores 'z'")
    wrong(with_policy(CachePolicy(source_dependencies=["no.such"])), "source 'no.such'")


def test_settings_that_have_no_json_form() -> None:
    wrong(lambda: one.with_options(settings={"a": object()})(), "settings of step 'one'", "JSON")


def test_execution_modes() -> None:
    for mode in ExecutionMode:
        found = compiled(lambda: one(), execution_mode=mode)
        assert found.workflow.metadata is not None
        assert (found.workflow.metadata.annotations or {})["tiphys.dev/execution-mode"] == mode.name


def test_many_calls() -> None:
    def body() -> None:
        total([inc(i) for i in range(3000)])

    found = compiled(body)
    assert len(tasks(found)) == 3001
    assert set(templates(found)) == {"p", "inc", "total"}
