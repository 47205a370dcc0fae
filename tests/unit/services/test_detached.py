"""A process of its own for a workflow: what it is told, and what is told of it. A shell stands in for Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiphys.errors import ServiceError
from tiphys.services.workflows import detached
from tiphys.services.workflows.pods import logs_folder


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def call(text: str) -> None:
        script = tmp_path / "program"
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(0o755)
        monkeypatch.setattr(detached.sys, "executable", str(script))

    return call


def test_it_is_started_with_its_home_and_database(tmp_path: Path, program) -> None:
    program('echo "$@ $TIPHYS_HOME $TIPHYS_DB_URL" && printf 1 >&3')
    detached.carry_out_detached(["u", "v"], home=tmp_path, db_url="sqlite:///x")
    said = (logs_folder(tmp_path, "u") / "engine.log").read_text()
    assert said == f"-m tiphys argo carry u v {tmp_path} sqlite:///x\n"


def test_one_that_ends_at_once_is_an_error_with_what_it_said(tmp_path: Path, program) -> None:
    program("echo first; echo it broke >&2; exit 1")
    with pytest.raises(ServiceError, match="ended at once: first / it broke") as caught:
        detached.carry_out_detached(["u"], home=tmp_path, db_url="")
    assert "engine.log" in (caught.value.hint or "")
