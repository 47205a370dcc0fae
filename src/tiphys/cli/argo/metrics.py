"""`tiphys argo metrics`: what the custom metrics of all workflows say."""

from __future__ import annotations

import click

from tiphys._util.times import to_epoch, utc_now
from tiphys.cli.lazy import Command
from tiphys.cli.session import backend
from tiphys.records.base import Query
from tiphys.records.metrics import MetricValue
from tiphys.services.workflows.metric_store import exposition


@click.command(cls=Command, examples=["tiphys argo metrics > /var/lib/node_exporter/textfile/tiphys.prom"])
def metrics() -> None:
    """Print the custom metrics of all workflows in Prometheus' text format.

    A metric is shared by all workflows and namespaces that give it the same name and labels, as in Argo; so are the
    names, which begin with `argo_workflows_`.
    """
    click.echo(exposition(backend().find(Query.of(MetricValue)), to_epoch(utc_now())), nl=False)
