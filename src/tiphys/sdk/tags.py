"""`add_tags` and `remove_tags`: tags of runs, pipelines, artifacts and models."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tiphys.errors import NotFoundError, UsageError
from tiphys.ports.backend import TagRequest
from tiphys.records.artifacts import Artifact
from tiphys.records.base import EntityType, Query
from tiphys.records.runs import Pipeline
from tiphys.sdk.config import Tag
from tiphys.sdk.context import StepContext, current_step_context
from tiphys.sdk.session import current_backend


def add_tags(
    tags: str | Tag | Sequence[str | Tag],
    *,
    pipeline: str | None = None,
    run: str | None = None,
    artifact: str | None = None,
    artifact_version_id: str | None = None,
    artifact_name: str | None = None,
    artifact_version: str | int | None = None,
    infer_artifact: bool = False,
    model: str | None = None,
    model_version_id: str | None = None,
) -> None:
    """Put tags on one thing; without a target, on the run of the step that is being carried out.

    Args:
        tags: Names, or Tags with properties.
        pipeline: Name or id of a pipeline.
        run: Name or id of a run.
        artifact: Name or id of an artifact.
        artifact_version_id: Id of an artifact version.
        artifact_name: Name of an artifact, for one of its versions; with `infer_artifact` that of the step's output.
        artifact_version: Which version; the newest by default.
        infer_artifact: The output of the step that is being carried out.
        model: Name or id of a model.
        model_version_id: Id of a model version.

    Raises:
        ValueError: the target is not clear.
        NotFoundError: there is no such target.
    """
    wanted = [as_request(tag) for tag in _as_list(tags)]
    if infer_artifact:
        context = _in_step("infer_artifact")
        _define(wanted)
        context.add_tags([tag.name for tag in wanted], output_name=artifact_name)
        return
    target = _target(
        pipeline, run, artifact, artifact_version_id, artifact_name, artifact_version, model, model_version_id
    )
    if target is None:
        context = _in_step("add_tags without a target")
        _define(wanted)
        context.add_run_tags([tag.name for tag in wanted])
        return
    current_backend().labels.add_tags(wanted, *target)


def remove_tags(
    tags: str | Tag | Sequence[str | Tag],
    *,
    pipeline: str | None = None,
    run: str | None = None,
    artifact: str | None = None,
    artifact_version_id: str | None = None,
    artifact_name: str | None = None,
    artifact_version: str | int | None = None,
    infer_artifact: bool = False,
    model: str | None = None,
    model_version_id: str | None = None,
) -> None:
    """Take tags off one thing; the targets are those of `add_tags`.

    Raises:
        ValueError: the target is not clear.
        NotFoundError: there is no such target, or it does not have the tag.
    """
    names = [as_request(tag).name for tag in _as_list(tags)]
    if infer_artifact:
        _in_step("infer_artifact").remove_output_tags(names, artifact_name)
        return
    target = _target(
        pipeline, run, artifact, artifact_version_id, artifact_name, artifact_version, model, model_version_id
    )
    if target is None:
        target = EntityType.RUN, _in_step("remove_tags without a target").run_id
    current_backend().labels.remove_tags(names, *target)


def as_request(tag: str | Tag) -> TagRequest:
    """A tag as the backend is asked for it.

    Raises:
        UsageError: it has no name.
    """
    if isinstance(tag, Tag):
        return TagRequest(name=tag.name, color=tag.color, exclusive=tag.exclusive, cascade=tag.cascade)
    if not tag:
        raise UsageError("A tag has no name.")
    return TagRequest(name=tag)


def _as_list(tags: str | Tag | Sequence[str | Tag]) -> Sequence[str | Tag]:
    return [tags] if isinstance(tags, (str, Tag)) else tags


def _target(
    pipeline: str | None,
    run: str | None,
    artifact: str | None,
    artifact_version_id: str | None,
    artifact_name: str | None,
    artifact_version: str | int | None,
    model: str | None,
    model_version_id: str | None,
) -> tuple[EntityType, str] | None:
    """What is meant; None if nothing is named."""
    backend = current_backend()
    found: list[Callable[[], tuple[EntityType, str]]] = []
    if pipeline is not None:
        found.append(lambda: (EntityType.PIPELINE, _pipeline(pipeline)))
    if run is not None:
        found.append(lambda: (EntityType.RUN, backend.runs.get(run).id))
    if artifact is not None:
        found.append(lambda: (EntityType.ARTIFACT, _artifact(artifact)))
    if artifact_version_id is not None:
        found.append(lambda: (EntityType.ARTIFACT_VERSION, backend.artifacts.get_version(artifact_version_id).id))
    elif artifact_name is not None:
        found.append(
            lambda: (EntityType.ARTIFACT_VERSION, backend.artifacts.get_version(artifact_name, artifact_version).id)
        )
    if model is not None:
        found.append(lambda: (EntityType.MODEL, backend.models.get(model).id))
    if model_version_id is not None:
        found.append(lambda: (EntityType.MODEL_VERSION, model_version_id))
    if len(found) > 1:
        raise UsageError("Several targets are given.", hint="Tag one thing at a time.")
    return found[0]() if found else None


def _pipeline(name_or_id: str) -> str:
    backend = current_backend()
    found = backend.find(Query.of(Pipeline, name=name_or_id, limit=1)) or backend.find(
        Query.of(Pipeline, id=name_or_id)
    )
    if not found:
        raise NotFoundError(f"There is no pipeline '{name_or_id}'.")
    return found[0].id


def _artifact(name_or_id: str) -> str:
    backend = current_backend()
    found = backend.find(Query.of(Artifact, name=name_or_id, limit=1)) or backend.find(
        Query.of(Artifact, id=name_or_id)
    )
    if not found:
        raise NotFoundError(f"There is no artifact '{name_or_id}'.")
    return found[0].id


def _define(tags: Sequence[TagRequest]) -> None:
    """Set the properties of tags whose names travel with the step's result."""
    for tag in tags:
        if (tag.color, tag.exclusive, tag.cascade) != (None, None, None):
            current_backend().labels.ensure_tag(tag)


def _in_step(what: str) -> StepContext:
    context = current_step_context()
    if context is None:
        raise UsageError(
            f"{what} works only inside a step.", hint="Name the target: run=, pipeline=, artifact_name=, model= …"
        )
    return context
