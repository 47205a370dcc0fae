"""A pipeline's body while it is executed: which steps it calls, with what, and what stands for their results."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from tiphys.errors import DefinitionError
from tiphys.records.artifacts import ArtifactVersion
from tiphys.sdk.conditions import Condition, Operand, as_condition
from tiphys.sdk.config import ExternalArtifact, did_you_mean
from tiphys.sdk.signature import EMPTY, StepParameter, StepSignature, encode_parameter, type_text

if TYPE_CHECKING:
    from tiphys.sdk.outputs import OutputSpec


class Invocable(ABC):
    """What an invocation needs to know of its step (`sdk.step.Step` is the one kind)."""

    name: str

    @property
    @abstractmethod
    def signature(self) -> StepSignature:
        """Parameters and outputs."""

    @property
    @abstractmethod
    def defaults(self) -> Mapping[str, str]:
        """JSON text of the parameters' defaults, where they have one."""


class Output(Operand):
    """Stands for what a step will give: pass it to other steps, or compare it in a `when=`.

    Attributes:
        invocation: The call of the step.
        spec: Which of the step's outputs it is.
    """

    __slots__ = ("invocation", "spec")

    def __init__(self, invocation: Invocation, spec: OutputSpec) -> None:
        self.invocation = invocation
        self.spec = spec

    @property
    def output_name(self) -> str:
        """Name of the output."""
        return self.spec.name

    def __repr__(self) -> str:
        return f"the output '{self.spec.name}' of step '{self.invocation.id}'"

    __str__ = __repr__

    def _no(self, done: str, hint: str) -> NoReturn:
        raise DefinitionError(
            f"{self} {done} while the pipeline '{self.invocation.build.pipeline}' was being built; its value exists "
            "once the step has run.",
            hint=hint,
        )

    def __iter__(self) -> NoReturn:
        self._no(
            "was iterated over",
            "Run a step for each element with `step.map(output)`. If the step has several outputs, annotate it with "
            "tuple[...] and return a tuple literal.",
        )

    def __len__(self) -> NoReturn:
        self._no("was asked for its length", "Return the length from a step.")

    def __getitem__(self, key: Any) -> NoReturn:
        self._no(f"was indexed with {key!r}", "Index it inside a step, or make it an output of its own.")

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"{self} has no '{name}' while the pipeline is being built; its value exists once the step has run. Use it "
            "inside a step."
        )


class Outputs(tuple[Output, ...]):
    """What a call of a step with several outputs gives: unpack it, or take one by position or name."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, str):
            return super().__getitem__(key)
        found = next((output for output in self if output.spec.name == key), None)
        if found is None:
            invocation = self[0].invocation
            raise DefinitionError(
                f"Step '{invocation.id}' in pipeline '{invocation.build.pipeline}' has no output '{key}'.",
                hint=did_you_mean(key, [output.spec.name for output in self]),
            )
        return found


class unmapped:  # noqa: N801  ZenML's name, used like a function
    """In a call of `.map()` or `.product()`: pass the whole value to each step."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


@dataclass(frozen=True, slots=True)
class Item:
    """An input that is one element of an upstream output at a time."""

    source: Output

    @property
    def root(self) -> Output:
        """The output whose length says how often the step is run: of a chain of maps that of the first."""
        source = self.source
        while source.invocation.item is not None:
            source = source.invocation.item.source
        return source


@dataclass(frozen=True, slots=True)
class External:
    """An input from outside: a value to be stored, or a version that is."""

    source: ExternalArtifact | ArtifactVersion


#: An input: JSON text of a parameter, an output, several of both, an element, or an artifact from outside.
Bound = str | Output | tuple[str | Output, ...] | Item | External


class Invocation:
    """One call of a step in a pipeline's body."""

    __slots__ = ("after", "build", "id", "inputs", "item", "step", "when")

    def __init__(
        self,
        build: PipelineBuild,
        id: str,
        step: Invocable,
        inputs: dict[str, Bound],
        after: tuple[str, ...],
        when: Condition | None,
    ) -> None:
        self.build = build
        self.id = id
        self.step = step
        self.inputs = inputs
        #: Ids of calls to wait for, beside those it takes something from.
        self.after = after
        self.when = when
        #: The element that the step is run for, if it is run for each of a list's.
        self.item: Item | None = None

    def __repr__(self) -> str:
        return f"the call '{self.id}' of step '{self.step.name}'"

    def result(self) -> Any:
        """What the pipeline's body gets: an output, a tuple of them, or the call itself (good for `after=`)."""
        specs = self.step.signature.outputs
        if len(specs) == 1:
            return Output(self, specs[0])
        return Outputs([Output(self, spec) for spec in specs]) if specs else self


