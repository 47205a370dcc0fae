"""What a node may have to wait for before it runs: locks, and what is remembered under its key.

Locks come first and are held across retries; the memory is asked once, after them (Argo's order, executeTemplate). The
machine only asks (`Acquire`, `Recall`): who holds what, and what is remembered, is known outside.
"""

from __future__ import annotations

from tiphys.engine.commands import Acquire, Lock, Memorize, Recall, SetTimer
from tiphys.engine.leaf import fill, seconds
from tiphys.engine.model import Node, Phase, Values
from tiphys.engine.plan import LockPlan, TemplatePlan
from tiphys.engine.references import Pattern
from tiphys.engine.state import Core
from tiphys.errors import InvariantError
from tiphys.lang.duration import parse_duration


def has_gate(template: TemplatePlan) -> bool:
    """Whether nodes of a template must ask before they run."""
    return bool(template.locks) or template.memo is not None


def check_gates(core: Core, template: TemplatePlan, inputs: Values | None) -> None:
    """Find what would keep a node from asking.

    Raises:
        TiphysError: a name, a key or a duration cannot be resolved.
    """
    locks_of(core, template.locks, inputs)
    if template.memo is not None:
        _recall(core, template, "", inputs)
    for limit in template.patience:
        seconds(core, limit, inputs)


def locks_of(core: Core, plans: tuple[LockPlan, ...], inputs: Values | None) -> tuple[Lock, ...]:
    """The locks that plans stand for, in one order for all who ask."""
    locks = []
    for plan in plans:
        namespace = _text(core, plan.namespace, inputs) if plan.namespace else core.globals["workflow.namespace"]
        key = f"{namespace}/{plan.kind}/{_text(core, plan.name, inputs)}"
        locks.append(Lock(key, 1 if plan.kind.endswith("Mutex") else None))
    return tuple(sorted(set(locks), key=lambda lock: lock.key))


def ask(core: Core, node: Node, template: TemplatePlan) -> None:
    """Ask for what stands between a waiting node and its run."""
    if template.locks:
        core.locked.add(node.id)
        core.commands.append(Acquire(node.id, locks_of(core, template.locks, node.inputs)))
    else:
        core.commands.append(_recall(core, template, node.id, node.inputs))


def pending_timer(core: Core, node: Node, template: TemplatePlan) -> SetTimer | None:
    """The timer that ends a wait which takes too long (checkTemplateTimeouts of Argo's operator.go)."""
    if not template.patience or node.started_at is None:
        return None
    due = node.started_at + min(seconds(core, limit, node.inputs) for limit in template.patience)
    return SetTimer(f"pending:{node.id}", due)


def ask_memory(core: Core, node: Node, template: TemplatePlan) -> bool:
    """Once the locks are held: whether the node must still wait for what is remembered."""
    if template.memo is None or node.memo is not None:
        return False
    core.commands.append(_recall(core, template, node.id, node.inputs))
    return True


def _recall(core: Core, template: TemplatePlan, node_id: str, inputs: Values | None) -> Recall:
    memo = template.memo
    if memo is None:
        raise InvariantError(f"Template '{template.name}' remembers nothing.")
    max_age = None if memo.max_age is None else parse_duration(_text(core, memo.max_age, inputs))
    return Recall(node_id, _text(core, memo.cache, inputs), _text(core, memo.key, inputs), max_age)


def note_recalled(core: Core, node: Node, template: TemplatePlan, *, hit: bool) -> None:
    """Write down what became of a node's key."""
    asked = _recall(core, template, node.id, node.inputs)
    node.memo = {"hit": hit, "key": asked.key, "cacheName": asked.cache}


def memorize(core: Core, node: Node) -> None:
    """Have the outputs of a node kept that found nothing under its key."""
    if node.memo is not None and not node.memo["hit"] and node.phase is Phase.SUCCEEDED:
        outputs = node.outputs or Values()
        core.commands.append(Memorize(node.id, node.memo["cacheName"], node.memo["key"], outputs))


def _text(core: Core, pattern: Pattern, inputs: Values | None) -> str:
    if pattern.constant is not None:
        return pattern.constant
    text: str = fill(core, pattern.source, inputs)
    return text
