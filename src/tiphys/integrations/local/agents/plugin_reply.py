"""What an executor plugin is asked and what it answers (argo-workflows v4.1, pkg/plugins/executor, ExecuteTemplate)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tiphys.engine.model import Phase
from tiphys.errors import ExpressionError, SpecError
from tiphys.integrations.local.agents.answers import Answer, Pause
from tiphys.lang.duration import parse_duration
from tiphys.ports.runner import Task
from tiphys.sdk.pods.context import PodContext
from tiphys.sdk.pods.progress import progress_in
from tiphys.spec.base import Spec
from tiphys.spec.template import Outputs

#: Phases of a node that is still being worked on.
_GOING_ON = ("", "Pending", "Running")


class _Node(Spec):
    """NodeResult."""

    phase: str = ""
    message: str = ""
    outputs: Outputs | None = None
    progress: str = ""


class _Reply(Spec):
    """ExecuteTemplateReply."""

    node: _Node | None = None
    requeue: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The template is not for this plugin."""


def question(task: Task, context: PodContext) -> bytes:
    """The body of the request: the workflow's names, and the template with the values of its inputs."""
    template = dict(task.body)
    given = template.get("inputs") or {}
    inputs = {
        "parameters": [_parameter(each, task) for each in given.get("parameters") or ()],
        "artifacts": [_artifact(each, task) for each in given.get("artifacts") or ()],
    }
    template["inputs"] = {side: values for side, values in inputs.items() if values}
    template.setdefault("outputs", {})
    metadata = {"name": context.workflow, "namespace": context.namespace, "uid": task.workflow_uid}
    return json.dumps({"workflow": {"metadata": metadata}, "template": template}, ensure_ascii=False).encode()


def _parameter(declared: Mapping[str, Any], task: Task) -> dict[str, Any]:
    value = task.inputs.parameters.get(declared["name"])
    return dict(declared) if value is None else {**declared, "value": value}


def _artifact(declared: Mapping[str, Any], task: Task) -> dict[str, Any]:
    value = task.inputs.artifacts.get(declared["name"])
    return {**declared, **value} if isinstance(value, Mapping) else dict(declared)


def read_reply(body: bytes, plugin: str) -> Answer | Pause | Refusal:
    """What a plugin's answer means.

    Raises:
        SpecError: it is not of the form that Argo wants, or would leave the node waiting for ever.
    """
    where = f"The answer of the executor plugin '{plugin}'"
    try:
        reply = _Reply.from_json(json.loads(body) or {})
        pause = parse_duration(reply.requeue) if reply.requeue else 0.0
    except (ValueError, SpecError, ExpressionError) as error:
        raise SpecError(f"{where} is not an ExecuteTemplateReply: {error}") from None
    node = reply.node
    if node is None:
        return Refusal()
    if node.phase not in _GOING_ON:
        return _answer(node, where)
    if pause <= 0:
        raise SpecError(
            f"{where} has the phase '{node.phase}' and no `requeue`, so that nobody would ever ask it again.",
            hint="Let it answer with a phase that is final, or with `requeue`, e.g. 10s.",
        )
    return Pause(pause, f"the executor plugin '{plugin}'", progress_in(node.progress) or "", node.message)


def _answer(node: _Node, where: str) -> Answer:
    try:
        phase = Phase(node.phase)
    except ValueError:
        raise SpecError(f"{where} has the phase '{node.phase}', which there is not.") from None
    outputs = node.outputs or Outputs()
    code = outputs.exit_code or ""
    return Answer(
        phase,
        node.message,
        result=outputs.result,
        parameters={each.name: each.value for each in outputs.parameters or () if each.name and each.value is not None},
        artifacts={each.name: each.to_json() for each in outputs.artifacts or () if each.name},
        exit_code=int(code) if code.removeprefix("-").isdecimal() else None,
    )
