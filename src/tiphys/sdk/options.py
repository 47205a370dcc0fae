"""Options of steps and pipelines: which there are, how they are checked, and how levels are laid over each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

from tiphys.errors import DefinitionError
from tiphys.plugins.loading import load
from tiphys.sdk.config import (
    CachePolicy,
    ExecutionMode,
    StepRetryConfig,
    Tag,
    did_you_mean,
    duration_seconds,
    from_fields,
)

HOOKS = ("on_start", "on_end", "on_success", "on_failure")


class CommonOptions(TypedDict, total=False):
    """What steps and pipelines have in common; a pipeline's are the defaults of its steps."""

    name: str
    enable_cache: bool | None
    enable_artifact_metadata: bool | None
    enable_artifact_visualization: bool | None
    enable_step_logs: bool | None
    environment: Mapping[str, Any] | None
    settings: Mapping[str, Any] | None
    extra: Mapping[str, Any] | None
    on_start: Callable[..., Any] | str | None
    on_end: Callable[..., Any] | str | None
    on_success: Callable[..., Any] | str | None
    on_failure: Callable[..., Any] | str | None
    model: Any
    retry: StepRetryConfig | Mapping[str, Any] | int | None
    substitutions: Mapping[str, str] | None
    cache_policy: CachePolicy | Mapping[str, Any] | str | None
    timeout: Any


class StepOptions(CommonOptions, total=False):
    """Options of a step."""

    experiment_tracker: bool | str | Sequence[str] | None
    output_materializers: Any


class PipelineOptions(CommonOptions, total=False):
    """Options of a pipeline."""

    tags: Sequence[str | Tag] | None
    execution_mode: ExecutionMode | str | None
    parallelism: int | None
    runner: str | None


class RunOptions(PipelineOptions, total=False):
    """Options of single runs of a pipeline."""

    run_name: str | None
    config_path: Any
    steps: Mapping[str, Mapping[str, Any]] | None
    parameters: Mapping[str, Any] | None
    stack: str | None
    resume: bool
    remote: bool
    code: str | None


STEP_OPTIONS = tuple(CommonOptions.__annotations__) + tuple(
    name for name in StepOptions.__annotations__ if name not in CommonOptions.__annotations__
)
PIPELINE_OPTIONS = tuple(CommonOptions.__annotations__) + tuple(
    name for name in PipelineOptions.__annotations__ if name not in CommonOptions.__annotations__
)
RUN_OPTIONS = (*PIPELINE_OPTIONS, "run_name", "config_path", "steps", "parameters", "stack", "resume", "remote", "code")
#: Options of a step in `steps={...}` of a run.
STEP_RUN_OPTIONS = (*(name for name in STEP_OPTIONS if name != "name"), "parameters")

#: Laid over each other key by key; all others replace each other whole.
_MERGED = frozenset({"environment", "settings", "extra", "substitutions", "parameters"})
#: Where a run's word is the last.
RUN_BEATS_STEP = frozenset(
    {"enable_cache", "enable_artifact_metadata", "enable_artifact_visualization", "enable_step_logs", "cache_policy"}
)


def checked(options: Mapping[str, Any], known: Sequence[str], where: str) -> dict[str, Any]:
    """Options in their final form; those that are None are left out.

    Raises:
        DefinitionError: a name is unknown or a value is not possible; the message begins with `where`.
    """
    found = {}
    for name, value in options.items():
        if name not in known:
            raise DefinitionError(f"{where} has no option '{name}'.", hint=did_you_mean(name, known))
        if value is None:
            continue
        check = _CHECKS.get(name)
        found[name] = value if check is None else check(value, name, where)
    return found


def merged(*levels: Mapping[str, Any]) -> dict[str, Any]:
    """Options of several levels, later ones over earlier ones."""
    result: dict[str, Any] = {}
    for level in levels:
        for name, value in level.items():
            if name in _MERGED and name in result:
                result[name] = {**result[name], **value}
            elif name == "steps" and name in result:
                result[name] = merged_steps(result[name], value)
            else:
                result[name] = value
    return result


