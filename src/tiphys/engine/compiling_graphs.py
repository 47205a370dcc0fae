"""Compiles DAG and steps templates: tasks, their conditions, the edges between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Protocol

from tiphys.engine.compiling_calls import compile_call, compile_text
from tiphys.engine.model import Phase
from tiphys.engine.plan import FAILURES, DagPlan, HookPlan, Loop, TaskPlan, TemplatePlan
from tiphys.errors import ExpressionError, SpecError
from tiphys.lang import depends
from tiphys.spec.template import ContinueOn, DAGTask, DAGTemplate, LifecycleHook, Template, TemplateRef, WorkflowStep


class Templates(Protocol):
    """Gives the templates that tasks call."""

    def called(
        self, name: str | None, ref: TemplateRef | None, inline: Template | None, where: str, scope: str, task: str
    ) -> TemplatePlan:
        """The template that a task, step or hook calls."""

    def hooks(
        self,
        hooks: Mapping[str, LifecycleHook] | None,
        on_exit: str | None,
        tasks: Mapping[str, int],
        where: str,
        scope: str,
    ) -> tuple[HookPlan, ...]:
        """Lifecycle hooks; `onExit` is an exit hook that goes before another one."""


def compile_dag(templates: Templates, spec: DAGTemplate, where: str, scope: str) -> DagPlan:
    """A DAG template.

    Raises:
        SpecError: it is wrong; the message names the field.
    """
    return _Dag(templates, spec, where, scope).compile()


def compile_steps(templates: Templates, groups: Sequence[Sequence[WorkflowStep]], where: str, scope: str) -> DagPlan:
    """A steps template: the steps of a group wait for all of the group before.

    Raises:
        SpecError: it is wrong; the message names the field.
    """
    steps = [(number, step) for number, group in enumerate(groups) for step in group]
    index: dict[str, int] = {}
    for number, (stage, step) in enumerate(steps):
        if not step.name:
            raise SpecError(f"{where}[{stage}]: a step has no name.")
        if step.name in index:
            raise SpecError(f"{where}[{stage}].{step.name}: the name is used twice.")
        index[step.name] = number
    stages: list[list[int]] = [[] for _ in groups]
    tasks = []
    for number, (stage, step) in enumerate(steps):
        stages[stage].append(number)
        path = f"{where}[{stage}].{step.name}"
        task = _task(templates, step, number, depends.all_of(()), index, path, scope)
        task.path, task.stage = f"[{stage}].{step.name}", stage
        task.fatal = frozenset(FAILURES) - task.tolerated
        tasks.append(task)
    return DagPlan(
        tasks=tasks, index=index, fail_fast=False, targets=[], roots=[], order=list(range(len(tasks))), stages=stages
    )


@lru_cache
def _phases(*phases: Phase) -> frozenset[Phase]:
    """A set of failures, each once as an object: a wide DAG has as many as tasks."""
    return frozenset(phases)


def _tolerated(continued: ContinueOn | None) -> frozenset[Phase]:
    allowed = {Phase.FAILED: continued and continued.failed, Phase.ERROR: continued and continued.error}
    return _phases(*(phase for phase in FAILURES if allowed[phase]))


def _task(
    templates: Templates,
    task: DAGTask | WorkflowStep,
    number: int,
    condition: depends.Depends,
    index: Mapping[str, int],
    where: str,
    scope: str,
) -> TaskPlan:
    name = task.name or ""
    return TaskPlan(
        index=number,
        name=name,
        path=f".{name}",
        template=templates.called(task.template, task.template_ref, task.inline, where, scope, name),
        call=compile_call(task.arguments, index, f"{where}.arguments"),
        when=compile_text(task.when, index, f"{where}.when") if task.when else None,
        loop=_loop(task, index, where),
        tolerated=_tolerated(task.continue_on),
        depends=condition,
        hooks=templates.hooks(task.hooks, task.on_exit, index, f"{where}.hooks", scope),
    )


class _Dag:
    """Compiles one DAG template."""

    def __init__(self, templates: Templates, spec: DAGTemplate, where: str, scope: str) -> None:
        self._templates = templates
        self._spec = spec
        self._where = where
        self._scope = scope
        self._specs: dict[str, DAGTask] = {}
        for task in spec.tasks or ():
            if not task.name:
                raise SpecError(f"{where}.tasks: a task has no name.")
            if task.name in self._specs:
                raise SpecError(f"{where}.tasks: the name '{task.name}' is used twice.")
            self._specs[task.name] = task

    def compile(self) -> DagPlan:
        """The plan; where the targets hold tags it has all tasks, and `retarget` leaves some out."""
        target = self._spec.target or ""
        if "{{" not in target:
            return self._compile(target)
        plan = self._compile("")
        plan.target = compile_text(target, {}, f"{self._where}.target")
        plan.retarget = lru_cache(maxsize=64)(self._compile)
        return plan

    def _compile(self, target: str) -> DagPlan:
        conditions = {name: self._condition(task) for name, task in self._specs.items()}
        wanted, targets = self._targets(conditions, target)
        index = {name: number for number, name in enumerate(name for name in self._specs if name in wanted)}
        tasks = [
            _task(
                self._templates,
                self._specs[name],
                number,
                conditions[name],
                index,
                f"{self._where}.tasks.{name}",
                self._scope,
            )
            for name, number in index.items()
        ]
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
        continued = task.continue_on if task is not None else None
        if continued is None:
            return depends.BARE
        allowed = {"Errored": continued.error, "Failed": continued.failed}
        return depends.BARE | {result for result, is_allowed in allowed.items() if is_allowed}

    def _targets(self, conditions: dict[str, depends.Depends], target: str) -> tuple[set[str], list[str]]:
        """The tasks that must run, and those among them that decide the DAG's phase."""
        if not target:
            needed = {name for condition in conditions.values() for name in condition.names}
            return set(conditions), sorted(name for name in conditions if name not in needed)
        targets = target.split()
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


def _loop(task: DAGTask | WorkflowStep, index: Mapping[str, int], where: str) -> Loop | None:
    if task.with_items is not None:
        return Loop(items=task.with_items)
    if task.with_param is not None:
        return Loop(param=compile_text(task.with_param, index, f"{where}.withParam"))
    bounds = task.with_sequence
    if bounds is None:
        return None
    texts = (bounds.start, bounds.end, bounds.count, bounds.format)
    start, end, count, layout = (
        None if text is None else compile_text(str(text), index, f"{where}.withSequence") for text in texts
    )
    return Loop(sequence=(start, end, count, layout))


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
        task.fatal = _phases(*(phase for phase in FAILURES if task.index not in survived[phase]))


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
