"""`tiphys queue`: workflows that wait for their turn, and how many may run at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from tiphys.cli.lazy import HintingGroup
from tiphys.cli.options import limit_option, output_option
from tiphys.cli.output import Column, ago, show_list
from tiphys.cli.session import backend
from tiphys.errors import UsageError
from tiphys.records.base import DEFAULT_WORKSPACE, Query
from tiphys.records.queue import QueuedWorkflow, about, limit_key
from tiphys.records.synchronization import LockLimit
from tiphys.records.workflows import WorkflowSummary

F = TypeVar("F", bound=Callable[..., Any])


@click.group(cls=HintingGroup)
def queue() -> None:
    """Workflows that wait for their turn, and how many may run at once."""


@queue.command("list", examples=["tiphys queue list"])
@limit_option(100)
@output_option
def list_queue(limit: int, output: str) -> None:
    """List workflows that wait, the oldest first, and what for."""
    session = backend()
    found = session.find(Query.of(QueuedWorkflow, order="id", limit=limit or None))
    uids = [queued.workflow_uid for queued in found]
    names = {row.id: row.name for row in session.find(Query.of(WorkflowSummary, id=uids))}
    columns: list[Column[QueuedWorkflow]] = [
        Column("WORKSPACE", lambda item: item.workspace),
        Column("NAME", lambda item: names.get(item.workflow_uid, "")),
        Column("PRIORITY", lambda item: str(item.priority)),
        Column("AGE", lambda item: ago(item.created_at)),
        Column("MESSAGE", lambda item: item.message or "Given back by a process that ended."),
        Column("UID", lambda item: item.workflow_uid, wide=True),
    ]
    show_list(
        found, columns, output=output, limit=limit, empty="Nothing waits.", name=lambda item: names[item.workflow_uid]
    )


@queue.group("limit", cls=HintingGroup)
def limit_group() -> None:
    """How many workflows may run at once. Pipelines that run in the program that calls them count, and never wait."""


def _about_options(function: F) -> F:
    workspace = click.option("--workspace", "-w", default="", help="Workflows of this workspace.")
    pipeline = click.option(
        "--pipeline", default="", help="Runs of this pipeline (of the default workspace, or of --workspace)."
    )
    label = click.option("--label", default="", metavar="KEY=VALUE", help="Workflows with this label.")
    decorated: F = workspace(pipeline(label(function)))
    return decorated


def _key(workspace: str, pipeline: str, label: str) -> str:
    if label and (workspace or pipeline or "=" not in label):
        raise UsageError("--label KEY=VALUE is about the workflows of all workspaces.", hint="Give it alone.")
    if pipeline:
        workspace = workspace or DEFAULT_WORKSPACE
    return limit_key(workspace=workspace, pipeline=pipeline, label=label)


@limit_group.command(
    "set",
    examples=[
        "tiphys queue limit set 100                    of all workflows",
        "tiphys queue limit set 10 --workspace team",
        "tiphys queue limit set 2 --pipeline train",
        "tiphys queue limit set 1 --label gpu=big",
    ],
)
@click.argument("limit", type=click.IntRange(min=0))
@_about_options
def set_limit(limit: int, workspace: str, pipeline: str, label: str) -> None:
    """Let at most LIMIT workflows run at once; the others wait. Those that run already go on."""
    key = _key(workspace, pipeline, label)
    backend().policies.set_queue_limit(key, limit)
    click.echo(f"At most {limit} workflows {about(key)} run at once.")


@limit_group.command("list", examples=["tiphys queue limit list"])
@output_option
def list_limits(output: str) -> None:
    """List the limits."""
    columns: list[Column[LockLimit]] = [
        Column("WORKFLOWS", lambda item: about(item.key)),
        Column("LIMIT", lambda item: str(item.limit_count)),
    ]
    show_list(
        backend().policies.queue_limits(),
        columns,
        output=output,
        limit=0,
        empty="No limits.",
        name=lambda item: about(item.key),
    )


@limit_group.command("delete", examples=["tiphys queue limit delete --workspace team"])
@_about_options
def delete_limit(workspace: str, pipeline: str, label: str) -> None:
    """Let any number run."""
    key = _key(workspace, pipeline, label)
    backend().policies.delete_queue_limit(key)
    click.echo(f"Any number of workflows {about(key)} may run.")
