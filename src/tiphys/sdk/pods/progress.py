"""How far a container is, as it says itself in a file."""

from __future__ import annotations

from pathlib import Path


def read_progress(path: str) -> str | None:
    """The last line of a file of progress, if it is one."""
    try:
        lines = Path(path).read_text(errors="replace").split()
    except OSError:
        return None
    return progress_in(lines[-1] if lines else "")


def progress_in(text: str) -> str | None:
    """`n/m` with 0 ≤ n ≤ m and 0 < m (Argo's Progress.IsValid); None if the text is anything else."""
    done, _, total = text.partition("/")
    if not (done.isdecimal() and total.isdecimal()) or int(done) > int(total) or int(total) == 0:
        return None
    return f"{int(done)}/{int(total)}"
