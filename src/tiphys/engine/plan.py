"""The specification, compiled once for a machine: references resolved to indices, conditions parsed, edges drawn.

Everything that can be wrong with a workflow whatever its inputs are is found here, and named by its path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tiphys.engine.model import ArtifactValue, NodeType, Phase
from tiphys.engine.references import Pattern, Reference, pattern
from tiphys.engine.retry import RetryPlan, read_strategy
from tiphys.errors import ExpressionError, SpecError
from tiphys.lang import depends
from tiphys.lang.tags import has_tags
from tiphys.spec.artifacts import Artifact
from tiphys.spec.base import json_name
from tiphys.spec.template import Arguments, DAGTask, DAGTemplate, RetryStrategy, Template
from tiphys.spec.workflow import Workflow, WorkflowSpec

#: The annotation that says what a failure of one step means for the others (see `Mode`).
MODE_ANNOTATION = "tiphys.dev/execution-mode"
#: The plugin whose body is ours: it is opaque and never searched for tags.
STEP_PLUGIN = "tiphys"

_NODE_TYPES = {
    "container": NodeType.POD,
    "script": NodeType.POD,
    "containerSet": NodeType.POD,
    "resource": NodeType.POD,
    "data": NodeType.POD,
    "http": NodeType.HTTP,
    "plugin": NodeType.PLUGIN,
    "suspend": NodeType.SUSPEND,
    "dag": NodeType.DAG,
}
#: Fields that change what a workflow does and that this version does not carry out.
_REFUSED_IN_TEMPLATE = ("steps", "synchronization", "memoize", "daemon", "fail_fast", "pending_timeout")
_REFUSED_IN_SPEC = ("workflow_template_ref", "template_defaults", "synchronization")


@dataclass(frozen=True, slots=True)
class InputParameter:
    """A declared input parameter."""

    name: str
    #: Used if no argument is given; may hold `workflow.` tags.
    default: Pattern | None


@dataclass(frozen=True, slots=True)
class InputArtifact:
    """A declared input artifact."""

    name: str
    optional: bool
    #: Where it lies if no argument is given.
    location: ArtifactValue | None


@dataclass(frozen=True, slots=True)
class ArtifactArgument:
    """An artifact that a task is called with."""

    #: A reference, a text that becomes one when it is filled in, or a place.
    source: Reference | Pattern | ArtifactValue
    optional: bool


@dataclass(frozen=True, slots=True)
class ParameterOutput:
    """An output parameter of a DAG template."""

    name: str
    value: Pattern | None
    default: str | None


@dataclass(slots=True)
class Call:
    """Arguments, compiled."""

    parameters: dict[str, Pattern] = field(default_factory=dict)
    artifacts: dict[str, ArtifactArgument] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Loop:
    """Where a task's items come from; exactly one field is set."""

    items: list[Any] | None = None
    param: Pattern | None = None
    #: start, end, count, format.
    sequence: tuple[Pattern | None, Pattern | None, Pattern | None, Pattern | None] = (None, None, None, None)


@dataclass(slots=True)
class TaskPlan:
    """A task of a DAG."""

    index: int
    name: str
    template: TemplatePlan
    call: Call
    when: Pattern | None
    loop: Loop | None
    #: Failures that `continueOn` allows.
    tolerated: frozenset[Phase]
    depends: depends.Depends
    #: Indices of the tasks that it waits for, and of those that wait for it.
    dependencies: list[int] = field(default_factory=list)
    dependents: list[int] = field(default_factory=list)
    #: Failures after which no dependent can run, so that the DAG must fail.
    fatal: frozenset[Phase] = frozenset()


@dataclass(slots=True)
class DagPlan:
    """A DAG template: the tasks that lead to its targets."""

    tasks: list[TaskPlan]
    index: dict[str, int]
    fail_fast: bool
    #: Indices of the tasks whose phases make the DAG's.
    targets: list[int]
    roots: list[int]
    #: All indices, each after those it depends on.
    order: list[int]


