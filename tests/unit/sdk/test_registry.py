"""Functions named by workflows are found again."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tiphys import step
from tiphys.errors import NotFoundError
from tiphys.sdk.registry import Names, accept, portable, remember, resolve
from tiphys.sdk.sources import source_of


@step
def importable(x: int) -> int:
    return x + 1


def test_alive_in_this_process() -> None:
    def local() -> int:
        return 1

    source = source_of(local)
    remember(source, "d1", local)
    assert resolve(source, "d1") is local
    with pytest.raises(NotFoundError, match=r"local(.|\n)*script"):
        resolve(source, "d2")


def test_by_import() -> None:
    assert resolve(f"{__name__}:importable", "any") is importable.entrypoint
    assert resolve("json:dumps")([1]) == "[1]"
    with pytest.raises(NotFoundError, match="no_such_module"):
        resolve("no_such_module:f")


def test_what_can_be_imported_needs_no_payload() -> None:
    assert portable("json:dumps") is None


def test_what_cannot_travels_as_a_payload() -> None:
    offset = 5

    def local(x: int) -> int:
        return x + offset

    remember("here:local", "d", local)
    payload = portable("here:local", "d")
    assert payload is not None
    unpacked = accept("there:local", "d", payload)
    assert unpacked(1) == 6
    assert resolve("there:local", "d") is unpacked


def test_a_module_that_no_other_process_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "hidden_module.py"
    path.write_text("def helper(x):\n    return x * 2\n\ndef f(x):\n    return helper(x) + 1\n")
    spec = importlib.util.spec_from_file_location("hidden_module", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "hidden_module", module)
    spec.loader.exec_module(module)
    payload = portable("hidden_module:f")
    assert payload is not None
    script = "import cloudpickle, sys; print(cloudpickle.loads(sys.stdin.buffer.read())(3))"
    done = subprocess.run([sys.executable, "-c", script], input=payload, capture_output=True, check=True)
    assert done.stdout.decode().strip() == "7"
    monkeypatch.syspath_prepend(str(tmp_path))
    assert portable("hidden_module:f") is None


def test_names_tell_apart_what_looks_alike() -> None:
    def make(value: int) -> Any:
        return lambda: value

    first, second = make(1), make(2)
    names = Names()
    given = [names.refer("m:f", "d", thing) for thing in (first, second, first)]
    assert given == ["m:f", "m:f~2", "m:f"]
    assert [resolve(name, "d")() for name in given] == [1, 2, 1]
    assert names.refer("m:f", "other", second) == "m:f"
