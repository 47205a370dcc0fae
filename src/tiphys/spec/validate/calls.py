"""Calls of templates, by steps, tasks and hooks: what is called, with which arguments, and how often."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tiphys.spec.template import Arguments, DAGTask, LifecycleHook, Template, TemplateRef, WorkflowStep
from tiphys.spec.validate.arguments import check_arguments, check_supply
from tiphys.spec.validate.conditions import check_when
from tiphys.spec.validate.context import Context
from tiphys.spec.validate.findings import Findings, Place
from tiphys.spec.validate.references import check_expression, check_text, check_texts
from tiphys.spec.validate.scope import Node, Scope
from tiphys.spec.validate.stored import find_stored
from tiphys.spec.validate.values import check_whole, is_constant

#: The hook that runs when its node ends; it alone needs no expression.
EXIT_HOOK = "exit"


@dataclass(frozen=True, slots=True)
class Called:
    """What a call runs; without a template nothing is known of it, or an error was found."""

    template: Template | None = None
    #: How messages name it.
    shown: str = ""


def resolve(call: WorkflowStep | DAGTask | LifecycleHook, place: Place, context: Context) -> Called:
    """Find what is called; report a call of nothing, of two things, or of something that does not exist."""
    inline = None if isinstance(call, LifecycleHook) else call.inline
    if call.template_ref is not None:
        if call.template:
            context.findings.error(place, "template name cannot be specified with templateRef")
        return resolve_stored(call.template_ref, place.field("templateRef"), context)
    if inline is not None:
        if call.template:
            context.findings.error(place, "template name cannot be specified with inline")
        return Called(inline, "inline template")
    if not call.template:
        allowed = "template or templateRef" if isinstance(call, LifecycleHook) else "template, templateRef or inline"
        context.findings.error(place, f"template name is required: set {allowed}")
        return Called()
    return resolve_name(call.template, place.field("template"), context)


def resolve_name(name: str, place: Place, context: Context) -> Called:
    """Find a template of the same specification."""
    if not is_constant(name):
        return Called()
    template = context.base.templates.get(name)
    if template is None:
        context.findings.error(place, f"template name '{name}' undefined")
        return Called()
    context.refer(context.base, template, place)
    return Called(template, f"templates.{name}")


def resolve_stored(reference: TemplateRef, place: Place, context: Context) -> Called:
    """Find a stored template; one that the library does not know is taken on trust unless the library is complete."""
    if not reference.name:
        context.findings.error(place, "resource name is required")
    if not reference.template:
        context.findings.error(place, "template name is required")
    if not reference.name or not reference.template:
        return Called()
    if not is_constant(reference.name) or not is_constant(reference.template):
        return Called()
    base = find_stored(context.library, reference.name, cluster_scope=bool(reference.cluster_scope))
    template = base.templates.get(reference.template) if base else None
    if base is None or template is None:
        if base is not None or context.library.complete:
            context.findings.error(place, f"template reference {reference.name}.{reference.template} not found")
        return Called()
    context.refer(base, template, place)
    return Called(template, f"{base.scope} templates.{template.name}")


def check_call(call: WorkflowStep | DAGTask, place: Place, context: Context) -> Node:
    """A step or task calls something that exists, with good arguments.

    Returns:
        What others may ask of it.
    """
    called = resolve(call, place, context)
    check_arguments(call.arguments, place.field("arguments"), context.findings, empty_allowed=False)
    if called.template is not None:
        check_supply(
            called.template, call.arguments, place, context.findings, called=called.shown, strict=context.strict
        )
    loops = bool(call.with_items) or bool(call.with_param) or call.with_sequence is not None
    template = called.template
    daemon = bool(template and (template.daemon or (template.daemon is None and context.base.defaults.daemon)))
    return Node(call.name or "", template, loops, daemon)


def check_uses(call: WorkflowStep | DAGTask, scope: Scope, place: Place, context: Context) -> Scope:
    """All texts of a step or task, except those of its hooks and of an inline template.

    Returns:
        The scope with the loop's item.
    """
    inner = loop_scope(call, scope, place, context.findings)
    check_text(call.with_param, scope, place.field("withParam"), context.findings)
    check_texts(call, inner, place, context.findings, skip=("hooks", "inline", "with_param"))
    check_when(call.when, place.field("when"), context.findings)
    for number, artifact in enumerate((call.arguments and call.arguments.artifacts) or ()):
        at = place.field("arguments").item("artifacts", number, artifact.name)
        check_expression(artifact.from_expression, inner, at.field("fromExpression"), context.findings)
    return inner


def check_hooks(call: WorkflowStep | DAGTask, scope: Scope, place: Place, context: Context) -> None:
    """The hooks of a step or task.

    Args:
        call: The step or task.
        scope: What its hooks may refer to: its own outputs too.
        place: Where it stands.
        context: Where names are looked up.
    """
    check_hook_map(call.hooks, scope, place.field("hooks"), context, call.arguments)
    if call.on_exit:
        check_on_exit(call.on_exit, call.arguments, place.field("onExit"), context)


def check_hook_map(
    hooks: dict[str, LifecycleHook] | None, scope: Scope, place: Place, context: Context, known: Arguments | None = None
) -> None:
    """Hooks call something that exists, and say when.

    Args:
        hooks: The hooks by name.
        scope: What they may refer to.
        place: Where they stand.
        context: Where names are looked up.
        known: Arguments of what hooks on it, which an exit hook without arguments is given.
    """
    for name, hook in (hooks or {}).items():
        at = place.field(name)
        if name != EXIT_HOOK and not hook.expression:
            context.findings.error(at, "Expression required")
        check_expression(hook.expression, scope, at.field("expression"), context.findings)
        check_texts(hook, scope, at, context.findings)
        check_arguments(hook.arguments, at.field("arguments"), context.findings, empty_allowed=False)
        called = resolve(hook, at, context)
        if called.template is not None:
            own = hook.arguments if hook.arguments and hook.arguments.to_json() else None
            given = known if own is None and name == EXIT_HOOK else own
            check_supply(called.template, given, at, context.findings, called=called.shown, strict=False)


def check_on_exit(name: str, arguments: Arguments | None, place: Place, context: Context) -> None:
    """The old form of an exit hook: the name of a template, which is called with the arguments of its node."""
    called = resolve_name(name, place, context)
    if called.template is not None:
        check_supply(called.template, arguments, place, context.findings, called=called.shown, strict=False)


def loop_scope(call: WorkflowStep | DAGTask, scope: Scope, place: Place, findings: Findings) -> Scope:
    """The scope of a step or task with its loop's item; checks the loop itself."""
    given = [
        name
        for name, value in (
            ("withItems", call.with_items),
            ("withParam", call.with_param),
            ("withSequence", call.with_sequence),
        )
        if value
    ]
    if len(given) > 1:
        findings.error(place, "only one of withItems, withParam, withSequence can be specified")
    if call.with_items:
        return Scope(scope, names=_item_names(call.with_items, place.field("withItems"), findings))
    if call.with_param:
        _check_param(call.with_param, place.field("withParam"), findings)
        return Scope(scope, names=("item",), open_prefixes=("item.",))
    if call.with_sequence is not None:
        _check_sequence(call, place.field("withSequence"), findings)
        return Scope(scope, names=("item",))
    return scope


