"""The time zone of this machine."""

from __future__ import annotations

import os
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo


def local_zone() -> tzinfo:
    """The time zone of this machine, by its name where the system tells it, so that daylight saving time is known."""
    named = os.environ.get("TZ", "").removeprefix(":")
    if not named:
        _, _, named = str(Path("/etc/localtime").resolve()).partition("/zoneinfo/")
    try:
        return ZoneInfo(named)
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        return datetime.now(UTC).astimezone().tzinfo or UTC
