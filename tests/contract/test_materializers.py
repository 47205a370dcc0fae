"""The materializers' suite over all that come with Tiphys."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pydantic
import pytest

from tests.contract.values import InLocalStore, cases
from tiphys.errors import ArtifactError
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.ports.materializer import VisualizationType
from tiphys.records.artifacts import ArtifactRef, ArtifactType
from tiphys.sdk.materializing import load_value, save_value
from tiphys.types import CSVString, HTMLString, JSONString, MarkdownString

BUILTIN = "tiphys.sdk.materializers.builtin"


class Colour(enum.Enum):
    RED = "r"


class Level(enum.IntEnum):
    LOW = 1


@dataclass
class Plain:
    number: int
    items: list[Any] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Frozen:
    plain: Plain
    anything: Any = None
    derived: int = field(init=False, default=7)


class Point(NamedTuple):
    x: float
    y: float = 0.0


class Config(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)

    name: str
    plain: Plain
    extra: Any = None


class Open(pydantic.BaseModel, extra="allow"):
    name: str = "open"


class Custom:
    """Nothing that any materializer is for."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Custom) and other.value == self.value

    def __hash__(self) -> int:
        return 0


class TestJson(InLocalStore):
    materializer = f"{BUILTIN}:JsonMaterializer"
    make = cases(
        none=lambda: None,
        true=lambda: True,
        zero=lambda: 0,
        beyond_doubles=lambda: 2**53 + 1,
        very_long=lambda: -(7**20_000),
        minus_zero=lambda: -0.0,
        tenth=lambda: 0.1,
        nan=lambda: float("nan"),
        infinity=lambda: float("-inf"),
        text=lambda: 'line\n"quoted" ünïcode 🚀 \x00',
        surrogate=lambda: "\ud800",
        complex=lambda: complex(1, float("inf")),
        decimal=lambda: decimal.Decimal("1.10"),
        uuid=lambda: uuid.UUID(int=5),
        date=lambda: datetime.date(2024, 2, 29),
        time=lambda: datetime.time(1, 2, 3, 4),
        datetime=lambda: datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
        timedelta=lambda: datetime.timedelta(days=-1, microseconds=1),
        enum=lambda: Colour.RED,
        int_enum=lambda: Level.LOW,
        empty_list=list,
        list=lambda: [1, True, 1.0, None, "x", float("nan"), 10**5_000],
        dict=lambda: {"b": 1, "a": [{"c": ()}]},
        marked_dict=lambda: {"$tuple": [1, 2]},
        nested_marked_dict=lambda: [{"$dict": {"$x": 1}}],
        keys=lambda: {1: "a", None: "b", (1, "x"): "c", "1": "d", 2.5: "e"},
        tuple=lambda: (1, (2, [3])),
        set=lambda: {"x", 3, (1, 2), frozenset({4})},
        frozenset=lambda: frozenset({1}),
        ordered=lambda: OrderedDict(b=1, a=2),
        bytes_inside=lambda: [b"\x00\xff", bytearray(b"x")],
        dataclass=lambda: Plain(1, [Plain(2)]),
        frozen_dataclass=lambda: Frozen(Plain(1), (1, Level.LOW)),
        namedtuple=lambda: Point(1.5),
        model=lambda: Config(name="n", plain=Plain(1), extra=(1, 2)),
        open_model=lambda: Open(more=[1]),
        many=lambda: [Plain(number) for number in range(100)],
    )

    def equal(self, left: Any, right: Any) -> bool:
        if isinstance(left, (set, frozenset)):
            return bool(left == right)
        if isinstance(left, int):
            return bool(left == right)
        if isinstance(left, list) and 10**5_000 in left:
            return len(left) == len(right) and all(self.equal(a, b) for a, b in zip(left, right, strict=True))
        return repr(left) == repr(right) and type(left) is type(right)


class TestBytes(InLocalStore):
    materializer = f"{BUILTIN}:BinaryMaterializer"
    make = cases(empty=lambda: b"", some=lambda: b"\x00\xff", large=lambda: bytes(10**6))


class TestBytearray(InLocalStore):
    materializer = f"{BUILTIN}:BytearrayMaterializer"
    make = cases(some=lambda: bytearray(b"\x00\xff"))


class ShownString(InLocalStore):
    artifact_type = ArtifactType.DATA_ANALYSIS


class TestHTML(ShownString):
    materializer = f"{BUILTIN}:HTMLMaterializer"
    shown_as = (VisualizationType.HTML,)
    make = cases(some=lambda: HTMLString("<p>ü</p>"))


