"""What a step's digest depends on, and what it does not."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import linecache
import math
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tiphys import step
from tiphys.errors import DefinitionError
from tiphys.sdk.fingerprint import Fingerprint, fingerprint, source_digest

Load = Callable[..., ModuleType]


@pytest.fixture
def load(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Load]:
    """Writes modules of a project and imports them, as a new process would."""
    prefix = "".join(c if c.isalnum() else "_" for c in request.node.name)
    loaded: set[str] = set()

    def load_module(source: str, name: str = "main") -> ModuleType:
        path = tmp_path / f"{prefix}_{name}.py"
        path.write_text(textwrap.dedent(source).replace("PREFIX", prefix))
        linecache.checkcache(str(path))
        sys.path_importer_cache.pop(str(tmp_path), None)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        loaded.add(path.stem)
        spec.loader.exec_module(module)
        return module

    yield load_module
    for name in loaded:
        sys.modules.pop(name, None)


def of(thing: Any) -> Fingerprint:
    return fingerprint(getattr(thing, "entrypoint", thing))


BASE = """
    from tiphys import step

    RATE = 3

    def helper(x):
        return deeper(x) + RATE

    def deeper(x):
        return x * 2

    @step
    def s(x: int) -> int:
        return helper(x)
"""


def digest(load: Load, source: str = BASE) -> str:
    return of(load(source).s).digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("@step\n", "@step(enable_cache=False,\n          name='other')\n"),
        ("    def s(", "    # a comment\n\n    def s("),
        ("return helper(x)", "return helper(\n            x,\n        )  # a comment"),
        ("def helper(x):\n", 'def helper(x):\n        """A docstring."""\n'),
        ("def s(x: int) -> int:\n", 'def s(x: int) -> int:\n        "A docstring."\n'),
        ("RATE = 3", "RATE = 2 + 1\n    UNUSED = 5"),
        ("def deeper(x)", "def unused(y):\n        return y\n\n    def deeper(x)"),
    ],
)
def test_what_does_not_count(load: Load, old: str, new: str) -> None:
    assert old in BASE
    assert digest(load) == digest(load, BASE.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return helper(x)", "return helper(x) + 0"),
        ("x * 2", "x * 3"),
        ("RATE = 3", "RATE = 4"),
        ("def s(x: int)", "def s(x: int = 1)"),
        ("x: int) -> int", "x: float) -> int"),
        ("def helper(x):\n", "def helper(x):\n        print(x)\n"),
    ],
)
def test_what_counts(load: Load, old: str, new: str) -> None:
    assert old in BASE
    assert digest(load) != digest(load, BASE.replace(old, new))


def test_parts_name_what_was_reached(load: Load) -> None:
    module = load(BASE)
    before = of(module.s)
    name = module.__name__
    assert set(before.parts) == {f"{name}:{part}" for part in ("s", "helper", "deeper", "RATE")}
    after = of(load(BASE.replace("x * 2", "x * 3")).s)
    assert [part for part in before.parts if before.parts[part] != after.parts[part]] == [f"{name}:deeper"]


def test_moved_code_keeps_its_digest(load: Load) -> None:
    assert of(load(BASE).s).digest == of(load(BASE, "other").s).digest


def test_other_modules_of_the_project(load: Load) -> None:
    main = """
        import PREFIX_util
        from PREFIX_util import direct
        from tiphys import step

        @step
        def s(x):
            return PREFIX_util.through_module(x) + direct(x) + PREFIX_util.SETTINGS["a"]
    """
    util = """
        SETTINGS = {"a": 1}

        def direct(x):
            return x

        def through_module(x):
            return _inner(x)

        def _inner(x):
            return x

        def unused(x):
            return x
    """
    load(util, "util")
    before = digest(load, main)
    for old, new, same in (
        ("def unused(x):\n            return x", "def unused(x):\n            return x + 1", True),
        ("def direct(x):\n            return x", "def direct(x):\n            return x + 1", False),
        ("def _inner(x):\n            return x", "def _inner(x):\n            return x + 1", False),
        ('{"a": 1}', '{"a": 2}', False),
    ):
        assert old in util
        load(util.replace(old, new), "util")
        assert (digest(load, main) == before) is same, new
    load(util, "util")
    assert digest(load, main) == before


def test_imports_inside_of_functions(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    name = load("x = 1", "probe").__name__.removesuffix("_probe")
    (tmp_path / f"{name}_late.py").write_text("VALUE = 1\n")
    main = """
        def s(x):
            from PREFIX_late import VALUE
            return x + VALUE
    """
    first = digest(load, main)
    module = load(main)
    assert module.s(1) == 2
    assert of(module.s).digest == first
    sys.modules.pop(f"{name}_late")
    (tmp_path / f"{name}_late.py").write_text("VALUE = 1000\n")
    assert digest(load, main) != first


def test_classes(load: Load) -> None:
    source = """
        LIMIT = 5

        class Base:
            def shared(self):
                return LIMIT

        class Tool(Base):
            factor = 2

            def work(self, x):
                return helper(x) * self.factor

            @staticmethod
            def fixed():
                return 1

        def helper(x):
            return x

        def s(x):
            return Tool().work(x)
    """
    before = digest(load, source)
    for old, new in (
        ("factor = 2", "factor = 3"),
        ("LIMIT = 5", "LIMIT = 6"),
        ("            return x\n\n        def s", "            return x + 1\n\n        def s"),
        ("return 1", "return 2"),
    ):
        assert old in source
        assert digest(load, source.replace(old, new)) != before, new
    assert digest(load, source.replace("class Base:", 'class Base:\n            """Documented."""\n')) == before


def test_dataclasses_are_their_text(load: Load) -> None:
    source = """
        from dataclasses import dataclass

        DEFAULT = 1

        @dataclass(frozen=True)
        class Point:
            x: int = DEFAULT

        def s():
            return Point()
    """
    module = load(source)
    assert set(of(module.s).parts) == {*(f"{module.__name__}:{part}" for part in ("s", "Point", "DEFAULT")), "python"}
    before = of(module.s).digest
    for old, new in (("frozen=True", "order=True"), ("DEFAULT = 1", "DEFAULT = 2"), ("x: int", "x: float")):
        assert digest(load, source.replace(old, new)) != before, new


def test_closures_defaults_and_partials() -> None:
    def make(factor: int, offset: Any = (1, 2)) -> Callable[[int], Any]:
        def f(x: int, by: Any = offset) -> Any:
            return x * factor, by

        return f

    def called(x: int, y: int) -> int:
        return x + y

    assert of(make(1)).digest == of(make(1)).digest
    assert len({of(f).digest for f in (make(1), make(2), make(1, (1, 3)))}) == 3
    partials = [functools.partial(called, 1), functools.partial(called, 2), functools.partial(called, y=1)]
    assert len({of(f).digest for f in partials}) == 3
    assert of(functools.partial(called, 1)).digest == of(partials[0]).digest


def test_lambdas_and_functions_without_source() -> None:
    def run(source: str) -> Any:
        scope: dict[str, Any] = {}
        exec(source, scope)
        return scope["f"]

    first = run("K = 1\ndef f(x):\n    'doc'\n    return x + K")
    assert of(first).digest == of(run("K = 1\n\n\ndef f(x):\n    return x + K")).digest
    assert of(first).digest != of(run("K = 1\ndef f(x):\n    return x - K")).digest
    assert of(first).digest != of(run("K = 2\ndef f(x):\n    return x + K")).digest
    assert of(lambda x: x + 1).digest != of(lambda x: x + 2).digest


def test_recursion_and_steps_that_call_steps(load: Load) -> None:
    source = """
        from tiphys import step

        @step
        def inner(x):
            return x

        def even(n):
            return n == 0 or odd(n - 1)

        def odd(n):
            return n != 0 and even(n - 1)

        @step
        def s(x):
            return even(inner(x))
    """
    before = digest(load, source)
    assert digest(load, source.replace("return x\n", "return x + 1\n")) != before
    assert digest(load, source.replace("n != 0", "n > 0")) != before


def test_state_is_no_constant() -> None:
    calls: list[int] = []
    counts = {"n": 0}
    total = 0

    @step
    def s() -> int:
        nonlocal total
        calls.append(1)
        counts["n"] += 1
        total += 1
        return total

    before = of(s).digest
    s.entrypoint()
    assert (calls, counts, total) == ([1], {"n": 1}, 1)
    assert of(s).digest == before


def test_state_that_another_function_changes() -> None:
    calls: list[int] = []

    def note() -> None:
        calls.append(1)

    def f() -> int:
        note()
        return len(calls)

    before = of(f).digest
    f()
    assert of(f).digest == before


def test_data_objects_count_by_value_and_others_by_class() -> None:
    @dataclasses.dataclass
    class Settings:
        rate: float = 0.1

    class Service:
        def __init__(self) -> None:
            self.calls = 0

        def __call__(self) -> int:
            return 1

    settings, service = Settings(), Service()

    def f() -> Any:
        return settings.rate, service()

    before = of(f).digest
    service.calls += 1
    assert of(f).digest == before
    settings.rate = 0.2
    assert of(f).digest != before


def test_libraries_count_by_version() -> None:
    def f(x: Any) -> Any:
        return np.sqrt(math.floor(x))

    assert of(f).parts["numpy"] == np.__version__
    assert of(f).parts["python"] == f"{sys.version_info.major}.{sys.version_info.minor}"


def test_a_file_edited_after_its_import_does_not_count(load: Load, tmp_path: Path) -> None:
    module = load(BASE)
    path = Path(module.__file__ or "")
    path.write_text("\n" + path.read_text().replace("x * 2", "x * 3"))
    edited = of(module.s)
    fresh = of(load(BASE.replace("x * 2", "x * 3")).s)
    assert edited.parts[f"{module.__name__}:deeper"] != fresh.parts[f"{module.__name__}:deeper"]


def test_order_of_a_set_does_not_count() -> None:
    def make(values: Any) -> Callable[[Any], bool]:
        def f(x: Any) -> bool:
            return x in values

        return f

    assert of(make({"a", "b", "c"})).digest == of(make({"c", "b", "a"})).digest
    assert of(make(["a", "b"])).digest != of(make(["b", "a"])).digest
    assert of(make({1: len})).parts != of(make({1: 2})).parts


def test_source_dependencies() -> None:
    name, digest = source_digest("json.decoder", "It")
    assert name == "json.decoder"
    assert len(digest) == 64
    assert source_digest(of, "It")[0] == f"{__name__}:of"
    with pytest.raises(DefinitionError, match=r"It depends on the source 'no\.such:thing'"):
        source_digest("no.such:thing", "It")
    with pytest.raises(DefinitionError, match="no source"):
        source_digest("math", "It")


def test_libraries_imported_inside_are_neither_loaded_nor_counted_otherwise_when_they_are(tmp_path: Path) -> None:
    script = tmp_path / "looks.py"
    script.write_text(
        "import sys\n"
        "from tiphys.sdk.fingerprint import fingerprint\n"
        "def step():\n"
        "    from sklearn.datasets import load_iris\n"
        "    return load_iris\n"
        "if len(sys.argv) > 1:\n"
        "    import sklearn\n"
        "print(fingerprint(step).digest, 'sklearn' in sys.modules)\n"
    )
    before, after = (
        subprocess.run([sys.executable, str(script), *more], capture_output=True, text=True, check=True).stdout.split()
        for more in ([], ["load"])
    )
    assert (before[1], after[1]) == ("False", "True")
    assert before[0] == after[0]