@dataclass(slots=True)
class TemplatePlan:
    """A template."""

    name: str
    #: JSON name of its body's field: "plugin", "dag", "container", …
    kind: str
    type: NodeType
    spec: Template
    #: Most active children, of a DAG; None is no bound.
    parallelism: int | None
    inputs: list[InputParameter]
    input_artifacts: list[InputArtifact]
    #: Declared defaults of output parameters, for consumers of a skipped node.
    output_defaults: dict[str, str]
    #: The strategy, or its JSON where it holds tags, or None.
    retry: RetryPlan | dict[str, Any] | None
    jitter: float = 0.0
    #: Seconds that one attempt may take; a pattern where it holds tags.
    timeouts: tuple[Pattern, ...] = ()
    #: Body of a plugin of ours.
    body: Mapping[str, Any] | None = None
    #: The template as JSON, of other leaves.
    json: dict[str, Any] | None = None
    dag: DagPlan | None = None
    output_parameters: list[ParameterOutput] = field(default_factory=list)
    output_artifacts: dict[str, ArtifactArgument] = field(default_factory=dict)

    @property
    def is_leaf(self) -> bool:
        """Whether a runner carries it out."""
        return self.type not in (NodeType.DAG, NodeType.SUSPEND)


@dataclass(slots=True)
class WorkflowPlan:
    """A workflow."""

    spec: WorkflowSpec
    main: TemplatePlan
    call: Call
    exit: TemplatePlan | None
    exit_call: Call
    #: FAIL_FAST, STOP_ON_FAILURE, CONTINUE_ON_FAILURE or "" for plain Argo.
    mode: str


def compile_workflow(workflow: Workflow) -> WorkflowPlan:
    """Compile a workflow.

    Raises:
        SpecError: the workflow is wrong, or asks for what this version does not do; the message names the field.
    """
    spec = workflow.spec
    if spec is None or not spec.entrypoint:
        raise SpecError("spec.entrypoint is required.")
    for name in _REFUSED_IN_SPEC:
        if getattr(spec, name):
            raise _unsupported(f"spec.{json_name(name)}")
    metadata = workflow.metadata
    mode = ((metadata.annotations if metadata else None) or {}).get(MODE_ANNOTATION, "")
    if mode not in ("", "FAIL_FAST", "STOP_ON_FAILURE", "CONTINUE_ON_FAILURE"):
        raise SpecError(f"metadata.annotations: '{mode}' is not an execution mode.")
    compiler = _Compiler(spec)
    main = compiler.template(spec.entrypoint, "spec.entrypoint")
    call = _call(spec.arguments, {}, "spec.arguments")
    exit_template, exit_call = None, Call()
    for name, hook in (spec.hooks or {}).items():
        if name != "exit":
            raise _unsupported(f"spec.hooks.{name}")
        if not hook.template:
            raise _unsupported("spec.hooks.exit without a template")
        exit_template = compiler.template(hook.template, "spec.hooks.exit.template")
        exit_call = _call(hook.arguments, {}, "spec.hooks.exit.arguments")
    if spec.on_exit:
        exit_template, exit_call = compiler.template(spec.on_exit, "spec.onExit"), call
    compiler.run()
    # The tasks' own objects are not needed again; of a wide DAG they are more than all the rest that is kept.
    return WorkflowPlan(spec.model_copy(update={"templates": None}), main, call, exit_template, exit_call, mode)


def _unsupported(path: str) -> SpecError:
    return SpecError(f"{path}: this version of Tiphys does not carry this out.")


class _Compiler:
    """Compiles the templates that can be reached, each once; templates may call each other in circles."""

    def __init__(self, spec: WorkflowSpec) -> None:
        self._spec = spec
        self._templates = {template.name or "": template for template in spec.templates or ()}
        self._plans: dict[str, TemplatePlan] = {}
        self._pending: list[tuple[TemplatePlan, DAGTemplate, str]] = []

    def template(self, name: str, where: str) -> TemplatePlan:
        if name not in self._plans:
            spec = self._templates.get(name)
            if spec is None:
                raise SpecError(f"{where}: there is no template '{name}'.")
            self._plans[name] = self.inline(spec, name, f"spec.templates.{name}")
        return self._plans[name]

    def inline(self, spec: Template, name: str, where: str) -> TemplatePlan:
        plan = _template(spec, name, where, self._spec.retry_strategy)
        if spec.dag is not None:
            self._pending.append((plan, spec.dag, where))
        return plan

    def run(self) -> None:
        while self._pending:
            plan, dag, where = self._pending.pop()
            plan.dag = _Dag(self, dag, f"{where}.dag").compile()
            _dag_outputs(plan, where)
            plan.spec = plan.spec.model_copy(update={"dag": None})


