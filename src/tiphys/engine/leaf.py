"""What a runner is told of one attempt of a leaf: its body with the tags replaced, its inputs, its deadline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tiphys.engine.expressions import evaluate_condition, evaluate_text
from tiphys.engine.model import LeafTask, Node, NodeType, Values
from tiphys.engine.plan import TemplatePlan
from tiphys.engine.references import Pattern
from tiphys.engine.retry import RetryPlan, read_strategy
from tiphys.engine.state import Core
from tiphys.errors import InvariantError, TiphysError
from tiphys.lang import tags
from tiphys.lang.duration import parse_duration
from tiphys.lang.gojson import go_json

#: Parts of a template that are not the runner's, and whose tags mean something else.
_NOT_BODY = ("retryStrategy", "metrics", "timeout", "activeDeadlineSeconds", "memoize", "synchronization")


def task_id(core: Core, node: Node) -> str:
    """Id under which an attempt is launched: another one after the workflow was retried as a whole."""
    return f"{core.uid}/{node.id}/{node.attempt}{core.round}"


def retry_plan(core: Core, template: TemplatePlan, inputs: Values | None) -> RetryPlan | None:
    """The retry strategy of a template that was called with `inputs`.

    Raises:
        TiphysError: a tag in it cannot be resolved, or a number cannot be read.
    """
    strategy = template.retry
    if strategy is None or isinstance(strategy, RetryPlan):
        return strategy
    # The expression is carried out for each attempt: tags in it may speak of the last one.
    own = {key: value for key, value in strategy.items() if key != "expression"}
    filled = {**fill(core, own, inputs), **({"expression": strategy["expression"]} if "expression" in strategy else {})}
    return read_strategy(filled, template.jitter, where=f"spec.templates.{template.name}")


def strategy_of(core: Core, retry: Node) -> RetryPlan:
    """The retry strategy that a Retry node stands for."""
    plan = retry_plan(core, core.template_of(retry), retry.inputs)
    if plan is None:
        raise InvariantError(f"Node '{retry.id}' retries a template without a strategy.")
    return plan


def allows_retry(core: Core, retry: Node, attempt: Node, expression: str | None) -> bool:
    """What the expression of a retry strategy says of a failed attempt.

    Raises:
        TiphysError: it cannot be evaluated, or gives no boolean.
    """
    if not expression:
        return True
    known = {**_last(attempt), "retries": str(attempt.attempt)}
    if attempt.outputs is None or attempt.outputs.exit_code is None:
        known["lastRetry.exitCode"] = (
            "-1"  # of a body it is 0 (Argo's buildRetryStrategyLocalScope and executeTemplate)
        )
    text: str = fill(core, expression, retry.inputs, known)
    variables = _variables(core, retry.inputs, known)
    return evaluate_condition(
        text, variables, now=attempt.finished_at or 0.0, seed=attempt.id, where="retryStrategy.expression"
    )


def fill(core: Core, tree: Any, inputs: Values | None, known: Mapping[str, str] | None = None) -> Any:
    """A JSON tree or text of a template with its tags replaced: its inputs, what is known, the workflow's names.

    Raises:
        ExpressionError: a tag cannot be resolved.
    """
    if not tags.has_tags(tree):
        return tree

    def lookup(tag: str) -> str | None:
        found = _input(tag, inputs)
        if found is None and known is not None:
            found = known.get(tag)
        return core.global_value(tag) if found is None else found

    def evaluate(source: str) -> str:
        variables = _variables(core, inputs, known or {})
        return evaluate_text(source, variables, now=core.now, seed=f"{core.uid}/{(known or {}).get('node.name', '')}")

    return tags.fill_tree(tree, lookup, evaluate)


def _variables(core: Core, inputs: Values | None, known: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {**core.globals, **known}
    if inputs is not None:
        found |= {f"inputs.parameters.{name}": value for name, value in inputs.parameters.items()}
        found |= {f"inputs.artifacts.{name}": value for name, value in inputs.artifacts.items()}
    return found


def _input(tag: str, inputs: Values | None) -> str | None:
    if inputs is None or not tag.startswith("inputs.parameters"):
        return None
    if tag == "inputs.parameters":
        return go_json([{"name": name, "value": value} for name, value in inputs.parameters.items()])
    return inputs.parameters.get(tag[18:])


def deadline_of(core: Core, node: Node, template: TemplatePlan) -> float | None:
    """When a running leaf is cancelled: the earliest of its own limits, counted from its start."""
    if not template.timeouts or node.started_at is None:
        return None
    return node.started_at + min(seconds(core, limit, node.inputs) for limit in template.timeouts)


def seconds(core: Core, limit: Pattern, inputs: Values | None) -> float:
    """A duration that may hold tags."""
    return parse_duration(limit.constant if limit.constant is not None else fill(core, limit.source, inputs))


def workflow_deadline(core: Core) -> float | None:
    """When the main tree is cut short."""
    seconds = core.plan.spec.active_deadline_seconds
    return None if seconds is None or core.status.started_at is None else core.status.started_at + seconds


def check(core: Core, template: TemplatePlan, inputs: Values | None) -> None:
    """Find what would keep a leaf from being launched.

    Raises:
        TiphysError: a tag of the body, a limit or the retry strategy cannot be resolved.
    """
    for limit in template.timeouts:
        seconds(core, limit, inputs)
    if isinstance(template.retry, dict):
        retry_plan(core, template, inputs)
    if template.json is not None and tags.has_tags(template.json):
        _body(core, template, inputs, node=None)


def leaf_task(core: Core, node: Node) -> LeafTask:
    """All that a runner needs for the attempt that `node` stands for."""
    template = core.template_of(node)
    parent = core.nodes.get(node.parent_id or "")
    deadlines = [deadline_of(core, node, template), None if node.hooked else workflow_deadline(core)]
    return LeafTask(
        id=task_id(core, node),
        workflow_uid=core.uid,
        node_id=node.id,
        name=parent.display_name if parent is not None and parent.type is NodeType.RETRY else node.display_name,
        attempt=node.attempt,
        body=template.body if template.body is not None else _body(core, template, node.inputs, node=node),
        inputs=node.inputs or Values(),
        last_attempt=_is_last(core, node, template),
        deadline=min((due for due in deadlines if due is not None), default=None),
    )


def _is_last(core: Core, node: Node, template: TemplatePlan) -> bool:
    try:
        plan = retry_plan(core, template, node.inputs)
    except TiphysError:  # The unit was refused when it started; nothing is tried again.
        return True
    return plan is None or (plan.limit is not None and node.attempt >= plan.limit)


def _body(core: Core, template: TemplatePlan, inputs: Values | None, *, node: Node | None) -> Mapping[str, Any]:
    data = {key: value for key, value in (template.json or {}).items() if key not in _NOT_BODY}
    known = {
        "pod.name": pod_name(core, node) if node else "",
        "node.name": node.name if node else "",
        "tasks.name": node.task_name if node else "",
        "steps.name": node.task_name if node else "",
        "retries": str(node.attempt) if node else "0",
        **_last(_earlier(core, node)),
        **_paths(data),
    }
    filled: Mapping[str, Any] = fill(core, data, inputs, known)
    return filled


def pod_name(core: Core, node: Node) -> str:
    """Name of the pod of a leaf, as Argo's version 2 of them: `<workflow>-<template>-<hash of the node's name>`."""
    if node.name == core.status.name:
        return core.status.name
    hashed = node.id.rpartition("-")[2]
    prefix = f"{core.status.name}-{node.template}" if node.template else core.status.name
    return f"{prefix[: 253 - len(hashed) - 1]}-{hashed}"


def _earlier(core: Core, node: Node | None) -> Node | None:
    """The attempt before this one."""
    if node is None or node.attempt == 0:
        return None
    return core.nodes.get(core.attempts.get(node.parent_id or "", [""] * node.attempt)[node.attempt - 1])


def _last(last: Node | None) -> dict[str, str]:
    code = last.outputs.exit_code if last is not None and last.outputs is not None else None
    ended = last is not None and last.finished_at is not None and last.started_at is not None
    duration = int((last.finished_at or 0) - (last.started_at or 0)) if last is not None and ended else 0
    return {
        "lastRetry.exitCode": "0" if code is None else str(code),
        "lastRetry.status": last.phase.value if last is not None else "",
        "lastRetry.duration": str(duration),
        "lastRetry.message": last.message if last is not None else "",
    }


def _paths(template: Mapping[str, Any]) -> dict[str, str]:
    """`inputs.artifacts.x.path` and the like."""
    paths = {}
    for side in ("inputs", "outputs"):
        for artifact in (template.get(side) or {}).get("artifacts") or ():
            if artifact.get("path"):
                paths[f"{side}.artifacts.{artifact.get('name')}.path"] = artifact["path"]
        for parameter in (template.get(side) or {}).get("parameters") or ():
            path = (parameter.get("valueFrom") or {}).get("path")
            if path:
                paths[f"{side}.parameters.{parameter.get('name')}.path"] = path
    return paths
