"""`tiphys argo convert`."""

from __future__ import annotations

import json

import click

from tiphys.cli.argo.files import walk
from tiphys.cli.argo.session import argo_command
from tiphys.spec.reading import KINDS, read_documents
from tiphys.spec.yaml import dump


@argo_command(examples=["tiphys argo convert ./manifests", "cat old.yaml | tiphys argo convert - > new.yaml"])
@click.argument("files", nargs=-1, required=True)
@click.option("-o", "--output", type=click.Choice(("yaml", "json")), default="yaml", help="Output format.")
def convert(files: tuple[str, ...], output: str) -> None:
    """Write manifests anew with the current spellings instead of old ones (schedule, mutex, semaphore)."""
    for name, content in walk(files):
        for document in read_documents(content, source=name):
            known = document.kind in KINDS and document.object is not None
            value = document.object.to_json() if known and document.object else document.tree and document.tree.value
            if output == "json":
                click.echo(json.dumps(value, ensure_ascii=False))
            else:
                click.echo(f"---\n{dump(value)}", nl=False)
