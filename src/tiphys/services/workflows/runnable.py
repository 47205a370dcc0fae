"""What the chosen runner cannot carry out of a workflow: found when it is submitted, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator

from tiphys.engine.compiling import compile_workflow
from tiphys.errors import SpecError
from tiphys.plugins.runner_checks import problems_of
from tiphys.sdk.pods.volumes import KINDS, kind_of
from tiphys.spec.workflow import Workflow

#: Kinds of templates that are pods.
_PODS = ("container", "script", "containerSet")


def expect_runnable(workflow: Workflow, runner: str) -> None:
    """Refuse a workflow that has parts that the runner cannot carry out.

    Args:
        workflow: With all that it refers to in its status.
        runner: Name of what carries its leaves out.

    Raises:
        SpecError: there are such parts, or the workflow cannot be begun at all.
    """
    problems = list(dict.fromkeys(_problems(workflow, runner)))
    if problems:
        raise SpecError(
            f"The runner '{runner}' cannot carry this workflow out: {' '.join(problems)}",
            hint="Choose another one with --runner, or change the manifest.",
        )


def _problems(workflow: Workflow, runner: str) -> Iterator[str]:
    plan = compile_workflow(workflow)
    for volume in plan.spec.to_json().get("volumes") or ():
        if kind_of(volume) is None:
            yield f"spec.volumes.{volume.get('name')}: only {', '.join(KINDS)} can be had on this machine."
    for template in plan.templates():
        if template.kind in _PODS and template.json is not None:
            yield from problems_of(runner, template.json)
