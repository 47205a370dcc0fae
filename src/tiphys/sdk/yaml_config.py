"""Configuration files of runs: `pipeline.with_options(config_path="run.yaml")`, and the template of such a file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tiphys.errors import DefinitionError
from tiphys.sdk.options import RUN_OPTIONS, checked
from tiphys.sdk.signature import EMPTY, type_text

if TYPE_CHECKING:
    from tiphys.sdk.compiled import CompiledPipeline
    from tiphys.sdk.pipeline import Pipeline

#: What a file may hold at its top.
FILE_OPTIONS = tuple(name for name in RUN_OPTIONS if name not in ("config_path", "name"))
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def read_config(path: str | Path, pipeline: str) -> dict[str, Any]:
    """The options in a YAML file; `${NAME}` in a value is replaced by the environment variable.

    Args:
        path: The file.
        pipeline: Name of the pipeline it is for, for messages.

    Raises:
        DefinitionError: it cannot be read, or something in it is unknown or impossible; the message names the file and
            the place in it.
    """
    file = Path(path)
    try:
        found = yaml.load(file.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  both are safe
    except OSError as error:
        raise DefinitionError(
            f"The configuration file '{file}' of pipeline '{pipeline}' cannot be read: {error.strerror}.",
            hint=f"Relative paths start at the working directory, {Path.cwd()}.",
        ) from error
    except yaml.YAMLError as error:
        raise DefinitionError(f"The configuration file '{file}' is not YAML: {error}") from error
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise DefinitionError(f"The configuration file '{file}' holds no options, but {type(found).__name__}.")
    values = _with_variables(found, file, "")
    return checked(values, FILE_OPTIONS, f"The configuration file '{file}'")


def _with_variables(value: Any, file: Path, place: str) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _with_variables(item, file, f"{place}.{key}" if place else str(key)) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_with_variables(item, file, f"{place}[{index}]") for index, item in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value

    def variable(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            raise DefinitionError(
                f"The configuration file '{file}' asks at {place} for the environment variable {match[1]}, which is "
                "not set."
            )
        return found

    text = _VARIABLE.sub(variable, value)
    # A value that is nothing but a variable has the type that it would have, had it been written in the file.
    return yaml.safe_load(text) if _VARIABLE.fullmatch(value) else text


def write_template(pipeline: Pipeline, path: str | Path, compiled: CompiledPipeline) -> None:
    """Write a file that names everything a configuration file can set, commented out.

    Args:
        pipeline: The pipeline.
        path: The file.
        compiled: The pipeline, compiled.
    """
    lines = [
        f"# Configuration of runs of the pipeline '{pipeline.name}'; use it with with_options(config_path=...).",
        "# Remove the '#' in front of what is to be set. ${NAME} stands for an environment variable.",
        "",
        f"# run_name: {pipeline.name}-{{date}}-{{time}}",
    ]
    if compiled.parameters:
        lines += ["# parameters:", *(f"#   {name}: {_flow(value)}" for name, value in compiled.parameters.items())]
    lines += [f"# {line}" for line in _common()]
    lines += [
        "# execution_mode: continue_on_failure  # fail_fast, stop_on_failure",
        "# parallelism: 4  # most steps at once",
        "# runner: inline  # process: each step in a process of its own",
        "# tags: []",
        "# model:",
        f"#   name: {pipeline.name}",
        "# stack: default",
        "",
        "steps:",
    ]
    for step_id, step in compiled.steps.items():
        lines.append(f"  {step_id}:")
        if step.signature.parameters:
            lines.append("#    parameters:")
        for parameter in step.signature.parameters.values():
            value = "" if parameter.default is EMPTY else f" {_flow(parameter.default)}"
            lines.append(f"#      {parameter.name}:{value}  # {type_text(parameter.annotation)}")
        lines += [f"#    {line}" for line in _common()]
        lines += ["#    experiment_tracker: true"]
    Path(path).write_text("\n".join(lines) + "\n")


def _common() -> list[str]:
    return [
        "enable_cache: true",
        "enable_artifact_metadata: true",
        "enable_artifact_visualization: true",
        "enable_step_logs: true",
        "cache_policy:",
        "  expires_after: 86400  # seconds",
        "retry:",
        "  max_retries: 3",
        "  delay: 1  # seconds",
        "  backoff: 2",
        "timeout: 1h",
        "on_failure: my_module:function",
        "environment: {}",
        "settings: {}",
        "substitutions: {}",
        "extra: {}",
    ]


def _flow(value: Any) -> str:
    try:
        text: str = yaml.safe_dump(value, default_flow_style=True, width=10**6)
    except yaml.YAMLError:
        return f"# {value!r}"
    return text.removesuffix("\n").removesuffix("\n...")