def _template(spec: Template, name: str, where: str, default_retry: RetryStrategy | None) -> TemplatePlan:
    for refused in _REFUSED_IN_TEMPLATE:
        if getattr(spec, refused):
            raise _unsupported(f"{where}.{json_name(refused)}")
    present = [kind for kind in _NODE_TYPES if getattr(spec, _ATTRIBUTES[kind]) is not None]
    if len(present) != 1:
        found = ", ".join(present) if present else "none"
        raise SpecError(f"{where}: exactly one of {', '.join(_NODE_TYPES)} is needed, found {found}.")
    kind = present[0]
    plan = TemplatePlan(
        name=name,
        kind=kind,
        type=_NODE_TYPES[kind],
        spec=spec,
        parallelism=spec.parallelism or None,
        inputs=[],
        input_artifacts=[],
        output_defaults={},
        retry=None,
    )
    if kind == "plugin":
        plan.body = _plugin_body(spec, where)
        plan.jitter = float(((plan.body or {}).get("retry") or {}).get("jitter") or 0.0)
    if plan.is_leaf and plan.body is None:
        plan.json = spec.to_json()
    if plan.is_leaf:
        limits = (spec.timeout, spec.active_deadline_seconds)
        plan.timeouts = tuple(_pattern(str(text), {}, where) for text in limits if text is not None)
    strategy = spec.retry_strategy or default_retry
    if strategy is not None and kind != "suspend":
        data = strategy.to_json()
        plan.retry = data if has_tags(data) else read_strategy(data, plan.jitter, where=where)
    _interface(plan, where)
    return plan


_ATTRIBUTES = {kind: "container_set" if kind == "containerSet" else kind for kind in _NODE_TYPES}


def _plugin_body(spec: Template, where: str) -> Mapping[str, Any] | None:
    plugin = spec.plugin or {}
    if len(plugin) != 1:
        raise SpecError(f"{where}.plugin: exactly one key is needed, found {len(plugin)}.")
    body = plugin.get(STEP_PLUGIN)
    if body is not None and not isinstance(body, Mapping):
        raise SpecError(f"{where}.plugin.{STEP_PLUGIN}: an object is needed.")
    return body


def _interface(plan: TemplatePlan, where: str) -> None:
    inputs, outputs = plan.spec.inputs, plan.spec.outputs
    for parameter in (inputs.parameters if inputs else None) or ():
        value = parameter.value if parameter.value is not None else parameter.default
        if value is None and parameter.value_from is not None:
            value = parameter.value_from.default
        default = None if value is None else _pattern(value, {}, f"{where}.inputs.parameters.{parameter.name}")
        plan.inputs.append(InputParameter(parameter.name or "", default))
    for artifact in (inputs.artifacts if inputs else None) or ():
        plan.input_artifacts.append(InputArtifact(artifact.name or "", bool(artifact.optional), _location(artifact)))
    for output in [
        *((outputs.parameters if outputs else None) or ()),
        *((outputs.artifacts if outputs else None) or ()),
    ]:
        if output.global_name:
            raise _unsupported(f"{where}.outputs.{output.name}.globalName")
    for parameter in (outputs.parameters if outputs else None) or ():
        if parameter.value_from is None:
            continue
        if parameter.value_from.supplied is not None:
            raise _unsupported(f"{where}.outputs.parameters.{parameter.name}.valueFrom.supplied")
        if parameter.value_from.default is not None:
            plan.output_defaults[parameter.name or ""] = parameter.value_from.default


#: Fields of an artifact that say where it lies.
_LOCATIONS = ("s3", "git", "http", "artifactory", "hdfs", "raw", "oss", "gcs", "azure", "plugin")


def _location(artifact: Artifact) -> ArtifactValue | None:
    if any(getattr(artifact, name) is not None for name in _LOCATIONS):
        return artifact.to_json()
    return None


def _pattern(text: str, tasks: Mapping[str, int], where: str) -> Pattern:
    try:
        return pattern(text, tasks)
    except ExpressionError as error:
        raise SpecError(f"{where}: {error.message}") from error


def _call(arguments: Arguments | None, tasks: Mapping[str, int], where: str) -> Call:
    call = Call()
    if arguments is None:
        return call
    for parameter in arguments.parameters or ():
        path = f"{where}.parameters.{parameter.name}"
        if parameter.value is None:
            raise _unsupported(f"{path} without a value")
        call.parameters[parameter.name or ""] = _pattern(parameter.value, tasks, path)
    for artifact in arguments.artifacts or ():
        path = f"{where}.artifacts.{artifact.name}"
        call.artifacts[artifact.name or ""] = _artifact(artifact, tasks, path)
    return call


