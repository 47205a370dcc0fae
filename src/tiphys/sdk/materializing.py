"""Values into the artifact store and back: what steps, `save_artifact` and `load_artifact` use."""

from __future__ import annotations

import atexit
import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiphys.errors import ArtifactError, TiphysError
from tiphys.ports.artifact_store import ArtifactStore, StoredTree
from tiphys.ports.materializer import BaseMaterializer, BytesMaterializer, OtherMaterializer, VisualizationType
from tiphys.records.artifacts import ArtifactRef, ArtifactType
from tiphys.sdk.materializers import finding, nested

_log = logging.getLogger("tiphys.materializers")
_NESTED = finding.path_of(nested.NestedMaterializer)
_MOST_INDEXES = 64

find_materializer = finding.find_materializer


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedValue:
    """A value in the store, with all that its artifact version will say about it."""

    #: `sha256:…` of its files.
    digest: str
    #: Bytes of its files.
    size: int
    uri: str
    #: `module:Class`.
    materializer: str
    #: `module.qualname` of its type.
    data_type: str
    type: ArtifactType
    metadata: Mapping[str, Any]
    #: {name: {type: html|image|csv|markdown|json, digest}}; a digest is that of a tree of the one file `name`.
    visualizations: Mapping[str, Mapping[str, str]]


def save_value(
    value: Any,
    store: ArtifactStore,
    *,
    materializers: Sequence[str] = (),
    artifact_type: ArtifactType | str | None = None,
    visualize: bool = True,
    metadata: bool = True,
) -> SavedValue:
    """Store a value.

    Args:
        value: Anything.
        store: Where.
        materializers: `module:Class` paths to choose from, instead of looking for one by type.
        artifact_type: What the artifact is; by default the materializer says.
        visualize: Whether to store visualizations too.
        metadata: Whether to extract metadata.

    Raises:
        ArtifactError: it cannot be stored.
    """
    kind = type(value)
    found = finding.materializer_of(kind, materializers)
    try:
        found, tree = _store(value, found, store)
    except (TiphysError, OSError, MemoryError):
        raise
    except Exception as error:
        raise ArtifactError(
            f"{found.__name__} could not save a {kind.__module__}.{kind.__qualname__}: {type(error).__name__}: {error}"
        ) from error
    return SavedValue(
        digest=tree.digest,
        size=tree.size,
        uri=tree.uri,
        materializer=finding.path_of(found),
        data_type=finding.type_name(kind),
        type=found.ASSOCIATED_ARTIFACT_TYPE if artifact_type is None else ArtifactType(artifact_type),
        metadata=_metadata(value, found) if metadata else {},
        visualizations=_visualizations(value, found, store) if visualize else {},
    )


def _store(
    value: Any, found: type[BaseMaterializer], store: ArtifactStore
) -> tuple[type[BaseMaterializer], StoredTree]:
    while True:
        try:
            quick = finding.as_bytes_materializer(found)
            if quick is not None:
                return found, store.commit_bytes(quick.FILE, quick("").to_bytes(value))
            with store.staging() as folder:
                found(str(folder)).save(value)
                return found, store.commit(folder)
        except OtherMaterializer as other:
            found = finding.materializer_at(other.path)


def _metadata(value: Any, found: type[BaseMaterializer]) -> Mapping[str, Any]:
    if found.extract_metadata is BaseMaterializer.extract_metadata:
        return {}
    try:
        return found("").extract_metadata(value)
    except Exception as error:  # noqa: BLE001 -- the value is stored; that is what matters, and the log says the rest
        _log.warning("%s could not extract metadata: %s: %s", found.__name__, type(error).__name__, error)
        return {}


def _visualizations(value: Any, found: type[BaseMaterializer], store: ArtifactStore) -> Mapping[str, Mapping[str, str]]:
    if found.save_visualizations is BaseMaterializer.save_visualizations:
        return {}
    try:
        with store.staging() as folder:
            shown = found(str(folder)).save_visualizations(value)
            return {
                Path(name).name: {"type": VisualizationType(kind).value, "digest": _keep(folder / name, store)}
                for name, kind in shown.items()
            }
    except Exception as error:  # noqa: BLE001 -- as for metadata
        _log.warning("%s could not visualize: %s: %s", found.__name__, type(error).__name__, error)
        return {}


def _keep(file: Path, store: ArtifactStore) -> str:
    return store.commit_bytes(file.name, file.read_bytes()).digest


def load_value(ref: ArtifactRef, store: ArtifactStore, *, data_type: type[Any] | None = None) -> Any:
    """The value of an artifact version.

    Args:
        ref: Which.
        store: Where it is.
        data_type: What the reader expects; by default the type that was stored.

    Raises:
        ArtifactMissingError: the store no longer has it.
        DigestMismatchError: the store's files are not those that were stored.
    """
    found = finding.materializer_at(ref.materializer)
    kind = finding.type_named(ref.data_type) if data_type is None else data_type
    quick = finding.as_bytes_materializer(found)
    try:
        if quick is not None and found.load is BytesMaterializer.load:
            return quick("").from_bytes(store.read_bytes(ref.digest, quick.FILE), kind)
        return _load(found, ref.digest, store, kind)
    except (TiphysError, OSError, MemoryError):
        raise
    except Exception as error:
        raise ArtifactError(
            f"{found.__name__} could not load '{ref.name}' ({ref.data_type}, {ref.digest}): "
            f"{type(error).__name__}: {error}"
        ) from error


def _load(found: type[BaseMaterializer], digest: str, store: ArtifactStore, kind: type[Any]) -> Any:
    with ExitStack() as stack:
        opened = store.open_tree(digest)
        value = found(str(stack.enter_context(opened))).load(kind)
        if found.KEEPS_FILES and not isinstance(opened, nullcontext):
            _kept.push(stack.pop_all())
    return value


#: Trees that loaded values still read.
_kept = ExitStack()
atexit.register(_kept.close)

_indexes: dict[str, Any] = {}


def load_item(ref: ArtifactRef, index: int, store: ArtifactStore) -> Any:
    """One item of a stored list or tuple; the others are not read where they are apart.

    Raises:
        ArtifactError: there is no such item.
    """
    if ref.materializer != _NESTED:
        value = load_value(ref, store)
        try:
            return value[index]
        except (IndexError, KeyError, TypeError) as error:
            raise ArtifactError(f"'{ref.name}' ({ref.data_type}) has no item {index}: {error}.") from error
    contents = _indexes.get(ref.digest)
    if contents is None:
        if len(_indexes) >= _MOST_INDEXES:
            _indexes.clear()
        contents = _indexes[ref.digest] = json.loads(store.read_bytes(ref.digest, nested.INDEX))
    item = nested.item_of(contents, index)
    with ExitStack() as stack:
        folder = Path()
        if "folder" in item:
            opened = store.open_tree(ref.digest, part=item["folder"])
            folder = stack.enter_context(opened)
            if not isinstance(opened, nullcontext):
                _kept.push(stack.pop_all())
        return nested.load_nested_item(folder, item)
