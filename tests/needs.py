"""What tests need that a machine may lack: they are skipped there, and fail in CI."""

from __future__ import annotations

import os

import pytest

from tiphys.integrations.local.pods.runner import usable

#: Whether nothing may be missing.
STRICT = os.environ.get("CI", "").lower() == "true"


def lacking(problem: str) -> None:
    """End the test, or the fixture, that needs what is missing."""
    if STRICT:
        pytest.fail(problem)
    pytest.skip(problem, allow_module_level=True)


#: Mark of tests that need pods with a view of their own.
needs_sandbox = pytest.mark.skipif(
    not STRICT and usable("sandbox") is not None, reason=f"no sandbox: {usable('sandbox')}"
)
