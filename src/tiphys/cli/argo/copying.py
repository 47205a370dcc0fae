"""`tiphys argo cp`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from tiphys.cli.argo.session import argo_command, workflows
from tiphys.cli.argo.tree import Node, template_name

_PATH = "{namespace}/{workflowName}/{nodeId}/outputs/{artifactName}"
#: Where the location of an artifact has its key.
_KEYS = {"s3": "key", "gcs": "key", "oss": "key", "azure": "blob", "hdfs": "path", "artifactory": "url", "http": "url"}


@argo_command(
    examples=[
        "tiphys argo cp my-wf out",
        "tiphys argo cp my-wf out --artifact-name model --path '{workflowName}/{artifactName}'",
    ]
)
@click.argument("name", metavar="WORKFLOW")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--node-id", default="", help="Only artifacts of this node.")
@click.option("--template-name", "template", default="", help="Only artifacts of nodes of this template.")
@click.option("--artifact-name", default="", help="Only artifacts of this name.")
@click.option("--path", default=_PATH, show_default=True, help="Where beneath FOLDER each artifact goes.")
def cp(name: str, folder: Path, node_id: str, template: str, artifact_name: str, path: str) -> None:
    """Copy output artifacts of a workflow to a FOLDER."""
    service = workflows()
    workflow = service.get(name)
    for node, artifact in _artifacts(workflow):
        if (node_id and node["id"] != node_id) or (template and template_name(node) != template):
            continue
        if artifact_name and artifact.get("name") != artifact_name:
            continue
        place = path
        for word, value in (
            ("templateName", template_name(node)),
            ("namespace", workflow["metadata"].get("namespace", "")),
            ("workflowName", workflow["metadata"]["name"]),
            ("nodeId", node["id"]),
            ("artifactName", artifact["name"]),
        ):
            place = place.replace(f"{{{word}}}", value)
        target = folder / place / _file_name(artifact)
        service.fetch_artifact(workflow["metadata"]["name"], node["id"], artifact["name"], target)
        click.echo(f"Created {str(target)!r}")


def _artifacts(workflow: Mapping[str, Any]) -> Iterator[tuple[Node, Mapping[str, Any]]]:
    for node in ((workflow.get("status") or {}).get("nodes") or {}).values():
        if node.get("type") == "Pod":
            for artifact in (node.get("outputs") or {}).get("artifacts") or ():
                yield node, artifact


def _file_name(artifact: Mapping[str, Any]) -> str:
    """The last part of its key, or of the path it was taken from."""
    place = next((field for field in _KEYS if artifact.get(field)), None)
    key = artifact[place].get(_KEYS[place]) if place else artifact.get("path")
    return str(key or artifact["name"]).rstrip("/").rpartition("/")[2] or str(artifact["name"])
