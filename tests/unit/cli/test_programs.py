"""Finding a pipeline in a file, and reading its parameters from the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tiphys._util.ids import new_id
from tiphys._util.times import utc_now
from tiphys.cli.programs import choose, find_code, import_file, parse_parameters, pipelines_of, split_target
from tiphys.errors import UsageError
from tiphys.records.runs import Run
from tiphys.sdk.pipeline import Pipeline, pipeline
from tiphys.sdk.registry import resolve


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def write(folder: Path, text: str, name: str | None = None) -> Path:
    path = folder / (name or f"m{new_id().replace('-', '')}.py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


ONE = "from tiphys.sdk.pipeline import pipeline\n@pipeline\ndef churn(epochs: int = 1): ...\n"
TWO = ONE + "@pipeline(name='weekly')\ndef second(): ...\nagain = second\n"


def test_targets(folder: Path) -> None:
    path = write(folder, ONE)
    assert split_target(str(path)) == (path, None)
    assert split_target(f"{path}:churn") == (path, "churn")


def test_a_missing_file_names_its_like(folder: Path) -> None:
    write(folder, ONE, "training.py")
    with pytest.raises(UsageError, match=r"Did you mean .*training\.py\?"):
        split_target(str(folder / "trainin.py"))


def test_a_file_that_is_not_python(folder: Path) -> None:
    with pytest.raises(UsageError, match="not a Python file"):
        split_target(str(write(folder, "", "flow.yaml")))


def test_the_only_pipeline_is_taken_and_others_by_name(folder: Path) -> None:
    one, two = write(folder, ONE), write(folder, TWO)
    assert choose(pipelines_of(import_file(one)), None, one).name == "churn"
    found = pipelines_of(import_file(two))
    assert choose(found, "second", two).name == "weekly"
    assert choose(found, "weekly", two).name == "weekly"
    with pytest.raises(
        UsageError, match=rf"has 2 pipelines.\n.*tiphys run {two.name}:churn \| tiphys run {two.name}:again"
    ):
        choose(found, None, two)
    with pytest.raises(UsageError, match="has no pipeline 'third'"):
        choose(found, "third", two)


def test_a_file_without_pipelines(folder: Path) -> None:
    path = write(folder, "x = 1\n")
    with pytest.raises(UsageError, match="defines no pipeline"):
        choose(pipelines_of(import_file(path)), None, path)


def test_imported_pipelines_count_only_without_own_ones(folder: Path) -> None:
    other = write(folder, ONE)
    importing = f"from {other.stem} import churn\n"
    assert list(pipelines_of(import_file(write(folder, importing)))) == ["churn"]
    assert list(pipelines_of(import_file(write(folder, importing + TWO.replace("churn", "own"))))) == [
        "own",
        "second",
        "again",
    ]


def test_a_file_is_imported_under_its_name_and_not_as_a_script(folder: Path) -> None:
    path = write(folder, ONE + "if __name__ == '__main__':\n    raise SystemExit('ran')\n")
    module = import_file(path)
    assert module.__name__ == path.stem
    assert sys.modules[path.stem] is module
    assert import_file(path) is module


def test_a_file_of_a_package_keeps_its_package(folder: Path) -> None:
    package = f"p{new_id().replace('-', '')}"
    write(folder, "", f"{package}/__init__.py")
    write(folder, "value = 1\n", f"{package}/sibling.py")
    module = import_file(write(folder, f"from .sibling import value\n{ONE}", f"{package}/train.py"))
    assert module.__name__ == f"{package}.train"
    assert module.value == 1


@pytest.mark.parametrize("name", ["json.py", "calendar.py"])
def test_a_name_that_hides_a_module(folder: Path, name: str) -> None:
    with pytest.raises(UsageError, match="which it would hide"):
        import_file(write(folder, ONE, name))


def test_an_import_that_fails_shows_the_users_line(folder: Path) -> None:
    path = write(folder, "def f():\n    return 1 / 0\nf()\n")
    with pytest.raises(UsageError) as caught:
        import_file(path)
    assert caught.value.message == f"'{path.name}' cannot be imported: ZeroDivisionError: division by zero"
    assert "return 1 / 0" in str(caught.value.hint)
    assert "programs.py" not in str(caught.value.hint)


def make(function: object) -> Pipeline:
    return pipeline(function)  # type: ignore[call-overload, no-any-return]


def test_parameters_are_json_where_it_suits_and_text_elsewhere() -> None:
    @make
    def p(a: int, b: str, c: list[int], d: str | None, e, f: float = 1.0, g: bool = False) -> None: ...  # type: ignore[no-untyped-def]

    given = ["a=3", "b=5", "c=[1, 2]", "d=007", "e=plain=text", "f=2", "g=true"]
    assert parse_parameters(given, p) == {
        "a": 3,
        "b": "5",
        "c": [1, 2],
        "d": "007",
        "e": "plain=text",
        "f": 2,
        "g": True,
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["epochs"], "key=value"),
        (["epohs=1"], "Did you mean epochs?"),
        (["zzz=1"], "It has: epochs, rate."),
        (["epochs=1", "epochs=2"], "given twice"),
        (["rate=0.1"], "needs epochs"),
        (["epochs=many"], "Parameter 'epochs'"),
    ],
)
def test_parameters_that_do_not_fit(given: list[str], message: str) -> None:
    @make
    def p(epochs: int, rate: float = 0.1) -> None: ...

    with pytest.raises(UsageError) as caught:
        parse_parameters(given, p)
    assert message in str(caught.value)


def test_a_configured_parameter_is_not_missing() -> None:
    @make
    def p(epochs: int) -> None: ...

    assert parse_parameters([], p.with_options(parameters={"epochs": 3})) == {}


def run_of(entry: Path | str) -> Run:
    return Run(id=new_id(), name="r", workflow_uid="u", config={"code": {"entry": str(entry)}}, created_at=utc_now())


def test_the_code_of_a_run_is_found_beside_its_file(folder: Path) -> None:
    entry, helper = write(folder, ONE), write(folder, "def work(): return 7\n")
    find_code(run_of(entry), [(f"{helper.stem}:work", "d")])
    assert resolve(f"{helper.stem}:work", "d")() == 7


def test_the_code_of_a_script_is_found_in_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    name = f"f{new_id().replace('-', '')}"
    entry = write(folder, f"def {name}(): return 8\nif __name__ == '__main__':\n    raise SystemExit('ran')\n")
    find_code(run_of(entry), [(f"__main__:{name}", "d")])
    assert resolve(f"__main__:{name}", "d")() == 8


@pytest.mark.parametrize("entry", ["interactive", "/nowhere/train.py"])
def test_code_that_is_not_found_is_an_error_before_anything_happens(entry: str, folder: Path) -> None:
    with pytest.raises(UsageError, match="not found from here"):
        find_code(run_of(entry), [("no_such_module_at_all:work", "d")])
