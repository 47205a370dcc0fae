"""Brings the data of a node's artifacts to a place on this machine."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tiphys.errors import NotFoundError
from tiphys.plugins.artifact_drivers import ArtifactDrivers
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.ports.store import StoredWorkflow
from tiphys.ports.workflows import Objects
from tiphys.spec.kubernetes import SecretKeySelector


def find(stored: StoredWorkflow, node_id: str, name: str, *, of_inputs: bool) -> Mapping[str, Any]:
    """An artifact of a node.

    Raises:
        NotFoundError: there is no such node, or it has no such artifact.
    """
    node = next((node for node in stored.nodes if node.id == node_id), None)
    if node is None:
        raise NotFoundError(f"The workflow {stored.row.name} has no node '{node_id}'.")
    values = node.inputs if of_inputs else node.outputs
    known = values.artifacts if values is not None else {}
    found = known.get(name)
    if not isinstance(found, Mapping):
        raise NotFoundError(
            f"The node '{node_id}' has no {'input' if of_inputs else 'output'} artifact '{name}'.",
            hint=f"It has: {', '.join(known) or 'none'}.",
        )
    return found


def fetch(artifact: Mapping[str, Any], target: Path, *, store: ArtifactStore, drivers: ArtifactDrivers) -> None:
    """Write an artifact to `target`, as a file if it is one, else as a folder.

    Args:
        artifact: As the engine passes it on: with the digest of a stored tree, or with a location.
        target: Must not be there before.
        store: Keeps stored trees.
        drivers: Reach the places that artifacts name.

    Raises:
        ArtifactMissingError: it is not there any more.
        SpecError: it has no location.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = artifact.get("digest")
    if not digest:
        drivers.fetch(artifact, target)
        return
    with store.open_tree(str(digest)) as tree:
        files = list(tree.iterdir())
        if len(files) == 1 and files[0].is_file():
            shutil.copyfile(files[0], target)
        else:
            shutil.copytree(tree, target)


def drivers_of(objects: Objects, namespace: str, home: Path) -> ArtifactDrivers:
    """What reaches artifacts' places with the Secrets of a namespace, and the default repository of a home."""

    def value(selector: SecretKeySelector) -> str | None:
        found = (objects.secret(namespace, selector.name or "") or {}).get(selector.key or "")
        return None if found is None else found.decode()

    return ArtifactDrivers(value, home / "repository")