class TestMarkdown(ShownString):
    materializer = f"{BUILTIN}:MarkdownMaterializer"
    shown_as = (VisualizationType.MARKDOWN,)
    make = cases(some=lambda: MarkdownString("# Title\r\n"))


class TestCSV(ShownString):
    materializer = f"{BUILTIN}:CSVMaterializer"
    shown_as = (VisualizationType.CSV,)
    make = cases(some=lambda: CSVString("a,b\n1,2\n"))


class TestJSONString(ShownString):
    materializer = f"{BUILTIN}:JSONStringMaterializer"
    shown_as = (VisualizationType.JSON,)
    make = cases(some=lambda: JSONString('{"a": 1}'))


class TestFiles(InLocalStore):
    materializer = "tiphys.sdk.materializers.paths:PathMaterializer"

    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[[], Any]:
        def write() -> Path:
            path = tmp_path / "data.csv"
            path.write_bytes(b"a,b\n" * 100_000)
            return path

        return write

    def equal(self, left: Any, right: Any) -> bool:
        return bool(left.name == right.name and left.read_bytes() == right.read_bytes())


class TestFolders(InLocalStore):
    materializer = "tiphys.sdk.materializers.paths:PathMaterializer"

    @pytest.fixture(params=["full", "empty"])
    def make(self, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[], Any]:
        counter = iter(range(100))

        def write() -> Path:
            path = tmp_path / f"random-{next(counter)}"
            path.mkdir()
            if request.param == "full":
                (path / "sub" / "empty").mkdir(parents=True)
                (path / "sub" / "a.txt").write_text("x")
                (path / "link.txt").symlink_to(path / "sub" / "a.txt")
            return path

        return write

    def equal(self, left: Any, right: Any) -> bool:
        def content(folder: Path) -> dict[str, bytes | None]:
            return {
                path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
                for path in folder.rglob("*")
            }

        return left.is_dir() and right.is_dir() and content(left) == content(right)

    def test_a_link_to_a_folder_is_refused(self, store: ArtifactStore, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "bad").symlink_to(tmp_path)
        with pytest.raises(ArtifactError, match="link to a folder"):
            save_value(tmp_path / "mine", store)

    def test_what_is_not_there(self, store: ArtifactStore, tmp_path: Path) -> None:
        with pytest.raises(ArtifactError, match="nowhere"):
            save_value(tmp_path / "nowhere", store)

    def test_a_registered_folder_is_loaded_as_it_is(self, store: ArtifactStore, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "a.txt").write_text("x")
        digest = store.commit(tmp_path / "mine").digest
        ref = ArtifactRef(
            version_id="v", name="f", digest=digest, materializer=self.materializer, data_type="pathlib.Path"
        )
        assert (load_value(ref, store) / "a.txt").read_text() == "x"


class TestPickle(InLocalStore):
    materializer = "tiphys.sdk.materializers.pickled:CloudpickleMaterializer"

    @pytest.fixture
    def make(self) -> Callable[[], Any]:
        return lambda: Custom([1, 2])


class TestNumpyArrays(InLocalStore):
    materializer = "tiphys.integrations.numpy.materializers:ArrayMaterializer"

    @pytest.fixture(
        params=[
            "np.arange(5)",
            "np.zeros((0, 3))",
            "np.array(3.5)",
            "np.asfortranarray(np.arange(20.0).reshape(4, 5))",
            "np.arange(100.0).reshape(10, 10)[::2, ::3]",
            "np.array(['a', 'bc'])",
            "np.array([b'a'])",
            "np.array(['', ''])",
            "np.array([1, None, 'x', (1, 2)], dtype=object)",
            "np.array([['a', 'b']], dtype=object)",
            "np.array(['2024-01-01', 'NaT'], dtype='M8[D]')",
            "np.array([1, -1], dtype='m8[ms]')",
            "np.array([(1, 2.0)], dtype=[('a', 'i4'), ('b', 'f8')])",
            "np.array([1, 2], dtype='>i4')",
            "np.array([0.5], dtype='f2')",
            "np.array([1j, np.nan])",
            "np.array([np.inf, np.nan])",
            "np.array([True, False])",
            "np.arange(200_000.0)",
        ]
    )
    def make(self, request: pytest.FixtureRequest) -> Callable[[], Any]:
        np = import_module("numpy")
        return lambda: eval(request.param, {"np": np})

    def equal(self, left: Any, right: Any) -> bool:
        same = left.dtype == right.dtype and left.shape == right.shape and right.flags.writeable
        return same and repr(left.tolist()) == repr(right.tolist())


