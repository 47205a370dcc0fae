"""Logs of steps as tests read them: whole."""

from __future__ import annotations

from collections.abc import Iterator

from tiphys.ports.artifact_store import ArtifactStore
from tiphys.sdk.logs.files import FILE, LogLine, parse_line


def read_log(store: ArtifactStore, digest: str) -> Iterator[LogLine]:
    """The lines of a stored log."""
    with store.open_tree(digest) as folder, (folder / FILE).open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            yield parse_line(line)
