"""`tiphys argo logs`."""

from __future__ import annotations

from datetime import datetime, timedelta

import click

from tiphys._util.times import utc_now
from tiphys.cli.argo.following import print_logs
from tiphys.cli.argo.session import argo_command, workflows
from tiphys.errors import UsageError
from tiphys.lang.duration import parse_duration
from tiphys.ports.workflows import LogQuery


@argo_command(
    examples=[
        "tiphys argo logs my-wf                   all its pods",
        "tiphys argo logs my-wf my-pod -c main    one container of one pod",
        "tiphys argo logs @latest --follow        as they come",
    ]
)
@click.argument("name", metavar="WORKFLOW")
@click.argument("pod", default="")
@click.option("-c", "--container", default="main", show_default=True, help="Logs of this container.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the workflow has ended.")
@click.option("--since", default=None, help="Only logs newer than a duration like 5s, 2m, or 3h.")
@click.option("--since-time", default=None, help="Only logs after this time (RFC 3339).")
@click.option("--tail", type=int, default=-1, help="So many lines from the end of each log.")
@click.option("--grep", default="", help="Only lines in which this regular expression is found.")
@click.option("-l", "--selector", default="", help="Only pods with these labels.")
@click.option("--timestamps", is_flag=True, help="Put a time before each line.")
@click.option("--no-color", is_flag=True, help="No colours.")
def logs(
    name: str,
    pod: str,
    container: str,
    follow: bool,
    since: str | None,
    since_time: str | None,
    tail: int,
    grep: str,
    selector: str,
    timestamps: bool,
    no_color: bool,
) -> None:
    """View logs of a workflow, or of one POD of it."""
    query = LogQuery(
        pod=pod,
        container=container,
        grep=grep,
        labels=selector,
        since=_beginning(since, since_time),
        tail=None if tail < 0 else tail,
        follow=follow,
    )
    print_logs(workflows(), name, query, timestamps=timestamps, colour=not no_color)


def _beginning(since: str | None, since_time: str | None) -> datetime | None:
    if since and since_time:
        raise UsageError("--since-time and --since cannot be used together.")
    if since:
        return utc_now() - timedelta(seconds=parse_duration(since))
    if since_time:
        try:
            return datetime.fromisoformat(since_time).astimezone()
        except ValueError:
            raise UsageError(f"--since-time {since_time} is not a time such as 2026-01-31T12:00:00Z.") from None
    return None
