"""`tiphys argo`: its commands by name, none of them imported before it is called."""

from __future__ import annotations

import click

from tiphys.cli.argo.session import NAMESPACE, namespace_option
from tiphys.cli.lazy import Entry, LazyGroup

_HERE = "tiphys.cli.argo"
_WORKFLOWS, _STORED = "Workflows", "Stored objects"

ENTRIES = {
    "submit": Entry(f"{_HERE}.submit:submit", "Submit a workflow.", _WORKFLOWS),
    "list": Entry(f"{_HERE}.listing:list_command", "List workflows.", _WORKFLOWS),
    "get": Entry(f"{_HERE}.looking:get", "Display details about a workflow.", _WORKFLOWS),
    "logs": Entry(f"{_HERE}.logs:logs", "View logs of a pod or workflow.", _WORKFLOWS),
    "watch": Entry(f"{_HERE}.looking:watch", "Watch a workflow until it completes.", _WORKFLOWS),
    "wait": Entry(f"{_HERE}.looking:wait", "Wait for workflows to complete.", _WORKFLOWS),
    "lint": Entry(f"{_HERE}.lint:lint", "Validate files or directories of manifests.", _WORKFLOWS),
    "delete": Entry(f"{_HERE}.listing:delete", "Delete workflows.", _WORKFLOWS),
    "stop": Entry(f"{_HERE}.operations:stop", "Stop workflows, allowing all exit handlers to run.", _WORKFLOWS),
    "terminate": Entry(f"{_HERE}.operations:terminate", "Terminate workflows immediately.", _WORKFLOWS),
    "suspend": Entry(f"{_HERE}.operations:suspend", "Suspend workflows (opposite of resume).", _WORKFLOWS),
    "resume": Entry(f"{_HERE}.operations:resume", "Resume workflows (opposite of suspend).", _WORKFLOWS),
    "retry": Entry(f"{_HERE}.again:retry", "Retry workflows.", _WORKFLOWS),
    "resubmit": Entry(f"{_HERE}.again:resubmit", "Resubmit workflows.", _WORKFLOWS),
    "node": Entry(f"{_HERE}.operations:node", "Perform an action on a node of a workflow.", _WORKFLOWS),
    "cp": Entry(f"{_HERE}.copying:cp", "Copy artifacts from a workflow.", _WORKFLOWS),
    "template": Entry(f"{_HERE}.templates:group", "Manipulate workflow templates.", _STORED, "WorkflowTemplate"),
    "cluster-template": Entry(
        f"{_HERE}.templates:group", "Manipulate cluster workflow templates.", _STORED, "ClusterWorkflowTemplate"
    ),
    "cron": Entry(f"{_HERE}.cron:cron", "Manage cron workflows.", _STORED),
    "event-binding": Entry(
        f"{_HERE}.templates:group", "Manipulate workflow event bindings.", _STORED, "WorkflowEventBinding"
    ),
    "sync": Entry(f"{_HERE}.sync:sync", "Manage limits of semaphores.", _STORED),
    "archive": Entry(f"{_HERE}.archive:archive", "Manage the workflow archive.", _STORED),
    "retention": Entry(f"{_HERE}.retention:group", "How many ended workflows are kept, and how long.", _STORED),
    "executor-plugin": Entry(f"{_HERE}.executor_plugin:group", "Manage executor plugins.", "Other"),
    "controller": Entry(f"{_HERE}.controller:controller", "Run schedules, take up workflows, clean up.", "Other"),
    "metrics": Entry(f"{_HERE}.metrics:metrics", "Print custom metrics as Prometheus reads them.", "Other"),
    "convert": Entry(f"{_HERE}.convert:convert", "Convert manifests from old spellings to the current ones.", "Other"),
    "export": Entry(f"{_HERE}.export:export", "Write a Python pipeline as a workflow for any Argo.", "Other"),
    "version": Entry(f"{_HERE}.version:version", "Print version information.", "Other"),
}
#: Commands that are called by ourselves.
HIDDEN = {"carry": Entry(f"{_HERE}.carry:carry", "Carry a stored workflow out.")}


class _ArgoGroup(LazyGroup):
    """Knows the hidden commands without listing them."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command."""
        hidden = HIDDEN.get(cmd_name)
        return hidden.load() if hidden else super().get_command(ctx, cmd_name)


@click.group(
    cls=_ArgoGroup,
    entries=ENTRIES,
    examples=[
        "tiphys argo submit --watch hello.yaml       run a manifest, and see it run",
        "tiphys argo submit --from wftmpl/nightly    run a stored template",
        "tiphys argo get @latest                     the newest workflow, as a tree",
        "tiphys argo logs @latest --follow           what its pods write",
        f"{NAMESPACE}=team tiphys argo list          in another namespace than the default one",
    ],
)
@namespace_option
def argo() -> None:
    """Workflows in Argo's language: submit manifests, look at them, stop and retry them.

    The commands are those of Argo Workflows' own `argo`. A workflow is carried out on this machine by a process of its
    own, so that a command may end before it. `@latest` stands for the newest workflow.
    """
