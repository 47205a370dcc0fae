"""Where the data of volume claims is."""

from __future__ import annotations

from pathlib import Path


def claim_place(home: Path, namespace: str, name: str) -> Path:
    """The folder that stands for a volume claim."""
    return home / "volumes" / namespace / name
