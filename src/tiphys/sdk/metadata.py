"""`log_metadata`: facts about a step, a run, an artifact version or a model version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tiphys.errors import NotFoundError, UsageError
from tiphys.records.base import EntityType, Query
from tiphys.records.runs import StepRun
from tiphys.sdk.context import StepContext, current_step_context
from tiphys.sdk.plain import plain_values
from tiphys.sdk.session import current_backend


def log_metadata(
    metadata: Mapping[str, Any],
    *,
    step_id: str | None = None,
    step_name: str | None = None,
    run_id_name_or_prefix: str | None = None,
    artifact_version_id: str | None = None,
    artifact_name: str | None = None,
    artifact_version: str | int | None = None,
    infer_artifact: bool = False,
    model_version_id: str | None = None,
    model_name: str | None = None,
    model_version: str | int | None = None,
    infer_model: bool = False,
) -> None:
    """Set metadata; keys that are there get the new values. Without a target, of the step that is being carried out.

    Args:
        metadata: Names and values (whatever has a JSON form).
        step_id: Id of a step run.
        step_name: With `run_id_name_or_prefix`: the step of that run.
        run_id_name_or_prefix: A run.
        artifact_version_id: Id of an artifact version.
        artifact_name: An artifact; with `infer_artifact` the name of the step's output.
        artifact_version: Its version; the newest by default.
        infer_artifact: The output of the step that is being carried out.
        model_version_id: Id of a model version.
        model_name: A model.
        model_version: Its version; the newest by default.
        infer_model: The model version that the present step works for.

    Raises:
        ValueError: the targets given do not fit together, or are not clear.
        NotFoundError: there is no such target.
    """
    context = current_step_context()
    if infer_artifact:
        _in_step(context, "infer_artifact").log_artifact_metadata(artifact_name, metadata)
    elif infer_model:
        _in_step(context, "infer_model").log_model_metadata(metadata)
    elif artifact_version_id or artifact_name:
        version = current_backend().artifacts.get_version(artifact_version_id or artifact_name or "", artifact_version)
        _log(metadata, EntityType.ARTIFACT_VERSION, version.id, context)
    elif model_version_id:
        _log(metadata, EntityType.MODEL_VERSION, model_version_id, context)
    elif model_name:
        found = current_backend().models.get_version(model_name, model_version)
        _log(metadata, EntityType.MODEL_VERSION, found.id, context)
    elif step_id:
        _log(metadata, EntityType.STEP_RUN, step_id, context)
    elif run_id_name_or_prefix:
        run = current_backend().runs.get(run_id_name_or_prefix)
        if step_name is None:
            _log(metadata, EntityType.RUN, run.id, context)
        else:
            _log(metadata, EntityType.STEP_RUN, _last_attempt(run.id, step_name), context)
    elif step_name is not None:
        raise UsageError(f"The step '{step_name}' is of which run?", hint="Give run_id_name_or_prefix= too.")
    elif artifact_version is not None or model_version is not None:
        raise UsageError("A version is given, but not of what.", hint="Give artifact_name= or model_name= too.")
    else:
        _in_step(context, "log_metadata without a target").log_step_metadata(metadata)


def bulk_log_metadata(
    metadata: Mapping[str, Any],
    *,
    pipeline_runs: Sequence[str] = (),
    step_runs: Sequence[str] = (),
    artifact_versions: Sequence[str] = (),
    model_versions: Sequence[str] = (),
) -> None:
    """Set the same metadata on many things at once.

    Args:
        metadata: Names and values.
        pipeline_runs: Names or ids of runs.
        step_runs: Ids of step runs.
        artifact_versions: Ids of artifact versions, or names of artifacts (their newest version).
        model_versions: Ids of model versions.

    Raises:
        ValueError: nothing is named.
    """
    backend = current_backend()
    targets = [(EntityType.RUN, backend.runs.get(run).id) for run in pipeline_runs]
    targets += [(EntityType.STEP_RUN, step) for step in step_runs]
    targets += [(EntityType.ARTIFACT_VERSION, backend.artifacts.get_version(one).id) for one in artifact_versions]
    targets += [(EntityType.MODEL_VERSION, version) for version in model_versions]
    if not targets:
        raise UsageError("bulk_log_metadata is given nothing to log metadata of.")
    backend.labels.log_metadata(plain_values(metadata), targets)


def _log(metadata: Mapping[str, Any], entity: EntityType, entity_id: str, context: StepContext | None) -> None:
    step_run_id = None if context is None else context.step_run_id
    current_backend().labels.log_metadata(plain_values(metadata), [(entity, entity_id)], step_run_id=step_run_id)


def _last_attempt(run_id: str, step: str) -> str:
    found = current_backend().find(Query.of(StepRun, run_id=run_id, name=step, order="-version", limit=1))
    if not found:
        raise NotFoundError(f"The run has no step '{step}'.")
    return found[0].id


def _in_step(context: StepContext | None, what: str) -> StepContext:
    if context is None:
        raise UsageError(
            f"{what} works only inside a step.",
            hint="Name the target: step_id=, run_id_name_or_prefix=, artifact_name= or model_name=.",
        )
    return context
