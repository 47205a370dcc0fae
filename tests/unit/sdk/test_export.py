"""From a pipeline to a workflow that needs nothing but containers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import jsonschema
import pytest

from tiphys import (
    ArtifactConfig,
    CachePolicy,
    ExternalArtifact,
    Model,
    StepRetryConfig,
    pipeline,
    step,
)
from tiphys.errors import DefinitionError
from tiphys.sdk.compiler.export import MOST_PARAMETER, Exported, ExportOptions, export_pipeline
from tiphys.sdk.step_files import MOST_PACKED
from tiphys.spec.reading import read_documents
from tiphys.spec.validate.lint import validate
from tiphys.spec.yaml import dump

#: Argo's own schema, which lies beside the project where there is one.
SCHEMA = Path(__file__).parents[4] / "shared" / "conformance" / "argo" / "schema.json"


@step
def numbers(n: int = 3) -> list[int]:
    return list(range(n))


@step
def square(x: int, by: int = 1) -> int:
    return x * x * by


@step
def total(xs: list[int]) -> int:
    return sum(xs)


@step
def pair() -> tuple[Annotated[int, "left"], Annotated[bool, "right"]]:
    return 1, True


@step(environment={"MODE": "fast"}, timeout="90s", retry=StepRetryConfig(max_retries=3, delay=1, never=[KeyError]))
def careful(x: int) -> int:
    return x


@step
def show(value: Any = None) -> None:
    print(value)


def on_failure() -> None:
    """A hook."""


def exported(body: Callable[..., Any], options: ExportOptions | None = None, **given: Any) -> Exported:
    return export_pipeline(pipeline(**{"name": "p", **given})(body), {}, options or ExportOptions())


class Read:
    """A manifest, by the names in it."""

    def __init__(self, found: Exported) -> None:
        spec = found.workflow.to_json()["spec"]
        entry, *rest = spec["templates"]
        self.tasks = {task["name"]: task for task in entry["dag"]["tasks"]}
        self.templates = {template["name"]: template for template in rest}

    def template(self, task: str) -> dict[str, Any]:
        found: dict[str, Any] = self.templates[self.tasks[task]["template"]]
        return found

    def options(self, task: str) -> list[tuple[str, str]]:
        """What `tiphys step run` is called with."""
        arguments = self.template(task)["container"]["args"][1:]
        return list(zip(arguments[::2], arguments[1::2], strict=True))

    def body(self, task: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(dict(self.options(task))["--body"])
        return found


def a_bit_of_everything() -> None:
    xs = numbers(4)
    squares = square.map(xs, by=2)
    again = square.map(squares, id="again")
    sum_ = total(again)
    left, right = pair()
    careful(left, when=sum_ > 3)
    show(right, after="careful")
    total(xs, id="whole")
    total([left, 5], id="mixed")
    show(ExternalArtifact({"a": {1, 2}}), id="outside")


def test_it_is_valid() -> None:
    text = dump(exported(a_bit_of_everything, ExportOptions(git="https://example.com/x.git")).workflow.to_json())
    (document,) = read_documents(text)
    assert validate(document, submit=True) == []


@pytest.mark.skipif(not SCHEMA.is_file(), reason="Argo's schema does not lie beside the project")
def test_it_obeys_the_schema_of_argo() -> None:
    definitions = json.loads(SCHEMA.read_text())["definitions"]
    schema = {"definitions": definitions, "$ref": "#/definitions/io.argoproj.workflow.v1alpha1.Workflow"}
    manifest = exported(a_bit_of_everything).workflow.to_json()
    assert [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(manifest)] == []


def test_every_export_of_one_pipeline_is_the_same_text() -> None:
    first, second = (exported(a_bit_of_everything).workflow.to_json_text() for _ in range(2))
    assert first == second
    assert '"plugin"' not in first


def test_a_step_is_a_container() -> None:
    options = ExportOptions(image="registry/train:1", environment={"A": "1", "MODE": "slow"}, working_directory="/app")
    found = Read(exported(lambda: careful(numbers()), options))
    assert found.template("numbers") == {
        "name": "numbers",
        "inputs": {"parameters": [{"name": "n"}]},
        "outputs": {"artifacts": [{"name": "output", "path": "/tiphys/outputs/output"}]},
        "container": {
            "image": "registry/train:1",
            "command": ["python", "-u", "-m", "tiphys", "step", "run"],
            "args": [
                f"{__name__}:numbers",
                "--body",
                '{"step":"numbers","pipeline":"p","inputs":{"n":{"kind":"parameter"}},"outputs":[{"name":"output"}]}',
                "--run-name",
                "{{workflow.name}}",
                "--parameter",
                "n={{inputs.parameters.n}}",
            ],
            "env": [{"name": "A", "value": "1"}, {"name": "MODE", "value": "slow"}],
            "workingDir": "/app",
        },
    }
    template = found.template("careful")
    assert template["container"]["env"] == [{"name": "A", "value": "1"}, {"name": "MODE", "value": "fast"}]
    assert template["inputs"] == {"artifacts": [{"name": "x", "path": "/tiphys/inputs/x"}]}
    assert found.tasks["careful"]["arguments"]["artifacts"] == [
        {"name": "x", "from": "{{tasks.numbers.outputs.artifacts.output}}"}
    ]


def test_retries_and_timeouts_stay() -> None:
    found = Read(exported(lambda: careful(1)))
    template = found.template("careful")
    assert template["timeout"] == "90s"
    assert template["retryStrategy"] == {
        "limit": "3",
        "retryPolicy": "Always",
        "backoff": {"duration": "1s", "factor": "2"},
        "expression": "asInt(lastRetry.exitCode) != 3",
    }
    assert ("--attempt", "{{retries}}") in found.options("careful")
    assert ("--retries", "3") in found.options("careful")
    assert found.body("careful")["retry"] == {"never": ["builtins:KeyError"]}
    assert "--attempt" not in dict(Read(exported(lambda: numbers())).options("numbers"))


def test_conditions_and_loops_read_parameters() -> None:
    found = Read(exported(a_bit_of_everything))
    assert found.tasks["careful"]["when"] == "{{tasks.total.outputs.parameters.output}} > 3"
    assert found.template("total")["outputs"]["parameters"] == [
        {"name": "output", "valueFrom": {"path": "/tiphys/parameters/output"}}
    ]
    assert found.tasks["square"]["withParam"] == "{{tasks.numbers.outputs.parameters.output-items}}"
    assert found.tasks["again"]["withParam"] == "{{tasks.numbers.outputs.parameters.output-indexes}}"
    paths = [each["valueFrom"]["path"] for each in found.template("numbers")["outputs"]["parameters"]]
    assert paths == ["/tiphys/parameters/output-items", "/tiphys/parameters/output-indexes"]
    assert found.tasks["show"]["depends"] == "pair.Succeeded && careful"


def test_results_of_a_loop_travel_as_text() -> None:
    found = Read(exported(a_bit_of_everything))
    assert found.tasks["total"]["arguments"]["artifacts"] == [
        {"name": "xs", "raw": {"data": "{{tasks.again.outputs.parameters.output-packed}}"}}
    ]
    assert found.template("total")["inputs"] == {"artifacts": [{"name": "xs", "path": "/tiphys/inputs/xs.json"}]}
    assert found.template("again")["outputs"]["parameters"] == [
        {"name": "output-packed", "valueFrom": {"path": "/tiphys/parameters/output-packed"}}
    ]
    assert found.body("again")["outputs"] == [{"name": "output", "packed": True}]
    # The same step on a stored list: a template of its own.
    assert found.template("whole")["inputs"] == {"artifacts": [{"name": "xs", "path": "/tiphys/inputs/xs"}]}
    assert found.tasks["whole"]["template"] != found.tasks["total"]["template"]


def test_calls_that_differ_in_how_a_list_comes_have_templates_of_their_own() -> None:
    def body() -> None:
        squares = square.map(numbers())
        square.map(squares, id="of_results")
        square.map(numbers(id="others"), id="of_values")

    found = Read(exported(body))
    path = {
        task: found.template(task)["inputs"]["artifacts"][0]["path"] for task in ("square", "of-results", "of-values")
    }
    assert path == {
        "square": "/tiphys/inputs/x-list",
        "of-results": "/tiphys/inputs/x-list.json",
        "of-values": "/tiphys/inputs/x-list",
    }
    # Whose results are gathered gives them as text, too.
    assert found.tasks["square"]["template"] != found.tasks["of-values"]["template"]


def test_names_of_templates_are_unique() -> None:
    def body() -> None:
        total(square.map(numbers()))
        total(numbers(5), id="whole")

    found = exported(body, name="total-2").workflow.to_json()["spec"]
    names = [template["name"] for template in found["templates"]]
    assert sorted(names) == ["numbers", "numbers-2", "square", "total", "total-2", "total-3"]
    assert found["entrypoint"] == "total-2"


def test_a_value_from_outside_stands_in_the_manifest() -> None:
    found = Read(exported(lambda: show(ExternalArtifact({"a": {1, 2}}))))
    (artifact,) = found.template("show")["inputs"]["artifacts"]
    assert (artifact["name"], artifact["path"]) == ("value", "/tiphys/inputs/value.json")
    assert isinstance(json.loads(artifact["raw"]["data"]), str)
    assert found.body("show")["inputs"] == {"value": {"kind": "external"}}


def test_code_from_git() -> None:
    found = Read(exported(lambda: numbers(), ExportOptions(git="https://example.com/x.git", revision="v1")))
    assert found.template("numbers")["inputs"]["artifacts"] == [
        {"name": "tiphys-code", "path": "/src", "git": {"repo": "https://example.com/x.git", "revision": "v1"}}
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (lambda: show(ExternalArtifact(id="0197")), "'value' of step 'show' .* reaches no artifact store"),
        (lambda: show(ExternalArtifact(list(range(MOST_PACKED)))), "'value' of step 'show' .* at most 131,072"),
        (lambda: show("x" * MOST_PARAMETER), "Step 'show' .* 'value' has 100,002 bytes"),
        (lambda: step(lambda x=1: None, name="nameless")(), "Step 'nameless' .* cannot import its function"),
        (lambda: show.with_options(on_failure=lambda: None)(), "Step 'show' .* cannot import its hook on_failure"),
    ],
)
def test_what_cannot_be_exported_is_an_error_that_names_the_step(body: Callable[..., Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        exported(body)


def tagged() -> Annotated[int, ArtifactConfig(name="n", tags=["x"], version="7")]:
    return 1


def test_what_is_lost_is_told() -> None:
    def body() -> None:
        numbers.with_options(
            cache_policy=CachePolicy(include_step_code=False),
            settings={"a": 1},
            retry=StepRetryConfig(backoff=1.5, jitter=0.5),
            model=Model(name="other"),
        )()
        step(tagged)()
        pair.with_options(enable_cache=False, on_failure=on_failure)()

    found = exported(body, model=Model(name="churn"), tags=["nightly"], execution_mode="fail_fast")
    assert list(found.warnings) == [
        "Pipeline 'p' has the model 'churn': the workflow makes no version of it.",
        "Step 'numbers' has the model 'other': the workflow makes no version of it.",
        "Pipeline 'p' fails fast: Argo starts no further steps, but lets those that run finish.",
        "Pipeline 'p' has tags: the workflow has none of it.",
        "Step 'numbers' loses its cache policy, its settings, the jitter of its retries, the backoff of its retries, "
        "which is rounded up from 1.5.",
        "Step 'tagged' loses the version and tags of its output 'n'.",
        "None of the steps numbers, tagged is cached: Argo carries out each of them in every run.",
    ]
    assert Read(found).template("numbers")["retryStrategy"]["backoff"]["factor"] == "2"
    assert Read(found).body("pair")["hooks"] == {"on_failure": f"{__name__}:on_failure"}


def test_a_pipeline_that_loses_nothing() -> None:
    assert exported(lambda: numbers(), enable_cache=False).warnings == ()
