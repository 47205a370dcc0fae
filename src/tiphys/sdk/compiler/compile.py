"""Compiles a pipeline: its body is executed once, and what it called becomes the tasks of an Argo workflow.

The work is linear in the number of calls; what calls have in common (a step's signature, its code's digest, its
template) is worked out once.
"""

from __future__ import annotations

import inspect
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tiphys._util.canonical import canonical_json, digest_of
from tiphys._util.collector import no_collections
from tiphys._util.ids import dns_name
from tiphys.errors import ArtifactMissingError, DefinitionError, NotFoundError
from tiphys.ports.backend import ModelRequest
from tiphys.records.artifacts import ArtifactVersion
from tiphys.sdk.compiled import CompiledPipeline
from tiphys.sdk.compiler.body import BodyMaker, Levels, plain_json
from tiphys.sdk.conditions import Condition, Operand
from tiphys.sdk.config import ExecutionMode, ExternalArtifact, StepRetryConfig, did_you_mean, duration_text
from tiphys.sdk.invocation import Bound, External, Invocation, Item, Output, PipelineBuild
from tiphys.sdk.options import merged
from tiphys.sdk.outputs import RUN_PLACEHOLDERS, resolve_own
from tiphys.sdk.pipeline import Pipeline
from tiphys.sdk.step import Step
from tiphys.spec.artifacts import Artifact
from tiphys.spec.kubernetes import ObjectMeta
from tiphys.spec.step_names import STEP_NAMES, exceptions, task_names
from tiphys.spec.template import (
    Backoff,
    DAGTemplate,
    Inputs,
    Outputs,
    Parameter,
    RetryStrategy,
    Template,
)
from tiphys.spec.workflow import Workflow, WorkflowSpec

EXECUTION_MODE = "tiphys.dev/execution-mode"
PIPELINE = "tiphys.dev/pipeline"


class Surroundings(Protocol):
    """What a compilation asks of the backend that the run is for."""

    def reference(self, source: ExternalArtifact | ArtifactVersion) -> Mapping[str, Any]:
        """An artifact from outside as `records.artifacts.ArtifactRef` JSON; a value is stored first."""

    def trackers(self) -> list[str]:
        """Names of the active stack's experiment trackers."""


class Nowhere:
    """Surroundings of a compilation that is not for a run (to look at, to export)."""

    def reference(self, source: ExternalArtifact | ArtifactVersion) -> Mapping[str, Any]:
        """What can be said without storing anything."""
        if isinstance(source, ArtifactVersion):
            return {"version_id": source.id, "name": source.name, "digest": source.digest}
        return {"digest": "not stored"} if source.id is None else {"version_id": str(source.id)}

    def trackers(self) -> list[str]:
        """None are known."""
        return []


@no_collections()
def compile_pipeline(
    pipeline: Pipeline, arguments: Mapping[str, Any], *, surroundings: Surroundings | None = None
) -> CompiledPipeline:
    """Execute the body of a pipeline and compile what it called.

    Args:
        pipeline: The pipeline.
        arguments: Arguments of its function, by name.
        surroundings: The backend that the run is for, if it is for one.

    Raises:
        DefinitionError: something is defined or called wrongly.
    """
    options = merged(pipeline.options, pipeline.run_options)
    steps = options.get("steps", {})
    build = PipelineBuild(
        pipeline.name, {step: config["parameters"] for step, config in steps.items() if "parameters" in config}
    )
    build.run(pipeline.entrypoint, arguments)
    if not build.invocations:
        raise DefinitionError(f"Pipeline '{pipeline.name}' calls no steps.", hint="Call at least one step in its body.")
    for step_id in steps:
        if step_id not in build.invocations:
            warnings.warn(
                f"The configuration of pipeline '{pipeline.name}' names the step '{step_id}', which it does not have. "
                + did_you_mean(step_id, tuple(build.invocations)),
                stacklevel=2,
            )
    _check_order(build)
    compiler = _Compiler(pipeline, options, build, surroundings or Nowhere())
    return compiler.result(arguments)


