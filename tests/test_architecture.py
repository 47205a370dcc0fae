"""The house's rules that a linter cannot express."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

SOURCE = Path(__file__).parents[1] / "src" / "tiphys"

#: Where a function may import our own code.
LATE_IMPORTS_ALLOWED = ("cli", "bootstrap", "plugins")

HEAVY = ("pydantic", "sqlalchemy", "alembic", "fastapi", "starlette", "pandas", "numpy", "kubernetes", "rich", "yaml")


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("tiphys", cache_dir=None)


def test_no_module_imports_its_own_package(graph: grimp.ImportGraph) -> None:
    found = [
        (module, package)
        for module in graph.modules
        for package in graph.find_modules_directly_imported_by(module)
        if module.startswith(package + ".")
    ]
    assert found == []


def test_siblings_have_no_cycles(graph: grimp.ImportGraph) -> None:
    packages = {module for module in graph.modules if graph.find_children(module)}
    cycles = {package: graph.nominate_cycle_breakers(package) for package in packages}
    assert {package: found for package, found in cycles.items() if found} == {}


def test_own_code_is_imported_at_the_top() -> None:
    found = []
    for path in SOURCE.rglob("*.py"):
        part = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        if part in LATE_IMPORTS_ALLOWED:
            continue
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            for node in ast.walk(function):
                names = (
                    [node.module or ""]
                    if isinstance(node, ast.ImportFrom)
                    else [alias.name for alias in node.names]
                    if isinstance(node, ast.Import)
                    else []
                )
                found += [f"{path.name}:{node.lineno}" for name in names if name.split(".")[0] == "tiphys"]
    assert found == []


@pytest.mark.parametrize("code", ["import tiphys", "from tiphys import pipeline, step, Model", "CLI"])
def test_light_imports(code: str) -> None:
    if code == "CLI":
        code = (
            "from click.testing import CliRunner; from tiphys.cli.main import main; "
            "assert CliRunner().invoke(main, ['--help']).exit_code == 0"
        )
    script = f"{code}\nimport sys\nprint(*sorted(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


PIPELINE = """
from tiphys import pipeline, step

@step
def one() -> int:
    return 1

@pipeline
def p() -> None:
    one()

assert p().status == "completed"
"""


def test_a_pipeline_loads_no_more_than_it_needs(tmp_path: Path) -> None:
    """The expression language, the lint and the pods cost more to import than hundreds of steps to run."""
    parts = (
        "tiphys.lang.expr",
        "tiphys.lang.sprig",
        "tiphys.spec.validate",
        "tiphys.sdk.pods",
        "tiphys.integrations.local.pods",
    )
    script = f"{PIPELINE}\nimport sys\nprint('LOADED', *sorted(m for m in sys.modules if m.startswith({parts!r})))"
    file = tmp_path / "small.py"
    file.write_text(script)
    environment = {**os.environ, "TIPHYS_HOME": str(tmp_path / "home"), "TIPHYS_PROGRESS": "off"}
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines()[-1] == "LOADED"
