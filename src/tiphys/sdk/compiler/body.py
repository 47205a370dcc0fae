"""What a compiled step says of itself: the object under `plugin.tiphys` of its template.

Inputs are described by parameter, `{kind, …}`:

- `parameter`: the JSON text is the task's parameter of that name.
- `artifact`: the task's artifact of that name.
- `artifacts`: the same, but it is a list (the results of a mapped step).
- `list`: `length` items, named `<parameter>-0`, `<parameter>-1`, …: artifacts, or parameters for plain values.
- `item`: one element of a list: the parameter of that name holds its JSON, or {"$item": index} into the artifact
  `<parameter>-list`.
- `external`: the artifact version `ref`.

Outputs that other tasks' conditions and loops ask for are given as parameters too:

- `exposed`: `<output>`, its JSON.
- `mapped`: `<output>-items`, a JSON list of texts: the JSON of each element, or {"$item": index} where it has none.
- `indexed`: `<output>-indexes`, a JSON list of the texts {"$item": 0}, {"$item": 1}, …: the results of a step that is
  mapped over it are mapped over again, and the items of that loop are places in the list of those results.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tiphys._util.canonical import digest_of
from tiphys.errors import DefinitionError, NotFoundError
from tiphys.plugins.integrations import materializer_for_format
from tiphys.plugins.loading import load
from tiphys.sdk.config import CachePolicy, StepRetryConfig
from tiphys.sdk.fingerprint import fingerprint, source_digest
from tiphys.sdk.options import HOOKS, RUN_BEATS_STEP, merged
from tiphys.sdk.outputs import ARTIFACT_PLACEHOLDERS, OutputSpec, materializers_of, resolve_own
from tiphys.sdk.registry import Names
from tiphys.sdk.sources import source_of
from tiphys.sdk.step import Step

#: Options of a pipeline that are its steps' defaults.
_INHERITED = (
    "enable_cache",
    "enable_artifact_metadata",
    "enable_artifact_visualization",
    "enable_step_logs",
    "environment",
    "settings",
    "retry",
    "substitutions",
    "cache_policy",
    *HOOKS,
)


class Levels:
    """Options of a run and its pipeline, and what they make of a step's own.

    Args:
        pipeline: Name of the pipeline.
        own: The pipeline's options.
        run: The run's.
    """

    def __init__(self, pipeline: str, own: Mapping[str, Any], run: Mapping[str, Any]) -> None:
        self.pipeline = pipeline
        self.steps: Mapping[str, Mapping[str, Any]] = run.get("steps", {})
        self._below = merged(*({name: level[name] for name in _INHERITED if name in level} for level in (own, run)))
        self._above = {name: run[name] for name in RUN_BEATS_STEP if name in run}

    def options(self, step: Step, step_id: str) -> dict[str, Any]:
        """Run over step over pipeline for caching and switches, step over run over pipeline for the rest."""
        return {**merged(self._below, step.options, self.steps.get(step_id, {})), **self._above}


class BodyMaker:
    """Makes bodies; what the steps of one compilation share is worked out once.

    Args:
        pipeline: Name of the pipeline.
        active_trackers: Gives the names of the stack's experiment trackers, for `experiment_tracker=True`.
    """

    def __init__(self, pipeline: str, active_trackers: Callable[[], list[str]]) -> None:
        self.pipeline = pipeline
        self.names = Names()
        self._active_trackers = active_trackers

    def definition(self, step: Step, options: Mapping[str, Any]) -> dict[str, Any]:
        """The body of a step with these options, without its inputs."""
        code = fingerprint(step.entrypoint)
        retry: StepRetryConfig | None = options.get("retry")
        return {
            "step": step.name,
            "source": self.names.refer(source_of(step.entrypoint), code.digest, step.entrypoint),
            "code_digest": code.digest,
            "code_parts": dict(code.parts),
            "inputs": {},
            "outputs": self._outputs(step, options),
            "cache": self._cache(step, options),
            "hooks": {name: self._named(options[name]) for name in HOOKS if name in options},
            "retry": {}
            if retry is None
            else {
                "only": [self._exception(item) for item in retry.only],
                "never": [self._exception(item) for item in retry.never],
                "jitter": retry.jitter,
            },
            "settings": self._plain(step, "settings", options),
            "extra": self._plain(step, "extra", options),
            "experiment_tracker": self._trackers(options.get("experiment_tracker")),
            "enable_artifact_metadata": options.get("enable_artifact_metadata", True),
            "enable_artifact_visualization": options.get("enable_artifact_visualization", True),
            "enable_step_logs": options.get("enable_step_logs", True),
            "environment": dict(options.get("environment", {})),
            "pipeline": self.pipeline,
            # What looks like a tag of the workflow would be taken for one.
            "docstring": (step.entrypoint.__doc__ or "").strip().replace("{{", "{ {"),
        }

    def _outputs(self, step: Step, options: Mapping[str, Any]) -> list[dict[str, Any]]:
        outputs = step.signature.outputs
        materializers = materializers_of(options.get("output_materializers"), outputs, step.name)
        return [self._output(step, output, options, materializers.get(output.name, [])) for output in outputs]

    def _output(
        self, step: Step, output: OutputSpec, options: Mapping[str, Any], materializers: list[Any]
    ) -> dict[str, Any]:
        config = output.config
        what = f"Output '{output.name}' of step '{step.name}'"
        substitutions = options.get("substitutions", {})
        artifact_type = config.artifact_type if config is not None else None
        if config is not None and config.format is not None:
            materializers = [self._materializer_of(config.format, what), *materializers]
        return {
            "name": output.name,
            "artifact_name": None
            if output.artifact_name is None
            else resolve_own(output.artifact_name, substitutions, later=ARTIFACT_PLACEHOLDERS, what=what),
            "version": None if config is None or config.version is None else str(config.version),
            "tags": [] if config is None else [getattr(tag, "name", tag) for tag in config.tags or ()],
            "metadata": {}
            if config is None
            else plain_json(dict(config.run_metadata or {}), f"run_metadata of {what}"),
            "artifact_type": None if artifact_type is None else str(artifact_type),
            "materializers": [self._named(item) for item in materializers],
            "exposed": False,
            "mapped": False,
            "indexed": False,
        }

    def _materializer_of(self, format: str, what: str) -> str:
        try:
            return materializer_for_format(format)
        except NotFoundError as error:
            raise DefinitionError(
                f"{what} in pipeline '{self.pipeline}' is to be written as '{format}', which no integration does.",
                hint=error.hint,
            ) from error

    def _cache(self, step: Step, options: Mapping[str, Any]) -> dict[str, Any]:
        given = options.get("cache_policy", CachePolicy())
        enabled = bool(options.get("enable_cache", True)) and given != "no_cache"
        policy = given if isinstance(given, CachePolicy) else CachePolicy()
        known = step.signature.parameters
        for name in policy.ignored_inputs or ():
            if name not in known:
                raise DefinitionError(
                    f"cache_policy of step '{step.name}' in pipeline '{self.pipeline}' ignores '{name}', which is no "
                    "parameter of the step.",
                    hint=f"Its parameters: {', '.join(known) or 'none'}.",
                )
        return {
            "enabled": enabled,
            "policy": {
                "include_step_code": policy.include_step_code,
                "include_step_parameters": policy.include_step_parameters,
                "include_artifact_values": policy.include_artifact_values,
                "include_artifact_ids": policy.include_artifact_ids,
                "ignored_inputs": sorted(policy.ignored_inputs or ()),
            },
            "extras": self._extras(step, policy) if enabled else {},
            "environment": sorted(options.get("environment", {})),
            "expires_after": policy.expires_after,
        }

    def _extras(self, step: Step, policy: CachePolicy) -> dict[str, Any]:
        extras: dict[str, Any] = {}
        where = f"cache_policy of step '{step.name}' in pipeline '{self.pipeline}'"
        if policy.file_dependencies:
            extras["files"] = {str(path): _file_digest(Path(path), where) for path in policy.file_dependencies}
        if policy.source_dependencies:
            extras["sources"] = dict(source_digest(item, where) for item in policy.source_dependencies)
        if policy.cache_func is not None:
            function = load(policy.cache_func) if isinstance(policy.cache_func, str) else policy.cache_func
            value = function()
            if not isinstance(value, str):
                raise DefinitionError(
                    f"The cache_func of step '{step.name}' in pipeline '{self.pipeline}' returned {value!r}; it must "
                    "return a str.",
                )
            extras["function"] = value
        return extras

    def _trackers(self, given: Any) -> list[str] | None:
        if given is None or given is False:
            return None
        return self._active_trackers() if given is True else list(given)

    def _named(self, thing: Any) -> str:
        return thing if isinstance(thing, str) else self.names.refer(source_of(thing), "", thing)

    def _exception(self, thing: type[BaseException] | str) -> str:
        return thing if isinstance(thing, str) else source_of(thing)

    def _plain(self, step: Step, name: str, options: Mapping[str, Any]) -> Any:
        return plain_json(dict(options.get(name, {})), f"{name} of step '{step.name}' in pipeline '{self.pipeline}'")


def plain_json(value: Any, what: str) -> Any:
    """A value as JSON has it: settings may be pydantic models and dataclasses."""
    if not value:
        return value
    try:
        return load("pydantic_core:to_jsonable_python")(value)
    except Exception as error:  # any object may refuse in its own way
        raise DefinitionError(f"{what} cannot be written as JSON: {error}.") from error


def _file_digest(path: Path, where: str) -> str:
    """SHA-256 of a file, or of the files below a folder."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return digest_of([[file.relative_to(path).as_posix(), _file_digest(file, where)] for file in files])
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DefinitionError(
            f"{where} depends on the file '{path}', which cannot be read: {error.strerror}.",
            hint=f"Relative paths start at the working directory, {Path.cwd()}.",
        ) from error