def _check_order(build: PipelineBuild) -> None:
    """Refuse unknown ids and circles, which only `after=` can make."""
    invocations = build.invocations
    if not any(invocation.after for invocation in invocations.values()):
        return
    waits = {}
    for step_id, invocation in invocations.items():
        for other in invocation.after:
            if other not in invocations:
                raise DefinitionError(
                    f"Step '{step_id}' in pipeline '{build.pipeline}' comes after '{other}', which is not there.",
                    hint=did_you_mean(other, tuple(invocations)),
                )
        waits[step_id] = set(invocation.after) | {output.invocation.id for output in _outputs_used(invocation)}
    followers: dict[str, list[str]] = {}
    for step_id, others in waits.items():
        for other in others:
            followers.setdefault(other, []).append(step_id)
    missing = {step_id: len(others) for step_id, others in waits.items()}
    ready = [step_id for step_id, count in missing.items() if not count]
    for step_id in ready:  # grows while it is walked
        for follower in followers.get(step_id, ()):
            missing[follower] -= 1
            if not missing[follower]:
                ready.append(follower)
    if len(ready) < len(invocations):
        left = {step_id for step_id, count in missing.items() if count}
        circle, seen = [next(step_id for step_id in invocations if step_id in left)], set()
        while circle[-1] not in seen:
            seen.add(circle[-1])
            circle.append(next(other for other in sorted(waits[circle[-1]]) if other in left))
        circle = circle[circle.index(circle[-1]) :]
        raise DefinitionError(
            f"Steps of pipeline '{build.pipeline}' wait for each other in a circle: {' → '.join(reversed(circle))}.",
            hint="Remove one of their after=.",
        )


def _outputs_used(invocation: Invocation) -> list[Output]:
    used = []
    for bound in invocation.inputs.values():
        if type(bound) is Output:
            used.append(bound)
        elif type(bound) is tuple:
            used += [item for item in bound if type(item) is Output]
        elif type(bound) is Item:
            used.append(bound.source)
    if invocation.when is not None:
        used += [operand for operand in invocation.when.operands() if isinstance(operand, Output)]
    return used


def _condition(invocation: Invocation) -> Condition | None:
    """The call's own condition, and those of the loops it takes results of.

    A loop whose elements are all skipped has succeeded, with no results; what needs them is skipped by the same
    condition.
    """
    condition = invocation.when
    for bound in invocation.inputs.values():
        source = bound.source if type(bound) is Item else bound
        if type(source) is Output and source.invocation.item is not None:
            inherited = _condition(source.invocation)
            if inherited is not None:
                condition = inherited if condition is None else condition & inherited
    return condition


