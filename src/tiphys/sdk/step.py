"""`@step`: a function that pipelines call."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, Unpack, overload

from tiphys.errors import DefinitionError, RunFailedError
from tiphys.plugins.loading import load
from tiphys.sdk.invocation import Invocable, PipelineBuild, current_build
from tiphys.sdk.options import STEP_OPTIONS, StepOptions, checked, merged
from tiphys.sdk.outputs import materializers_of
from tiphys.sdk.signature import EMPTY, StepSignature, encode_parameter, parse_signature


class Step(Invocable):
    """A step.

    Called in a pipeline's body it becomes a part of the pipeline; in a running step it is a plain call; elsewhere it
    runs as a pipeline of its own and returns its value.

    Attributes:
        name: Name of the step, and of its first call in a pipeline.
        entrypoint: The bare function.
        options: The step's own options.
    """

    def __init__(self, function: Callable[..., Any], options: Mapping[str, Any], local: Mapping[str, Any]) -> None:
        name = str(options.get("name") or getattr(function, "__name__", type(function).__name__))
        if name == "<lambda>":
            raise DefinitionError("A step made of a lambda needs a name.", hint="step(lambda x: ..., name='my_step')")
        if isinstance(function, type) or not callable(function):
            raise DefinitionError(f"@step is used on {function!r}, which is no function.", hint="Decorate a function.")
        if inspect.isasyncgenfunction(function):
            raise DefinitionError(
                f"Step '{name}' is an async generator, which gives no value.",
                hint="Collect the values and return them.",
            )
        self.entrypoint = function
        self.options = checked(options, STEP_OPTIONS, f"Step '{name}'")
        self.name = name
        self._local: Mapping[str, Any] = local
        self._signature = parse_signature(function, name, local)
        self._defaults: dict[str, str] | None = None
        if self._signature.complete:
            self._local = {}
        self.__doc__ = function.__doc__
        self.__wrapped__ = function
        self.__name__ = getattr(function, "__name__", name)
        self.__qualname__ = getattr(function, "__qualname__", name)
        self.__module__ = getattr(function, "__module__", __name__)
        materializers_of(self.options.get("output_materializers"), self._signature.outputs, name)

    @property
    def signature(self) -> StepSignature:
        """Parameters and outputs. Annotations may name what is defined after the step, so they are read again here."""
        if not self._signature.complete and self._local is not _SETTLED:
            self._signature = parse_signature(self.entrypoint, self.name, self._local)
            self._local = _SETTLED
        return self._signature

    @property
    def defaults(self) -> Mapping[str, str]:
        """JSON text of the parameters' defaults; one that has no JSON form is left to the function."""
        if self._defaults is None:
            found = {}
            for parameter in self.signature.parameters.values():
                if parameter.default is not EMPTY:
                    annotation = EMPTY if parameter.default is None else parameter.annotation
                    try:
                        found[parameter.name] = encode_parameter(parameter.default, annotation)
                    except ValueError:  # the function will use its own
                        continue
            self._defaults = found
        return self._defaults

    def __repr__(self) -> str:
        return f"<step '{self.name}' ({self.__module__}.{self.__qualname__})>"

    def __call__(self, *args: Any, id: str | None = None, after: Any = None, when: Any = None, **kwargs: Any) -> Any:
        """Call the step.

        Args:
            *args: Inputs: values, other steps' outputs, lists of both.
            id: Id of this call in the pipeline; the step's name (with a number if it is repeated) by default.
            after: Calls to wait for although nothing is taken from them: ids, outputs, or a list.
            when: Condition on other steps' outputs; if it does not hold, the step is skipped.
            **kwargs: Inputs by name.
        """
        build = current_build()
        if build is not None:
            return build.call(self, args, kwargs, id=id, after=after, when=when)
        if _in_running_step():
            return self.entrypoint(*args, **kwargs)
        try:
            return load("tiphys.sdk.compiler.run:run_step_alone")(self, args, kwargs)
        except RunFailedError as error:
            raise error.with_traceback(None) from error.__cause__  # as a pipeline does

    def map(self, *args: Any, id: str | None = None, after: Any = None, when: Any = None, **kwargs: Any) -> Any:
        """Call the step for each element of lists of one length, or of a list that another step returns.

        Pass a list whole with `unmapped(values)`. The result stands for the list of results: pass it to a step that
        takes a list, or map over it again. Of a step with several outputs it is one such list for each output.
        """
        return self._build("map").map(self, args, kwargs, id=id, after=after, when=when)

    def product(self, *args: Any, id: str | None = None, after: Any = None, when: Any = None, **kwargs: Any) -> Any:
        """Call the step for each combination of the elements of several lists; else as `map`."""
        return self._build("product").map(self, args, kwargs, id=id, after=after, when=when, product=True)

    def with_options(self, **options: Unpack[StepOptions]) -> Step:
        """A copy with other options; dictionaries (settings, extra, environment, substitutions) are merged."""
        copied = Step.__new__(Step)
        copied.__dict__.update(self.__dict__)
        copied.options = merged(self.options, checked(options, STEP_OPTIONS, f"Step '{self.name}'"))
        copied.name = copied.options.get("name", self.name)
        materializers_of(copied.options.get("output_materializers"), self.signature.outputs, copied.name)
        return copied

    def configure(self, **options: Unpack[StepOptions]) -> Step:
        """Change the options of this step; returns it."""
        changed = self.with_options(**options)
        self.options, self.name = changed.options, changed.name
        return self

    def copy(self) -> Step:
        """A copy."""
        return self.with_options()

    def _build(self, method: str) -> PipelineBuild:
        build = current_build()
        if build is None:
            raise DefinitionError(
                f"{self.name}.{method}() is called outside of a pipeline.",
                hint="Call it in the body of a function that is decorated with @pipeline.",
            )
        return build


