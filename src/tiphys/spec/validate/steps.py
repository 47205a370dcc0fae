"""Steps: groups one after the other; a step may refer to those of earlier groups."""

from __future__ import annotations

from tiphys.spec.template import Template, WorkflowStep
from tiphys.spec.validate.calls import check_call, check_hooks, check_uses
from tiphys.spec.validate.context import Body, Context, Inline
from tiphys.spec.validate.findings import Place
from tiphys.spec.validate.names import step_name
from tiphys.spec.validate.scope import EarlierSteps, KnownNodes, Node, Scope
from tiphys.spec.validate.values import is_constant


def check_steps(template: Template, scope: Scope, place: Place, context: Context) -> Body:
    """The steps of a template."""
    steps = [
        (number, step, _place(place, number, index, step))
        for number, group in enumerate(template.steps or ())
        for index, step in enumerate(group)
    ]
    dynamic = not all(is_constant(step.name) for _, step, _ in steps)
    nodes: dict[str, Node] = {}
    taken: set[str] = set()
    for _, step, at in steps:
        _check_name(step, taken, at, context)
        nodes[step.name or ""] = check_call(step, at, context)
    known = KnownNodes(nodes, dynamic)
    groups = {step.name: number for number, step, _ in steps if step.name}
    inlines = []
    for number, step, at in steps:
        inner = check_uses(step, Scope(scope, steps=EarlierSteps(known, groups, number)), at, context)
        check_hooks(step, Scope(inner, steps=EarlierSteps(known, groups, number, step.name)), at, context)
        if step.inline is not None:
            inlines.append(Inline(step.inline, at.field("inline"), inner))
    return Body(Scope(scope, steps=known), inlines)


def _place(place: Place, number: int, index: int, step: WorkflowStep) -> Place:
    shown = f"{place.shown}.steps[{number}]"
    return Place((*place.at, "steps", number, index), f"{shown}.{step.name}" if step.name else f"{shown}[{index}]")


def _check_name(step: WorkflowStep, taken: set[str], place: Place, context: Context) -> None:
    if not step.name:
        context.findings.error(place, "name is required")
        return
    problem = step_name(step.name)
    if problem:
        context.findings.error(place, f"name '{step.name}' is invalid: {problem}")
    if step.name in taken:
        context.findings.error(place, f"name '{step.name}' is not unique")
    taken.add(step.name)