class TestNumpyScalars(InLocalStore):
    materializer = "tiphys.integrations.numpy.materializers:ScalarMaterializer"

    @pytest.fixture(
        params=["float64(0.1)", "float32(0.1)", "int8(-3)", "bool_(True)", "complex64(1)", "float64('nan')"]
    )
    def make(self, request: pytest.FixtureRequest) -> Callable[[], Any]:
        np = import_module("numpy")
        return lambda: eval(f"np.{request.param}", {"np": np})

    def equal(self, left: Any, right: Any) -> bool:
        return repr(left) == repr(right)


class TestNested(InLocalStore):
    materializer = f"{BUILTIN}:JsonMaterializer"

    @pytest.fixture(
        params=[
            "{'a': np.arange(3), 'b': [1, {'m': np.ones(2)}], 'c': 'x', (1, 2): None}",
            "[np.arange(3), (np.ones(1), 2)]",
            "Frozen(Plain(1), np.arange(3))",
            "Config(name='n', plain=Plain(1, [np.arange(3)]))",
            "Point(np.arange(3), 1)",
            "OrderedDict(a=np.arange(3))",
            "[np.float64(0.5), {'n': np.int64(3)}]",
        ]
    )
    def make(self, request: pytest.FixtureRequest) -> Callable[[], Any]:
        np = import_module("numpy")
        return lambda: eval(request.param, {**globals(), "np": np})

    def equal(self, left: Any, right: Any) -> bool:
        return repr(left) == repr(right)


class TestSparse(InLocalStore):
    materializer = "tiphys.integrations.scipy.materializers:SparseMaterializer"

    @pytest.fixture(
        params=["csr_matrix", "csc_matrix", "coo_matrix", "bsr_matrix", "dia_matrix", "csr_array", "coo_array"]
    )
    def make(self, request: pytest.FixtureRequest) -> Callable[[], Any]:
        sparse = import_module("scipy.sparse")
        return lambda: getattr(sparse, request.param)([[0.0, 1.5], [2.0, 0.0], [0.0, 0.0]])

    def equal(self, left: Any, right: Any) -> bool:
        return bool((left.toarray() == right.toarray()).all()) and left.dtype == right.dtype


class TestImages(InLocalStore):
    materializer = "tiphys.integrations.PIL.materializers:ImageMaterializer"
    shown_as = (VisualizationType.IMAGE,)

    @pytest.fixture(params=["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I", "F", "CMYK"])
    def make(self, request: pytest.FixtureRequest) -> Callable[[], Any]:
        image = import_module("PIL.Image")

        def draw() -> Any:
            drawn = image.new(request.param, (5, 4), 1)
            drawn.putpixel((2, 2), 0 if len(drawn.getbands()) == 1 else tuple(range(len(drawn.getbands()))))
            return drawn

        return draw

    def equal(self, left: Any, right: Any) -> bool:
        return left.mode == right.mode and left.size == right.size and left.tobytes() == right.tobytes()


class TestMatplotlib(InLocalStore):
    materializer = "tiphys.integrations.matplotlib.materializers:FigureMaterializer"
    artifact_type = ArtifactType.DATA_ANALYSIS
    shown_as = (VisualizationType.IMAGE,)
    stable = False  # matplotlib writes addresses of objects into the pickle

    @pytest.fixture
    def make(self) -> Callable[[], Any]:
        figure = import_module("matplotlib.figure")

        def draw() -> Any:
            drawn = figure.Figure()
            axis = drawn.subplots()
            axis.plot([1, 3, 2])
            axis.set_title("title")
            return drawn

        return draw

    def equal(self, left: Any, right: Any) -> bool:
        def lines(figure: Any) -> Any:
            return [line.get_xydata().tolist() for axis in figure.axes for line in axis.lines]

        return lines(left) == lines(right) and left.axes[0].get_title() == right.axes[0].get_title()


class TestPlotly(InLocalStore):
    materializer = "tiphys.integrations.plotly.materializers:FigureMaterializer"
    artifact_type = ArtifactType.DATA_ANALYSIS
    shown_as = (VisualizationType.HTML,)

    @pytest.fixture
    def make(self) -> Callable[[], Any]:
        graph = import_module("plotly.graph_objects")
        np = import_module("numpy")
        return lambda: graph.Figure(graph.Scatter(x=np.arange(3), y=[1, None, 2]), {"title": {"text": "ü"}})

    def equal(self, left: Any, right: Any) -> bool:
        import json

        return json.loads(left.to_json()) == json.loads(right.to_json())