_current: ContextVar[PipelineBuild | None] = ContextVar("tiphys_build", default=None)


def current_build() -> PipelineBuild | None:
    """The pipeline whose body is being executed, if any."""
    return _current.get()


class PipelineBuild:
    """Collects the calls of one execution of a pipeline's body.

    Args:
        pipeline: Name of the pipeline.
        parameters: Step id → values that a configuration file or `with_options(steps=…)` gives its parameters.
    """

    def __init__(self, pipeline: str, parameters: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.pipeline = pipeline
        self.parameters = parameters or {}
        self.invocations: dict[str, Invocation] = {}
        self._numbers: dict[str, int] = {}

    def run(self, body: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
        """Execute the pipeline's body; steps that it calls are added here."""
        token = _current.set(self)
        try:
            return body(**arguments)
        finally:
            _current.reset(token)

    def call(
        self, step: Invocable, args: Sequence[Any], kwargs: Mapping[str, Any], *, id: Any, after: Any, when: Any
    ) -> Any:
        """Add one call; returns what stands for its result."""
        return self._add(step, args, kwargs, self._new_id(step, id), after, when).result()

    def map(
        self,
        step: Invocable,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        id: Any,
        after: Any,
        when: Any,
        product: bool = False,
    ) -> Any:
        """Add a call for each element of lists, or one that is repeated at run time for each element of an output."""
        what = f"{step.name}.{'product' if product else 'map'}()"
        named = _by_name(self, step, args, kwargs)
        outputs = [name for name, value in named.items() if isinstance(value, Output)]
        lists = [name for name, value in named.items() if isinstance(value, (list, tuple, range))]
        if outputs:
            if product or lists or len(outputs) > 1:
                raise DefinitionError(
                    f"{what} in pipeline '{self.pipeline}' maps {' and '.join(map(repr, (*outputs, *lists)))}; "
                    "while the pipeline is being built it is not known which elements belong together.",
                    hint="Map over one output and pass the others whole with unmapped(...), or combine them in a step.",
                )
            return self._loop(step, named, outputs[0], id=id, after=after, when=when)
        if not lists:
            raise DefinitionError(
                f"{what} in pipeline '{self.pipeline}' is given nothing to map over.",
                hint="Give at least one list, or the output of a step that returns a list.",
            )
        fixed = {name: _unwrap(value) for name, value in named.items() if name not in lists}
        rows = self._rows(what, {name: named[name] for name in lists}, product=product)
        results = [
            self._add(
                step,
                (),
                {**fixed, **dict(zip(lists, row, strict=True))},
                self._new_id(step, id, again=True),
                after,
                when,
            ).result()
            for row in rows
        ]
        return results if len(step.signature.outputs) < 2 else tuple(map(list, zip(*results, strict=True)))

    def _rows(self, what: str, lists: Mapping[str, Sequence[Any]], *, product: bool) -> list[tuple[Any, ...]]:
        sizes = {name: len(values) for name, values in lists.items()}
        shown = ", ".join(f"'{name}' {size}" for name, size in sizes.items())
        if 0 in sizes.values():
            raise DefinitionError(
                f"{what} in pipeline '{self.pipeline}' is given an empty list (lengths: {shown}).",
                hint="Give at least one element, or leave the call out with a Python `if`.",
            )
        if product:
            return list(itertools.product(*lists.values()))
        if len(set(sizes.values())) > 1:
            raise DefinitionError(
                f"{what} in pipeline '{self.pipeline}' is given lists of different lengths: {shown}.",
                hint="Give lists of one length; pass a list whole with unmapped(...); or use .product().",
            )
        return list(zip(*lists.values(), strict=True))

    def _loop(self, step: Invocable, named: Mapping[str, Any], mapped: str, *, id: Any, after: Any, when: Any) -> Any:
        values = {name: _unwrap(value) for name, value in named.items() if name != mapped}
        source = self._own(named[mapped], step, mapped)
        invocation = self._add(step, (), values, self._new_id(step, id), after, when, item=(mapped, Item(source)))
        return invocation.result()

    def _add(
        self,
        step: Invocable,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        id: str,
        after: Any,
        when: Any,
        item: tuple[str, Item] | None = None,
    ) -> Invocation:
        inputs = self._bind(step, id, _by_name(self, step, args, kwargs), item)
        condition = None if when is None or when is True else as_condition(when)
        if condition is not None:
            for operand in condition.operands():
                self._own_condition(operand, id)
        ids = () if after is None else tuple(dict.fromkeys(self._ids(after, id)))
        invocation = Invocation(self, id, step, inputs, ids, condition)
        if item is not None:
            invocation.item = item[1]
        self.invocations[id] = invocation
        return invocation

    def _bind(
        self, step: Invocable, id: str, values: Mapping[str, Any], item: tuple[str, Item] | None
    ) -> dict[str, Bound]:
        configured = self.parameters.get(id)
        if configured is not None:
            values = self._configured(step, id, values, configured)
        bound: dict[str, Bound] = {}
        missing = None
        for name, parameter in step.signature.parameters.items():
            value = values.get(name, EMPTY)
            if type(value) is Output:
                bound[name] = value if value.invocation.build is self else self._own(value, step, name)
            elif value is not EMPTY:
                bound[name] = self._value(step, id, parameter, value)
            elif item is not None and item[0] == name:
                bound[name] = item[1]
            elif name in step.defaults:
                bound[name] = step.defaults[name]
            elif parameter.default is EMPTY:
                missing = [*(missing or ()), name]
        if missing is not None:
            names = ", ".join(f"'{name}'" for name in missing)
            raise DefinitionError(
                f"Step '{id}' in pipeline '{self.pipeline}' is called without its parameter {names}.",
                hint=f"Pass a value or an output: {step.name}({', '.join(f'{name}=...' for name in missing)}).",
            )
        return bound

    def _configured(
        self, step: Invocable, id: str, values: Mapping[str, Any], configured: Mapping[str, Any]
    ) -> dict[str, Any]:
        known = step.signature.parameters
        for name in configured:
            if name not in known:
                raise DefinitionError(
                    f"The configuration of pipeline '{self.pipeline}' gives '{id}' the unknown parameter '{name}'.",
                    hint=did_you_mean(name, tuple(known)),
                )
            if isinstance(values.get(name), (Output, ExternalArtifact, ArtifactVersion)):
                raise DefinitionError(
                    f"The configuration of pipeline '{self.pipeline}' gives the parameter '{name}' of step '{id}' a "
                    "value, but the pipeline passes an artifact there.",
                    hint="Remove it from the configuration.",
                )
        return {**values, **configured}

    def _value(self, step: Invocable, id: str, parameter: StepParameter, value: Any) -> Bound:
        kind = type(value)
        if (kind is list or kind is tuple or kind is Outputs) and any(type(item) is Output for item in value):
            self._expect_list(id, parameter, value)
            return tuple(self._list_item(step, id, parameter.name, item) for item in value)
        if isinstance(value, ExternalArtifact):
            return External(value)
        record = getattr(value, "record", value)  # the client's views hold the record they show
        if isinstance(record, ArtifactVersion):
            return External(record)
        try:
            return encode_parameter(value, parameter.annotation)
        except ValueError as error:
            raise self._refused(id, parameter.name, value, str(error)) from error

    def _expect_list(self, id: str, parameter: StepParameter, value: Sequence[Any]) -> None:
        """Refuse several outputs for a parameter that is annotated as one thing which no list is."""
        wanted = parameter.annotation
        if (
            not isinstance(wanted, type)
            or issubclass(list, wanted)
            or issubclass(wanted, (list, tuple, set, frozenset))
        ):
            return
        several = isinstance(value, Outputs)
        given = f"all outputs of step '{value[0].invocation.id}'" if several else f"a list of {len(value)}"
        names = ", ".join(repr(output.spec.name) for output in value) if several else ""
        raise DefinitionError(
            f"Parameter '{parameter.name}' of step '{id}' in pipeline '{self.pipeline}' is given {given}: expected "
            f"{type_text(wanted)}, got list.",
            hint=f"Take one of them, by unpacking or by name: {names}." if several else "Pass one of them.",
        )

    def _list_item(self, step: Invocable, id: str, name: str, item: Any) -> str | Output:
        if type(item) is Output:
            if item.invocation.item is not None:
                raise DefinitionError(
                    f"Parameter '{name}' of step '{id}' in pipeline '{self.pipeline}' is a list that holds {item}, "
                    "which is a list itself.",
                    hint="Pass the mapped step's output alone: it arrives as a list.",
                )
            return self._own(item, step, name)
        try:
            return encode_parameter(item, EMPTY)
        except ValueError as error:
            raise self._refused(id, name, item, f"holds an item that {error}") from error

    def _refused(self, id: str, name: str, value: Any, problem: str) -> DefinitionError:
        where = f"Parameter '{name}' of step '{id}' in pipeline '{self.pipeline}'"
        inner = next(_nested(value), None)
        if inner is not None:
            what = f"{inner}" if isinstance(inner, Output) else f"{inner!r}"
            return DefinitionError(
                f"{where} holds {what} inside of a {type(value).__qualname__}.",
                hint="Outputs can be passed on their own or as the items of one list.",
            )
        if isinstance(value, Invocation):
            return DefinitionError(
                f"{where} is given {value}, which has no outputs.",
                hint=f"Annotate what step '{value.step.name}' returns; for the order alone use after=.",
            )
        hint = (
            "Pass a value of the annotated type."
            if ": expected " in problem
            else "Pass JSON-like values (or annotate the parameter with a pydantic model or dataclass), or "
            "ExternalArtifact(value=...) to store the value as an artifact."
        )
        return DefinitionError(f"{where} {problem}.", hint=hint)

    def _own(self, output: Output, step: Invocable, name: str) -> Output:
        if output.invocation.build is not self:
            raise DefinitionError(
                f"Parameter '{name}' of step '{step.name}' in pipeline '{self.pipeline}' is given {output} of another "
                f"run of the pipeline '{output.invocation.build.pipeline}'.",
                hint="Outputs live as long as the pipeline's body; Client().get_artifact_version() has past results.",
            )
        return output

    def _own_condition(self, operand: Operand, id: str) -> None:
        if not isinstance(operand, Output) or operand.invocation.build is not self:
            raise DefinitionError(
                f"The condition (when=) of step '{id}' in pipeline '{self.pipeline}' asks for {operand}, which is not "
                "of this run of the pipeline.",
            )
        if operand.invocation.item is not None:
            raise DefinitionError(
                f"The condition (when=) of step '{id}' in pipeline '{self.pipeline}' asks for {operand}, which is a "
                "list of results.",
                hint="Reduce the list to one value in a step, and compare that.",
            )

    def _ids(self, after: Any, id: str) -> Iterable[str]:
        if isinstance(after, str):
            yield after
        elif isinstance(after, Output):
            yield after.invocation.id
        elif isinstance(after, Invocation):
            yield after.id
        elif isinstance(after, (list, tuple, set, frozenset)):
            for item in after:
                yield from self._ids(item, id)
        else:
            raise DefinitionError(
                f"Step '{id}' in pipeline '{self.pipeline}' has after={after!r}.",
                hint="Give the id of another call, its output, or a list of them.",
            )

    def _new_id(self, step: Invocable, id: Any, *, again: bool = False) -> str:
        if id is not None:
            if not isinstance(id, str) or not id:
                raise DefinitionError(f"Step '{step.name}' in pipeline '{self.pipeline}' has id={id!r}: give a text.")
            if id not in self.invocations:
                return id
            if not again:
                raise DefinitionError(
                    f"Pipeline '{self.pipeline}' has two steps with the id '{id}': a call of "
                    f"'{self.invocations[id].step.name}' and one of '{step.name}'.",
                    hint="Choose another id, or leave it out: repeated calls are numbered.",
                )
        base = id or step.name
        number = self._numbers.get(base, 0) + 1
        found = base if number == 1 else f"{base}_{number}"
        while found in self.invocations:
            number += 1
            found = f"{base}_{number}"
        self._numbers[base] = number
        return found


def _by_name(build: PipelineBuild, step: Invocable, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by parameter name.

    Raises:
        DefinitionError: there are too many, an unknown one, or one twice.
    """
    signature = step.signature
    if len(args) > len(signature.positional):
        raise DefinitionError(
            f"Step '{step.name}' in pipeline '{build.pipeline}' is called with {len(args)} positional arguments, but "
            f"takes {len(signature.positional)}.",
            hint=f"Its parameters: {', '.join(signature.parameters) or 'none'}.",
        )
    named = dict(zip(signature.positional, args, strict=False))
    for name, value in kwargs.items():
        if name not in signature.parameters:
            raise DefinitionError(
                f"Step '{step.name}' in pipeline '{build.pipeline}' is called with the unknown parameter '{name}'.",
                hint=did_you_mean(name, tuple(signature.parameters)),
            )
        if name in named:
            raise DefinitionError(
                f"Step '{step.name}' in pipeline '{build.pipeline}' is given its parameter '{name}' twice, by position "
                "and by name."
            )
        named[name] = value
    return named


def _unwrap(value: Any) -> Any:
    return value.value if isinstance(value, unmapped) else value


def _nested(value: Any) -> Iterator[Any]:
    """Outputs and external artifacts inside of containers."""
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple, set)) else ()
    for item in items:
        if isinstance(item, (Output, ExternalArtifact)):
            yield item
        else:
            yield from _nested(item)