def _artifact(artifact: Artifact, tasks: Mapping[str, int], where: str) -> ArtifactArgument:
    if artifact.from_expression:
        raise _unsupported(f"{where}.fromExpression")
    if artifact.from_:
        text = artifact.from_ if "{{" in artifact.from_ else "{{" + artifact.from_ + "}}"
        compiled = _pattern(text, tasks, where)
        if len(compiled.parts) != 1 or isinstance(compiled.parts[0], str):
            raise SpecError(f"{where}.from: '{artifact.from_}' must be one tag.")
        return ArtifactArgument(compiled.single or compiled, bool(artifact.optional))
    location = _location(artifact)
    if location is None:
        raise SpecError(f"{where}: neither 'from' nor a location is given.")
    return ArtifactArgument(location, bool(artifact.optional))


def _dag_outputs(plan: TemplatePlan, where: str) -> None:
    outputs, dag = plan.spec.outputs, plan.dag
    if outputs is None or dag is None:
        return
    for parameter in outputs.parameters or ():
        path = f"{where}.outputs.parameters.{parameter.name}"
        source = parameter.value_from
        if source is not None and source.expression:
            raise _unsupported(f"{path}.valueFrom.expression")
        text = parameter.value if source is None or source.parameter is None else source.parameter
        value = None if text is None else _pattern(text, dag.index, path)
        plan.output_parameters.append(ParameterOutput(parameter.name or "", value, source.default if source else None))
    for artifact in outputs.artifacts or ():
        path = f"{where}.outputs.artifacts.{artifact.name}"
        plan.output_artifacts[artifact.name or ""] = _artifact(artifact, dag.index, path)


class _Dag:
    """Compiles one DAG template."""

    def __init__(self, compiler: _Compiler, spec: DAGTemplate, where: str) -> None:
        self._compiler = compiler
        self._spec = spec
        self._where = where
        self._specs: dict[str, DAGTask] = {}
        for task in spec.tasks or ():
            if not task.name:
                raise SpecError(f"{where}.tasks: a task has no name.")
            if task.name in self._specs:
                raise SpecError(f"{where}.tasks: the name '{task.name}' is used twice.")
            self._specs[task.name] = task

    def compile(self) -> DagPlan:
        conditions = {name: self._condition(task) for name, task in self._specs.items()}
        wanted, targets = self._targets(conditions)
        index = {name: number for number, name in enumerate(name for name in self._specs if name in wanted)}
        tasks = [self._task(self._specs[name], number, conditions[name], index) for name, number in index.items()]
        for task in tasks:
            for name in task.depends.names:
                task.dependencies.append(index[name])
                tasks[index[name]].dependents.append(task.index)
        order = self._order(tasks)
        _mark_fatal(tasks, index)
        return DagPlan(
            tasks=tasks,
            index=index,
            fail_fast=self._spec.fail_fast is not False,
            targets=[index[name] for name in targets],
            roots=[task.index for task in tasks if not task.dependencies],
            order=order,
        )

    def _condition(self, task: DAGTask) -> depends.Depends:
        where = f"{self._where}.tasks.{task.name}"
        if task.depends and task.dependencies:
            raise SpecError(f"{where}: 'depends' and 'dependencies' exclude each other.")
        if task.depends:
            try:
                condition = depends.parse(task.depends, bare=self._accepted)
            except ExpressionError as error:
                raise SpecError(f"{where}.{error.message}", hint=error.hint) from error
        else:
            condition = depends.all_of(task.dependencies or (), bare=self._accepted)
        for name in condition.names:
            if name not in self._specs:
                raise SpecError(f"{where}: it depends on '{name}', which is not a task of this DAG.")
        return condition

    def _accepted(self, name: str) -> frozenset[str]:
        task = self._specs.get(name)
        allowed = set(depends.BARE)
        if task is not None and task.continue_on is not None:
            allowed |= {"Errored"} if task.continue_on.error else set()
            allowed |= {"Failed"} if task.continue_on.failed else set()
        return frozenset(allowed)

    def _targets(self, conditions: dict[str, depends.Depends]) -> tuple[set[str], list[str]]:
        """The tasks that must run, and those among them that decide the DAG's phase."""
        if not self._spec.target:
            needed = {name for condition in conditions.values() for name in condition.names}
            return set(conditions), sorted(name for name in conditions if name not in needed)
        targets = self._spec.target.split()
        for name in targets:
            if name not in conditions:
                raise SpecError(f"{self._where}.target: there is no task '{name}'.")
        wanted: set[str] = set()
        pending = list(targets)
        while pending:
            name = pending.pop()
            if name not in wanted:
                wanted.add(name)
                pending.extend(conditions[name].names)
        return wanted, targets

    def _task(self, task: DAGTask, number: int, condition: depends.Depends, index: Mapping[str, int]) -> TaskPlan:
        where = f"{self._where}.tasks.{task.name}"
        if task.template_ref is not None:
            raise _unsupported(f"{where}.templateRef")
        if task.hooks or task.on_exit:
            raise _unsupported(f"{where}.hooks")
        if task.inline is not None:
            template = self._compiler.inline(task.inline, task.inline.name or task.name or "", f"{where}.inline")
        elif task.template:
            template = self._compiler.template(task.template, f"{where}.template")
        else:
            raise SpecError(f"{where}: a template is needed.")
        continued = task.continue_on
        return TaskPlan(
            index=number,
            name=task.name or "",
            template=template,
            call=_call(task.arguments, index, f"{where}.arguments"),
            when=_pattern(task.when, index, f"{where}.when") if task.when else None,
            loop=_loop(task, index, where),
            tolerated=frozenset(
                phase
                for phase, allowed in (
                    (Phase.FAILED, continued and continued.failed),
                    (Phase.ERROR, continued and continued.error),
                )
                if allowed
            ),
            depends=condition,
        )

    def _order(self, tasks: list[TaskPlan]) -> list[int]:
        missing = [len(task.dependencies) for task in tasks]
        order = [task.index for task in tasks if not task.dependencies]
        for number in order:
            for dependent in tasks[number].dependents:
                missing[dependent] -= 1
                if not missing[dependent]:
                    order.append(dependent)
        if len(order) < len(tasks):
            names = ", ".join(f"'{task.name}'" for task in tasks if missing[task.index])
            raise SpecError(f"{self._where}.tasks: these tasks wait for each other: {names[:300]}.")
        return order


