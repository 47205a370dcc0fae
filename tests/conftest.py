"""Every test works in a home of its own and sees no settings of the person who runs it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_configure() -> None:
    """A shell has what it starts in the background ignore Ctrl-C, and tests of Ctrl-C would wait for ever."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "tiphys-home"
    monkeypatch.setenv("TIPHYS_HOME", str(folder))
    monkeypatch.setenv("TIPHYS_PROGRESS", "off")
    monkeypatch.delenv("TIPHYS_DB_URL", raising=False)
    monkeypatch.delenv("TIPHYS_DEBUG", raising=False)
    for name in ("TIPHYS_URL", "TIPHYS_API_KEY", "TIPHYS_WORKSPACE", "TIPHYS_CA"):
        monkeypatch.delenv(name, raising=False)
    for name in ("KUBECONFIG", "TIPHYS_KUBECONFIG", "TIPHYS_KUBE_CONTEXT", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    yield folder
    _close_backends(folder)


def _close_backends(folder: Path) -> None:
    """Give back what a test opened in its home, so that hundreds of tests leave no threads behind."""
    import sys

    bootstrap = sys.modules.get("tiphys.bootstrap")
    if bootstrap is not None:
        bootstrap.close_backends(folder)