def merged_steps(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """`steps={...}` of two levels."""
    return {step: merged(first.get(step, {}), second.get(step, {})) for step in dict.fromkeys((*first, *second))}


def _bool(value: Any, name: str, where: str) -> bool:
    if not isinstance(value, bool):
        raise DefinitionError(f"{where} has {name}={value!r}: give True or False.")
    return value


def _text(value: Any, name: str, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise DefinitionError(f"{where} has {name}={value!r}: give a text.")
    return value


def _mapping(value: Any, name: str, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise DefinitionError(f"{where} has {name}={value!r}: give a dictionary with text as keys.")
    return dict(value)


def _texts(value: Any, name: str, where: str) -> dict[str, str]:
    return {key: str(item) for key, item in _mapping(value, name, where).items()}


def _hook(value: Any, name: str, where: str) -> Any:
    if isinstance(value, str):
        module, _, attribute = value.partition(":") if ":" in value else value.rpartition(".")
        try:
            found = load(f"{module}:{attribute}") if module else None
        except (ImportError, AttributeError) as error:
            raise DefinitionError(f"{where} has {name}={value!r}, which cannot be loaded: {error}.") from error
        value = found
    if not callable(value):
        raise DefinitionError(f"{where} has {name}={value!r}: give a function, or its 'module:name'.")
    return value


def _retry(value: Any, _: str, where: str) -> StepRetryConfig:
    if isinstance(value, StepRetryConfig):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return StepRetryConfig(max_retries=value)
    if isinstance(value, Mapping):
        config: StepRetryConfig = from_fields(StepRetryConfig, value, f"retry of {where}")
        return config
    raise DefinitionError(f"{where} has retry={value!r}.", hint="Give a StepRetryConfig, or the number of retries.")


def _policy(value: Any, _: str, where: str) -> CachePolicy | str:
    return CachePolicy.of(value, where) or "no_cache"


def _duration(value: Any, name: str, where: str) -> float:
    return duration_seconds(value, f"{name} of {where}")


def _mode(value: Any, _: str, where: str) -> ExecutionMode:
    try:
        return ExecutionMode(value.lower() if isinstance(value, str) else value)
    except ValueError as error:
        raise DefinitionError(
            f"{where} has execution_mode={value!r}.",
            hint=did_you_mean(str(value).lower(), [mode.value for mode in ExecutionMode]),
        ) from error


def _parallelism(value: Any, _: str, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise DefinitionError(f"{where} has parallelism={value!r}: give how many steps may run at once, 1 or more.")
    return value


def _tags(value: Any, _: str, where: str) -> tuple[Tag, ...]:
    items = [value] if isinstance(value, (str, Tag)) else list(value)
    tags = []
    for item in items:
        if isinstance(item, Mapping):
            item = from_fields(Tag, item, f"A tag of {where}")
        elif isinstance(item, str) and item:
            item = Tag(item)
        if not isinstance(item, Tag):
            raise DefinitionError(f"{where} has the tag {item!r}: give a text or a Tag.")
        tags.append(item)
    return tuple(tags)


def _model(value: Any, _: str, where: str) -> Any:
    kind = load("tiphys.sdk.model:Model")
    if isinstance(value, str):
        return kind(name=value)
    if isinstance(value, Mapping):
        try:
            return kind(**value)
        except TypeError as error:
            raise DefinitionError(f"{where} has a model that is not complete: {error}.") from error
    if not isinstance(value, kind):
        raise DefinitionError(f"{where} has model={value!r}: give a Model.")
    return value


def _trackers(value: Any, name: str, where: str) -> bool | tuple[str, ...]:
    if isinstance(value, bool):
        return value
    names = (value,) if isinstance(value, str) else tuple(value)
    if not all(isinstance(item, str) and item for item in names):
        raise DefinitionError(f"{where} has {name}={value!r}: give the name of a component, or True for the stack's.")
    return names


def _step_overrides(value: Any, name: str, where: str) -> dict[str, dict[str, Any]]:
    return {
        step: checked(
            _mapping(options or {}, step, f"steps of {where}"),
            STEP_RUN_OPTIONS,
            f"Step '{step}' in the configuration of {where}",
        )
        for step, options in _mapping(value, name, where).items()
    }


def _code(value: Any, name: str, where: str) -> str:
    if value not in ("archive", "git"):
        raise DefinitionError(f"{where} has {name}={value!r}: give 'archive' or 'git'.")
    return str(value)


_CHECKS: dict[str, Callable[[Any, str, str], Any]] = {
    "name": _text,
    "enable_cache": _bool,
    "enable_artifact_metadata": _bool,
    "enable_artifact_visualization": _bool,
    "enable_step_logs": _bool,
    "environment": _texts,
    "settings": _mapping,
    "extra": _mapping,
    "substitutions": _texts,
    "parameters": _mapping,
    "model": _model,
    "retry": _retry,
    "cache_policy": _policy,
    "timeout": _duration,
    "experiment_tracker": _trackers,
    "tags": _tags,
    "execution_mode": _mode,
    "parallelism": _parallelism,
    "runner": _text,
    "run_name": _text,
    "stack": _text,
    "resume": _bool,
    "remote": _bool,
    "code": _code,
    "steps": _step_overrides,
    **dict.fromkeys(HOOKS, _hook),
}
