"""Steps that are defined in the cells of a notebook, carried out by a real Jupyter kernel."""

from __future__ import annotations

import textwrap
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

CELLS = (
    """
    from __future__ import annotations
    from dataclasses import dataclass
    from tiphys import Client, pipeline, step
    OFFSET = 10

    @dataclass
    class Row:
        value: int

    def helper(x: int) -> int:
        return x + OFFSET
    """,
    """
    @step
    def make(x: int) -> Row:
        print("made in a cell")
        return Row(helper(x))

    @step
    def read(row: Row) -> int:
        assert type(row) is Row
        return row.value
    """,
    """
    @pipeline(runner=RUNNER)
    def p(x: int = 1):
        read(make(x))
    """,
    "show(p())",
    "show(p())",
    """
    def helper(x: int) -> int:
        return x * OFFSET
    """,
    "show(p())",
    """
    @step
    def read(row: Row) -> int:
        return row.value + 100
    """,
    "show(p())",
    """
    try:
        make("text")
    except ValueError as error:
        print("refused", "'make'" in str(error), "'x'" in str(error))
    """,
    """
    @step(enable_cache=False)
    async def wait() -> int:
        import asyncio
        await asyncio.sleep(0.01)
        return 7

    @pipeline(runner=RUNNER)
    def asynchronous():
        wait()

    print("completed", asynchronous().steps["wait"].output.load())
    """,
    """
    def divide(value: int) -> int:
        return 1 // value
    """,
    """
    @step(enable_cache=False)
    def broken() -> int:
        return divide(0)

    @pipeline(runner=RUNNER)
    def q():
        broken()

    try:
        q()
    except Exception as error:
        print("failed", "return divide(0)" in str(error), "return 1 // value" in str(error), "tiphys/" in str(error))
    """,
)
SHOW = """
def show(run):
    print(run.status, [str(found.status) for found in run.steps.values()], run.steps["read"].output.load())
"""


@pytest.mark.filterwarnings("default")  # of the kernel's own client
@pytest.mark.parametrize("runner", ["inline", "process"])
def test_steps_of_cells(tmp_path: Path, runner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(textwrap.dedent(cell)) for cell in (f"RUNNER = {runner!r}\n{SHOW}", *CELLS)]
    )
    NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    printed = "".join(
        output.text for cell in notebook.cells for output in cell.outputs if output.get("name") == "stdout"
    )
    told = [line for line in printed.splitlines() if line.startswith(("completed", "refused", "failed"))]
    assert told == [
        "completed ['completed', 'completed'] 11",
        "completed ['cached', 'cached'] 11",
        "completed ['completed', 'completed'] 10",
        "completed ['cached', 'completed'] 110",
        "refused True True",
        "completed 7",
        "failed True True False",
    ]
    assert "made in a cell" in printed
