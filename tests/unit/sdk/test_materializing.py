"""Which materializer is found, and what saving and loading do beyond the materializers' own work."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiphys.errors import ArtifactError, ArtifactMissingError, DigestMismatchError
from tiphys.integrations.local.artifact_store import LocalArtifactStore
from tiphys.integrations.local.config import LocalArtifactStoreConfig
from tiphys.ports.materializer import BaseMaterializer, BytesMaterializer, VisualizationType, registered
from tiphys.records.artifacts import ArtifactType
from tiphys.sdk.materializers.json_codec import decode, encode
from tiphys.sdk.materializing import SavedValue, find_materializer, load_item, load_value, save_value
from tiphys.testing.materializer_contract import ref_to


@pytest.fixture
def store(tmp_path: Path) -> LocalArtifactStore:
    return LocalArtifactStore(name="default", config=LocalArtifactStoreConfig(path=str(tmp_path / "store")))


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """What a test registers is gone after it."""
    before = dict(registered)
    yield
    registered.clear()
    registered.update(before)
    BaseMaterializer.generation += 1


def path_of(kind: type[Any]) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


class Mine:
    def __init__(self, text: str) -> None:
        self.text = text


class MineToo(Mine):
    pass


class MineMaterializer(BaseMaterializer):
    ASSOCIATED_TYPES = (Mine,)
    ASSOCIATED_ARTIFACT_TYPE = ArtifactType.MODEL

    def save(self, data: Any) -> None:
        (self.folder / "text.txt").write_text(data.text)

    def load(self, data_type: type[Any]) -> Any:
        return data_type((self.folder / "text.txt").read_text())

    def save_visualizations(self, data: Any) -> dict[str, VisualizationType]:
        (self.folder / "shown.md").write_text(f"# {data.text}")
        return {"shown.md": VisualizationType.MARKDOWN}

    def extract_metadata(self, data: Any) -> dict[str, Any]:
        return {"length": len(data.text)}


class TestFinding:
    def test_by_value_or_type(self) -> None:
        assert find_materializer(1) is find_materializer(int)

    def test_a_users_materializer_is_registered_by_its_definition(self) -> None:
        assert find_materializer(Mine) is MineMaterializer
        assert find_materializer(MineToo("x")) is MineMaterializer

    def test_a_later_and_a_more_specific_one_wins(self) -> None:
        class Base:
            pass

        class Derived(Base):
            pass

        assert find_materializer(Derived).__name__ == "CloudpickleMaterializer"

        class First(MineMaterializer):
            ASSOCIATED_TYPES = (Base,)

        assert find_materializer(Derived) is First

        class Second(MineMaterializer):
            ASSOCIATED_TYPES = (Base,)

        assert find_materializer(Derived) is Second

        class Special(MineMaterializer):
            ASSOCIATED_TYPES = (Derived,)

        assert find_materializer(Derived) is Special
        assert find_materializer(Base) is Second

    def test_a_users_materializer_beats_what_a_type_is(self) -> None:
        @dataclass
        class Settings:
            a: int = 1

        @dataclass
        class More(Settings):
            b: int = 2

        assert find_materializer(More).__name__ == "JsonMaterializer"

        class SettingsMaterializer(MineMaterializer):
            ASSOCIATED_TYPES = (Settings,)

        assert find_materializer(More) is SettingsMaterializer

    @pytest.mark.parametrize("base", [int, float, str, dict, list, tuple, set, bytes, OrderedDict])
    def test_subclasses_of_builtin_types_keep_their_type(self, base: type[Any], store: LocalArtifactStore) -> None:
        kind = type("Special", (base,), {})
        value = kind()
        loaded = load_value(ref_to(save_value(value, store)), store)
        assert type(loaded).__name__ == "Special"
        assert loaded == value

    def test_explicit_ones_go_by_their_types(self) -> None:
        class Any_(MineMaterializer):
            ASSOCIATED_TYPES = ()

        class OfMine(MineMaterializer):
            ASSOCIATED_TYPES = (Mine,)

        class OfInt(MineMaterializer):
            ASSOCIATED_TYPES = (int,)

        several = [path_of(OfInt), path_of(Any_), path_of(OfMine)]
        assert find_materializer(MineToo, several) is OfMine
        assert find_materializer(1, several) is OfInt
        assert find_materializer("x", several) is Any_
        with pytest.raises(ArtifactError, match=r"builtins.str.*OfInt"):
            find_materializer("x", [path_of(OfInt)])

    @pytest.mark.parametrize("path", ["nowhere:X", "tiphys.types:Missing", "tiphys.types:HTMLString"])
    def test_what_is_no_materializer(self, path: str) -> None:
        with pytest.raises(ArtifactError, match=path.split(":")[1]):
            find_materializer(1, [path])

    def test_nothing_is_imported_for_a_number(self) -> None:
        script = (
            "import sys, tempfile\n"
            "from types import SimpleNamespace\n"
            "from tiphys.sdk.materializing import save_value\n"
            "from tiphys.integrations.local.artifact_store import LocalArtifactStore\n"
            "store = LocalArtifactStore(name='s', config=SimpleNamespace(path=sys.argv[1]))\n"
            "save_value({'a': [1, 2.5]}, store)\n"
            "heavy = ('numpy', 'pandas', 'pydantic', 'cloudpickle', 'importlib.metadata')\n"
            "print([name for name in heavy if name in sys.modules])"
        )
        with_path = [sys.executable, "-c", script]
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([*with_path, folder], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"


class TestSaving:
    def test_what_a_saved_value_says(self, store: LocalArtifactStore) -> None:
        saved = save_value(Mine("hello"), store)
        assert saved == SavedValue(
            digest=saved.digest,
            size=5,
            uri=store.uri(saved.digest),
            materializer=path_of(MineMaterializer),
            data_type=f"{__name__}.Mine",
            type=ArtifactType.MODEL,
            metadata={"length": 5},
            visualizations=saved.visualizations,
        )
        assert {name: each["type"] for name, each in saved.visualizations.items()} == {"shown.md": "markdown"}
        assert store.read_bytes(saved.visualizations["shown.md"]["digest"], "shown.md") == b"# hello"

    @pytest.mark.parametrize("given", [ArtifactType.SERVICE, "ServiceArtifact"])
    def test_the_artifact_type_may_be_given(self, store: LocalArtifactStore, given: Any) -> None:
        assert save_value(1, store, artifact_type=given).type is ArtifactType.SERVICE

    def test_a_failing_materializer_is_named(self, store: LocalArtifactStore) -> None:
        class Failing(MineMaterializer):
            ASSOCIATED_TYPES = ()

            def save(self, data: Any) -> None:
                raise ZeroDivisionError("oh")

        with pytest.raises(ArtifactError, match=r"Failing could not save .*Mine: ZeroDivisionError: oh") as caught:
            save_value(Mine("x"), store, materializers=[path_of(Failing)])
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        assert list(store.list_trees()) == []

    def test_failing_extras_lose_only_themselves(
        self, store: LocalArtifactStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Half(MineMaterializer):
            ASSOCIATED_TYPES = ()

            def save_visualizations(self, data: Any) -> dict[str, VisualizationType]:
                raise ValueError("no picture")

            def extract_metadata(self, data: Any) -> dict[str, Any]:
                raise ValueError("no facts")

        saved = save_value(Mine("x"), store, materializers=[path_of(Half)])
        assert (saved.metadata, saved.visualizations) == ({}, {})
        assert "no picture" in caplog.text
        assert "no facts" in caplog.text

    def test_a_pickle_is_announced_once_for_each_type(
        self, store: LocalArtifactStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Unknown:
            pass

        with caplog.at_level(logging.WARNING):
            saved = [save_value(Unknown(), store) for _ in range(2)]
        assert caplog.text.count("Unknown") == 1
        assert "Python" in saved[0].metadata["pickled_with"]

    def test_one_file_materializers_of_users(self, store: LocalArtifactStore) -> None:
        class Text(BytesMaterializer):
            FILE = "t.txt"

            def to_bytes(self, data: Any) -> bytes:
                return data.text.encode()

            def from_bytes(self, content: bytes, data_type: type[Any]) -> Any:
                return data_type(content.decode())

        saved = save_value(Mine("x"), store, materializers=[path_of(Text)])
        assert store.read_bytes(saved.digest, "t.txt") == b"x"
        assert load_value(ref_to(saved), store).text == "x"


class TestLoading:
    def test_the_reader_may_ask_for_a_type(self, store: LocalArtifactStore) -> None:
        ref = ref_to(save_value(MineToo("x"), store))
        assert type(load_value(ref, store)) is MineToo
        assert type(load_value(ref, store, data_type=Mine)) is Mine

    def test_a_type_that_is_gone_is_an_object(self, store: LocalArtifactStore) -> None:
        from dataclasses import replace

        class Seen(MineMaterializer):
            ASSOCIATED_TYPES = ()

            def load(self, data_type: type[Any]) -> Any:
                return data_type

        saved = save_value(Mine("x"), store, materializers=[path_of(Seen)])
        assert load_value(replace(ref_to(saved), data_type="gone.Type"), store) is object
        assert load_value(replace(ref_to(saved), data_type=f"{__name__}.<locals>.Type"), store) is object

    @pytest.mark.parametrize("value", [1, Mine("x"), {"a": b"x"}])
    def test_changed_or_missing_data(self, store: LocalArtifactStore, value: Any) -> None:
        saved = save_value(value, store)
        (file,) = (path for path in (Path(saved.uri), *Path(saved.uri).rglob("*")) if path.is_file())
        content = file.read_bytes()
        file.chmod(0o644)
        file.write_bytes(content[:-1] + b"?")
        with pytest.raises(DigestMismatchError):
            load_value(ref_to(saved), store)
        store.delete(saved.digest)
        with pytest.raises(ArtifactMissingError):
            load_value(ref_to(saved), store)

    def test_a_changed_pickle_is_not_run(self, store: LocalArtifactStore, tmp_path: Path) -> None:
        saved = save_value(MineToo.mro, store)
        assert "pickle" in saved.materializer.lower()
        (file,) = Path(saved.uri).iterdir()
        file.chmod(0o644)
        target = tmp_path / "ran"
        file.write_bytes(f"cpathlib\nPosixPath.touch\n(cpathlib\nPosixPath\n(V{target}\ntRtR.".encode())
        with pytest.raises(DigestMismatchError):
            load_value(ref_to(saved), store)
        assert not target.exists()

    def test_a_failing_materializer_is_named(self, store: LocalArtifactStore) -> None:
        class Unreadable(MineMaterializer):
            ASSOCIATED_TYPES = ()

            def load(self, data_type: type[Any]) -> Any:
                raise ZeroDivisionError("oh")

        saved = save_value(Mine("x"), store, materializers=[path_of(Unreadable)])
        with pytest.raises(ArtifactError, match=r"Unreadable could not load 'value'.*ZeroDivisionError: oh"):
            load_value(ref_to(saved), store)


class TestItems:
    def test_of_json(self, store: LocalArtifactStore) -> None:
        ref = ref_to(save_value([1, "x"], store))
        assert [load_item(ref, index, store) for index in (0, 1)] == [1, "x"]
        with pytest.raises(ArtifactError, match="no item 2"):
            load_item(ref, 2, store)
        with pytest.raises(ArtifactError, match="no item 0"):
            load_item(ref_to(save_value(5, store)), 0, store)

    def test_of_a_list_of_other_things(self, store: LocalArtifactStore) -> None:
        saved = save_value([Mine("a"), 1, Mine("b")], store)
        ref = ref_to(saved)
        assert load_item(ref, 1, store) == 1
        Path(saved.uri, "0", "text.txt").chmod(0o644)
        Path(saved.uri, "0", "text.txt").write_text("A")
        assert load_item(ref, 2, store).text == "b"
        with pytest.raises(DigestMismatchError):
            load_item(ref, 0, store)
        with pytest.raises(DigestMismatchError):
            load_value(ref, store)
        with pytest.raises(ArtifactError, match="3 items"):
            load_item(ref, 3, store)


class TestNested:
    def test_items_that_are_json_stand_in_the_index(self, store: LocalArtifactStore) -> None:
        saved = save_value({"mine": Mine("a"), "number": 1, (1, 2): [Mine("b")]}, store)
        files = sorted(path.relative_to(saved.uri).as_posix() for path in Path(saved.uri).rglob("*.*"))
        assert files == ["0/text.txt", "2/0/text.txt", "2/index.json", "index.json"]
        loaded = load_value(ref_to(saved), store)
        assert list(loaded) == ["mine", "number", (1, 2)]
        assert (loaded["mine"].text, loaded[(1, 2)][0].text) == ("a", "b")

    def test_what_contains_itself_is_pickled(self, store: LocalArtifactStore) -> None:
        value: list[Any] = [1]
        value.append(value)
        loaded = load_value(ref_to(save_value(value, store)), store)
        assert loaded[1] is loaded


class TestFields:
    def test_a_class_that_was_defined_anew(self, store: LocalArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
        refs = [ref_to(save_value(value, store)) for value in (Growing(1), [Growing(1)], Mine("x"))]

        @dataclass
        class Anew:
            a: int
            b: list[int] = field(default_factory=list)

        class MineAnew(Mine):
            pass

        for old, new in ((Growing, Anew), (Mine, MineAnew)):
            new.__qualname__ = old.__qualname__
            monkeypatch.setattr(sys.modules[__name__], old.__name__, new)
        loaded = [load_value(ref, store) for ref in refs]
        assert [type(loaded[0]), type(loaded[1][0]), type(loaded[2])] == [Anew, Anew, MineAnew]

    def test_more_than_its_fields_is_pickled(self, store: LocalArtifactStore) -> None:
        value = Growing(1)
        value.extra = 2
        loaded = load_value(ref_to(save_value(value, store)), store)
        assert (loaded.a, loaded.extra) == (1, 2)

    def test_private_attributes_are_kept(self, store: LocalArtifactStore) -> None:
        value = Secretive(a=1)
        value._b = 7
        loaded = load_value(ref_to(save_value(value, store)), store)
        assert (loaded, loaded._b) == (value, 7)

    def test_which_fields_were_set_is_kept(self, store: LocalArtifactStore) -> None:
        loaded = load_value(ref_to(save_value(Changed(a=1), store)), store)
        assert loaded.model_fields_set == {"a"}

    def test_fields_that_were_added_have_their_defaults(self) -> None:
        old = b'{"$dataclass":{"type":"%s:Growing","fields":{"a":5}}}' % __name__.encode()
        assert decode(old) == Growing(5, [])
        old = b'{"$model":{"type":"%s:Changed","fields":{"values":{"a":5,"gone":1},"set":["a"]}}}' % __name__.encode()
        assert decode(old) == Changed(a=5)

    def test_a_class_that_is_gone_is_named(self) -> None:
        with pytest.raises(ArtifactError, match="nowhere:Gone"):
            decode(b'{"$dataclass":{"type":"nowhere:Gone","fields":{}}}')
        with pytest.raises(ArtifactError, match="was a dataclass"):
            decode(b'{"$dataclass":{"type":"builtins:int","fields":{}}}')


@dataclass
class Growing:
    a: int
    b: list[int] = field(default_factory=list)


class Secretive(pydantic.BaseModel):
    a: int
    _b: int = 0


class Changed(pydantic.BaseModel):
    a: int
    b: int = 3


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(max_size=5)
    | st.dates()
    | st.datetimes().map(lambda moment: moment.replace(fold=0))
    | st.timedeltas()
    | st.uuids()
    | st.decimals(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
)
KEYS = st.text() | st.integers() | st.booleans() | st.none() | st.tuples(st.integers(), st.text()) | st.just("$tuple")
VALUES = st.recursive(
    SCALARS | st.frozensets(st.integers() | st.text(), max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.dictionaries(st.sampled_from(["$dict", "$a", "a"]), inner, max_size=2)
    ),
    max_leaves=12,
)


def same(left: Any, right: Any) -> bool:
    """Equal, and of the same types all the way down."""
    if type(left) is not type(right):
        return False
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return same(list(left), list(right)) and same(list(left.values()), list(right.values()))
    if isinstance(left, frozenset):
        return left == right and same(sorted(map(repr, left)), sorted(map(repr, right)))
    return bool(left == right) and repr(left) == repr(right)


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_json_gives_back_the_same_value(value: Any) -> None:
    content = encode(value)
    assert same(decode(content), value)
    assert encode(decode(content)) == content
