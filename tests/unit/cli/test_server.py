"""`tiphys server` before it serves."""

from __future__ import annotations

import sys

import pytest
from click.testing import CliRunner

from tiphys.cli.main import main


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "tiphys.server.serve", raising=False)
    done = CliRunner().invoke(main, ["server"])
    assert done.exit_code == 2
    assert "needs 'uvicorn'" in done.stderr
    assert "pip install 'tiphys[server]'" in done.stderr


def test_a_certificate_needs_its_key() -> None:
    done = CliRunner().invoke(main, ["server", "--tls-cert", __file__])
    assert (done.exit_code, "belong together" in done.stderr) == (2, True)
