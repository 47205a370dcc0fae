"""Artifacts by hand: save a value, load one, register files that are there."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tiphys.errors import UsageError
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.ports.backend import NewArtifactVersion
from tiphys.ports.component import StackComponent
from tiphys.records.artifacts import ArtifactType, SaveType
from tiphys.records.base import EntityType
from tiphys.records.stacks import ComponentType
from tiphys.sdk.context import current_step_context
from tiphys.sdk.materializing import SavedValue, load_value, save_value
from tiphys.sdk.model_lookup import present_model
from tiphys.sdk.plain import plain_values
from tiphys.sdk.session import current_backend
from tiphys.sdk.views import ArtifactVersionView, as_store, ref_of, store_named


class OutsideStoreError(UsageError, FileNotFoundError):
    """Files to be registered are not in the artifact store."""

    code = "outside_store"


def save_artifact(
    data: Any,
    name: str,
    version: str | int | None = None,
    artifact_type: ArtifactType | str | None = None,
    tags: Sequence[str] | None = None,
    extract_metadata: bool = True,
    include_visualizations: bool = True,
    user_metadata: Mapping[str, Any] | None = None,
    materializer: Any = None,
) -> ArtifactVersionView:
    """Store a value as a version of an artifact.

    Args:
        data: The value.
        name: Name of the artifact.
        version: Explicit version; the next number if None.
        artifact_type: Kind of artifact; by default the materializer says.
        tags: Tags of the version.
        extract_metadata: Whether facts about the value are recorded.
        include_visualizations: Whether pictures of it are made.
        user_metadata: Metadata of the version.
        materializer: Class (or "module:Class") that stores it; found by its type if None.

    Raises:
        AlreadyExistsError: the artifact has that version.
        ArtifactError: the value cannot be stored.
    """
    store, store_name = _store()
    saved = save_value(
        data,
        store,
        materializers=() if materializer is None else (_path_of(materializer),),
        artifact_type=artifact_type,
        visualize=include_visualizations,
        metadata=extract_metadata,
    )
    metadata = {**saved.metadata, **plain_values(user_metadata or {})}
    return _record(saved, store_name, name, version, tags, metadata, SaveType.MANUAL)


def load_artifact(name_or_id: str, version: str | int | None = None) -> Any:
    """The value of an artifact version.

    Args:
        name_or_id: Name of the artifact, or id of a version.
        version: Which version of that name; the newest if None.

    Raises:
        NotFoundError: there is none.
        ArtifactMissingError: its data is gone.
    """
    backend = current_backend()
    found = backend.artifacts.get_version(name_or_id, version)
    return load_value(ref_of(found), store_named(backend, found.store))


def register_artifact(
    folder_or_file_uri: str | Path,
    name: str,
    version: str | int | None = None,
    artifact_type: ArtifactType | str | None = None,
    tags: Sequence[str] | None = None,
    has_custom_name: bool = True,
    artifact_metadata: Mapping[str, Any] | None = None,
) -> ArtifactVersionView:
    """Make files that stand below the artifact store's root a version of an artifact; it loads as a Path.

    What is there now is the version: it is stored under its digest, so later changes of the files do not change it.

    Args:
        folder_or_file_uri: A folder or file below the root of the active stack's artifact store.
        name: Name of the artifact.
        version: Explicit version; the next number if None.
        artifact_type: Kind of artifact.
        tags: Tags of the version.
        has_custom_name: False where the name was made from those of a pipeline and a step.
        artifact_metadata: Metadata of the version.

    Raises:
        FileNotFoundError: nothing is there, or it is outside of the artifact store.
        AlreadyExistsError: the artifact has that version.
    """
    store, store_name = _store()
    path = Path(folder_or_file_uri).expanduser().absolute()
    root = Path(store.root).expanduser().absolute()
    if "://" in store.root or not path.resolve().is_relative_to(root.resolve()):
        raise OutsideStoreError(
            f"'{folder_or_file_uri}' is not in the artifact store '{store_name}' ({store.root}).",
            hint="Move it there, or save it from where it is: save_artifact(Path(…), name).",
        )
    if not path.exists():
        raise OutsideStoreError(f"There is nothing at '{folder_or_file_uri}'.")
    saved = save_value(path, store, artifact_type=artifact_type, visualize=False)
    metadata = {**saved.metadata, **plain_values(artifact_metadata or {})}
    return _record(saved, store_name, name, version, tags, metadata, SaveType.PREEXISTING, has_custom_name)


def download_artifact(version: ArtifactVersionView, folder: str | Path) -> Path:
    """Copy the files of an artifact version into `folder`, which is made; returns it.

    Raises:
        ArtifactMissingError: its data is gone.
    """
    target = Path(folder)
    with version.artifact_store.open_tree(version.digest) as tree:
        shutil.copytree(tree, target, dirs_exist_ok=True, copy_function=shutil.copyfile)
    return target


def _record(
    saved: SavedValue,
    store_name: str,
    name: str,
    version: str | int | None,
    tags: Sequence[str] | None,
    metadata: Mapping[str, Any],
    save_type: SaveType,
    has_custom_name: bool = True,
) -> ArtifactVersionView:
    """Record a stored value; inside a step it belongs to the step's run, and to its model version."""
    backend = current_backend()
    context = current_step_context()
    found = backend.artifacts.create_version(
        NewArtifactVersion(
            name=name,
            version=None if version is None else str(version),
            digest=saved.digest,
            size=saved.size,
            uri=saved.uri,
            store=store_name,
            materializer=saved.materializer,
            data_type=saved.data_type,
            type=saved.type,
            save_type=save_type,
            has_custom_name=has_custom_name,
            tags=tuple(tags or ()),
            metadata=metadata,
            visualizations=saved.visualizations,
            step_run_id=None if context is None else context.step_run_id,
            run_id=None if context is None else context.run_id,
        )
    )
    model = present_model()
    if model is not None:
        backend.models.link(model.id, EntityType.ARTIFACT_VERSION, [found.id])
    return ArtifactVersionView(found, backend)


def _store() -> tuple[ArtifactStore, str]:
    """The artifact store of the present step, or of the active stack."""
    context = current_step_context()
    if context is not None and isinstance(context.artifact_store, StackComponent):
        return context.artifact_store, context.artifact_store.name
    component = current_backend().stacks.component(ComponentType.ARTIFACT_STORE)
    return as_store(component, component.name), component.name


def _path_of(materializer: Any) -> str:
    if isinstance(materializer, str):
        return materializer
    return f"{materializer.__module__}:{materializer.__qualname__}"