def _item_names(items: list[Any], place: Place, findings: Findings) -> set[str]:
    names = {"item"}
    for number, item in enumerate(items):
        if isinstance(item, dict):
            names |= {f"item.{key}" for key in item}
        elif isinstance(item, list):
            names |= {f"item.[{index}]" for index in range(len(item))}
        elif item is None:
            findings.error(Place((*place.at, number), f"{place.shown}[{number}]"), "unsupported withItems type: null")
    return names


def _check_param(text: str, place: Place, findings: Findings) -> None:
    if not is_constant(text):
        return
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        findings.error(place, "must be a JSON list or a tag that gives one")
        return
    if not isinstance(value, list):
        findings.error(place, f"must be a JSON list, not {type(value).__name__}")


def _check_sequence(call: WorkflowStep | DAGTask, place: Place, findings: Findings) -> None:
    sequence = call.with_sequence
    if sequence is None:
        return
    if sequence.count is not None and sequence.end is not None:
        findings.error(place, "only one of count or end can be defined in withSequence")
    elif sequence.count is None and sequence.end is None:
        findings.error(place, "must specify end or count")
    check_whole(sequence.count, place.field("count"), findings)
    check_whole(sequence.start, place.field("start"), findings)
    check_whole(sequence.end, place.field("end"), findings)