_SETTLED: Mapping[str, Any] = {}


def _in_running_step() -> bool:
    context = sys.modules.get("tiphys.sdk.context")  # not loaded: no step has ever run in this process
    return context is not None and context.current_step_context() is not None


@overload
def step(function: Callable[..., Any], /, **options: Unpack[StepOptions]) -> Step: ...


@overload
def step(function: None = None, /, **options: Unpack[StepOptions]) -> Callable[[Callable[..., Any]], Step]: ...


def step(function: Callable[..., Any] | None = None, /, **options: Unpack[StepOptions]) -> Any:
    """Make a function a step of pipelines: `@step` or `@step(enable_cache=False, …)`.

    Its inputs are its parameters; its outputs follow from the return annotation: None → none; one → `output`; a tuple
    literal in `return` with `tuple[A, B]` → `output_0`, `output_1`; `Annotated[T, "name"]` names one.

    Args:
        function: The function.
        **options: name; enable_cache, enable_artifact_metadata, enable_artifact_visualization, enable_step_logs;
            experiment_tracker (name, or True for the stack's); output_materializers (class, or by output name);
            environment; settings (by component); extra; on_start, on_end, on_success, on_failure (functions or
            "module:name"); model; retry; substitutions (for names of artifacts); cache_policy; timeout of an attempt
            (seconds, timedelta or text such as "10m").
    """
    if function is not None:
        return Step(function, options, _locals_of(function, inspect.currentframe()))

    def decorate(function: Callable[..., Any]) -> Step:
        return Step(function, options, _locals_of(function, inspect.currentframe()))

    return decorate


def _locals_of(function: Any, frame: Any) -> Mapping[str, Any]:
    """Names known where the decorator stands, if annotations written as text may need them."""
    hints = getattr(function, "__annotations__", {})
    caller = frame.f_back
    if caller is None or not any(isinstance(hint, str) for hint in hints.values()):
        return {}
    return {} if caller.f_locals is caller.f_globals else dict(caller.f_locals)


Step.__module__ = "tiphys"
step.__module__ = "tiphys"
