"""`@pipeline`: a function whose calls of steps are compiled to a workflow and run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Unpack, overload

from tiphys.errors import DefinitionError, RunFailedError
from tiphys.plugins.loading import load
from tiphys.sdk.config import did_you_mean
from tiphys.sdk.invocation import current_build
from tiphys.sdk.options import PIPELINE_OPTIONS, RUN_OPTIONS, PipelineOptions, RunOptions, checked, merged
from tiphys.sdk.signature import coerce_value, type_hints

if TYPE_CHECKING:
    from tiphys.sdk.compiled import CompiledPipeline


class Pipeline:
    """A pipeline. Calling it runs it; called in another pipeline's body its steps become steps of that pipeline.

    Attributes:
        name: Name of the pipeline.
        entrypoint: The bare function.
        options: The pipeline's own options.
    """

    def __init__(self, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
        name = str(options.get("name") or getattr(function, "__name__", type(function).__name__))
        if name == "<lambda>":
            raise DefinitionError(
                "A pipeline made of a lambda needs a name.", hint="pipeline(lambda: ..., name='mine')"
            )
        if isinstance(function, type) or not callable(function):
            raise DefinitionError(
                f"@pipeline is used on {function!r}, which is no function.", hint="Decorate a function."
            )
        self.entrypoint = function
        self.options: Mapping[str, Any] = checked(options, PIPELINE_OPTIONS, f"Pipeline '{name}'")
        self.name = name
        self._from_file: Mapping[str, Any] = {}
        self._from_code: Mapping[str, Any] = {}
        self.__doc__ = function.__doc__
        self.__wrapped__ = function
        self.__name__ = getattr(function, "__name__", name)
        self.__qualname__ = getattr(function, "__qualname__", name)
        self.__module__ = getattr(function, "__module__", __name__)

    @property
    def run_options(self) -> dict[str, Any]:
        """Options of the next run: what `with_options` says over what its configuration file says."""
        return merged(self._from_file, self._from_code)

    def __repr__(self) -> str:
        return f"<pipeline '{self.name}' ({self.__module__}.{self.__qualname__})>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the pipeline and wait for its end.

        Returns:
            The run: status, steps, outputs, metadata. In another pipeline's body: what this one's body returns.

        Raises:
            DefinitionError: something is defined or called wrongly; nothing was run.
            RunFailedError: a step failed; the message shows where.
        """
        if current_build() is not None:
            return self.entrypoint(**self.bind(args, kwargs))
        try:
            return load("tiphys.sdk.compiler.run:run_pipeline")(self, args, kwargs)
        except RunFailedError as error:
            # The message shows the step's lines; how we came to wait for the run is no help to anybody.
            raise error.with_traceback(None) from error.__cause__

    def compile(self, *args: Any, **kwargs: Any) -> CompiledPipeline:
        """Compile the pipeline without running it: the workflow and what goes with it."""
        compiled: CompiledPipeline = load("tiphys.sdk.compiler.compile:compile_pipeline")(self, self.bind(args, kwargs))
        return compiled

    def with_options(self, **options: Unpack[RunOptions]) -> Pipeline:
        """A copy whose runs have these options; it does not run.

        Args:
            **options: Those of `@pipeline`, and run_name; config_path (a YAML file with the same options, which these
                beat); steps ({step id: options and parameters}); parameters; stack; resume (False: do not take up an
                interrupted run). Caching and the `enable_*` switches given here beat those of every step.
        """
        copied = self.copy()
        found = checked(options, RUN_OPTIONS, f"with_options() of pipeline '{self.name}'")
        path = found.pop("config_path", None)
        if path is not None:
            copied._from_file = merged(  # noqa: SLF001  a copy of this very object
                self._from_file, load("tiphys.sdk.yaml_config:read_config")(path, self.name)
            )
        copied._from_code = merged(self._from_code, found)  # noqa: SLF001  a copy of this very object
        if "name" in found:
            copied.name = found["name"]
        return copied

    def configure(self, **options: Unpack[PipelineOptions]) -> Pipeline:
        """Change the options of this pipeline; returns it. Dictionaries are merged."""
        self.options = merged(self.options, checked(options, PIPELINE_OPTIONS, f"Pipeline '{self.name}'"))
        self.name = self.options.get("name", self.name)
        return self

    def copy(self) -> Pipeline:
        """A copy."""
        copied = Pipeline.__new__(Pipeline)
        copied.__dict__.update(self.__dict__)
        return copied

    def write_run_configuration_template(self, path: Any, *args: Any, **kwargs: Any) -> None:
        """Write a YAML file for `with_options(config_path=…)` that names everything that can be set, commented out.

        Args:
            path: The file.
            *args: Arguments of the pipeline, if it needs some to be built.
            **kwargs: The same by name.
        """
        load("tiphys.sdk.yaml_config:write_template")(self, path, self.compile(*args, **kwargs))

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments by name: those of the call, then those of the run's configuration, then defaults.

        Raises:
            DefinitionError: one is missing, unknown, or of the wrong type.
        """
        signature = inspect.signature(self.entrypoint)
        known = signature.parameters
        open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
        configured = self.run_options.get("parameters", {})
        for name, where in (
            *((name, "called with") for name in kwargs),
            *((name, "configured with") for name in configured),
        ):
            if name not in known and not open_ended:
                raise DefinitionError(
                    f"Pipeline '{self.name}' is {where} the unknown parameter '{name}'.",
                    hint=did_you_mean(name, tuple(known)),
                )
        try:
            bound = signature.bind_partial(*args, **kwargs)
        except TypeError as error:
            raise DefinitionError(
                f"Pipeline '{self.name}' cannot be called like this: {error}.",
                hint=f"Its parameters: {', '.join(known) or 'none'}.",
            ) from error
        given = {**configured, **bound.arguments}
        hints = type_hints(self.entrypoint) if given else {}
        for name, parameter in known.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            if name not in given:
                if parameter.default is parameter.empty:
                    raise DefinitionError(
                        f"Pipeline '{self.name}' is called without its parameter '{name}'.",
                        hint=f"Pass it, {self.name}({name}=...), or set it in `parameters:` of a configuration file.",
                    )
                given[name] = parameter.default
            elif name in hints:
                given[name] = self._coerced(name, given[name], hints[name])
        return given

    def _coerced(self, name: str, value: Any, annotation: Any) -> Any:
        try:
            return coerce_value(value, annotation)
        except ValueError as error:
            raise DefinitionError(f"Parameter '{name}' of pipeline '{self.name}' {error}.") from error


@overload
def pipeline(function: Callable[..., Any], /, **options: Unpack[PipelineOptions]) -> Pipeline: ...


@overload
def pipeline(
    function: None = None, /, **options: Unpack[PipelineOptions]
) -> Callable[[Callable[..., Any]], Pipeline]: ...


def pipeline(function: Callable[..., Any] | None = None, /, **options: Unpack[PipelineOptions]) -> Any:
    """Make a function a pipeline: `@pipeline` or `@pipeline(enable_cache=False, …)`.

    Its body calls steps and passes their outputs on; it is executed once, to find out what is to be run.

    Args:
        function: The function.
        **options: name; defaults of its steps: enable_cache, enable_artifact_metadata, enable_artifact_visualization,
            enable_step_logs, cache_policy, environment, settings, retry, substitutions, on_start, on_end, on_success,
            on_failure; and its own: model; tags; extra; execution_mode; timeout of a run (seconds, timedelta or text
            such as "2h"); parallelism (most steps at once); runner ("inline": in this process, "process": each step in
            one of its own).
    """
    if function is not None:
        return Pipeline(function, options)
    return lambda function: Pipeline(function, options)


Pipeline.__module__ = "tiphys"
pipeline.__module__ = "tiphys"
