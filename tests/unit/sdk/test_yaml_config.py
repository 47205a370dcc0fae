"""Configuration files."""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tiphys import CachePolicy, ExecutionMode, StepRetryConfig, Tag, pipeline, step
from tiphys.errors import DefinitionError
from tiphys.sdk.yaml_config import read_config


@step
def s(x: int = 1, day: datetime.date = datetime.date(2030, 1, 1)) -> int:
    return x


@pipeline
def p(n: int = 2) -> None:
    s(n)
    s(id="other")


def write(path: Path, text: str) -> Path:
    file = path / "run.yaml"
    file.write_text(text)
    return file


def parameters(found: Any, task: str) -> dict[str, str]:
    tasks = {t.name: t for t in found.workflow.spec.templates[0].dag.tasks}
    return {p.name: p.value for p in tasks[task].arguments.parameters}


def test_everything_that_can_be_set(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        """
        run_name: my-run-{date}
        enable_cache: false
        enable_step_logs: false
        parameters: {n: 5}
        steps:
          s:
            parameters: {day: 2031-02-03}
            enable_cache: true
            settings: {gpu: 1}
            retry: {max_retries: 3, delay: 2}
          other:
            parameters: {x: 7}
        settings: {gpu: 0, cpu: 2}
        environment: {A: 1}
        tags: [a, {name: b, exclusive: true}]
        extra: {team: x}
        model: {name: m, version: 3}
        retry: 1
        on_failure: math.sqrt
        substitutions: {who: me}
        cache_policy: {expires_after: 60}
        execution_mode: fail_fast
        parallelism: 2
        timeout: 1h
        """,
    )
    chosen = p.with_options(config_path=file)
    options = chosen.run_options
    assert options["retry"] == StepRetryConfig(max_retries=1)
    assert options["tags"] == (Tag("a"), Tag("b", exclusive=True))
    assert (options["model"].name, options["model"].version) == ("m", 3)
    assert options["cache_policy"] == CachePolicy(expires_after=60)
    assert (options["execution_mode"], options["timeout"]) == (ExecutionMode.FAIL_FAST, 3600)
    found = chosen.compile()
    assert found.parameters == {"n": 5}
    assert parameters(found, "s") == {"x": "5", "day": '"2031-02-03"'}
    assert parameters(found, "other") == {"x": "7", "day": '"2030-01-01"'}
    body = next(t for t in found.workflow.spec.templates or () if t.name == "s").plugin["tiphys"]  # type: ignore[union-attr, index]
    assert body["settings"] == {"gpu": 1, "cpu": 2}
    assert (body["cache"]["enabled"], body["enable_step_logs"]) == (False, False)
    assert found.run_name == "my-run-{date}"


def test_code_beats_the_file(tmp_path: Path) -> None:
    file = write(
        tmp_path, "run_name: file\nsettings: {a: 1, b: 1}\nsteps: {s: {parameters: {x: 1}, enable_cache: true}}"
    )
    for chosen in (
        p.with_options(config_path=file, run_name="code", settings={"b": 2}, steps={"s": {"parameters": {"x": 2}}}),
        p.with_options(run_name="code", settings={"b": 2}, steps={"s": {"parameters": {"x": 2}}}).with_options(
            config_path=str(file)
        ),
    ):
        assert chosen.run_options["run_name"] == "code"
        assert chosen.run_options["settings"] == {"a": 1, "b": 2}
        assert chosen.run_options["steps"] == {"s": {"parameters": {"x": 2}, "enable_cache": True}}
    assert p.run_options == {}


def test_environment_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("N", "5")
    monkeypatch.setenv("WHO", "me")
    file = write(tmp_path, "run_name: run-${WHO}-{date}\nparameters: {n: '${N}'}\ntags: ['${WHO}']\n")
    found = read_config(file, "p")
    assert found["run_name"] == "run-me-{date}"
    assert found["parameters"] == {"n": 5}
    assert found["tags"] == (Tag("me"),)
    with pytest.raises(DefinitionError, match=r"run.yaml' asks at tags\[0\] for the environment variable NOT_SET"):
        read_config(write(tmp_path, "tags: ['${NOT_SET}']"), "p")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("enable_cach: true", r"run.yaml' has no option 'enable_cach'(.|\n)*Did you mean 'enable_cache'"),
        ("config_path: other.yaml", "no option 'config_path'"),
        ("steps: {s: {paramters: {}}}", r"Step 's' in the configuration of .*run.yaml'(.|\n)*'parameters'"),
        ("enable_cache: 3", "run.yaml' has enable_cache=3"),
        ("a: [", "run.yaml' is not YAML"),
        ("- a", "holds no options, but list"),
        ("model: {nam: m}", "model that is not complete"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(DefinitionError, match=problem):
        p.with_options(config_path=write(tmp_path, text))


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(DefinitionError, match=r"'nowhere\.yaml' of pipeline 'p' cannot be read"):
        p.with_options(config_path="nowhere.yaml")


def test_empty_files_and_steps(tmp_path: Path) -> None:
    assert read_config(write(tmp_path, ""), "p") == {}
    assert p.with_options(config_path=write(tmp_path, "steps:\n  s:\n")).compile().steps


def test_the_template_is_a_file_that_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "template.yaml"
    p.write_run_configuration_template(file)
    assert p.with_options(config_path=file).compile().spec_digest == p.compile().spec_digest


def test_everything_in_the_template_can_be_switched_on(tmp_path: Path) -> None:
    file = tmp_path / "template.yaml"
    p.write_run_configuration_template(file, n=4)
    text = re.sub(r"^# ?(?=\w|  \w)", "", file.read_text(), flags=re.MULTILINE)
    text = re.sub(r"^#(?=    )", "", text, flags=re.MULTILINE).replace("my_module:function", "math:sqrt")
    lines = [line for line in text.splitlines() if not re.match(r"(Configuration of|Remove the) ", line)]
    file.write_text("\n".join(lines))
    found = yaml.safe_load(file.read_text())
    assert found["parameters"] == {"n": 4}
    assert found["steps"]["other"]["parameters"] == {"x": 1, "day": datetime.date(2030, 1, 1)}
    options = read_config(file, "p")
    assert options["steps"]["s"]["experiment_tracker"] is True
