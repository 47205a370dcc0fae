"""What every materializer must do. Tests of one subclass `MaterializerContract` and say which values it is for."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import pytest

from tiphys.ports.artifact_store import ArtifactStore
from tiphys.ports.materializer import VisualizationType
from tiphys.records.artifacts import ArtifactRef, ArtifactType
from tiphys.sdk.materializing import SavedValue, find_materializer, load_value, save_value


def ref_to(saved: SavedValue) -> ArtifactRef:
    """A saved value as steps pass it on."""
    return ArtifactRef(
        version_id="v",
        name="value",
        digest=saved.digest,
        materializer=saved.materializer,
        data_type=saved.data_type,
        type=saved.type.value,
        size=saved.size,
    )


class MaterializerContract(ABC):
    """The suite."""

    #: `module:Class` that is expected to be found for all values.
    materializer: str
    artifact_type = ArtifactType.DATA
    #: Kinds of visualizations that are expected.
    shown_as: tuple[VisualizationType, ...] = ()
    #: Whether what was loaded and is stored again has the same digest.
    stable = True

    @pytest.fixture
    @abstractmethod
    def store(self) -> ArtifactStore:
        """An empty store."""

    @pytest.fixture
    @abstractmethod
    def make(self) -> Callable[[], Any]:
        """Makes a value; called twice it gives two equal ones. Give it `params` for several values."""

    def equal(self, left: Any, right: Any) -> bool:
        """Whether two values are the same."""
        return bool(left == right)

    def test_it_is_found(self, make: Callable[[], Any]) -> None:
        found = find_materializer(make())
        assert f"{found.__module__}:{found.__qualname__}" == self.materializer

    def test_a_value_comes_back(self, store: ArtifactStore, make: Callable[[], Any]) -> None:
        value = make()
        saved = save_value(value, store)
        loaded = load_value(ref_to(saved), store)
        assert type(loaded) is type(value)
        assert self.equal(value, loaded)
        assert saved.type == self.artifact_type
        assert saved.data_type == f"{type(value).__module__}.{type(value).__qualname__}"

    def test_saving_leaves_the_value_as_it_was(self, store: ArtifactStore, make: Callable[[], Any]) -> None:
        value = make()
        save_value(value, store)
        assert self.equal(value, make())

    def test_equal_values_have_equal_digests(self, store: ArtifactStore, make: Callable[[], Any]) -> None:
        if not self.stable:
            pytest.skip("the format holds more than the value")
        saved = save_value(make(), store)
        assert save_value(make(), store).digest == saved.digest
        loaded = load_value(ref_to(saved), store)
        assert save_value(loaded, store).digest == saved.digest

    def test_metadata_is_json(self, store: ArtifactStore, make: Callable[[], Any]) -> None:
        metadata = dict(save_value(make(), store).metadata)
        assert json.loads(json.dumps(metadata, allow_nan=False)) == metadata
        assert save_value(make(), store, metadata=False).metadata == {}

    def test_visualizations_are_stored(self, store: ArtifactStore, make: Callable[[], Any]) -> None:
        shown = save_value(make(), store).visualizations
        assert sorted(each["type"] for each in shown.values()) == sorted(self.shown_as)
        for name, each in shown.items():
            assert store.read_bytes(each["digest"], name)
        assert save_value(make(), store, visualize=False).visualizations == {}

    def test_nothing_is_left_in_staging(self, store: ArtifactStore, make: Callable[[], Any]) -> None:
        saved = save_value(make(), store)
        expected = {saved.digest} | {each["digest"] for each in saved.visualizations.values()}
        assert {digest for digest, _, _ in store.list_trees()} == expected