def _loop(task: DAGTask, index: Mapping[str, int], where: str) -> Loop | None:
    if task.with_items is not None:
        return Loop(items=task.with_items)
    if task.with_param is not None:
        return Loop(param=_pattern(task.with_param, index, f"{where}.withParam"))
    bounds = task.with_sequence
    if bounds is None:
        return None
    texts = (bounds.start, bounds.end, bounds.count, bounds.format)
    start, end, count, layout = (
        None if text is None else _pattern(str(text), index, f"{where}.withSequence") for text in texts
    )
    return Loop(sequence=(start, end, count, layout))


#: How a task may fail, and what `depends` calls it.
FAILURES = {Phase.FAILED: "Failed", Phase.ERROR: "Errored"}
#: Beyond this size a condition with `||` or `!` is not searched for what it cannot survive.
_LARGE = 200


def _mark_fatal(tasks: list[TaskPlan], index: Mapping[str, int]) -> None:
    """Find for each task the failures that no dependent survives: with `a.Succeeded && b` that of `a` is one."""
    survived: dict[Phase, set[int]] = {
        phase: {task.index for task in tasks if phase in task.tolerated} for phase in FAILURES
    }
    for task in tasks:
        condition = task.depends
        simple = "||" not in condition.program and not condition.negates
        for phase, result in FAILURES.items():
            if simple:
                lost = {term.task for term in condition.terms() if not _possible(term, result)}
            elif len(condition.program) > _LARGE:
                lost = set()
            else:
                lost = {name for name in condition.names if not _may_hold(condition, name, result)}
            survived[phase].update(index[name] for name in condition.names if name not in lost)
    for task in tasks:
        task.fatal = frozenset(phase for phase in FAILURES if task.index not in survived[phase])


def _possible(term: depends.Term, result: str) -> bool:
    """Whether a term may hold for a task that ended so (of a loop that failed some children may have succeeded)."""
    return result in term.results or "AnySucceeded" in term.results or "AllFailed" in term.results


def _may_hold(condition: depends.Depends, name: str, result: str) -> bool:
    """Whether a condition may still hold when task `name` ended so and nothing is known of the others."""
    # A value is the pair (may be true, may be false).
    stack: list[tuple[bool, bool]] = []
    for step in condition.program:
        if isinstance(step, depends.Term):
            if step.task != name or step.results & {"AnySucceeded", "AllFailed"}:
                stack.append((True, True))
            else:
                stack.append((result in step.results, result not in step.results))
        elif step == "!":
            true, false = stack.pop()
            stack.append((false, true))
        else:
            (true, false), (other_true, other_false) = stack.pop(), stack.pop()
            if step == "&&":
                stack.append((true and other_true, false or other_false))
            else:
                stack.append((true or other_true, false and other_false))
    return stack[0][0]
