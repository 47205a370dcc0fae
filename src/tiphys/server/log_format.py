"""The server's log: lines for people, or a JSON object for each, with the ids of requests and workflows."""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Literal

LogFormat = Literal["text", "json"]


class TextFormatter(logging.Formatter):
    """Time, message and fields."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the name is logging's
        """A line."""
        fields = " ".join(f"{key}={_plain(value)}" for key, value in _fields(record).items() if value != "")
        record.message = _plain(record.message) + (f" {fields}" if fields else "")
        return super().formatMessage(record)


class JsonFormatter(logging.Formatter):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """A line."""
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told, default=str)


class LogCounter(logging.Handler):
    """Counts lines of the log by level, as Argo's controller names these."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        """Count a line; the handler's lock is held."""
        level = "error" if record.levelno >= logging.ERROR else "warn" if record.levelno >= logging.WARNING else "info"
        self._counts[level] += 1

    def read(self) -> dict[str, int]:
        """Level → lines."""
        return {level: self._counts[level] for level in ("error", "warn", "info")}


#: Of this process.
LOG_MESSAGES = LogCounter()


def tell(form: LogFormat | None) -> logging.Handler:
    """Have the server's log printed; without a form as text, and of requests those alone that went wrong."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    log = logging.getLogger("tiphys")
    log.addHandler(handler)
    log.addHandler(LOG_MESSAGES)
    log.setLevel(logging.INFO)
    if form is None:
        for quiet in ("tiphys.server.access", "tiphys.workflows"):
            logging.getLogger(quiet).setLevel(logging.WARNING)
    return handler


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    found: dict[str, Any] = getattr(record, "fields", {})
    return found


def _plain(value: object) -> str:
    """Without what would begin a new line, or move a terminal's cursor."""
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
