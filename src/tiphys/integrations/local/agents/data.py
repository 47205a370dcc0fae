"""A list of files, transformed step by step, as argo-workflows v4.1, workflow/data."""

from __future__ import annotations

import tarfile
import time
from collections.abc import Mapping
from typing import Any

from tiphys.engine.expressions import evaluate
from tiphys.engine.model import Phase
from tiphys.errors import ExpressionError, SpecError
from tiphys.integrations.local.agents.answers import Answer
from tiphys.integrations.local.agents.json_text import json_text
from tiphys.integrations.local.agents.outside import ArtifactSources
from tiphys.ports.artifact_driver import files_of
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.ports.runner import Task
from tiphys.sdk.pods.artifacts import location_of
from tiphys.spec.template import Data


def list_paths(task: Task, *, store: ArtifactStore, sources: ArtifactSources) -> Answer:
    """Carry out a task's `data` template; the result is JSON text.

    Raises:
        SpecError: there is no source, or the source has no location.
        ExpressionError: a transformation cannot be evaluated.
        TiphysError: the files cannot be listed.
    """
    wanted = Data.from_json(task.body["data"])
    paths = wanted.source.artifact_paths if wanted.source else None
    if paths is None:
        raise SpecError("data.source.artifactPaths is missing: there is nothing to list.")
    found: Any = _listed(task, paths.to_json(), store, sources)
    for number, step in enumerate(wanted.transformation or ()):
        if step.expression:
            try:
                found = evaluate(step.expression, {"data": found}, now=time.time(), seed=f"{task.id}/{number}")
            except ExpressionError as error:
                where = f"data.transformation[{number}].expression"
                raise ExpressionError(f"{where}: {error.message}", hint=error.hint) from error
    return Answer(Phase.SUCCEEDED, result=json_text(found))


def _listed(task: Task, paths: Mapping[str, Any], store: ArtifactStore, sources: ArtifactSources) -> list[str]:
    """Keys of the files; of an artifact in our own store, names relative to it."""
    if location_of(paths) is not None or paths.get("raw") is not None:
        return sources.list_keys(paths)
    name = paths.get("name")
    artifact = paths if "digest" in paths else task.inputs.artifacts.get(str(name))
    if not isinstance(artifact, Mapping):
        raise SpecError(
            f"data.source.artifactPaths: '{name}' has no location, and no input artifact has this name.",
            hint="Give it a location (s3, gcs, …), or the name of an input artifact.",
        )
    if "digest" not in artifact:
        return sources.list_keys(artifact)
    with store.open_tree(str(artifact["digest"]), verify=False) as tree:
        if artifact.get("form") != "tar":
            return files_of(tree)
        # What the store cannot keep as it is (links, empty folders) stands in one tar file, below the artifact's name.
        with tarfile.open(next(tree.iterdir())) as archive:
            return sorted(member.name.partition("/")[2] for member in archive if member.isfile())
