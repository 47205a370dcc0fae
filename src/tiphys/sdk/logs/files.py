"""Logs as files: their names, their lines, how a live one becomes a stored one.

A log is one text file, a line for each line of output: `2026-01-31T12:00:00.123456Z stdout the text`, where the second
word is `stdout`, `stderr` or the level of a log record. Lines that a carriage return overwrote are left out.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from tiphys.ports.artifact_store import ArtifactStore

#: Name of the file in the artifact store.
FILE = "log.txt"
#: A log that is smaller is stored without a staging folder; bytes.
SMALL = 64 * 1024
#: Where somebody stores logs in parts (`services.log_keeping`): their size, and what is longer is left to them; bytes.
PART = 4 * 1024 * 1024

_END = "\n"


class LogLine(NamedTuple):
    """One line of a stored or live log."""

    time: datetime
    #: `stdout`, `stderr`, or the level of a log record.
    source: str
    text: str


def live_path(home: str | Path, run_id: str, step: str, attempt: int) -> Path:
    """Where the log of a running step is, once it ran for a moment or wrote much. `attempt` is zero-based."""
    return Path(_live_name(home, run_id, step, attempt))


def logs_of_run(home: str | Path, run_id: str) -> Path:
    """Folder of a run's live logs."""
    return Path(f"{home}/logs/{run_id}")


def _live_name(home: str | Path, run_id: str, step: str, attempt: int) -> str:
    return f"{home}/logs/{run_id}/{step}.{attempt}.log"


def path_of(context: Mapping[str, Any], attempt: int | None = None) -> Path | None:
    """Where the live log of a task with this context is; None if it says no home."""
    name = name_of(context, attempt)
    return None if name is None else Path(name)


def name_of(context: Mapping[str, Any], attempt: int | None) -> str | None:
    """`path_of` for a step that may never need it: a path takes longer to make."""
    home = context.get("home")
    if not home:
        return None
    number = context.get("attempt", 0) if attempt is None else attempt
    return _live_name(home, context.get("run_id", "-"), context.get("step_name", "step"), number)


def store_file(path: Path, store: ArtifactStore) -> str:
    """Store a live log as a step's log; returns its digest."""
    if path.stat().st_size < SMALL:
        return store.commit_bytes(FILE, path.read_bytes()).digest
    with store.staging() as folder:
        shutil.copyfile(path, folder / FILE)
        return store.commit(folder).digest


def store_log(path: Path, store: ArtifactStore, *, in_parts: bool) -> str | None:
    """Store a live log and remove it, unless it is long and stored in parts; returns its digest."""
    if in_parts and path.stat().st_size >= PART:
        return None
    digest = store_file(path, store)
    path.unlink(missing_ok=True)
    return digest


def append_lines(path: Path, source: str, text: str) -> None:
    """Add lines to the live log of a step that can no longer do so itself."""
    lines = _END.join(text.splitlines())
    if text:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(log_lines(time.time(), source, lines))


def last_lines(path: Path, count: int) -> list[LogLine]:
    """The last lines of a live log; none if there is no such file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - SMALL))
            lines = file.read().decode("utf-8", "replace").split("\n")[:-1]
    except FileNotFoundError:
        return []
    return [parse_line(line) for line in lines[-count:]]


def parse_line(line: str) -> LogLine:
    """Read one line of a stored or live log."""
    moment, _, rest = line.removesuffix("\n").partition(" ")
    source, _, text = rest.partition(" ")
    return LogLine(datetime.fromisoformat(moment), source, text)


def visible_part(text: str) -> str:
    """What is left of a line after its carriage returns."""
    line = text.rstrip("\r")
    return line[line.rfind("\r") + 1 :]


def log_lines(at: float, source: str, text: str) -> bytes:
    """Lines of a log, all of one moment and one source."""
    if "\r" in text:
        text = "\n".join(map(visible_part, text.split("\n")))
    data = text.encode("utf-8", "backslashreplace")
    second = int(at)
    prefix = b"%b.%06dZ %b " % (_moment(second), (at - second) * 1_000_000, source.encode("utf-8", "backslashreplace"))
    # Replaced as bytes, which is faster than as text by half.
    return b"%b%b\n" % (prefix, data.replace(b"\n", b"\n" + prefix))


@lru_cache(maxsize=4)
def _moment(second: int) -> bytes:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
