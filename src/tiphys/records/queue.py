"""Workflows that wait to be carried out, and the limits that they wait for.

A limit is a `LockLimit`, as a semaphore's is; its key says what it is about. What counts against it are the workflows
that are being carried out, so nothing has to be given back when one ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tiphys.records.base import DEFAULT_WORKSPACE, Record

#: What all keys of limits of the queue begin with. Those of semaphores have `Database` or `ConfigMap` in second place.
PREFIX = "queue/"
#: Characters of the longest one: what an index of every database can hold.
LONGEST_KEY = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedWorkflow(Record):
    """A workflow that waits for someone who carries it out. Whoever takes it removes the row; unique by workflow."""

    workflow_uid: str
    workspace: str = DEFAULT_WORKSPACE
    #: Name of the pipeline that it is a run of.
    pipeline: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    #: Larger ones go first.
    priority: int = 0
    #: Whether it was carried out before and given back: it keeps its place among those that run.
    admitted: bool = False
    #: What it waits for, in words.
    message: str = ""
    #: Of the workflow.
    created_at: datetime


def limit_key(*, workspace: str = "", pipeline: str = "", label: str = "") -> str:
    """Key of the limit of a workspace, of a pipeline of a workspace, of a label (`key=value`), or of all workflows."""
    if label:
        return f"{PREFIX}label/{label}"
    if pipeline:
        return f"{PREFIX}pipeline/{workspace}/{pipeline}"
    return f"{PREFIX}workspace/{workspace}" if workspace else f"{PREFIX}all"


def is_limit_key(key: str) -> bool:
    """Whether `limit_key` could have made it."""
    kind, _, name = key.removeprefix(PREFIX).partition("/")
    if not key.startswith(PREFIX) or len(key) > LONGEST_KEY:
        return False
    if kind == "all":
        return key == f"{PREFIX}all"
    if kind == "pipeline":
        workspace, _, pipeline = name.partition("/")
        return bool(workspace and pipeline)
    return (kind == "workspace" and bool(name)) or (kind == "label" and "=" in name)


def about(key: str) -> str:
    """What a limit is about, in words."""
    kind, _, name = key.removeprefix(PREFIX).partition("/")
    if kind == "all":
        return "in all"
    if kind == "pipeline":
        workspace, _, pipeline = name.partition("/")
        return f"of the pipeline '{pipeline}' of the workspace '{workspace}'"
    return f"of the workspace '{name}'" if kind == "workspace" else f"with the label {name}"
