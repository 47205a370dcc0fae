"""Files of progress."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiphys.sdk.pods.progress import read_progress


# As argo-workflows, pkg/apis/workflow/v1alpha1/progress.go: IsValid.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1/2", "1/2"),
        ("1/10\n2/10\n", "2/10"),
        ("0/1", "0/1"),
        ("01/2", "1/2"),
        ("3/2", None),
        ("0/0", None),
        ("-1/2", None),
        ("a/b", None),
        ("", None),
        (None, None),
    ],
)
def test_progress(tmp_path: Path, text: str | None, expected: str | None) -> None:
    if text is not None:
        (tmp_path / "progress").write_text(text)
    assert read_progress(str(tmp_path / "progress")) == expected