class _Compiler:
    """One compilation."""

    def __init__(
        self, pipeline: Pipeline, options: Mapping[str, Any], build: PipelineBuild, surroundings: Surroundings
    ) -> None:
        self.pipeline = pipeline
        self.options = options
        self.build = build
        self.surroundings = surroundings
        self.levels = Levels(pipeline.name, pipeline.options, pipeline.run_options)
        self.bodies = BodyMaker(pipeline.name, surroundings.trackers)
        self.task_names = task_names(build.invocations)
        #: (step's identity, id if it has a configuration of its own) → options and body without inputs.
        self.definitions: dict[tuple[int, str], tuple[dict[str, Any], dict[str, Any]]] = {}
        #: Definition and shape of the inputs → template name.
        self.shapes: dict[tuple[Any, ...], str] = {}
        #: Digest of a template without its name → its name.
        self.by_content: dict[str, str] = {}
        self.templates: list[Template] = []
        self.entry = dns_name(pipeline.name)
        self.template_names = {self.entry}
        self.references: dict[int, tuple[Any, Mapping[str, Any]]] = {}
        #: Step id → names of outputs that conditions ask for, and that are mapped over.
        self.exposed: dict[str, set[str]] = {}
        self.mapped: dict[str, set[str]] = {}
        #: The same of outputs whose mapped results are mapped over again.
        self.indexed: dict[str, set[str]] = {}
        self._note_uses()

    def _note_uses(self) -> None:
        for invocation in self.build.invocations.values():
            if invocation.when is not None:
                for operand in invocation.when.operands():
                    if isinstance(operand, Output):
                        self.exposed.setdefault(operand.invocation.id, set()).add(operand.spec.name)
            if invocation.item is not None:
                root = invocation.item.root
                uses = self.mapped if root is invocation.item.source else self.indexed
                uses.setdefault(root.invocation.id, set()).add(root.spec.name)

    def result(self, arguments: Mapping[str, Any]) -> CompiledPipeline:
        """The workflow and what goes with it."""
        tasks = [self._task(invocation) for invocation in self.build.invocations.values()]
        mode: ExecutionMode = self.options.get("execution_mode", ExecutionMode.CONTINUE_ON_FAILURE)
        annotations = {EXECUTION_MODE: mode.name, PIPELINE: self.pipeline.name}
        odd = exceptions(self.task_names)
        if odd:
            annotations[STEP_NAMES] = canonical_json(odd)
        timeout = self.options.get("timeout")
        fail_fast = mode is not ExecutionMode.CONTINUE_ON_FAILURE
        dag = DAGTemplate.model_validate({"failFast": fail_fast, "tasks": tasks})
        labels, priority = self._place_in_the_queue()
        workflow = Workflow(
            metadata=ObjectMeta(generate_name=f"{self.entry}-", labels=labels, annotations=annotations),
            spec=WorkflowSpec(
                entrypoint=self.entry,
                parallelism=self.options.get("parallelism"),
                priority=priority,
                active_deadline_seconds=None if timeout is None else math.ceil(timeout),
                templates=[Template(name=self.entry, dag=dag), *self.templates],
            ),
        )
        options = dict(self.options)
        substitutions = options.get("substitutions", {})
        if "run_name" in options:
            options["run_name"] = resolve_own(
                options["run_name"],
                substitutions,
                later=RUN_PLACEHOLDERS,
                what=f"The run name '{options['run_name']}'",
            )
        model = options.get("model")
        parameters = {name: value for name, value in arguments.items() if _is_json(value)}
        return CompiledPipeline(
            name=self.pipeline.name,
            description=(self.pipeline.entrypoint.__doc__ or "").strip(),
            file=inspect.unwrap(self.pipeline.entrypoint).__code__.co_filename,
            workflow=workflow,
            spec_digest=self._spec_digest(workflow, parameters, options),
            steps={step_id: _step(invocation) for step_id, invocation in self.build.invocations.items()},
            parameters=parameters,
            options=options,
            config={
                name: plain_json(dict(options[name]), f"{name} of pipeline '{self.pipeline.name}'")
                for name in ("settings", "extra")
                if options.get(name)
            },
            model=None if model is None else model_request(model),
            step_models=self._step_models(),
        )

    def _place_in_the_queue(self) -> tuple[dict[str, str] | None, int | None]:
        """Labels and priority of the run, as `settings={"queue": …}` says."""
        where = f"settings['queue'] of pipeline '{self.pipeline.name}'"
        given = self.options.get("settings", {}).get("queue", {})
        if not isinstance(given, Mapping) or not set(given) <= {"labels", "priority"}:
            raise DefinitionError(f"{where} is {given!r}.", hint='Give {"priority": 10, "labels": {"gpu": "big"}}.')
        labels, priority = given.get("labels"), given.get("priority")
        if priority is not None and type(priority) is not int:
            raise DefinitionError(f"{where} has the priority {priority!r}.", hint="Give a whole number.")
        if labels is not None and not _is_text_to_text(labels):
            raise DefinitionError(f"{where} has the labels {labels!r}.", hint="Give texts by their names.")
        return None if not labels else dict(labels), priority

    def _spec_digest(self, workflow: Workflow, parameters: Mapping[str, Any], options: Mapping[str, Any]) -> str:
        model = options.get("model")
        return digest_of(
            {
                # Fields stand in the order of the models, so equal workflows have equal texts.
                "workflow": workflow.to_json_text(),
                "parameters": parameters,
                "step_models": {step_id: repr(found) for step_id, found in self._step_models().items()},
                "tags": [tag.name for tag in options.get("tags", ())],
                "runner": options.get("runner"),
                "stack": options.get("stack"),
                "run_name": options.get("run_name"),
                "model": None if model is None else repr(model_request(model)),
            }
        )

    def _step_models(self) -> dict[str, ModelRequest]:
        found = {}
        for step_id, invocation in self.build.invocations.items():
            options, _ = self._definition(invocation)
            if "model" in options:
                found[step_id] = model_request(options["model"])
        return found

    def _definition(self, invocation: Invocation) -> tuple[dict[str, Any], dict[str, Any]]:
        step = _step(invocation)
        key = id(step), invocation.id if invocation.id in self.levels.steps else ""
        found = self.definitions.get(key)
        if found is None:
            options = self.levels.options(step, invocation.id)
            found = self.definitions[key] = options, self.bodies.definition(step, options)
        return found

    def _task(self, invocation: Invocation) -> dict[str, Any]:
        """The task as JSON: to check all of them at once costs a fraction of making each model."""
        parameters: list[dict[str, str]] = []
        artifacts: list[dict[str, str]] = []
        needed: dict[str, None] = {}
        shape: list[Any] = []
        with_param = None
        for name, bound in invocation.inputs.items():
            if isinstance(bound, str):
                parameters.append({"name": name, "value": bound})
                shape.append((name, "parameter"))
            elif isinstance(bound, Output):
                artifacts.append(self._artifact(name, bound, needed))
                shape.append((name, "artifact" if bound.invocation.item is None else "artifacts"))
            elif isinstance(bound, tuple):
                plain = []
                for index, item in enumerate(bound):
                    if isinstance(item, Output):
                        artifacts.append(self._artifact(f"{name}-{index}", item, needed))
                    else:
                        plain.append(index)
                        parameters.append({"name": f"{name}-{index}", "value": item})
                shape.append((name, "list", len(bound), tuple(plain)))
            elif isinstance(bound, Item):
                parameters.append({"name": name, "value": "{{item}}"})
                artifacts.append(self._artifact(f"{name}-list", bound.source, needed))
                shape.append((name, "item"))
                root = bound.root
                task = self.task_names[root.invocation.id]
                suffix = "items" if root is bound.source else "indexes"
                with_param = f"{{{{tasks.{task}.outputs.parameters.{root.spec.name}-{suffix}}}}}"
            else:
                shape.append((name, "external", id(self._reference(bound, invocation, name))))
        condition = _condition(invocation)
        when = None if condition is None else condition.text(lambda operand: self._tag(operand, needed))
        depends = [f"{task}.Succeeded" for task in needed]
        depends += [task for step_id in invocation.after if (task := self.task_names[step_id]) not in needed]
        return {
            "name": self.task_names[invocation.id],
            "template": self._template(invocation, tuple(shape)),
            "arguments": {"parameters": parameters or None, "artifacts": artifacts or None} if shape else None,
            "depends": " && ".join(depends) or None,
            "when": when,
            "withParam": with_param,
        }

    def _artifact(self, name: str, output: Output, needed: dict[str, None]) -> dict[str, str]:
        task = self.task_names[output.invocation.id]
        needed[task] = None
        return {"name": name, "from": f"{{{{tasks.{task}.outputs.artifacts.{output.spec.name}}}}}"}

    def _tag(self, operand: Operand, needed: dict[str, None]) -> str:
        assert isinstance(operand, Output)  # noqa: S101  the build has checked it
        task = self.task_names[operand.invocation.id]
        needed[task] = None
        return f"{{{{tasks.{task}.outputs.parameters.{operand.spec.name}}}}}"

    def _reference(self, bound: Bound, invocation: Invocation, name: str) -> Mapping[str, Any]:
        assert isinstance(bound, External)  # noqa: S101  the last kind of Bound
        found = self.references.get(id(bound.source))
        if found is None:
            try:
                reference = self.surroundings.reference(bound.source)
            except (NotFoundError, ArtifactMissingError) as error:
                raise DefinitionError(
                    f"Parameter '{name}' of step '{invocation.id}' in pipeline '{self.pipeline.name}' is an artifact "
                    f"that cannot be had: {error.message}",
                    hint=error.hint,
                ) from error
            found = self.references[id(bound.source)] = bound.source, reference
        return found[1]

    def _template(self, invocation: Invocation, shape: tuple[Any, ...]) -> str:
        step_id = invocation.id
        own = step_id if step_id in self.levels.steps else ""
        uses = tuple(tuple(sorted(found.get(step_id, ()))) for found in (self.exposed, self.mapped, self.indexed))
        key = id(invocation.step), own, shape, uses
        name = self.shapes.get(key)
        if name is None:
            name = self.shapes[key] = self._add_template(invocation, *uses)
        return name

    def _add_template(
        self, invocation: Invocation, exposed: Sequence[str], mapped: Sequence[str], indexed: Sequence[str]
    ) -> str:
        options, definition = self._definition(invocation)
        inputs, parameters, artifacts = self._inputs(invocation)
        outputs = [
            {
                **output,
                "exposed": output["name"] in exposed,
                "mapped": output["name"] in mapped,
                "indexed": output["name"] in indexed,
            }
            for output in definition["outputs"]
        ]
        passed = [
            Parameter(name=name)
            for name in (*exposed, *(f"{name}-items" for name in mapped), *(f"{name}-indexes" for name in indexed))
        ]
        timeout = options.get("timeout")
        template = Template(
            inputs=Inputs(
                parameters=[Parameter(name=name) for name in parameters] or None,
                artifacts=[Artifact(name=name) for name in artifacts] or None,
            )
            if inputs
            else None,
            outputs=Outputs(
                parameters=passed or None, artifacts=[Artifact(name=output["name"]) for output in outputs] or None
            )
            if outputs
            else None,
            plugin={"tiphys": {**definition, "inputs": inputs, "outputs": outputs}},
            retry_strategy=_retry_strategy(options.get("retry")),
            timeout=None if timeout is None else duration_text(timeout),
        )
        digest = digest_of(template.to_json_text())
        name = self.by_content.get(digest)
        if name is None:
            name = self._new_name(invocation.step.name)
            template.name = name
            self.by_content[digest] = name
            self.templates.append(template)
        return name

    def _inputs(self, invocation: Invocation) -> tuple[dict[str, Any], list[str], list[str]]:
        """Descriptions by parameter, and the names of the template's input parameters and artifacts."""
        inputs: dict[str, Any] = {}
        parameters: list[str] = []
        artifacts: list[str] = []
        signature = invocation.step.signature.parameters
        for name, bound in invocation.inputs.items():
            if isinstance(bound, str):
                inputs[name] = {"kind": "parameter"}
                parameters.append(name)
            elif isinstance(bound, Output):
                inputs[name] = {"kind": "artifact" if bound.invocation.item is None else "artifacts"}
                artifacts.append(name)
            elif isinstance(bound, tuple):
                inputs[name] = {"kind": "list", "length": len(bound)}
                for index, item in enumerate(bound):
                    (artifacts if isinstance(item, Output) else parameters).append(f"{name}-{index}")
            elif isinstance(bound, Item):
                inputs[name] = {"kind": "item"}
                parameters.append(name)
                artifacts.append(f"{name}-list")
            else:
                inputs[name] = {"kind": "external", "ref": dict(self._reference(bound, invocation, name))}
            if signature[name].unmaterialized:
                inputs[name]["unmaterialized"] = True
        return inputs, parameters, artifacts

    def _new_name(self, step: str) -> str:
        base = dns_name(step)
        name, number = base, 1
        while name in self.template_names:
            number += 1
            name = f"{base}-{number}"
        self.template_names.add(name)
        return name


def _step(invocation: Invocation) -> Step:
    step = invocation.step
    assert isinstance(step, Step)  # noqa: S101  the only kind of Invocable there is
    return step


def _retry_strategy(retry: StepRetryConfig | None) -> RetryStrategy | None:
    if retry is None or not retry.max_retries:
        return None
    factor = int(retry.backoff) if retry.backoff == int(retry.backoff) else repr(retry.backoff)
    return RetryStrategy(
        limit=retry.max_retries,
        retry_policy="Always",
        backoff=Backoff(
            duration=duration_text(retry.delay),
            factor=factor,
            cap=None if retry.max_delay is None else duration_text(retry.max_delay),
        ),
    )


def model_request(model: Any) -> ModelRequest:
    """What a Model in code asks the backend for."""
    request: ModelRequest = model.to_request()
    return request


def _is_text_to_text(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(one, str) for pair in value.items() for one in pair)


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True
